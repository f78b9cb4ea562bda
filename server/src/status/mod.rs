//! How the server is doing: one picture of it, which the log, the metrics and the pages all show.
//!
//! What workers do is on the [board](crate::board), which anybody may read at any time. What only
//! their leader knows (who they are, what they are told, how they ended) is on the
//! [roster](roster::Roster), which the leader keeps. An [`Observer`] reads both, and asks the kernel
//! for the rest; that costs those who serve nothing.

mod document;
mod kernel;
mod log;
mod roster;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cli::Addr;

pub use self::document::{
    AcceptQueue, Bucket, Connections, Histogram, Listening, Rejections, State, Status,
    ThreadStatus, WorkerStatus,
};
pub(crate) use self::log::log;
pub use self::roster::Endings;
pub(crate) use self::roster::{Member, Roster};
use crate::board::Board;
use crate::config::Config;
use crate::listener::Listener;
use crate::mode::Mode;

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
            connections: Connections::default(),
            workers,
            counters: board.totals(),
            rejections: Rejections::default(),
            first_byte: Histogram::default(),
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
            by_state: Connections::default(),
            peer: None,
            held_s: None,
            quiet_s: None,
            accepted: counters.accepted,
            served: counters.served,
            requests: counters.requests,
            cpu_s: kernel::cpu_s(member.pid),
            rss_bytes: kernel::rss_bytes(member.pid),
            threads: Vec::new(),
        }
    }

    fn listening(&self) -> Listening {
        let listeners = self.inner.listeners.lock();
        let listeners = listeners.unwrap_or_else(PoisonError::into_inner);
        let queues = listeners.iter().filter_map(kernel::accept_queue);
        let queues: Vec<_> = queues.collect();
        let sum = |of: fn(&AcceptQueue) -> u32| queues.iter().map(of).reduce(u32::saturating_add);
        let overflows = kernel::overflows().zip(self.inner.overflows_before);
        Listening {
            queue: sum(|queue| queue.length),
            limit: sum(|queue| queue.limit),
            queues,
            overflows: overflows.map(|(now, before)| now.saturating_sub(before)),
        }
    }
}
