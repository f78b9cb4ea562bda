//! `loadgen` without a subcommand: runs the load, alone or by several processes, and delivers the
//! report.

use std::env;
use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroUsize};
use std::thread;

use cli::Interrupt;
use loadgen::Steer;
use loadgen::gates;
use loadgen::merge::{Mixed, Part, merge};
use loadgen::report::{Report, text};

use super::args::Request;
pub(super) use super::args::{Args, EXIT_CODES};
use super::display::Display;
use super::processes::{Crew, common_start, shared_flags};
use super::scale::Surroundings;
use super::{CommandLine, PROGRAM, cache, exit, fail, say};

/// The number of the signal that Ctrl-C sends.
const INTERRUPTED: u8 = 2;

/// Runs the load that `args` describe; `typed` is the command line that they are from.
pub(super) fn execute(args: Args, typed: &[OsString]) -> u8 {
    match request(args) {
        Ok(request) => measure(&request, typed),
        Err(why) => cli::usage::refuse(PROGRAM, &why),
    }
}

/// What `args` come to, with the environment they are typed in.
///
/// # Errors
///
/// What does not go together, in one line.
pub(super) fn request(args: Args) -> Result<Request, String> {
    let cpus = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let mut request = args.into_request(cpus)?;
    request.delivery.no_file_twice()?;
    let now = Surroundings {
        unix_s: loadgen::unix_seconds(),
        lookup: &|name| env::var(name).ok(),
    };
    request.processes = request.scale.apply(&mut request.config, &now)?;
    request.config.ceiling = cache::read();
    Ok(request)
}

fn measure(request: &Request, typed: &[OsString]) -> u8 {
    let interrupt = match Interrupt::install() {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(&format!("cannot catch signals: {error}")),
    };
    if let Err(why) = request.delivery.check() {
        return fail(&why);
    }
    // What all processes need together is seen here only: they share the local ports.
    match loadgen::preflight(&request.config, request.processes) {
        Ok(advice) => advice.iter().for_each(|advice| say(advice)),
        Err(error) => return fail(&error),
    }
    let report = match request.processes {
        NonZeroU32::MIN => alone(request, &interrupt),
        processes => together(request, processes, typed, &interrupt),
    };
    let delivered = report.and_then(|report| request.delivery.deliver(&report).map(|()| report));
    match delivered {
        Ok(report) => {
            let code = exit::code(&report, interrupt.signal());
            if code != cli::exit::SUCCESS && request.delivery.is_elsewhere() {
                say(&text::in_short(&report));
            }
            code
        }
        Err(why) => fail(&why),
    }
}

/// Makes the run by this process alone.
///
/// # Errors
///
/// Why there is no report, in one line.
pub(super) fn alone(request: &Request, interrupt: &Interrupt) -> Result<Report, String> {
    let mut display = Display::new(request.look, &request.config);
    let outcome = loadgen::run(&request.config, interrupt, &mut |progress| {
        let steer = display.show(progress, interrupt.signal().is_some());
        if steer == Steer::Stop && interrupt.signal().is_none() {
            // Whoever stops it by a key gets the exit code of Ctrl-C.
            interrupt.raise(INTERRUPTED);
        }
        steer
    });
    display.clear();
    let mut report = outcome.map_err(|error| error.to_string())?.report;
    report.gates = gates::evaluate(&request.promises, &report);
    Ok(report)
}

/// Has several processes run a part of the load each, and adds up what they found.
fn together(
    request: &Request,
    processes: NonZeroU32,
    typed: &[OsString],
    interrupt: &Interrupt,
) -> Result<Report, String> {
    let config = &request.config;
    let program = env::current_exe().map_err(|error| format!("cannot start myself: {error}"))?;
    let start = config.start_at_unix_s;
    let crew = Crew {
        program,
        flags: shared_flags::<CommandLine>(typed, processes),
        shard: config.shard,
        processes,
        start_unix_s: start.unwrap_or_else(|| common_start(processes, loadgen::unix_seconds())),
    };
    let named = |(index, report)| Part {
        name: format!("process {}", index + 1),
        report,
    };
    let parts: Vec<_> = crew
        .run(interrupt)?
        .into_iter()
        .enumerate()
        .map(named)
        .collect();
    // They are of one load by construction; a doubt is kept as a remark.
    merge(&parts, Mixed::Add, &request.promises).map_err(|error| error.to_string())
}
