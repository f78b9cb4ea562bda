//! The `loadgen` command: flags in, a run, a report out, an exit code.

#![forbid(unsafe_code)]

mod args;
mod exit;
mod output;
mod progress;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread;

use args::{Args, Request};
use cli::{Format, Interrupt};
use loadgen::report::{json, text};
use progress::Line;

const PROGRAM: &str = "loadgen";

fn main() -> ExitCode {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let code = match cli::usage::parse::<Args>(&typed) {
        Ok(args) => {
            let cpus = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
            match args.into_request(cpus) {
                Ok(request) => measure(&request),
                Err(why) => cli::usage::refuse(PROGRAM, &why),
            }
        }
        Err(code) => code,
    };
    ExitCode::from(code)
}

/// Runs the load and delivers the report.
fn measure(request: &Request) -> u8 {
    let interrupt = match Interrupt::install() {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(&format!("cannot catch signals: {error}")),
    };
    let unwritable = |error: io::Error| {
        let file = request.output.as_deref().unwrap_or("stdout".as_ref());
        fail(&format!("cannot write {}: {error}", file.display()))
    };
    if let Some(Err(error)) = request.output.as_deref().map(output::check) {
        return unwritable(error);
    }
    let line = Line::new(&request.config);
    let outcome = loadgen::run(&request.config, &interrupt, &mut |p| line.show(p));
    line.clear();
    let report = match outcome {
        Ok(outcome) => outcome.report,
        Err(error) => return fail(&error),
    };
    let text = match request.format {
        Format::Text => text::render(&report),
        Format::Json => json::render(&report),
    };
    let delivered = match &request.output {
        Some(file) => output::write(file, &text),
        None => cli::stdout::emit(&text),
    };
    match delivered {
        Ok(()) => exit::code(&report, interrupt.signal()),
        Err(error) => unwritable(error),
    }
}

/// Says in one line why there is no report.
fn fail(why: &dyn Display) -> u8 {
    // A closed stderr must not turn a failure into a panic.
    let _ = writeln!(io::stderr(), "{PROGRAM}: {why}");
    cli::exit::FAILED
}
