//! Who runs a connection: one file per strategy, and the two seams they plug into.
//!
//! An executor decides only *where* a connection runs. Limits, queue policy, draining, counting,
//! time limits and errors are outside, written once, so that a comparison compares executors.

mod asynchronous;
mod crew;
mod entrance;
mod epoll;
mod io_uring;
mod payments;
mod process_per_connection;
mod rayon;
mod ready_pool;
mod rounds;
mod sequential;
mod thread_per_connection;
mod thread_pool;

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::config::WorkerCommand;
use crate::conn::{Conn, Shared};
use crate::gate::Gate;
use crate::listener::ListenEnd;
use crate::mode::{Inner, Plan};
use crate::source::Source;

/// Hands one blocking connection to whoever will run it.
///
/// # Contract
///
/// * It returns at once, except in `sequential`, whose caller is the worker.
/// * Every connection is run exactly once, or dropped, which closes it and returns its permit.
/// * A panic in one connection stops no other.
pub(crate) type Dispatch = Box<dyn Fn(Conn) -> io::Result<()> + Send>;

/// A strategy that owns its threads from ready to drained.
///
/// # Contract
///
/// * It accepts only with a permit of the gate, and holds one [`Ticket`](crate::conn::Ticket) per
///   connection until the socket is closed.
/// * Once the drain began it takes in those who are left at the [door](crate::accept::Door), until
///   that is closed, and nobody else; it returns when its last connection ended.
pub(crate) trait Executor {
    /// Serves until the drain is over; returns how many connections it had to leave open.
    ///
    /// # Errors
    ///
    /// When it cannot start, or the listener becomes unusable.
    fn run(self: Box<Self>, cx: Context, on_ready: OnReady<'_>) -> io::Result<usize>;
}

/// To be called once, when all that serving needs is there: whoever connects from then on must not
/// be able to take it away.
pub(crate) type OnReady<'a> = Box<dyn FnOnce() + 'a>;

/// What an executor works with.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where connections come from; more than one if each reactor has its own.
    pub(crate) sources: Vec<Source>,
    /// How the listening ends, where this process is the one to end it.
    pub(crate) end: Option<ListenEnd>,
    /// How many may be inside.
    pub(crate) gate: Gate,
    /// How many of them in this process, where that has a limit of its own.
    pub(crate) seats: Option<Gate>,
    /// How a process of ours is started.
    pub(crate) worker: WorkerCommand,
    /// What connections have in common.
    pub(crate) shared: Arc<Shared>,
}

/// Sessions that a reactor has room for from the start. Memory of that size is pages that cost nothing
/// before they are used, and grows where it is; smaller pieces would be left behind at each growth.
const FIRST_SESSIONS: usize = 1024;

/// See [`Context::look_out_every`].
const LOOK_OUT_EVERY: Duration = Duration::from_secs(1);

impl Context {
    /// After this long whoever waits for clients looks by himself whether somebody is there. Of the
    /// processes that share a listener the kernel wakes one, which may be a stopped one. None where
    /// no other process could have been woken.
    pub(crate) fn look_out_every(&self) -> Option<Duration> {
        self.end.is_none().then_some(LOOK_OUT_EVERY)
    }

    /// Whether others listen on when this process ends.
    pub(crate) fn goes_alone(&self) -> bool {
        self.end.as_ref().is_none_or(ListenEnd::is_left_to_others)
    }

    /// Where the connections of reactor `number` come from.
    pub(crate) fn source(&self, number: usize) -> &Source {
        &self.sources[number % self.sources.len()]
    }
}

/// An executor, in either of its two shapes.
pub(crate) enum Strategy {
    /// A closure behind the common accept loop.
    Blocking(Dispatch),
    /// A loop of its own.
    Owning(Box<dyn Executor>),
}

impl fmt::Debug for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blocking(_) => "Blocking",
            Self::Owning(_) => "Owning",
        })
    }
}

impl Strategy {
    /// The one place where a name becomes an executor.
    ///
    /// # Errors
    ///
    /// When its threads cannot be started.
    pub(crate) fn build(plan: Plan, cx: &Context) -> io::Result<Self> {
        let shared = &cx.shared;
        Ok(match plan.inside {
            Inner::Sequential => Self::Blocking(sequential::dispatch()),
            Inner::ThreadPerConnection => Self::Blocking(thread_per_connection::dispatch()),
            Inner::ProcessPerConnection => Self::Blocking(process_per_connection::dispatch(cx)?),
            Inner::ThreadPool => Self::Blocking(thread_pool::dispatch(plan.workers, shared)?),
            Inner::Rayon => Self::Blocking(rayon::dispatch(plan.workers, shared)?),
            Inner::ReadyPool => Self::Owning(Box::new(ready_pool::ReadyPool {
                threads: plan.workers,
            })),
            Inner::Async => Self::Owning(Box::new(asynchronous::Tokio {
                threads: plan.workers,
            })),
            Inner::Epoll => Self::Owning(Box::new(epoll::Epoll {
                threads: plan.workers,
            })),
            Inner::IoUring => Self::Owning(Box::new(io_uring::IoUring {
                threads: plan.workers,
            })),
        })
    }
}

/// Fails where so many threads cannot be had, for crates that panic then, wait for ever, or end the
/// process.
///
/// # Errors
///
/// What the system says.
fn ensure_threads(count: NonZeroUsize) -> io::Result<()> {
    let all_there = Mutex::new(());
    thread::scope(|scope| {
        // Held until it is known, so that all of them are there at the same time.
        let _held = all_there.lock();
        (0..count.get()).try_for_each(|_| {
            let wait = || drop(all_there.lock());
            thread::Builder::new().spawn_scoped(scope, wait).map(drop)
        })
    })
}
