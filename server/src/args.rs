//! The command line: what was typed, and how it becomes a [`Config`].

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use clap::Parser;

use cli::{Addr, Format, units};

use crate::config::{Config, Fault, Limits, Offload, OnFull};
use crate::limits::{Ceiling, default_max_connections};
use crate::listener::ListenOptions;
use crate::log::LogFormat;
use crate::mode::{Choice, Mode};
use crate::work::Work;

/// The most workers, of whatever kind, that one server has.
const MOST_WORKERS: usize = 4096;
/// The longest time limit that can be asked for.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Echoes every byte, under the concurrency strategy of your choice.
#[derive(Debug, Parser)]
#[command(name = "server", version, max_term_width = 100)]
pub(crate) struct Args {
    /// Where to listen: host:port, [v6]:port or :port; port 0 picks a free one.
    #[arg(default_value_t)]
    pub(crate) addr: Addr,

    /// Who runs a connection.
    #[arg(long, value_name = "MODE", default_value = "async")]
    mode: Mode,

    /// Threads or processes of the modes that have a fixed number of them, 1 to 4096 [default:
    /// the processors].
    #[arg(long, value_name = "N", value_parser = units::count(1..=MOST_WORKERS))]
    workers: Option<usize>,

    /// What runs inside each worker process of process-pool: any other mode [default: sequential].
    #[arg(long, value_name = "MODE")]
    worker_mode: Option<Mode>,

    /// Threads inside each worker process of process-pool, where the worker mode has a fixed
    /// number of them, 1 to 4096 [default: 1].
    #[arg(long, value_name = "N", value_parser = units::count(1..=MOST_WORKERS))]
    worker_threads: Option<usize>,

    /// Length of the kernel's accept queue in connections, 1 to 65535; the kernel may cap it.
    #[arg(long, value_name = "N", default_value_t = Limits::BACKLOG, value_parser = units::count(1..=65_535_u32))]
    pub(crate) backlog: u32,

    /// Connections inside the server at once, over all its processes, 1 to 1000000 [default: what
    /// the machine's limits allow].
    #[arg(long, value_name = "N", value_parser = units::count(1..=1_000_000_u32))]
    max_connections: Option<u32>,

    /// Connections that may wait inside for a worker of thread-pool or rayon, 0 to 1000000.
    #[arg(long, value_name = "N", default_value_t = Limits::QUEUE, value_parser = units::count(0..=1_000_000_u32))]
    queue: u32,

    /// What the next client meets when the server is full: it waits in the accept queue, or is
    /// closed at once and counted.
    #[arg(long, value_name = "POLICY", default_value = "wait")]
    on_full: OnFull,

    /// Close a connection after this much silence, or when its peer takes no bytes for so long;
    /// 0 means never.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = units::duration(Duration::ZERO..=LONGEST))]
    idle_timeout: Duration,

    /// How long busy connections are served on after TERM or INT.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = units::duration(Duration::ZERO..=LONGEST))]
    drain_timeout: Duration,

    /// Send small answers at once (TCP_NODELAY); this is the default.
    #[arg(long, overrides_with = "no_nodelay")]
    nodelay: bool,

    /// Let the kernel gather small answers (Nagle's algorithm).
    #[arg(long)]
    no_nodelay: bool,

    /// What each line costs before it is echoed: none, cpu=DURATION, io=DURATION or io=exp:MEAN.
    #[arg(long, value_name = "WORK", default_value_t)]
    work: Work,

    /// Where computation is done: by the connection's own thread, or by a compute pool.
    #[arg(long, value_name = "WHERE", default_value = "inline")]
    offload: Offload,

    /// The form of the ready line on stdout.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,

    /// The form of the log on stderr; RUST_LOG chooses what is logged.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,

    /// A fault to show on purpose: panic-on=TEXT or exit-at-start.
    #[arg(long, hide = true, value_name = "FAULT")]
    fault: Option<Fault>,
}

