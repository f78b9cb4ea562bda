//! What there is to be told of a server: the document, as others read it.
//!
//! A figure that nobody knows is none, and never 0.

use std::fmt;

use serde::Serialize;

use super::roster::Endings;
use crate::board::Counters;
use crate::mode::{Inner, Mode};
use crate::sandbox::SandboxLevel;

/// What a process that serves is doing, as far as its leader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It takes no connections yet.
    Starting,
    /// It takes connections.
    Ready,
    /// It takes no connections any more.
    Draining,
    /// It does not move, and is being ended.
    Hung,
}

impl State {
    /// All of them, in the order of a life.
    pub(crate) const ALL: [Self; 4] = [Self::Starting, Self::Ready, Self::Draining, Self::Hung];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Hung => "hung",
        })
    }
}

/// The server at one moment. Its keys are documented in `docs/operations.md`; new ones may be added.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Its version.
    pub version: &'static str,
    /// The leading process.
    pub pid: u32,
    /// Where it listens.
    pub addr: String,
    /// The strategy.
    pub mode: Mode,
    /// What runs inside the workers of a pool of processes.
    pub worker_mode: Option<Inner>,
    /// Starting until the ready line, then ready, then draining.
    pub state: State,
    /// Seconds since it was started.
    pub uptime_s: f64,
    /// Workers that shall stand ready.
    pub workers_wanted: usize,
    /// Long-lived clients that are served at once.
    pub capacity: usize,
    /// Connections that may be inside at once.
    pub max_connections: u32,
    /// Processor time of all its living processes, in seconds.
    pub cpu_s: Option<f64>,
    /// The accept queue.
    pub listen: Listening,
    /// The open connections of all processes.
    pub connections: Connections,
    /// Who serves.
    pub workers: Vec<WorkerStatus>,
    /// All that was counted, of the dead too.
    pub counters: Counters,
    /// Connections closed unserved, by reason.
    pub rejections: Rejections,
    /// How long clients waited for their first answer, from the accept on, what they took to ask for
    /// it included.
    pub first_byte: Histogram,
    /// How workers of a pool ended, by reason.
    pub ended: Endings,
}

/// The accept queue of the listening sockets, summed over them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Listening {
    /// Connections that nobody has accepted yet. None where the kernel does not tell.
    pub queue: Option<u32>,
    /// How many there may be; one more fits.
    pub limit: Option<u32>,
    /// That of each listening socket the kernel tells of.
    pub queues: Vec<AcceptQueue>,
    /// Connections that found a queue full since the server was started. The kernel counts them for
    /// all listening sockets of its network namespace.
    pub overflows: Option<u64>,
}

/// How many wait at a listening socket, and how many may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AcceptQueue {
    /// Connections that nobody has accepted yet.
    pub length: u32,
    /// How many there may be; one more fits.
    pub limit: u32,
}

/// Open connections, by how far they have come. Their sum is all that are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Connections {
    /// Admitted, and no worker has begun with it.
    pub queued: u64,
    /// A worker has begun with it, and it has got no answer yet.
    pub fresh: u64,
    /// It has got an answer.
    pub answered: u64,
}

/// Connections closed unserved, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rejections {
    /// Every place was taken.
    pub full: u64,
    /// Descriptors, threads, processes or memory were short.
    pub resources: u64,
    /// Its address had too many.
    pub per_ip: u64,
    /// The server ended while it was in the accept queue.
    pub dismissed: u64,
}

/// Waits, counted by how long they were.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Histogram {
    /// In order; each counts those of the ones before too.
    pub buckets: Vec<Bucket>,
    /// All of them, those too that were longer than the last bound.
    pub count: u64,
    /// What they come to, in seconds.
    pub sum_s: f64,
}

/// The waits up to a bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bucket {
    /// The bound in seconds, which counts too.
    pub le_s: f64,
    /// How many.
    pub count: u64,
}

/// One process that serves, and what it did since it was started.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerStatus {
    /// Its slot on the board.
    pub slot: usize,
    /// What `ps` calls it.
    pub name: String,
    /// Its number.
    pub pid: u32,
    /// What it is doing.
    pub state: State,
    /// Seconds since it was started.
    pub age_s: f64,
    /// Connections that are open.
    pub connections: u64,
    /// The same by how far they have come.
    pub by_state: Connections,
    /// Whom it serves, if it serves one client at a time.
    pub peer: Option<String>,
    /// Seconds since it began with that one.
    pub held_s: Option<f64>,
    /// Seconds since bytes came in; none before the first. Of a client that is served alone, since
    /// it came if it has sent none.
    pub quiet_s: Option<f64>,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that got at least one byte.
    pub served: u64,
    /// Reads that brought bytes.
    pub requests: u64,
    /// Its processor time, in seconds.
    pub cpu_s: Option<f64>,
    /// The layers of its sandbox.
    pub sandbox: SandboxLevel,
    /// Its memory that is in use (RSS), in bytes.
    pub rss_bytes: Option<u64>,
    /// Its threads that serve, where it has a fixed number of them. None are told of a worker of a
    /// pool of processes.
    pub threads: Vec<ThreadStatus>,
}

/// One thread that serves.
#[derive(Clone, Debug, Serialize)]
pub struct ThreadStatus {
    /// What `ps -L` calls it.
    pub name: String,
    /// Whom it serves, if it serves one client at a time.
    pub peer: Option<String>,
    /// Seconds since it began with that one.
    pub held_s: Option<f64>,
    /// Seconds since bytes came in, as for a process.
    pub quiet_s: Option<f64>,
    /// Connections that it has, where each stays with its thread.
    pub connections: Option<u64>,
    /// Connections accepted, where it accepts its own.
    pub accepted: Option<u64>,
    /// Connections whose first answer came from it.
    pub served: u64,
    /// Reads that brought bytes.
    pub requests: u64,
}
