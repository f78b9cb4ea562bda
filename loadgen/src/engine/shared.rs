//! What all threads of a run read and none writes.

use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use super::stop::Stop;
use super::target::Targets;
use crate::behaviour::{self, Behaviour};
use crate::client::{Client, Plan};
use crate::config::{Config, Pace, Shard, Starts};
use crate::protocol::Wire;
use crate::quota::Tickets;
use crate::random;
use crate::schedule::{Place, Schedule};
use crate::time::Moment;

/// Connects in a row that may fail before a client of a run without a time limit gives up: about
/// three seconds.
const GIVE_UP_AFTER: u32 = 10;

/// The values of a run, derived from its [`Config`].
#[derive(Debug)]
pub(super) struct Shared {
    /// How many clients, over all shards.
    connections: u32,
    shard: Shard,
    /// How many threads.
    pub(super) threads: usize,
    /// Where they connect.
    pub(super) targets: Targets,
    starts: Starts,
    /// Which kind each of the clients of this shard is; empty where all are of one kind.
    kinds: Vec<u8>,
    /// The place of each of them among those that keep the schedule; empty where that is its number.
    lanes: Vec<u32>,
    /// What they do.
    pub(super) plan: Plan,
    /// What they say.
    pub(super) wire: Wire,
    /// The longest request in bytes.
    pub(super) longest_request: usize,
    /// How much of it.
    pub(super) tickets: Option<Arc<Tickets>>,
    /// How long the run lasts.
    pub(super) span: Span,
    /// Ends it early.
    pub(super) stop: Stop,
    /// How many threads have clients that may still do something.
    pub(super) working: AtomicUsize,
    /// Holds it up.
    pub(super) paused: AtomicBool,
}

/// The window on the clock of the run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// When it opens.
    pub(super) warmup: Duration,
    /// How long it is; without it a number of requests ends the run.
    pub(super) length: Option<Duration>,
}

impl Shared {
    /// Derives everything from `config`.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub(super) fn new(config: &Config, targets: Targets) -> io::Result<Self> {
        let (length, _) = config.stop.limits();
        let total = config.own_requests();
        let connections = config.connections.get();
        // What is sent in the warm-up takes no tickets, so that there is no first request to keep
        // one for.
        let first_requests = if config.warmup.is_zero() {
            config.own_connections()
        } else {
            0
        };
        let behaviours = config.behaviours();
        // Several processes share a million clients, and none may keep a table of them all.
        let kinds = match &config.profiles[..] {
            [] | [_] => Vec::new(),
            shares => behaviour::deal(shares, connections),
        };
        let lanes = behaviour::lanes(&kinds, &behaviours);
        let step = config.shard.count;
        let tickets = |total: NonZeroU64| Arc::new(Tickets::reserving(total, first_requests, step));
        Ok(Self {
            connections,
            shard: config.shard,
            threads: config.threads.get(),
            starts: config.starts,
            lanes: own(lanes, config.shard),
            plan: Plan {
                profiles: config.profiles.len(),
                schedule: schedule(config, &kinds, &behaviours)?,
                behaviours,
                seed: config.seed,
                timeout: config.timeout,
                connect_timeout: config.connect_timeout,
                verify: config.verify && config.protocol.is_verifiable(),
                addresses: targets.count(),
                give_up_after: length.is_none().then(|| GIVE_UP_AFTER * targets.count()),
            },
            kinds: own(kinds, config.shard),
            targets,
            wire: config.protocol.wire(config.seed),
            longest_request: config.protocol.longest_request(),
            tickets: total.map(tickets),
            span: Span {
                warmup: config.warmup,
                length,
            },
            stop: Stop::new()?,
            working: AtomicUsize::new(config.threads.get()),
            paused: AtomicBool::new(false),
        })
    }

    /// The clients of thread number `thread`: every n-th of this shard.
    pub(super) fn clients(&self, thread: usize) -> impl Iterator<Item = Client> {
        let shard = self.shard;
        (shard.index..self.connections)
            .step_by(shard.count.get() as usize)
            .skip(thread)
            .step_by(self.threads)
            .map(|number| self.client(number))
    }

    fn client(&self, number: u32) -> Client {
        let place = (number / self.shard.count) as usize;
        let kind = self.kinds.get(place).copied().unwrap_or(0);
        let start = self.start(number);
        let lane = self.lanes.get(place).copied().unwrap_or(number);
        let place = self.plan.schedule.map(|one| one.first(lane, start));
        Client::new(number, kind, place.unwrap_or(Place::NONE))
    }

    /// When client `number` connects for the first time.
    pub(super) fn start(&self, number: u32) -> Moment {
        let clients = f64::from(self.connections);
        let wait = match self.starts {
            Starts::AtOnce => return Moment::START,
            Starts::Rate(per_s) => Duration::try_from_secs_f64(f64::from(number) / per_s),
            Starts::Ramp(span) => Ok(span.mul_f64(f64::from(number) / clients)),
            Starts::Scattered(span) => Ok(span.mul_f64(random::arrival(self.plan.seed, number))),
        };
        wait.map_or(Moment::NEVER, |wait| Moment::START.after(wait))
    }
}

/// What `all` says of the clients of one shard: client `number` is `number / count` of them.
fn own<T>(all: Vec<T>, shard: Shard) -> Vec<T> {
    let step = shard.count.get() as usize;
    let own = all.into_iter().skip(shard.index as usize).step_by(step);
    own.collect()
}

/// The schedule of an open loop, shared among those clients that can keep it.
fn schedule(
    config: &Config,
    kinds: &[u8],
    behaviours: &[Behaviour],
) -> io::Result<Option<Schedule>> {
    let Pace::Open(rate, arrivals) = config.pace else {
        return Ok(None);
    };
    let (length, _) = config.stop.limits();
    let spans = (config.warmup, length.unwrap_or_default());
    let keeps = |kind: &&u8| behaviours[usize::from(**kind)].keeps_schedule();
    let clients = match kinds {
        [] => config.connections.get(),
        kinds => u32::try_from(kinds.iter().filter(keeps).count()).unwrap_or(u32::MAX),
    };
    let schedule = Schedule::new(rate, arrivals, spans, (clients.max(1), config.seed));
    schedule.map(Some).map_err(io::Error::other)
}
