//! How the server is doing: one picture of it, which the log, the metrics and the pages all show.
//!
//! What workers do is on the [board](crate::board), which anybody may read at any time. What only
//! their leader knows (who they are, what they are told, how they ended) is on the
//! [roster](roster::Roster), which the leader keeps. An [`Observer`] reads both, and asks the kernel
//! for the rest; that costs those who serve nothing.

mod kernel;
mod log;
mod roster;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cli::Addr;
use serde::Serialize;

pub(crate) use self::log::log;
pub use self::roster::Endings;
pub(crate) use self::roster::{Member, Roster};
use crate::board::{Board, Counters};
use crate::config::Config;
use crate::listener::Listener;
use crate::mode::{Inner, Mode};

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
    /// Who serves.
    pub workers: Vec<WorkerStatus>,
    /// All that was counted, of the dead too.
    pub counters: Counters,
    /// How workers of a pool ended, by reason.
    pub ended: Endings,
}

/// The accept queue of the listening sockets, summed over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Listening {
    /// Connections that nobody has accepted yet. None where the kernel does not tell: on a Unix socket.
    pub queue: Option<u32>,
    /// How many there may be; one more fits.
    pub limit: Option<u32>,
    /// Connections that found a queue full since the server was started. The kernel counts them for
    /// all listening sockets of its network namespace.
    pub overflows: Option<u64>,
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
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that got at least one byte.
    pub served: u64,
    /// Reads that brought bytes.
    pub requests: u64,
    /// Its processor time, in seconds.
    pub cpu_s: Option<f64>,
}

/// Whoever asks how it goes. Clones look at the same server.
#[derive(Clone, Debug)]
pub struct Observer {
    inner: Arc<Inside>,
}

#[derive(Debug)]
struct Inside {
    config: Config,
    addr: Addr,
    since: Instant,
    board: Arc<Board>,
    roster: Mutex<Roster>,
    /// Given back when the listening ends.
    listeners: Mutex<Vec<Listener>>,
    overflows_before: Option<u64>,
}

impl Observer {
    /// That of a server which is about to start.
    ///
    /// # Errors
    ///
    /// When descriptors are short.
    pub(crate) fn new(
        config: &Config,
        board: &Arc<Board>,
        listener: &Listener,
    ) -> std::io::Result<Self> {
        Ok(Self {
            inner: Arc::new(Inside {
                config: config.clone(),
                addr: listener.addr().clone(),
                since: Instant::now(),
                board: Arc::clone(board),
                roster: Mutex::new(Roster::of(config.plan().standing_workers())),
                listeners: Mutex::new(listener.try_clone_all()?),
                overflows_before: kernel::overflows(),
            }),
        })
    }

    /// What its leader writes.
    pub(crate) fn roster(&self) -> MutexGuard<'_, Roster> {
        // Nobody panics with it; if so, it would still be whole.
        let roster = self.inner.roster.lock();
        roster.unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody listens any more.
    pub(crate) fn forget_listeners(&self) {
        let listeners = self.inner.listeners.lock();
        listeners.unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The strategy.
    pub(crate) fn mode(&self) -> Mode {
        self.inner.config.mode
    }

    /// Whether it is ready: neither starting nor draining.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.roster().state == State::Ready
    }

    /// How it goes, now.
    #[must_use]
    pub fn status(&self) -> Status {
        let Inside {
            config,
            addr,
            since,
            board,
            ..
        } = &*self.inner;
        let mut plan = config.plan();
        let max_connections = config.limits.max_connections.get();
        let (state, members, wanted, ended) = {
            let roster = self.roster();
            let members = roster.members.clone();
            (roster.state, members, roster.wanted, roster.ended)
        };
        // Workers come and go; those of other modes do not.
        plan.processes = plan.processes.and_then(|_| NonZeroUsize::new(wanted));
        let workers: Vec<_> = members.iter().map(|one| self.worker(one)).collect();
        let pid = std::process::id();
        let own = members.iter().all(|one| one.pid != pid).then_some(pid);
        let cpu = workers.iter().map(|worker| worker.cpu_s);
        let cpu = cpu.chain(own.map(kernel::cpu_s));
        Status {
            version: env!("CARGO_PKG_VERSION"),
            pid,
            addr: addr.to_string(),
            mode: config.mode,
            worker_mode: plan.processes.map(|_| plan.inside),
            state,
            uptime_s: since.elapsed().as_secs_f64(),
            workers_wanted: wanted,
            capacity: plan.capacity(max_connections),
            max_connections,
            // One that died meanwhile is no reason to say nothing.
            cpu_s: cpu.flatten().reduce(|sum, one| sum + one),
            listen: self.listening(),
            workers,
            counters: board.totals(),
            ended,
        }
    }

    fn worker(&self, member: &Member) -> WorkerStatus {
        let Inside { board, config, .. } = &*self.inner;
        let counters = match config.plan().processes {
            Some(_) => board[member.slot].counters() - member.before,
            // Its threads have slots too.
            None => board.totals(),
        };
        WorkerStatus {
            slot: member.slot,
            name: match config.plan().processes {
                Some(_) => format!("worker-{}", member.slot),
                None => config.mode.to_string(),
            },
            pid: member.pid,
            state: member.state,
            age_s: member.since.elapsed().as_secs_f64(),
            connections: counters.open(),
            accepted: counters.accepted,
            served: counters.served,
            requests: counters.requests,
            cpu_s: kernel::cpu_s(member.pid),
        }
    }

    fn listening(&self) -> Listening {
        let listeners = self.inner.listeners.lock();
        let listeners = listeners.unwrap_or_else(PoisonError::into_inner);
        let queues = listeners.iter().map(kernel::accept_queue);
        let queue = queues.flatten().reduce(|sum, one| kernel::AcceptQueue {
            length: sum.length.saturating_add(one.length),
            limit: sum.limit.saturating_add(one.limit),
        });
        let overflows = kernel::overflows().zip(self.inner.overflows_before);
        Listening {
            queue: queue.map(|queue| queue.length),
            limit: queue.map(|queue| queue.limit),
            overflows: overflows.map(|(now, before)| now.saturating_sub(before)),
        }
    }
}
