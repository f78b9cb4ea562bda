//! The subcommands. Each is one module with its flags, as typed, and a function from them to an
//! exit code; what it does is in the library.

mod args;
mod exit;
mod input;
mod output;
mod probe;
mod progress;
mod report;
mod run;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write as _};

use clap::{Parser, Subcommand};

const PROGRAM: &str = "loadgen";

/// Many clients against one server, each of them accounted for.
///
/// Sends seeded messages, compares every answered byte, and reports three waits apart: for the
/// connection, for a client's first byte, and for each answer. Clients that wait for ever are
/// counted, not forgotten. Without a subcommand it runs the load.
#[derive(Debug, Parser)]
#[command(
    name = PROGRAM,
    version,
    after_help = run::EXIT_CODES,
    args_conflicts_with_subcommands = true
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Args,
}

/// What else it can do.
#[derive(Debug, Subcommand)]
enum Command {
    Report(report::Args),
    Probe(probe::Args),
}

/// Does what the command line says and returns the exit code.
pub(crate) fn execute(typed: &[OsString]) -> u8 {
    let line = match cli::usage::parse::<CommandLine>(typed) {
        Ok(line) => line,
        Err(code) => return code,
    };
    match line.command {
        None => run::execute(line.run),
        Some(Command::Report(args)) => report::execute(&args),
        Some(Command::Probe(args)) => probe::execute(args),
    }
}

/// Says in one line why there is no result.
fn fail(why: &dyn Display) -> u8 {
    // A closed stderr must not turn a failure into a panic.
    let _ = writeln!(io::stderr(), "{PROGRAM}: {why}");
    cli::exit::FAILED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        use clap::CommandFactory as _;
        CommandLine::command().debug_assert();
    }
}