/// What an operator should know, though it is no error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Advice {
    #[error(
        "--workers {workers} has no meaning in mode {mode}, which has no fixed number of workers"
    )]
    WorkersUnused { workers: usize, mode: Mode },
    #[error(
        "--worker-threads {threads} has no meaning in mode {choice}, whose workers have no fixed number of threads"
    )]
    ThreadsUnused { threads: usize, choice: Choice },
    #[error(
        "--queue {queue} has no meaning in mode {choice}: only thread-pool and rayon have a queue of their own"
    )]
    QueueUnused { queue: u32, choice: Choice },
    #[error(
        "--backlog {asked} is more than the kernel allows: it is {allowed} (net.core.somaxconn)"
    )]
    BacklogCapped { asked: u32, allowed: u32 },
    #[error("--max-connections {asked} is more than the machine allows: about {allowed}, by {by}", allowed = ceiling.count, by = ceiling.by)]
    ConnectionsCapped { asked: u32, ceiling: Ceiling },
}

/// A command line that makes no sense as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidArgs {
    #[error(
        "invalid value 'reject' for '--on-full <POLICY>': in mode {choice} nobody can accept while all workers are busy; use wait, or one of {}", names(Choice::ALL.iter().filter(|choice| choice.plan(NonZeroUsize::MIN, NonZeroUsize::MIN).can_reject()))
    )]
    CannotReject { choice: Choice },
    #[error("{flag} has no meaning in mode {mode}: only process-pool has worker processes")]
    NoWorkers { flag: &'static str, mode: Mode },
    #[error(
        "invalid value 'process-pool' for '--worker-mode <MODE>': a worker process does not start a pool of them; must be one of {}", names(Mode::ALL.iter().filter(|mode| mode.inner().is_some()))
    )]
    PoolOfPools,
}

