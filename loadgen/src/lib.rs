//! A load generator for raw TCP that tells the truth about every client.
//!
//! ```text
//! Config ──▶ engine (a thread per core, an epoll set each) ──▶ tallies ──▶ Report ──▶ text, JSON, CSV, …
//!             └─ connections: sans-I/O state machines             ├─ audit, gates
//!                                                  merge, diff ──┘
//! ```
//!
//! [`run`] takes values and returns values. It reads no flags, catches no signals and prints
//! nothing, and it knows nothing of the insides of any server.

#[cfg(not(target_os = "linux"))]
compile_error!("the engine is built on epoll: Linux 6.0 or later is required");

mod advice;
mod audit;
mod behaviour;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod ceiling;
mod census;
mod client;
mod config;
pub mod diff;
mod engine;
mod failure;
pub mod gates;
mod kernel;
pub mod merge;
mod observe;
pub mod page;
pub mod probe;
mod protocol;
mod quota;
mod random;
mod rehearsal;
pub mod report;
mod samples;
pub mod schedule;
pub mod search;
pub mod selftest;
pub mod staircase;
mod start;
pub mod svg;
pub mod sweep;
mod sys;
mod tally;
mod time;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

pub use advice::Advice;
pub use behaviour::{
    Behaviour, MAX_PIPELINE, Pause, Profile, Reuse, SLOW_BYTES_PER_S, Sends, Share, Tempo,
};
pub use ceiling::{Ceiling, HIGH_SHARE, Point};
pub use config::{
    Config, DEFAULT_DURATION, DEFAULT_MESSAGE_BYTES, DEFAULT_WARMUP, MAX_CONNECTIONS, MAX_DURATION,
    MAX_MESSAGE_BYTES, MAX_THREADS, Pace, Shard, Starts, StopRule,
};
pub use protocol::{Ending, Exchange, Http, Protocol, Sizes};
pub use rehearsal::Rehearsal;
use report::Report;
pub use samples::BadHistogram;
pub use start::{InvalidStart, StartAt, UnusableStart};

/// What a run leaves behind.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The sums.
    pub report: Report,
    /// Each client, in the order of their numbers from 0.
    pub clients: Vec<ClientRecord>,
}

/// What became of one client; times count from the start of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientRecord {
    /// When its first connection was established.
    pub connected_at: Option<Duration>,
    /// When its first byte came back.
    pub first_byte_at: Option<Duration>,
    /// When its last connection had ended before the window did.
    pub ended_at: Option<Duration>,
    /// Answers in the window.
    pub answered: u64,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The target's name does not resolve.
    #[error("cannot resolve {target}: {source}; check the host name")]
    Resolve {
        /// As typed.
        target: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// Not one client could connect.
    #[error("nobody could connect to {target}: {source}; is the server running there?")]
    NoConnection {
        /// As typed.
        target: String,
        /// The first failure.
        source: std::io::Error,
    },
    /// An address of `--bind` cannot reach a target.
    #[error(
        "--bind {source_ip} cannot reach {target}: IPv4, IPv6 and Unix-domain sockets do not mix; \
         give addresses of the target's kind"
    )]
    Family {
        /// Where connections were to come from.
        source_ip: IpAddr,
        /// The target as typed.
        target: String,
    },
    /// An address of `--bind` is none of this machine's.
    #[error("--bind {address}: this machine has no such address; `ip address` lists those it has")]
    NotOurs {
        /// Where connections were to come from.
        address: IpAddr,
    },
    /// This machine's limits do not allow the run; the text says which and how to raise it.
    #[error("the limits of this machine do not allow it: {0}")]
    Limit(String),
    /// The system refuses what the engine needs.
    #[error("cannot run: {0}")]
    System(#[from] std::io::Error),
}

/// How far a run has come, for a display.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Time since the start of the run.
    pub elapsed: Duration,
    /// Whether the window is still to come.
    pub warming_up: bool,
    /// How many clients there should be.
    pub asked: u32,
    /// Clients that were ever connected.
    pub connected: u32,
    /// Clients that got at least one byte.
    pub served: u32,
    /// Answers in the window so far.
    pub answered: u64,
    /// Requests of the window that ended without an answer so far.
    pub failed: u64,
    /// The last whole second of the window.
    pub recent: Option<Recent>,
}

/// One second of the window: its answers and their waits, from the due time in an open loop and
/// from the send in a closed one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recent {
    /// Answers per second.
    pub rate_per_s: f64,
    /// Their median wait in microseconds.
    pub p50_us: Option<f64>,
    /// Their 99th percentile.
    pub p99_us: Option<f64>,
    /// The longest.
    pub max_us: Option<f64>,
}

/// What a person who watches the run wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Steer {
    /// Go on.
    #[default]
    Go,
    /// Send nothing for the time being; answers are still awaited.
    Pause,
    /// End the run now, with a partial report.
    Stop,
}

/// Runs the load to its end, or until `interrupt` is raised. It calls `progress` before anything is
/// sent and then about fifty times a second, and does what that says.
///
/// # Errors
///
/// [`RunError`] when there is nothing to report: starvation, failures and an invalid run are
/// reported, not returned.
pub fn run(
    config: &Config,
    interrupt: &cli::Interrupt,
    progress: &mut dyn FnMut(Progress) -> Steer,
) -> Result<Outcome, RunError> {
    let collected = engine::run(config, interrupt, progress)?;
    Ok(report::build::outcome(config, collected))
}

/// Checks that this machine can carry `config` when `processes` processes share its clients: each
/// has descriptors of its own, and all of them have the local ports in common. [`run`] checks the
/// same for one process. Returns what is worth knowing all the same.
///
/// # Errors
///
/// [`RunError`] with what is missing and what helps.
pub fn preflight(config: &Config, processes: NonZeroU32) -> Result<Option<Advice>, RunError> {
    engine::preflight(config, processes).map(|(_, advice)| advice)
}

/// How many processes must share the clients of `config`, by this machine's limit on descriptors; 1
/// also where no number of them would be enough, which [`preflight`] says.
#[must_use]
pub fn processes(config: &Config) -> NonZeroU32 {
    engine::processes(config)
}

/// The wall clock in seconds since 1970: for [`StartAt`] and nothing else, since it may jump.
#[must_use]
pub fn unix_seconds() -> f64 {
    kernel::unix_seconds()
}
