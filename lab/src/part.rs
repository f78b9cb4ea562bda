//! The parts of experiments that need a process of their own, and the plain programs: the lab starts
//! itself once more, as `lab @part NAME ARGS…`.
//!
//! A part speaks to whoever started it over stdin and stdout, or over what it was given as one of them: a
//! file, memory, a socket; what went wrong stands on stderr. It dies with the thread that started it,
//! unless it wants to be an orphan and says so to the kernel.

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::experiments;
use crate::narrator::Narrator;
use crate::plain;

/// What a process of its own does.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// As it is started, in kebab-case: the experiment's name, a dot, and its own.
    pub name: &'static str,
    /// Does it with the rest of the arguments; the value is the exit code.
    pub play: fn(&[String]) -> io::Result<u8>,
}

/// Plays the part that `args` begins with. Returns the exit code.
#[must_use]
pub fn entry(args: &[OsString]) -> u8 {
    // Should the lab be killed without a chance to clean up, its parts go with it.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let mut args = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    let name = args.next().unwrap_or_default();
    let args: Vec<String> = args.collect();
    let result = match (experiments::part(&name), plain::part(&name)) {
        (Some(part), _) => (part.play)(&args),
        (None, Some(server)) => server.play(&args),
        (None, None) if name == plain::client::NAME => plain::client::play(&args),
        (None, None) => {
            Narrator::new().say(&format!("lab: there is no part '{name}'"));
            return cli::exit::USAGE;
        }
    };
    result.unwrap_or_else(|error| {
        Narrator::new().say(&format!("{name}: {error}"));
        cli::exit::FAILED
    })
}

/// The command by which a part starts another one.
///
/// # Errors
///
/// When the system does not tell which program this is.
pub(crate) fn another(name: &str) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    // What makes this program play a part made it play this one.
    command.args(env::args_os().skip(1).take(1)).arg(name);
    Ok(command)
}

/// Says one thing to whoever started this part.
///
/// # Errors
///
/// When it cannot be written, except to one who listens no more.
pub(crate) fn say(what: &impl Serialize) -> io::Result<()> {
    let line = serde_json::to_string(what)?;
    cli::stdout::emit(&format!("{line}\n"))
}

/// The next thing that this part is told; none when whoever started it has hung up, or died.
///
/// # Errors
///
/// When it cannot be heard, or is something else.
pub(crate) fn hear<T: DeserializeOwned>() -> io::Result<Option<T>> {
    let line = io::stdin().lines().next().transpose()?;
    let told = line.map(|line| serde_json::from_str(&line)).transpose();
    told.map_err(io::Error::other)
}

/// Stays until whoever started this part hangs up, or dies.
///
/// # Errors
///
/// When that cannot be heard.
pub(crate) fn stay() -> io::Result<()> {
    io::copy(&mut io::stdin().lock(), &mut io::sink()).map(drop)
}

/// The clock that all processes of this machine have in common, in seconds.
pub(crate) fn now_s() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
