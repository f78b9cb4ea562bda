//! What a run found out: the document that `--format json` prints, key by key.
//!
//! The order of the fields is the order of the keys and part of the contract. A figure that does
//! not exist is `None` (`null`), never 0.

pub(crate) mod build;
pub mod json;
mod sentence;
pub mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of the document; it grows when a key changes its meaning.
pub const SCHEMA: u32 = 1;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`] of the program that wrote it.
    pub schema: u32,
    /// Who wrote it.
    pub tool: Tool,
    /// The server's address as typed.
    pub target: String,
    /// What was asked for, flag by flag.
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Where it ran.
    pub machine: Machine,
    /// The seed of the message bytes.
    pub seed: u64,
    /// Whether a signal ended the run early.
    pub interrupted: bool,
    /// The real length of the measured window in seconds.
    pub duration_s: f64,
    /// The clients, each counted once.
    pub clients: Clients,
    /// The requests of the window.
    pub requests: Requests,
    /// The bytes of the window.
    pub bytes: Bytes,
    /// Answers whose bytes differ from what was sent.
    pub mismatches: u64,
    /// `requests.answered / duration_s`; none without a window.
    pub rate_per_s: Option<f64>,
    /// The waits, never mixed.
    pub latency: Latencies,
    /// The window in slices of one second.
    pub intervals: Vec<Interval>,
    /// Failures by kind.
    pub errors: BTreeMap<String, u64>,
    /// What the run says of its own trustworthiness.
    pub audit: Audit,
    /// The promises that were asked for, and whether they were kept.
    pub gates: Vec<Gate>,
}

/// The program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Its version.
    pub version: String,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Processors that the generator may use.
    pub cpus: usize,
    /// The kernel's release.
    pub kernel: String,
}

/// The clients, from the run's start to the window's end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clients {
    /// How many there should be.
    pub asked: u32,
    /// How many ever were connected.
    pub connected: u32,
    /// How many got at least one byte.
    pub served: u32,
    /// How many were connected, sent, and got nothing.
    pub starved: u32,
    /// How many lost their connection early; may overlap with `served`.
    pub lost: u32,
    /// Jain's index over the answers in the window of all clients asked: 1 is even, 1/n is one
    /// client alone; none without answers.
    pub fairness: Option<f64>,
    /// `fairness × asked`: as many clients as the server looks like serving.
    pub effective: Option<f64>,
}

/// The books of the window: `carried_in + sent = answered + errors + timeouts + pending`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// In flight when the warm-up ended.
    pub carried_in: u64,
    /// Sent in the window.
    pub sent: u64,
    /// Answered in full.
    pub answered: u64,
    /// Ended by a failure of the connection or by wrong bytes.
    pub errors: u64,
    /// Ended by the time limit.
    pub timeouts: u64,
    /// In flight when the window ended.
    pub pending: u64,
    /// Sent more than 1 ms after they were due (open loop).
    pub late: u64,
    /// Due in the window and never sent (open loop).
    pub unsent: u64,
    /// Answers that came after the counters were frozen; in no other figure.
    pub late_answers: u64,
}

/// Bytes of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// Written to sockets.
    pub sent: u64,
    /// Read from sockets.
    pub received: u64,
}

/// Four waits that other tools mix.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// From `connect` to the established connection.
    pub connect: Option<Latency>,
    /// From the established connection to its client's first byte.
    pub admission: Option<Latency>,
    /// From the actual send to the whole answer: service time.
    pub rtt: Option<Latency>,
    /// From the moment a request was due to the whole answer; none in a closed loop.
    pub response: Option<Latency>,
}

/// A distribution of waits, some of which may have outlasted the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Waits that ended.
    pub count: u64,
    /// Waits known only to be longer than something.
    pub censored: u64,
    /// The shortest of the lower bounds of the censored waits.
    pub censored_above_us: Option<f64>,
    /// Mean of the waits that ended.
    pub mean_us: Option<f64>,
    /// Median over ended and censored waits; none where the rank falls among the censored.
    pub p50_us: Option<f64>,
    /// As `p50_us`; from here on only where at least ten waits lie beyond.
    pub p90_us: Option<f64>,
    /// As `p90_us`.
    pub p99_us: Option<f64>,
    /// As `p90_us`.
    pub p999_us: Option<f64>,
    /// The longest; none when some are censored.
    pub max_us: Option<f64>,
    /// The waits that ended, in nanoseconds: HdrHistogram V2, base64.
    pub histogram: String,
}

/// One slice of the window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Start of the slice in seconds after the start of the window.
    pub at_s: f64,
    /// Its length in seconds; the last one may be shorter.
    pub length_s: f64,
    /// Answers in it.
    pub answered: u64,
    /// Median round trip in it.
    pub p50_us: Option<f64>,
    /// 99th percentile of the round trip in it.
    pub p99_us: Option<f64>,
    /// Longest round trip in it.
    pub max_us: Option<f64>,
}

/// How far something can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// Worth knowing; the figures stand.
    Warn,
    /// The figures do not mean what they seem to mean.
    Fail,
}

/// The run's view of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The worst of the checks; `fail` makes the run invalid.
    pub verdict: Verdict,
    /// All checks, also those that passed.
    pub checks: Vec<Check>,
}

/// One check of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is checked, in kebab-case.
    pub name: String,
    /// What came out.
    pub verdict: Verdict,
    /// The figures behind the verdict, or why the check does not apply.
    pub detail: String,
}

/// One promise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// What is promised.
    pub name: String,
    /// The bound.
    pub limit: f64,
    /// What was measured; a gate on a figure that does not exist fails.
    pub value: Option<f64>,
    /// `pass` or `fail`.
    pub verdict: Verdict,
}

#[cfg(test)]
mod sample;
