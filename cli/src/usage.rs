//! Command lines: parsed by clap, refused in exactly one line.
//!
//! ```text
//! server: invalid value '-1' for '--workers <N>': must be a whole number from 1 to 4096
//! ```

use std::ffi::OsString;
use std::io::{self, Write};

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use crate::{exit, stdout};

/// Parses a command line; the first of `args` is the name of the program.
///
/// # Errors
///
/// The exit code to end with: 0 after `--help` and `--version`, which are then already on stdout,
/// and 2 after a mistake, which is then already on stderr.
pub fn parse<P: CommandFactory + FromArgMatches>(args: &[OsString]) -> Result<P, u8> {
    try_parse::<P>(args).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let shown = stdout::emit(&error.render().to_string());
            if shown.is_ok() {
                exit::SUCCESS
            } else {
                exit::FAILED
            }
        }
        _ => refuse(
            P::command().get_name(),
            &why_not::<P>(args).unwrap_or(error.to_string()),
        ),
    })
}

/// A command line that [`parse`] takes, taken apart for a program that passes it on to another; none
/// when it is refused.
#[must_use]
pub fn matches<P: CommandFactory>(args: &[OsString]) -> Option<ArgMatches> {
    lenient(P::command()).try_get_matches_from(args).ok()
}

/// Parses with the leniency that makes the messages useful.
fn try_parse<P: CommandFactory + FromArgMatches>(args: &[OsString]) -> clap::error::Result<P> {
    let command = lenient(P::command());
    let matches = command.try_get_matches_from(args)?;
    P::from_arg_matches(&matches)
}

/// Takes what looks like a flag for the value of the flag before it, so that `--workers -1` is told
/// its range; in subcommands too.
fn lenient(command: clap::Command) -> clap::Command {
    let args = command.mut_args(|arg| {
        let takes_value = arg.get_action().takes_values() && !arg.is_positional();
        arg.allow_hyphen_values(takes_value)
    });
    args.mut_subcommands(lenient)
}

/// Why `args` are refused, in one line; `None` if they are not.
fn why_not<P: CommandFactory + FromArgMatches>(args: &[OsString]) -> Option<String> {
    // clap drops control characters from what it prints; escaped beforehand they stay readable.
    let args: Vec<_> = args
        .iter()
        .map(|arg| visible(&arg.to_string_lossy()).into())
        .collect();
    try_parse::<P>(&args).err().map(|error| one_line(&error))
}

/// Says on stderr, in one line, why the command line of `program` is refused, and returns the exit
/// code to end with: 2. For what only shows after parsing, such as two flags at odds.
pub fn refuse(program: &str, why: &str) -> u8 {
    // A closed stderr must not turn a usage error into a panic.
    let _ = writeln!(io::stderr(), "{program}: {}", visible(why));
    exit::USAGE
}

/// The first paragraph of clap's message, its hints appended.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let mut line = String::new();
    for part in text.lines().map(str::trim) {
        if part.starts_with("Usage:") || part.starts_with("For more information") {
            break;
        }
        // Advice on how to pass the mistake on as a value helps nobody.
        if part.starts_with("tip: to pass") {
            continue;
        }
        let separator = match (line.is_empty(), part.is_empty()) {
            (true, _) | (_, true) => "",
            _ if part.starts_with("tip:") => "; ",
            _ => " ",
        };
        line.push_str(separator);
        line.push_str(part);
    }
    line.strip_prefix("error: ")
        .map_or(line.clone(), str::to_owned)
}

/// The text with its control characters escaped, so that it stays one line.
fn visible(text: &str) -> String {
    let escape = |c: char| {
        if c.is_control() {
            c.escape_debug().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    #[command(name = "prog")]
    struct Args {
        /// How many.
        #[arg(long, value_name = "N", value_parser = crate::units::count(1..=8_u8))]
        workers: Option<u8>,
        #[arg(long)]
        format: Option<crate::Format>,
        #[command(subcommand)]
        command: Option<Command>,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Command {
        Repeat {
            #[arg(long, value_parser = crate::units::count(1..=8_u8))]
            times: u8,
        },
    }

    fn line(args: &[&str]) -> String {
        let args: Vec<OsString> = args.iter().map(Into::into).collect();
        why_not::<Args>(&args).unwrap()
    }

    #[test]
    fn a_refusal_names_flag_value_and_range_in_one_line() {
        let expected = "invalid value '9' for '--workers <N>': must be a whole number from 1 to 8";
        assert_eq!(line(&["prog", "--workers", "9"]), expected);
        let choice = line(&["prog", "--format", "xml"]);
        assert_eq!(
            choice,
            "invalid value 'xml' for '--format <FORMAT>' [possible values: text, json]"
        );
        let hint = line(&["prog", "--worker", "4"]);
        assert_eq!(
            hint,
            "unexpected argument '--worker' found; tip: a similar argument exists: '--workers'"
        );
    }

    #[test]
    fn advice_that_does_not_help_is_left_out() {
        assert_eq!(
            line(&["prog", "--bogus"]),
            "unexpected argument '--bogus' found"
        );
    }

    #[test]
    fn a_value_that_looks_like_a_flag_is_still_a_value() {
        let args: Vec<OsString> = ["prog", "--workers", "-1"].iter().map(Into::into).collect();
        assert_eq!(parse::<Args>(&args).unwrap_err(), exit::USAGE);
        let expected =
            "invalid value '-1' for '--times <TIMES>': must be a whole number from 1 to 8";
        assert_eq!(line(&["prog", "repeat", "--times", "-1"]), expected);
        let good: Vec<OsString> = ["prog", "--workers=4"].iter().map(Into::into).collect();
        assert_eq!(parse::<Args>(&good).unwrap().workers, Some(4));
        let apart = matches::<Args>(&good).unwrap();
        assert!(apart.get_raw("workers").unwrap().eq(["4"]));
        assert!(matches::<Args>(&args).is_none());
    }

    #[test]
    fn control_characters_do_not_break_the_line() {
        let line = line(&["prog", "--workers", "1\n\x1b[2J"]);
        assert!(
            !line.contains(char::is_control) && line.contains("'1\\n"),
            "{line}"
        );
    }
}
