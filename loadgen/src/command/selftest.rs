//! `loadgen selftest`: the generator measures itself against a null echo in a process of its own.

use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use cli::{Addr, Format, Interrupt, units};
use loadgen::selftest::{self, Plan, SelfTest, null_echo};

use super::output::Place;
use super::{PROGRAM, cache, fail};

/// The hidden name under which this program is the null echo.
pub(super) const NULL_ECHO: &str = "@null-echo";
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(3_600);
const EXIT_CODES: &str = "\
The ceiling is kept in $XDG_CACHE_HOME or ~/.cache, in loadgen/selftest.json; later runs are held
against it. Exit codes: 0 measured, 1 could not measure, 2 usage, 130 or 143 interrupted.";

/// Measures the generator itself on this machine: its ceiling, its noise, its lag, its clock
///
/// It runs against a null echo of its own on the loopback interface and needs no server.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Args {
    /// Length of the window of each of the twelve runs: 50ms to 1h
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = units::duration(SHORTEST..=LONGEST))]
    duration: Duration,
    /// The form of the figures
    #[arg(long, default_value_t)]
    format: Format,
    #[command(flatten)]
    place: Place,
}

/// Measures, shows it, and keeps the ceiling.
pub(super) fn execute(args: &Args) -> u8 {
    let interrupt = match Interrupt::install() {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(&format!("cannot catch signals: {error}")),
    };
    let found = match measure(args, &interrupt) {
        Ok(found) => found,
        Err(why) => return fail(&why),
    };
    match args.place.write(&render(&found, args.format)) {
        Err(why) => fail(&why),
        Ok(()) => match interrupt.signal().filter(|_| found.interrupted) {
            Some(signal) => cli::exit::interrupted(signal),
            None => {
                keep(&found);
                cli::exit::SUCCESS
            }
        },
    }
}

fn measure(args: &Args, interrupt: &Interrupt) -> Result<SelfTest, String> {
    args.place.check()?;
    let echo = NullEcho::start().map_err(|error| format!("cannot start the null echo: {error}"))?;
    let plan = Plan {
        target: echo.addr.clone(),
        duration: args.duration,
        threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    let line = super::progress::line();
    let found = selftest::run(&plan, interrupt, &mut |next| {
        line.set_message(next.to_owned());
        line.tick();
    });
    line.finish_and_clear();
    found.map_err(|error| error.to_string())
}

fn render(found: &SelfTest, format: Format) -> String {
    match format {
        Format::Text => selftest::render(found),
        Format::Json => {
            let text = serde_json::to_string_pretty(found);
            format!("{}\n", text.expect("a self-test has only string keys"))
        }
    }
}

/// Keeps the ceiling for later runs; a machine that cannot is told so, and that is all.
fn keep(found: &SelfTest) {
    let Some(ceiling) = found.ceiling() else {
        return;
    };
    let said = match cache::keep(&ceiling) {
        Ok(file) => format!("later runs are held against this: {}", file.display()),
        Err(why) => format!("the ceiling is not kept for later runs: {why}"),
    };
    let said = loadgen::report::text::visible(&said);
    // A closed stderr is no reason to fail.
    let _ = writeln!(io::stderr(), "{PROGRAM}: {said}");
}

/// The null echo in a process of its own, which ends when its standard input does.
struct NullEcho {
    child: Child,
    addr: Addr,
}

impl NullEcho {
    fn start() -> io::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .arg(NULL_ECHO)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for this process: the echo goes on until the run has ended.
            .process_group(0)
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        match Addr::parse_target(line.trim()) {
            Ok(addr) => Ok(Self { child, addr }),
            Err(why) => {
                drop(child.stdin.take());
                child.wait()?;
                Err(io::Error::other(why.to_string()))
            }
        }
    }
}

impl Drop for NullEcho {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It ends now; how is of no interest.
        let _ = self.child.wait();
    }
}

/// Is the null echo: says where it listens, and ends when standard input does.
pub(super) fn null_echo() -> u8 {
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let served = TcpListener::bind("127.0.0.1:0").and_then(|listener| {
        cli::stdout::emit(&format!("{}\n", listener.local_addr()?))?;
        null_echo::serve(&listener, io::stdin().as_fd(), threads)
    });
    match served {
        Ok(()) => cli::exit::SUCCESS,
        Err(error) => fail(&format!("the null echo failed: {error}")),
    }
}
