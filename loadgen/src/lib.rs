//! A load generator for raw TCP that tells the truth about every client.
//!
//! ```text
//! Config ──▶ engine (a thread per core, an epoll set each) ──▶ tallies ──▶ Report ──▶ text, JSON
//!             └─ connections: sans-I/O state machines             └─ audit, gates
//! ```
//!
//! [`run`] takes values and returns values. It reads no flags, catches no signals and prints
//! nothing, and it knows nothing of the insides of any server.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("the engine is built on epoll: Linux 6.0 or later is required");

mod audit;
mod census;
mod client;
mod config;
mod engine;
mod failure;
mod kernel;
mod message;
pub mod page;
mod quota;
pub mod report;
mod samples;
pub mod staircase;
pub mod svg;
mod tally;
mod time;

use std::time::Duration;

pub use config::{
    Behaviour, Config, MAX_CONNECTIONS, MAX_DURATION, MAX_MESSAGE_BYTES, MAX_THREADS, StopRule,
};
use report::Report;

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
    /// Whether the window has not begun.
    pub warming_up: bool,
    /// Clients that were ever connected.
    pub connected: u32,
    /// How many there should be.
    pub asked: u32,
    /// Clients that got at least one byte.
    pub served: u32,
    /// Answers so far.
    pub answered: u64,
    /// Requests that ended without an answer so far.
    pub failed: u64,
    /// The last second; none before there was one.
    pub recent: Option<Recent>,
}

/// The last second of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recent {
    /// Answers per second.
    pub rate_per_s: f64,
    /// Median round trip.
    pub p50_us: Option<f64>,
    /// 99th percentile of the round trip.
    pub p99_us: Option<f64>,
    /// Longest round trip.
    pub max_us: Option<f64>,
}

/// What whoever watches a run wants it to do next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Steer {
    /// Go on.
    #[default]
    Go,
    /// Send no new request for now.
    Pause,
    /// End as if interrupted.
    Stop,
}

/// Runs the load to its end, or until `interrupt` is raised, and calls `progress` now and then, which
/// may steer it.
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
