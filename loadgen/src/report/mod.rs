//! What a run found out: the document that `--format json` prints, key by key.
//!
//! The order of the fields is the order of the keys and part of the contract. A figure that does
//! not exist is `None` (`null`), never 0.

pub(crate) mod build;
pub mod csv;
pub mod hdr_log;
pub(crate) mod histogram;
pub mod html;
mod intervals;
pub mod json;
pub mod ndjson;
pub mod schema;
mod sentence;
mod settings;
pub mod text;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the document; it grows when a key changes its meaning.
pub const SCHEMA: u32 = 1;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// One example for each kind in `errors`: what the system or the parser said.
    pub examples: BTreeMap<String, String>,
    /// How the schedule of an open loop was kept; none in a closed loop.
    pub schedule: Option<Schedule>,
    /// The clients by what they do, in the order of `--profile`; empty when all do the same.
    pub profiles: Vec<Profile>,
    /// The server's processes as seen from outside; none when they are not on this machine.
    pub server: Option<Server>,
    /// What the kernel says of a sample of the connections; none over a Unix-domain socket.
    pub tcp: Option<Tcp>,
    /// Each client in the order of its number; empty beyond [`MOST_LIVES`] clients.
    pub lives: Vec<Life>,
    /// When the run began by the wall clock, in seconds since 1970.
    pub started_unix_s: f64,
    /// How many reports were added up to make this one; 1 for a single run.
    pub merged: u32,
}

/// A report lists its clients one by one up to this many.
pub const MOST_LIVES: usize = 2_000;

/// How the schedule of an open loop was kept. A request is late when it is sent more than 1 ms
/// after it was due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Schedule {
    /// Requests that were due in the window.
    pub due: u64,
    /// `due / duration_s`; none without a window.
    pub offered_per_s: Option<f64>,
    /// `answered / due`; none when nothing was due.
    pub rate_ratio: Option<f64>,
    /// Requests sent late although their connection was free when they were due: the generator's
    /// own lag and not the server's.
    pub own_late: u64,
    /// Requests never sent although their connection was free for more than 1 ms.
    pub own_unsent: u64,
}

/// The clients that do the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    /// Its name on the command line.
    pub name: String,
    /// How many clients there should be.
    pub asked: u32,
    /// How many ever were connected.
    pub connected: u32,
    /// How many got at least one byte.
    pub served: u32,
    /// How many were connected, sent, and got nothing.
    pub starved: u32,
    /// Answers in the window.
    pub answered: u64,
    /// Their round trips; those of clients that are slow on purpose are in no other figure.
    pub rtt: Option<Latency>,
}

/// The processes that listen on the target's port, during the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Server {
    /// Their numbers, in ascending order.
    pub pids: Vec<u32>,
    /// The command's name.
    pub command: String,
    /// Processor time of all of them together, in seconds.
    pub cpu_s: f64,
    /// The same for one answered request; none without answers.
    pub cpu_us_per_request: Option<f64>,
    /// Resident memory at the end, in bytes.
    pub rss_bytes: u64,
    /// Threads at the end.
    pub threads: u32,
    /// Times that a thread gave its processor up to wait.
    pub voluntary_switches: u64,
    /// Times that a thread lost its processor.
    pub involuntary_switches: u64,
    /// How many connections the listener's queue may hold; none when the kernel does not tell.
    pub backlog: Option<u32>,
    /// Connections that listeners of this machine refused because their queue was full.
    pub listen_overflows: u64,
    /// Connections that listeners of this machine dropped for any reason.
    pub listen_drops: u64,
}

/// `TCP_INFO` of a sample of the connections when the counters froze.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tcp {
    /// How many connections were looked at.
    pub connections: u32,
    /// The median of the kernel's smoothed round trips, in microseconds.
    pub rtt_p50_us: f64,
    /// The longest of them.
    pub rtt_max_us: f64,
    /// Segments that were sent again, over all of them.
    pub retransmits: u64,
}

/// One client; times in seconds since the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Life {
    /// When its first connection was established.
    pub connected_s: Option<f64>,
    /// When its first byte came back.
    pub first_byte_s: Option<f64>,
    /// When its last connection had ended, if that was before the end of the run.
    pub ended_s: Option<f64>,
    /// Answers in the window.
    pub answered: u64,
}

/// The program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// Its version.
    pub version: String,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Processors that the generator may use.
    pub cpus: usize,
    /// The kernel's release.
    pub kernel: String,
}

/// The clients, from the run's start to the window's end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bytes {
    /// Written to sockets.
    pub sent: u64,
    /// Read from sockets.
    pub received: u64,
}

/// Four waits that other tools mix.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latencies {
    /// From `connect` to the established connection.
    pub connect: Option<Latency>,
    /// From the established connection to its client's first byte.
    pub admission: Option<Latency>,
    /// From the actual send to the whole answer: service time.
    pub rtt: Option<Latency>,
    /// From the moment a request was due to the whole answer; none in a closed loop.
    pub response: Option<Latency>,
    /// From the moment a request was due to its send, where its connection was free by then: the
    /// generator's own delay; none in a closed loop.
    pub lag: Option<Latency>,
}

/// A distribution of waits, some of which may have outlasted the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Requests that ended in it without an answer.
    pub failed: u64,
    /// The round trips in nanoseconds: HdrHistogram V2, base64.
    pub histogram: String,
    /// The same waits from the moment when each request was due; none in a closed loop.
    pub response: Option<Response>,
}

/// The waits from the due time that ended in one slice of the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Response {
    /// Their median.
    pub p50_us: Option<f64>,
    /// Their 99th percentile.
    pub p99_us: Option<f64>,
    /// The longest.
    pub max_us: Option<f64>,
    /// All of them in nanoseconds: HdrHistogram V2, base64.
    pub histogram: String,
}

/// How far something can be trusted.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// The worst of the checks; `fail` makes the run invalid.
    pub verdict: Verdict,
    /// All checks, also those that passed.
    pub checks: Vec<Check>,
}

/// One check of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What is checked, in kebab-case.
    pub name: String,
    /// What came out.
    pub verdict: Verdict,
    /// The figures behind the verdict, or why the check does not apply.
    pub detail: String,
}

/// Stands between what different generators said.
pub(crate) const BETWEEN: &str = " | ";
/// As many of them are shown to people.
const MOST_SAID: usize = 3;

impl Check {
    /// The detail for people: of what many generators said, each in other figures, the first.
    pub(crate) fn told(&self) -> String {
        let said: Vec<_> = self.detail.split(BETWEEN).collect();
        match said.get(..MOST_SAID) {
            Some(first) if said.len() > MOST_SAID => {
                let more = said.len() - MOST_SAID;
                format!("{}{BETWEEN}and {more} more", first.join(BETWEEN))
            }
            _ => self.detail.clone(),
        }
    }
}

/// One promise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[cfg(test)]
pub(crate) mod synthetic;