fn names<T: ToString>(all: impl Iterator<Item = T>) -> String {
    all.map(|one| one.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

impl Args {
    /// The validated configuration.
    pub(crate) fn config(&self) -> Result<Config, InvalidArgs> {
        let choice = self.choice()?;
        let workers = self
            .workers
            .and_then(NonZeroUsize::new)
            .unwrap_or_else(processors);
        let threads = self.worker_threads.and_then(NonZeroUsize::new);
        let worker_threads = threads.unwrap_or(NonZeroUsize::MIN);
        let plan = choice.plan(workers, worker_threads);
        if self.on_full == OnFull::Reject && !plan.can_reject() {
            return Err(InvalidArgs::CannotReject { choice });
        }
        let asked = self.max_connections.and_then(NonZeroU32::new);
        let limits = Limits {
            max_connections: asked.unwrap_or_else(|| default_max_connections(plan).count),
            queue: self.queue,
            on_full: self.on_full,
            idle_timeout: self.idle_timeout(),
            drain_timeout: self.drain_timeout,
        };
        let (work, offload, fault) = (self.work, self.offload, self.fault.clone());
        Ok(Config {
            mode: choice.mode,
            workers,
            worker_mode: choice.inside,
            worker_threads,
            limits,
            work,
            offload,
            fault,
        })
    }

    /// Who runs a connection.
    fn choice(&self) -> Result<Choice, InvalidArgs> {
        let mode = self.mode;
        if mode == Mode::ProcessPool {
            let inside = self.worker_mode.unwrap_or(Mode::Sequential).inner();
            return inside.map(Choice::pool_of).ok_or(InvalidArgs::PoolOfPools);
        }
        let flag = match (self.worker_mode, self.worker_threads) {
            (Some(_), _) => "--worker-mode",
            (None, Some(_)) => "--worker-threads",
            (None, None) => return Ok(Choice::of(mode)),
        };
        Err(InvalidArgs::NoWorkers { flag, mode })
    }

    /// How to listen.
    pub(crate) fn listen_options(&self) -> ListenOptions {
        ListenOptions {
            backlog: self.backlog,
            nodelay: self.nodelay || !self.no_nodelay,
            idle_timeout: self.idle_timeout(),
        }
    }

    /// What to tell the operator about flags without effect and limits beyond reach.
    pub(crate) fn advice(&self, config: &Config, kernel_backlog: Option<u32>) -> Vec<Advice> {
        let (plan, mode, choice) = (config.plan(), config.mode, config.choice());
        let ceiling = default_max_connections(plan);
        let workers = self.workers.filter(|_| !plan.uses_workers());
        let threads = self.worker_threads.filter(|_| !plan.inside.uses_threads());
        let queue = (self.queue != Limits::QUEUE && !plan.has_queue()).then_some(self.queue);
        let backlog = kernel_backlog.filter(|allowed| self.backlog > *allowed);
        let connections = self
            .max_connections
            .filter(|asked| *asked > ceiling.count.get());
        [
            workers.map(|workers| Advice::WorkersUnused { workers, mode }),
            threads.map(|threads| Advice::ThreadsUnused { threads, choice }),
            queue.map(|queue| Advice::QueueUnused { queue, choice }),
            backlog.map(|allowed| Advice::BacklogCapped {
                asked: self.backlog,
                allowed,
            }),
            connections.map(|asked| Advice::ConnectionsCapped { asked, ceiling }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn idle_timeout(&self) -> Option<Duration> {
        (!self.idle_timeout.is_zero()).then_some(self.idle_timeout)
    }
}

fn processors() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::try_parse_from(std::iter::once("server").chain(line.split_whitespace())).unwrap()
    }

    #[test]
    fn the_defaults_are_those_of_the_library() {
        let config = args("--workers 4 --mode thread-pool").config().unwrap();
        assert_eq!(
            config,
            Config::new(Mode::ThreadPool, NonZeroUsize::new(4).unwrap())
        );
        assert_eq!(
            args("--idle-timeout 0")
                .config()
                .unwrap()
                .limits
                .idle_timeout,
            None
        );
        assert!(
            args("").listen_options().nodelay && !args("--no-nodelay").listen_options().nodelay
        );
        assert!(args("--no-nodelay --nodelay").listen_options().nodelay);
    }

    #[test]
    fn rejecting_needs_somebody_who_can_accept() {
        for choice in Choice::ALL {
            let line = format!("{} --on-full reject", choice.args().join(" "));
            let plan = choice.plan(NonZeroUsize::MIN, NonZeroUsize::MIN);
            let config = args(&line).config();
            assert_eq!(config.is_ok(), plan.can_reject(), "{choice}");
        }
    }

    #[test]
    fn a_pool_has_in_its_workers_what_was_asked_for() {
        let line = "--mode process-pool --workers 4 --worker-mode thread-pool --worker-threads 3";
        let plan = args(line).config().unwrap().plan();
        let (processes, threads) = (plan.processes.unwrap(), plan.workers);
        assert_eq!((processes.get(), threads.get()), (4, 3));
        assert_eq!(plan.inside.mode(), Mode::ThreadPool);
        let plain = args("--mode process-pool").config().unwrap();
        assert_eq!(plain.choice(), Choice::of(Mode::ProcessPool));
    }

    #[test]
    fn flags_without_effect_are_told_once_each() {
        let advice = |line: &str| {
            let args = args(line);
            args.advice(&args.config().unwrap(), Some(128)).len()
        };
        assert_eq!(advice("--mode async --backlog 100"), 0);
        assert_eq!(advice("--mode sequential --workers 4 --backlog 100"), 1);
        assert_eq!(advice("--mode async --queue 7 --backlog 129"), 2);
        let pool = "--mode process-pool --backlog 1 --worker-threads 2 --worker-mode";
        assert_eq!(advice(&format!("{pool} process-per-connection")), 1);
        assert_eq!(advice(&format!("{pool} rayon --queue 7")), 1);
        assert_eq!(
            advice("--mode async --max-connections 1000000 --backlog 1"),
            1
        );
    }
}
