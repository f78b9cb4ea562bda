//! The strategies by name, and what each is made of.
//!
//! Adding one is a line here and a file in `executor/`: the command line, the contract tests (one
//! each, by [`for_each_mode!`](crate::for_each_mode)) and the lab then cover it unasked.

use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::config::Accept;

/// Makes [`Mode`], [`Choice::ALL`] and the macro that writes one test per choice from the same lists.
macro_rules! modes {
    (
        $d:tt $($(#[doc = $doc:literal])+ $mode:ident = $name:literal, $test:ident;)+
        inside the workers: $($inner:ident, $within:ident;)+
    ) => {
        /// A strategy, by the name that is typed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
        #[serde(rename_all = "kebab-case")]
        pub enum Mode {
            $($(#[doc = $doc])+ $mode,)+
        }

        impl Mode {
            /// All of them, from the simplest on.
            pub const ALL: &'static [Self] = &[$(Self::$mode,)+];

            /// The name that is typed.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$mode => $name,)+
                }
            }
        }

        impl Choice {
            /// Every mode, and the pool of processes with every other mode in its workers.
            pub const ALL: &'static [Self] = &[
                $(Self::of(Mode::$mode),)+
                $(Self::pool_of(Inner::$inner),)+
            ];
        }

        /// Writes each test once per mode, and once per mode inside the workers of a pool, so that
        /// a red one does not hide the next. One that this machine cannot run is skipped.
        ///
        /// The body sees the [`Choice`](crate::Choice) under the name in parentheses and may use
        /// `?` on [`std::io::Result`].
        #[macro_export]
        macro_rules! for_each_mode {
            ($d($d(#[$d attribute:meta])* fn $d test:ident($d mode:ident) $d body:block)+) => {
                $d(
                    $d(#[$d attribute])*
                    mod $d test {
                        use super::*;
                        $(
                            #[test]
                            fn $test() -> ::std::io::Result<()> {
                                let $d mode = $crate::Choice::of($crate::Mode::$mode);
                                if let ::std::result::Result::Err(lack @ $crate::RunError::Unsupported { .. }) =
$crate::probe($d mode) {
                                    ::std::println!("SKIPPED: {lack}");
                                    return Ok(());
                                }
                                $d body
                                Ok(())
                            }
                        )+
                        mod process_pool_of {
                            use super::*;
                            $(
                                #[test]
                                fn $within() -> ::std::io::Result<()> {
                                    let $d mode =
                                        $crate::Choice::pool_of($crate::Inner::$inner);
                                    if let ::std::result::Result::Err(lack @ $crate::RunError::Unsupported { .. }) =
$crate::probe($d mode) {
                                        ::std::println!("SKIPPED: {lack}");
                                        return Ok(());
                                    }
                                    $d body
                                    Ok(())
                                }
                            )+
                        }
                    }
                )+
            };
        }
    };
}

modes! { $
    /// An iterative server: the accepting thread serves one connection to its end.
    Sequential = "sequential", sequential;
    /// A thread for each connection.
    ThreadPerConnection = "thread-per-connection", thread_per_connection;
    /// A process for each connection.
    ProcessPerConnection = "process-per-connection", process_per_connection;
    /// A fixed number of threads that own a connection each; the others wait in a queue.
    ThreadPool = "thread-pool", thread_pool;
    /// A compute pool used for I/O: the wrong tool, shown.
    Rayon = "rayon", rayon;
    /// A fixed number of processes that share the listener and own a connection each.
    ProcessPool = "process-pool", process_pool;
    /// A reactor watches the quiet connections; threads of a pool serve one burst each.
    ReadyPool = "ready-pool", ready_pool;
    /// Tasks on a few threads: a waiting connection costs no worker.
    Async = "async", asynchronous;
    /// Threads that wait for readiness themselves and serve whoever is ready.
    Epoll = "epoll", epoll;
    /// Threads with a ring each, which ask for what is to be done and are told what was done.
    IoUring = "io-uring", io_uring;

    inside the workers:
    ThreadPerConnection, thread_per_connection;
    ProcessPerConnection, process_per_connection;
    ThreadPool, thread_pool;
    Rayon, rayon;
    ReadyPool, ready_pool;
    Async, asynchronous;
    Epoll, epoll;
    IoUring, io_uring;
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A strategy within one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inner {
    /// [`Mode::Sequential`].
    Sequential,
    /// [`Mode::ThreadPerConnection`].
    ThreadPerConnection,
    /// [`Mode::ProcessPerConnection`].
    ProcessPerConnection,
    /// [`Mode::ThreadPool`].
    ThreadPool,
    /// [`Mode::Rayon`].
    Rayon,
    /// [`Mode::ReadyPool`].
    ReadyPool,
    /// [`Mode::Async`].
    Async,
    /// [`Mode::Epoll`].
    Epoll,
    /// [`Mode::IoUring`].
    IoUring,
}

impl Inner {
    /// The mode that is this strategy and nothing else.
    #[must_use]
    pub const fn mode(self) -> Mode {
        match self {
            Self::Sequential => Mode::Sequential,
            Self::ThreadPerConnection => Mode::ThreadPerConnection,
            Self::ProcessPerConnection => Mode::ProcessPerConnection,
            Self::ThreadPool => Mode::ThreadPool,
            Self::Rayon => Mode::Rayon,
            Self::ReadyPool => Mode::ReadyPool,
            Self::Async => Mode::Async,
            Self::Epoll => Mode::Epoll,
            Self::IoUring => Mode::IoUring,
        }
    }

    /// Whether it has a fixed number of threads.
    #[must_use]
    pub fn uses_threads(self) -> bool {
        self.crew().is_some()
    }

    /// What `ps -L` calls one of its threads.
    #[must_use]
    pub(crate) fn thread_name(self, number: impl fmt::Display) -> String {
        let crew = self.crew().unwrap_or(self.mode().name());
        format!("{crew}-{number}")
    }

    /// What its threads are called together, where it has a fixed number of them.
    const fn crew(self) -> Option<&'static str> {
        Some(match self {
            Self::Sequential | Self::ThreadPerConnection | Self::ProcessPerConnection => {
                return None;
            }
            Self::ThreadPool => "pool",
            Self::Rayon => "rayon",
            Self::ReadyPool => "ready",
            Self::Async => "async",
            Self::Epoll => "epoll",
            Self::IoUring => "io-uring",
        })
    }
}

/// All that says who runs a connection: `--mode`, and `--worker-mode` of a pool of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The mode.
    pub mode: Mode,
    /// What runs inside the workers of [`Mode::ProcessPool`]; without effect in all others.
    pub inside: Inner,
}

impl Choice {
    /// A mode as it is by itself.
    #[must_use]
    pub const fn of(mode: Mode) -> Self {
        let inside = Inner::Sequential;
        Self { mode, inside }
    }

    /// A pool of processes with `inside` in each.
    #[must_use]
    pub const fn pool_of(inside: Inner) -> Self {
        let mode = Mode::ProcessPool;
        Self { mode, inside }
    }

    /// What is typed for it.
    #[must_use]
    pub fn args(self) -> Vec<&'static str> {
        let mut args = vec!["--mode", self.mode.name()];
        if self != Self::of(self.mode) {
            args.extend(["--worker-mode", self.inside.mode().name()]);
        }
        args
    }
}

impl From<Mode> for Choice {
    fn from(mode: Mode) -> Self {
        Self::of(mode)
    }
}

impl PartialEq<Mode> for Choice {
    /// Whether it is just this mode.
    fn eq(&self, mode: &Mode) -> bool {
        *self == Self::of(*mode)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == self.mode {
            return self.mode.fmt(f);
        }
        write!(f, "{} of {}", self.mode, self.inside.mode())
    }
}

/// A mode taken apart: how many processes, and what runs in each. [`Inner`] has no process pool,
/// so that a pool of pools cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Worker processes; none means that the one process serves itself.
    pub processes: Option<NonZeroUsize>,
    /// Workers inside each process.
    pub workers: NonZeroUsize,
    /// What they do.
    pub inside: Inner,
}

impl Mode {
    /// What the mode is made of, given `--workers`.
    #[must_use]
    pub fn plan(self, workers: NonZeroUsize) -> Plan {
        Choice::of(self).plan(workers, NonZeroUsize::MIN)
    }

    /// The strategy within one process; none where that is the choice of the workers.
    #[must_use]
    pub fn inner(self) -> Option<Inner> {
        Some(match self {
            Self::Sequential => Inner::Sequential,
            Self::ThreadPerConnection => Inner::ThreadPerConnection,
            Self::ProcessPerConnection => Inner::ProcessPerConnection,
            Self::ThreadPool => Inner::ThreadPool,
            Self::Rayon => Inner::Rayon,
            Self::ReadyPool => Inner::ReadyPool,
            Self::Async => Inner::Async,
            Self::Epoll => Inner::Epoll,
            Self::IoUring => Inner::IoUring,
            Self::ProcessPool => return None,
        })
    }
}

impl Choice {
    /// What it is made of, given `--workers` and `--worker-threads`.
    #[must_use]
    pub fn plan(self, workers: NonZeroUsize, threads: NonZeroUsize) -> Plan {
        match self.mode.inner() {
            Some(inside) => Plan {
                processes: None,
                workers,
                inside,
            },
            None => Plan {
                processes: Some(workers),
                workers: threads,
                inside: self.inside,
            },
        }
    }
}

impl Plan {
    /// Workers that stand ready before any client comes: processes, or threads of a pool.
    #[must_use]
    pub fn standing_workers(self) -> usize {
        match (self.processes, self.inside) {
            (Some(processes), _) => processes.get(),
            (None, Inner::Sequential) => 1,
            (None, Inner::ThreadPerConnection | Inner::ProcessPerConnection) => 0,
            (
                None,
                Inner::ThreadPool
                | Inner::Rayon
                | Inner::ReadyPool
                | Inner::Async
                | Inner::Epoll
                | Inner::IoUring,
            ) => self.workers.get(),
        }
    }

    /// How many long-lived clients are served at once when `limit` may be connected.
    #[must_use]
    pub fn capacity(self, limit: u32) -> usize {
        let limit = limit as usize;
        let owned = match self.inside {
            Inner::Sequential => 1,
            Inner::ThreadPool | Inner::Rayon => self.workers.get(),
            Inner::ThreadPerConnection
            | Inner::ProcessPerConnection
            | Inner::ReadyPool
            | Inner::Async
            | Inner::Epoll
            | Inner::IoUring => limit,
        };
        owned
            .saturating_mul(self.processes.map_or(1, NonZeroUsize::get))
            .min(limit)
    }

    /// Whether a connection can wait inside the server for a worker: only where an acceptor hands
    /// connections to a pool. Not in a worker process: what waits there would wait although
    /// another process has a thread to spare.
    #[must_use]
    pub fn has_queue(self) -> bool {
        self.processes.is_none() && matches!(self.inside, Inner::ThreadPool | Inner::Rayon)
    }

    /// Connections that each worker process may have at once, where that is less than all.
    #[must_use]
    pub fn seats(self) -> Option<NonZeroUsize> {
        let owning = matches!(self.inside, Inner::ThreadPool | Inner::Rayon);
        (self.processes.is_some() && owning).then_some(self.workers)
    }

    /// The same where a master hands connections out: then one that runs its connections itself has
    /// a limit too.
    #[must_use]
    pub fn seats_to_hand_out(self) -> Option<NonZeroUsize> {
        match self.inside {
            Inner::Sequential => Some(NonZeroUsize::MIN),
            _ => self.seats(),
        }
    }

    /// Whether connections can be taken in like that.
    #[must_use]
    pub fn can_accept(self, accept: Accept) -> bool {
        let several_reactors = matches!(self.inside, Inner::Epoll | Inner::IoUring);
        match accept {
            Accept::Shared => true,
            Accept::Reuseport => self.processes.is_some() || several_reactors,
            Accept::Handoff => self.processes.is_some(),
        }
    }

    /// Whether somebody is free to accept, and so to reject, while every worker is busy. A process
    /// whose seats are taken must not: it does not know whether the others' are.
    #[must_use]
    pub fn can_reject(self) -> bool {
        self.inside != Inner::Sequential && self.seats().is_none()
    }

    /// Whether `--workers` changes anything.
    #[must_use]
    pub fn uses_workers(self) -> bool {
        self.processes.is_some() || self.inside.uses_threads()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn a_mode_is_called_the_same_everywhere() {
        for mode in Mode::ALL {
            let typed = mode
                .to_possible_value()
                .map(|value| value.get_name().to_owned());
            assert_eq!(typed.as_deref(), Some(mode.name()));
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
            if let Some(inner) = mode.inner() {
                assert_eq!(serde_json::to_value(inner).unwrap(), mode.name());
            }
        }
    }

    #[test]
    fn capacity_is_one_or_the_workers_or_the_limit() {
        let workers = NonZeroUsize::new(4).unwrap();
        let capacities = Mode::ALL
            .iter()
            .map(|mode| mode.plan(workers).capacity(1000));
        assert_eq!(
            capacities.collect::<Vec<_>>(),
            [1, 1000, 1000, 4, 4, 4, 1000, 1000, 1000, 1000]
        );
        let standing = Mode::ALL
            .iter()
            .map(|mode| mode.plan(workers).standing_workers());
        assert_eq!(standing.collect::<Vec<_>>(), [1, 0, 0, 4, 4, 4, 4, 4, 4, 4]);
        assert!(
            Mode::ALL
                .iter()
                .all(|mode| mode.plan(workers).capacity(1) == 1)
        );
    }

    #[test]
    fn every_mode_is_chosen_by_itself_and_in_the_workers_of_a_pool() {
        for mode in Mode::ALL {
            assert!(Choice::ALL.contains(&Choice::of(*mode)), "{mode}");
            let Some(inside) = mode.inner() else { continue };
            assert_eq!(inside.mode(), *mode);
            assert!(Choice::ALL.contains(&Choice::pool_of(inside)), "{mode}");
        }
    }

    #[test]
    fn the_workers_of_a_pool_serve_as_many_as_their_mode_does() {
        let (processes, threads) = (NonZeroUsize::new(4), NonZeroUsize::new(3));
        for inside in Choice::ALL.iter().filter_map(|choice| choice.mode.inner()) {
            let plan = Choice::pool_of(inside).plan(processes.unwrap(), threads.unwrap());
            let each = inside.mode().plan(threads.unwrap()).capacity(1000);
            assert_eq!(plan.capacity(1000), (4 * each).min(1000), "{inside:?}");
            assert_eq!((plan.standing_workers(), plan.has_queue()), (4, false));
        }
    }
}
