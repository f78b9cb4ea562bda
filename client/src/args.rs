//! The command line as typed, with the range of every flag, and its translation into a [`Config`].

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use cli::{Addr, Format, units};

use crate::config::{Config, Form, Patience, PingPlan};
use crate::ledger::MAX_UNANSWERED_BYTES;

/// No wait is longer than a day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_COUNT: u64 = 1_000_000_000;
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=DAY;
/// Like `ping`, once a second and 64 bytes, unless something else is asked for.
const INTERVAL: Duration = Duration::from_secs(1);
const SIZE_BYTES: u64 = 64;
/// A ping without an answer for so long counts as lost unless `--timeout` says otherwise.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// Talk to an echo server and verify that every byte comes back.
///
/// On a terminal: type lines, see each echo with its round-trip time; Ctrl-D ends. In a pipe:
/// stdin goes out and stdout is exactly the echo. With --count, --interval or --size: like ping,
/// with a summary.
#[derive(Debug, Parser)]
#[command(name = "client", version, after_help = EXIT_CODES)]
pub struct Args {
    /// The server: host:port, [v6]:port, :port (127.0.0.1) or unix:/path
    #[arg(value_name = "ADDR", default_value_t = Addr::default(), value_parser = Addr::parse_target)]
    target: Addr,

    /// Ping: end after N messages
    #[arg(short = 'n', long, value_name = "N", value_parser = units::count(1..=MAX_COUNT))]
    count: Option<u64>,

    /// Ping: time from one message to the next, 1s unless given; 0 waits for the answer instead
    #[arg(short, long, value_name = "TIME", value_parser = units::duration(Duration::ZERO..=DAY))]
    interval: Option<Duration>,

    /// Ping: bytes in a message, 64 unless given (64k is 64000, 64KiB is 65536)
    #[arg(short, long, value_name = "SIZE", value_parser = units::size(1..=MAX_UNANSWERED_BYTES as u64))]
    size: Option<u64>,

    /// Give up when connecting takes longer (default 10s) or when nothing comes back for so long
    /// (default: never; a ping is lost after 5s)
    #[arg(long, value_name = "TIME", value_parser = units::duration(TIMEOUTS))]
    timeout: Option<Duration>,

    /// Try again for so long while nobody accepts the connection
    #[arg(long, value_name = "TIME", value_parser = units::duration(TIMEOUTS))]
    wait_ready: Option<Duration>,

    /// Terminal: keep the lines typed in FILE from one run to the next
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,

    /// Form of the ping summary on stdout; in a pipe stdout is always exactly the echo
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    format: Format,
}

const EXIT_CODES: &str = "Exit codes: 0 every byte came back equal, 1 the transport failed, \
                          2 usage, 4 bytes differ, 130/143 interrupted";

/// What the client finds itself between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surroundings {
    /// A person types and reads.
    Terminal,
    /// Stdin or stdout is a file, a pipe or the like.
    Pipe,
}

impl Args {
    /// The conversation that was asked for.
    #[must_use]
    pub fn config(self, surroundings: Surroundings) -> Config {
        let patience = Patience {
            limit: self.timeout,
            ready: self.wait_ready,
        };
        let pings = self.count.is_some() || self.interval.is_some() || self.size.is_some();
        let form = match surroundings {
            _ if pings => Form::Ping(self.ping_plan()),
            Surroundings::Terminal => Form::Talk {
                history: self.history,
            },
            Surroundings::Pipe => Form::Filter,
        };
        Config {
            target: self.target,
            patience,
            form,
        }
    }

    fn ping_plan(&self) -> PingPlan {
        let size = self.size.unwrap_or(SIZE_BYTES);
        PingPlan {
            count: self.count.and_then(NonZeroU64::new),
            interval: self.interval.unwrap_or(INTERVAL),
            size_bytes: usize::try_from(size).unwrap_or(MAX_UNANSWERED_BYTES),
            timeout: self.timeout.unwrap_or(LOST_AFTER),
            format: self.format,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(args: &[&str], surroundings: Surroundings) -> Form {
        let args = ["client"].iter().chain(args);
        Args::try_parse_from(args)
            .unwrap()
            .config(surroundings)
            .form
    }

    #[test]
    fn where_it_runs_decides_the_form() {
        assert!(matches!(
            form(&[], Surroundings::Terminal),
            Form::Talk { .. }
        ));
        assert!(matches!(form(&[], Surroundings::Pipe), Form::Filter));
    }

    #[test]
    fn any_flag_of_a_ping_makes_it_one() {
        for flags in [["--count", "3"], ["--interval", "0"], ["--size", "1KiB"]] {
            for surroundings in [Surroundings::Terminal, Surroundings::Pipe] {
                assert!(matches!(form(&flags, surroundings), Form::Ping(_)));
            }
        }
    }

    #[test]
    fn the_declaration_is_sound() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }
}
