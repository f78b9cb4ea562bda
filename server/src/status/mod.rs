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
mod sock_diag;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cli::Addr;

pub use self::document::{
    AcceptQueue, Bucket, Connections, Histogram, Listening, Rejections, State, Status,
    ThreadStatus, WorkerStatus,
};
#[cfg(test)]
pub(crate) use self::kernel::accept_queue;
pub(crate) use self::kernel::{cpu_s, rss_bytes};
pub(crate) use self::log::log;
pub use self::roster::Endings;
pub(crate) use self::roster::{Member, Roster};
use crate::board::{Board, Counters, Slot, Waits};
use crate::clock::Moment;
use crate::config::Config;
use crate::listener::Listener;
use crate::mode::{Inner, Mode};

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
        let counters = board.totals();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            pid,
            addr: addr.to_string(),
            mode: config.mode,
            worker_mode: plan.processes.map(|_| plan.inside),
            state,
            uptime_s: since.elapsed().as_secs_f64(),
            workers_wanted: wanted,
            capacity: config.capacity(plan),
            max_connections,
            // One that died meanwhile is no reason to say nothing.
            cpu_s: cpu.flatten().reduce(|sum, one| sum + one),
            listen: self.listening(),
            connections: Connections::of(counters.open(), board.used()),
            workers,
            counters,
            rejections: Rejections::of(&counters),
            first_byte: Histogram::of(&board.used().map(Slot::waits).sum()),
            ended,
        }
    }

    fn worker(&self, member: &Member) -> WorkerStatus {
        let Inside { board, config, .. } = &*self.inner;
        let is_pool = config.plan().processes.is_some();
        let slot = &board[member.slot];
        let (counters, slots) = match is_pool {
            true => (slot.counters() - member.before, vec![slot]),
            // Its threads have slots too.
            false => (board.totals(), board.used().collect()),
        };
        let Tenancy {
            peer,
            held_s,
            quiet_s,
        } = Tenancy::of(&slots);
        WorkerStatus {
            slot: member.slot,
            name: match is_pool {
                true => format!("worker-{}", member.slot),
                false => config.mode.to_string(),
            },
            pid: member.pid,
            state: member.state,
            age_s: member.since.elapsed().as_secs_f64(),
            connections: counters.open(),
            by_state: Connections::of(counters.open(), slots.into_iter()),
            peer,
            held_s,
            quiet_s,
            accepted: counters.accepted,
            served: counters.served,
            requests: counters.requests,
            cpu_s: kernel::cpu_s(member.pid),
            rss_bytes: kernel::rss_bytes(member.pid),
            threads: self.threads(),
            sandbox: board[member.slot].sandbox(),
        }
    }

    /// The threads of this process that serve and have slots of their own.
    fn threads(&self) -> Vec<ThreadStatus> {
        let Inside { board, config, .. } = &*self.inner;
        let inside = config.plan().inside;
        let crew = board.crew().into_iter();
        crew.map(|(number, slot)| {
            let counters = slot.counters();
            let Tenancy {
                peer,
                held_s,
                quiet_s,
            } = Tenancy::of(&[slot]);
            let accepts = matches!(inside, Inner::Epoll | Inner::IoUring);
            let owns = matches!(inside, Inner::ThreadPool | Inner::Rayon);
            ThreadStatus {
                name: inside.thread_name(number),
                connections: match accepts {
                    true => Some(counters.open()),
                    false => owns.then_some(u64::from(peer.is_some())),
                },
                peer,
                held_s,
                quiet_s,
                accepted: accepts.then_some(counters.accepted),
                served: counters.served,
                requests: counters.requests,
            }
        })
        .collect()
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

impl Connections {
    /// So many that are open, of the workers that have these slots.
    fn of<'a>(open: u64, slots: impl Iterator<Item = &'a Slot>) -> Self {
        let begun = slots.map(Slot::begun);
        let [fresh, answered] = begun.fold([0; 2], |[a, b], [c, d]| [a + c, b + d]);
        // They may have been counted a moment apart.
        let answered = answered.min(open);
        let fresh = fresh.min(open - answered);
        Self {
            queued: open - answered - fresh,
            fresh,
            answered,
        }
    }
}

impl Rejections {
    fn of(counters: &Counters) -> Self {
        Self {
            full: counters.rejected.saturating_sub(counters.short),
            resources: counters.short,
            per_ip: counters.per_ip,
            dismissed: counters.dismissed,
        }
    }
}

impl Histogram {
    fn of(waits: &Waits) -> Self {
        let buckets = waits.cumulative().map(|(bound, count)| Bucket {
            le_s: bound.as_secs_f64(),
            count,
        });
        Self {
            buckets: buckets.collect(),
            count: waits.count(),
            sum_s: waits.sum().as_secs_f64(),
        }
    }
}

/// Whom a worker serves that serves one client at a time, and how long nothing has happened.
#[derive(Debug)]
struct Tenancy {
    peer: Option<String>,
    held_s: Option<f64>,
    quiet_s: Option<f64>,
}

impl Tenancy {
    /// That of whoever has the first of these slots. They are all that one's.
    fn of(slots: &[&Slot]) -> Self {
        let now = Moment::now();
        let seconds = |moment| now.since(moment).as_secs_f64();
        let tenant = slots.first().and_then(|slot| slot.tenant());
        let since = tenant.map(|(_, since)| since);
        let heard = slots.iter().filter_map(|slot| slot.heard());
        Self {
            peer: tenant.map(|(peer, _)| peer.to_string()),
            held_s: since.map(seconds),
            quiet_s: heard.chain(since).max().map(seconds),
        }
    }
}
