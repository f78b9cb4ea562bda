//! `loadgen` without a subcommand: runs the load and delivers the report.

use std::env;
use std::num::NonZeroUsize;
use std::thread;

use cli::Interrupt;
use loadgen::Steer;

use super::args::Request;
pub(super) use super::args::{Args, EXIT_CODES};
use super::progress::Line;
use super::scale::Surroundings;
use super::{PROGRAM, exit, fail};

/// Runs the load that `args` describe.
pub(super) fn execute(args: Args) -> u8 {
    match request(args) {
        Ok(request) => measure(&request),
        Err(why) => cli::usage::refuse(PROGRAM, &why),
    }
}

fn request(args: Args) -> Result<Request, String> {
    let cpus = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let mut request = args.into_request(cpus)?;
    request.delivery.no_file_twice()?;
    let now = Surroundings {
        unix_s: loadgen::unix_seconds(),
        lookup: &|name| env::var(name).ok(),
    };
    request.scale.apply(&mut request.config, &now)?;
    Ok(request)
}

fn measure(request: &Request) -> u8 {
    let interrupt = match Interrupt::install() {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(&format!("cannot catch signals: {error}")),
    };
    if let Err(why) = request.delivery.check() {
        return fail(&why);
    }
    let line = Line::new(&request.config);
    let outcome = loadgen::run(&request.config, &interrupt, &mut |progress| {
        line.show(progress);
        Steer::Go
    });
    line.clear();
    match outcome {
        Ok(outcome) => match request.delivery.deliver(&outcome.report) {
            Ok(()) => exit::code(&outcome.report, interrupt.signal()),
            Err(why) => fail(&why),
        },
        Err(error) => fail(&error),
    }
}
