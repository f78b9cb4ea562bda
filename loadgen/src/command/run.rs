//! `loadgen` without a subcommand: runs the load and delivers the report.

use std::num::NonZeroUsize;
use std::thread;

use cli::Interrupt;
use loadgen::Steer;

use super::args::Request;
pub(super) use super::args::{Args, EXIT_CODES};
use super::display::Display;
use super::{PROGRAM, exit, fail};

/// The number of the signal that Ctrl-C sends.
const INTERRUPTED: u8 = 2;

/// Runs the load that `args` describe.
pub(super) fn execute(args: Args) -> u8 {
    let cpus = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    match args.into_request(cpus) {
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
    let mut display = Display::new(request.look, &request.config);
    let outcome = loadgen::run(&request.config, &interrupt, &mut |progress| {
        let steer = display.show(progress, interrupt.signal().is_some());
        if steer == Steer::Stop && interrupt.signal().is_none() {
            // Whoever stops it by a key gets the exit code of Ctrl-C.
            interrupt.raise(INTERRUPTED);
        }
        steer
    });
    display.clear();
    match outcome {
        Ok(outcome) => match request.delivery.deliver(&outcome.report) {
            Ok(()) => exit::code(&outcome.report, interrupt.signal()),
            Err(why) => fail(&why),
        },
        Err(error) => fail(&error),
    }
}
