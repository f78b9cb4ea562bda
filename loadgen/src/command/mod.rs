//! The subcommands. Each is one module with its flags, as typed, and a function from them to an
//! exit code; what it does is in the library.

mod args;
mod bind;
mod cache;
mod diff;
mod display;
mod exit;
mod gates;
mod input;
mod manual;
mod merge;
mod output;
mod probe;
mod processes;
mod progress;
mod report;
mod run;
mod scale;
mod schema;
mod search;
mod selftest;
mod shard;
mod sweep;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write as _};

use clap::{Parser, Subcommand};
use output::Delivery;

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
    Merge(merge::Args),
    Diff(diff::Args),
    Schema(schema::Args),
    Completions(manual::Completions),
    Man(manual::Manual),
    Probe(probe::Args),
    Selftest(selftest::Args),
    Sweep(Box<sweep::Args>),
    Search(Box<search::Args>),
}

/// Does what the command line says and returns the exit code.
pub(crate) fn execute(typed: &[OsString]) -> u8 {
    if typed.get(1).is_some_and(|name| name == selftest::NULL_ECHO) {
        return selftest::null_echo();
    }
    let line = match cli::usage::parse::<CommandLine>(typed) {
        Ok(line) => line,
        Err(code) => return code,
    };
    match line.command {
        None => run::execute(line.run, typed),
        Some(Command::Report(args)) => report::execute(&args),
        Some(Command::Merge(args)) => merge::execute(&args),
        Some(Command::Diff(args)) => diff::execute(&args),
        Some(Command::Schema(args)) => schema::execute(&args),
        Some(Command::Completions(args)) => manual::completions(&args),
        Some(Command::Man(args)) => manual::manual(&args),
        Some(Command::Probe(args)) => probe::execute(args),
        Some(Command::Selftest(args)) => selftest::execute(&args),
        Some(Command::Sweep(args)) => sweep::execute(*args),
        Some(Command::Search(args)) => search::execute(*args),
    }
}

/// Does `work`, whose result goes where `delivery` says, where it can go there at all.
fn delivering(delivery: &Delivery, work: impl FnOnce() -> Result<u8, String>) -> u8 {
    if let Err(why) = delivery.no_file_twice() {
        return cli::usage::refuse(PROGRAM, &why);
    }
    let done = delivery.check().and_then(|()| work());
    done.unwrap_or_else(|why| fail(&why))
}

/// Says in one line why there is no result.
fn fail(why: &dyn Display) -> u8 {
    say(why);
    cli::exit::FAILED
}

/// Says in one line what whoever typed this should know.
fn say(what: &dyn Display) {
    let line = loadgen::report::text::visible(&what.to_string());
    // A closed stderr must not turn a word into a panic.
    let _ = writeln!(io::stderr(), "{PROGRAM}: {line}");
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
