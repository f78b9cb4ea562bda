//! `loadgen` without a subcommand: runs the load and delivers the report.

use std::num::NonZeroUsize;
use std::thread;

use cli::Interrupt;

use super::args::Request;
pub(super) use super::args::{Args, EXIT_CODES};
use super::progress::Line;
use super::{PROGRAM, exit, fail};

/// Runs the load that `args` describe.
pub(super) fn execute(args: Args) -> u8 {
    let cpus = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let request = args.into_request(cpus);
    match request.and_then(|request| request.delivery.no_file_twice().map(|()| request)) {
        Ok(request) => measure(&request),
        Err(why) => cli::usage::refuse(PROGRAM, &why),
    }
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
    let outcome = loadgen::run(&request.config, &interrupt, &mut |p| line.show(p));
    line.clear();
    match outcome {
        Ok(outcome) => match request.delivery.deliver(&outcome.report) {
            Ok(()) => exit::code(&outcome.report, interrupt.signal()),
            Err(why) => fail(&why),
        },
        Err(error) => fail(&error),
    }
}
