//! How a conversation can fail, in one line with its remedy, and what exit code that is.

use std::io;
use std::time::Duration;

use cli::{Addr, exit, units};

use crate::ledger::Difference;

/// The exit code for bytes that came back different.
const DIFFERS: u8 = 4;

/// Why not every byte came back equal.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The target's name means nothing to the resolver.
    #[error("cannot resolve {target}: {source}; check the host name")]
    Resolve {
        /// As typed.
        target: Addr,
        /// What the resolver said.
        source: io::Error,
    },
    /// No connection.
    #[error("cannot connect to {target}: {source}; {}", remedy(source))]
    Connect {
        /// As typed.
        target: Addr,
        /// What the system said.
        source: io::Error,
    },
    /// The server went away with bytes of ours unanswered, or while we had more to say.
    #[error("{peer} {how}; {}", missing_bytes(*missing))]
    Closed {
        /// The server.
        peer: Addr,
        /// By a regular close or by a reset.
        how: Ending,
        /// How many bytes that were sent had not come back.
        missing: u64,
    },
    /// Nothing came back for longer than `--timeout`.
    #[error(
        "no answer within {}; {}; the server has probably no free worker",
        units::span(*limit), missing_bytes(*missing)
    )]
    NoAnswer {
        /// The time limit.
        limit: Duration,
        /// How many bytes that were sent had not come back.
        missing: u64,
    },
    /// What came back is not what was sent.
    #[error("{0}; something between here and the server changes bytes")]
    Differs(#[from] Difference),
    /// A ping had messages without an answer in time.
    #[error("{lost} of {sent} messages had no answer within {}", units::span(*limit))]
    PingLost {
        /// Messages without an answer in time.
        lost: u64,
        /// All messages.
        sent: u64,
        /// The time limit.
        limit: Duration,
    },
    /// Stdin cannot be read.
    #[error("cannot read stdin: {0}; give a file, a pipe or /dev/null")]
    Stdin(io::Error),
    /// Stdout cannot be written, for another reason than a reader that left.
    #[error("cannot write stdout: {0}; the echo is incomplete")]
    Stdout(io::Error),
    /// The terminal does not do what a conversation needs.
    #[error("the terminal fails: {0}; try `client < FILE`")]
    Terminal(io::Error),
    /// The system refuses to wait for events.
    #[error("cannot wait for events: {0}; raise the limits of this process")]
    Wait(io::Error),
    /// Ctrl-C or TERM.
    #[error("interrupted")]
    Interrupted {
        /// The number of the signal.
        signal: u8,
    },
}

/// How the server ended the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It said that it had no more to say.
    Close,
    /// It threw the connection away.
    Reset,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Close => "closed the connection",
            Self::Reset => "reset the connection",
        })
    }
}

impl Failure {
    /// The exit code of the process: 1, 4, 130 or 143.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Differs(_) => DIFFERS,
            Self::Interrupted { signal } => exit::interrupted(*signal),
            _ => exit::FAILED,
        }
    }
}

/// What to do about a connection that does not come about.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nobody listens there: start the server, or wait for it with --wait-ready 10s"
        }
        io::ErrorKind::NotFound => {
            "there is no such socket: check the path, or wait for it with --wait-ready 10s"
        }
        io::ErrorKind::TimedOut => {
            "check the address, a firewall or a full backlog; --timeout waits longer"
        }
        io::ErrorKind::PermissionDenied => "check the permissions of the socket, or a firewall",
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            "check the address and the route to it"
        }
        _ => "check the address",
    }
}

fn missing_bytes(missing: u64) -> String {
    match missing {
        0 => "nothing that was sent is missing".to_owned(),
        1 => "1 byte that was sent has not come back".to_owned(),
        _ => format!("{missing} bytes that were sent have not come back"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_what_happened() {
        let differs = Difference {
            offset: 7,
            sent: Some(1),
            received: 2,
        };
        let limit = Duration::from_secs(1);
        for (failure, code) in [
            (Failure::Differs(differs), 4),
            (Failure::NoAnswer { limit, missing: 1 }, 1),
            (Failure::Interrupted { signal: 2 }, 130),
            (Failure::Interrupted { signal: 15 }, 143),
        ] {
            assert_eq!(failure.exit_code(), code, "{failure}");
        }
    }

    #[test]
    fn a_refusal_names_cause_and_remedy() {
        let failure = Failure::Connect {
            target: Addr::default(),
            source: io::ErrorKind::ConnectionRefused.into(),
        };
        let expected = "cannot connect to 127.0.0.1:7007: connection refused; nobody listens \
                        there: start the server, or wait for it with --wait-ready 10s";
        assert_eq!(failure.to_string(), expected);
    }
}
