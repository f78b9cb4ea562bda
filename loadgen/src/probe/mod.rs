//! Finds out from outside what a server can do: how many clients it serves at once, how many more
//! wait, what the next one sees, whether it half-closes, and when it closes idle connections.
//!
//! ```text
//! Search ──how many──▶ Crowd (occupants) ──further client──▶ Observation ──judge──▶ Verdict
//!    ▲                                                                                 │
//!    └─────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! [`run`] is a small engine of its own, on `poll`: it has few clients, and what matters is their
//! order. The decisions (`search`, `judge`, `patience`) know no socket and no clock. Nothing here
//! looks at the server's process: all is seen through connections, as a stranger would see it.

mod bench;
mod findings;
mod judge;
mod manners;
mod patience;
mod peer;
mod queue;
mod reach;
mod search;
mod sentence;
pub mod text;
mod trial;

#[cfg(test)]
mod tests;

use std::io;
use std::time::{Duration, Instant};

use cli::{Addr, Interrupt};

use crate::protocol::Protocol;
use bench::{Bench, Halt};
pub use findings::{
    Findings, HalfClose, Hindrance, Idle, Kind, Queue, Room, SCHEMA, Serves, Tried,
};
use manners::Watch;
use peer::Part;

/// What a probe is asked to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server.
    pub target: Addr,
    /// What to say to it.
    pub protocol: Protocol,
    /// The most clients of a kind, at least 1.
    pub most_clients: u32,
    /// The most clients that wait.
    pub most_waiting: u32,
    /// The least time that a client waits before it counts as one that is not served.
    pub patience: Duration,
    /// How long a connection is watched for being closed.
    pub idle: Duration,
    /// Where the bytes of an echo come from.
    pub seed: u64,
}

/// What is being found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Whether it answers at all.
    Reach,
    /// How many of a kind it has room for.
    Room(Kind),
    /// How many wait.
    Queue,
    /// What it does with a half-closed connection.
    HalfClose,
    /// When it closes idle connections.
    Idle,
}

/// Why there are no findings.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The target's name does not resolve.
    #[error("cannot resolve {target}: {source}; check the host name")]
    Resolve {
        /// As typed.
        target: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// There is no answer to be had.
    #[error("nobody answers at {target}: {why}")]
    NoAnswer {
        /// As typed.
        target: String,
        /// What a client saw, and the remedy.
        why: String,
    },
    /// This machine's limits do not allow it; the text says which and how to raise it.
    #[error("the limits of this machine do not allow it: {0}")]
    Limit(String),
    /// The system refuses what the probe needs.
    #[error("cannot probe: {0}")]
    System(#[from] io::Error),
}

/// Probes the server and tells `progress` what it is at. When `interrupt` is raised it ends with
/// what was found out by then.
///
/// # Errors
///
/// [`ProbeError`] when nobody answers, or when this machine does not allow it.
pub fn run(
    config: &Config,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(Stage),
) -> Result<Findings, ProbeError> {
    reach::check_descriptors(config)?;
    let start = Instant::now();
    let mut findings = blank(config);
    progress(Stage::Reach);
    let ended = match reach::reach(config, interrupt)? {
        Some(mut bench) => {
            let ended = explore(config, &mut bench, &mut findings, progress);
            findings.answer_us = bench
                .patience
                .usual()
                .map(|usual| usual.as_secs_f64() * 1e6);
            ended
        }
        None => Err(Halt::Interrupted),
    };
    match ended {
        Ok(()) => {}
        Err(Halt::Interrupted) => findings.interrupted = true,
        Err(Halt::Gone) => findings.gone = true,
        Err(Halt::System(error)) => return Err(error.into()),
    }
    findings.duration_s = start.elapsed().as_secs_f64();
    findings.sentence = sentence::conclude(&findings);
    Ok(findings)
}

fn blank(config: &Config) -> Findings {
    Findings {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        target: config.target.to_string(),
        protocol: config.protocol.name().to_owned(),
        sentence: String::new(),
        interrupted: false,
        gone: false,
        tried: Tried {
            clients: config.most_clients,
            waiting: config.most_waiting,
            idle_s: config.idle.as_secs_f64(),
            patience_ms: config.patience.as_secs_f64() * 1e3,
        },
        answer_us: None,
        duration_s: 0.0,
        serves: Serves::default(),
        queue: None,
        half_close: None,
        idle: None,
    }
}

/// Finds out one thing after the other; between them all clients leave and the server recovers.
fn explore(
    config: &Config,
    bench: &mut Bench<'_>,
    found: &mut Findings,
    progress: &mut dyn FnMut(Stage),
) -> Result<(), Halt> {
    for kind in [Kind::Silent, Kind::Kept, Kind::Slow] {
        progress(Stage::Room(kind));
        let room = room(config, bench, kind)?;
        match kind {
            Kind::Silent => found.serves.silent = room,
            Kind::Kept => found.serves.kept = room,
            Kind::Slow => found.serves.slow = room,
        }
        bench.recover()?;
    }
    progress(Stage::Queue);
    for (behind, occupants, further) in limits(found.serves) {
        found.queue = queue(config, bench, behind, (occupants, further))?;
        bench.recover()?;
        if found.queue.is_some() {
            break;
        }
    }
    progress(Stage::HalfClose);
    found.half_close = Some(manners::half_close(bench)?);
    bench.recover()?;
    progress(Stage::Idle);
    found.idle = Some(manners::idle(bench, config.idle, watch(found.serves))?);
    Ok(())
}

/// How many clients of `kind` there is room for; none when the protocol has no such client.
fn room(config: &Config, bench: &mut Bench<'_>, kind: Kind) -> Result<Option<Room>, Halt> {
    let alone = match kind {
        Kind::Silent => Part::Silent,
        Kind::Kept => Part::Whole,
        // A request of one byte cannot be sent in part.
        Kind::Slow if bench.request_bytes() < 2 => return Ok(None),
        Kind::Slow => return trial::room(bench, kind, config.most_clients).map(Some),
    };
    if manners::is_closed(bench, alone)? {
        return Ok(Some(Room::Closes));
    }
    trial::room(bench, kind, config.most_clients).map(Some)
}

/// The kinds that can fill the server: how many do, and what a further client sees then.
fn limits(serves: Serves) -> impl Iterator<Item = (Kind, u32, Hindrance)> {
    serves.each().filter_map(|(kind, room)| match room {
        Some(Room::Limit { clients, further }) => Some((kind, clients, further)),
        _ => None,
    })
}

/// Counts those who wait; nobody does where the first is rejected already. None when the occupants
/// do not stay, and let those in who wait.
fn queue(
    config: &Config,
    bench: &mut Bench<'_>,
    behind: Kind,
    (occupants, further): (u32, Hindrance),
) -> Result<Option<Queue>, Halt> {
    if further == Hindrance::Waits {
        return queue::measure(bench, behind, occupants, config.most_waiting);
    }
    Ok(Some(Queue {
        behind,
        waiting: 0,
        next: Some(further),
    }))
}

/// Two idle clients can be watched together unless one of them fills the server.
fn watch(serves: Serves) -> Watch {
    let fills = |(_, room)| matches!(room, Some(Room::Limit { clients: 1, .. }));
    if serves.each().any(fills) {
        Watch::InTurn
    } else {
        Watch::Together
    }
}
