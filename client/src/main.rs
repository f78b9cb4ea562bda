//! The `client` binary: argv, the terminal, signals and the exit code. All else is in the library.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use cli::{Interrupt, exit, usage};
use client::{Args, Surroundings, people};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let code = match usage::parse::<Args>(&args) {
        Ok(args) => converse(args),
        Err(code) => code,
    };
    ExitCode::from(code)
}

/// Holds the conversation and returns the exit code.
fn converse(args: Args) -> u8 {
    let interrupt = match Interrupt::install() {
        Ok(interrupt) => interrupt,
        Err(error) => {
            people::say(&format!("cannot catch signals: {error}"));
            return exit::FAILED;
        }
    };
    match client::run(&args.config(surroundings()), &interrupt) {
        Ok(()) => exit::SUCCESS,
        Err(failure) => {
            people::say(&failure.to_string());
            failure.exit_code()
        }
    }
}

/// Terminals on which no line can be edited; the list is the line editor's.
const SIMPLE_TERMINALS: [&str; 3] = ["dumb", "cons25", "emacs"];

/// A conversation needs a person at both ends, and a terminal that can draw: who redirects one of
/// them wants a filter, and the simplest terminals get one, which works line by line.
fn surroundings() -> Surroundings {
    let term = std::env::var("TERM").unwrap_or_default();
    let draws = !SIMPLE_TERMINALS.contains(&term.to_lowercase().as_str());
    if draws && io::stdin().is_terminal() && io::stdout().is_terminal() {
        Surroundings::Terminal
    } else {
        Surroundings::Pipe
    }
}
