//! The strategies by name, and what each is made of.
//!
//! Adding one is a line here and a file in `executor/`: the command line, the contract tests (one
//! each, by [`for_each_mode!`](crate::for_each_mode)) and the lab then cover it unasked.

use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

/// Makes [`Mode`] and the macro that writes one test per mode from the same list.
macro_rules! modes {
    ($d:tt $($(#[doc = $doc:literal])+ $mode:ident = $name:literal, $test:ident;)+) => {
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

        /// Writes each test once per mode, so that a red mode does not hide the next.
        ///
        /// The body sees the mode under the name in parentheses and may use `?` on
        /// [`std::io::Result`].
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
                                let $d mode = $crate::Mode::$mode;
                                $d body
                                Ok(())
                            }
                        )+
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
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A strategy within one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inner {
    /// [`Mode::Sequential`].
    Sequential,
    /// [`Mode::ThreadPerConnection`].
    ThreadPerConnection,
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
        let alone = |inside| Plan {
            processes: None,
            workers,
            inside,
        };
        match self {
            Self::Sequential => alone(Inner::Sequential),
            Self::ThreadPerConnection => alone(Inner::ThreadPerConnection),
            Self::ThreadPool => alone(Inner::ThreadPool),
            Self::Rayon => alone(Inner::Rayon),
            Self::ReadyPool => alone(Inner::ReadyPool),
            Self::Async => alone(Inner::Async),
            Self::Epoll => alone(Inner::Epoll),
            Self::ProcessPool => Plan {
                processes: Some(workers),
                workers: NonZeroUsize::MIN,
                inside: Inner::Sequential,
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
            (None, Inner::ThreadPerConnection) => 0,
            (
                None,
                Inner::ThreadPool | Inner::Rayon | Inner::ReadyPool | Inner::Async | Inner::Epoll,
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
            Inner::ThreadPerConnection | Inner::ReadyPool | Inner::Async | Inner::Epoll => limit,
        };
        owned
            .saturating_mul(self.processes.map_or(1, NonZeroUsize::get))
            .min(limit)
    }

    /// Whether a connection can wait inside the server for a worker: only where an acceptor hands
    /// connections to a pool.
    #[must_use]
    pub fn has_queue(self) -> bool {
        self.processes.is_none() && matches!(self.inside, Inner::ThreadPool | Inner::Rayon)
    }

    /// Whether somebody is free to accept, and so to reject, while every worker is busy.
    #[must_use]
    pub fn can_reject(self) -> bool {
        self.inside != Inner::Sequential
    }

    /// Whether `--workers` changes anything.
    #[must_use]
    pub fn uses_workers(self) -> bool {
        let alone = matches!(self.inside, Inner::Sequential | Inner::ThreadPerConnection);
        self.processes.is_some() || !alone
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
            [1, 1000, 4, 4, 4, 1000, 1000, 1000]
        );
        let standing = Mode::ALL
            .iter()
            .map(|mode| mode.plan(workers).standing_workers());
        assert_eq!(standing.collect::<Vec<_>>(), [1, 0, 4, 4, 4, 4, 4, 4]);
        assert!(
            Mode::ALL
                .iter()
                .all(|mode| mode.plan(workers).capacity(1) == 1)
        );
    }
}
