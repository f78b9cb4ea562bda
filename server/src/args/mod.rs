//! The command line: what was typed, and how it becomes a [`Config`].

mod admin;
mod advice;
mod identity;
mod limits;
mod listen;
mod manager;
mod pool;

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use clap::Parser;

use cli::{Addr, Format, units};

use self::admin::AdminArgs;
pub(crate) use self::advice::{Advice, InvalidArgs};
use self::identity::IdentityArgs;
use self::limits::LimitArgs;
use self::listen::ListenArgs;
use self::manager::ManagerArgs;
use self::pool::PoolArgs;
use crate::admin::Wanted;
use crate::config::{Accept, Config, Fault, Limits, Offload, OnFull};
use crate::identity::Identity;
use crate::limits::{Ceiling, default_max_connections, processors, worker_room};
use crate::listener::ListenOptions;
use crate::log::LogFormat;
use crate::mode::{Mode, Plan};
use crate::sandbox::{self, Sandbox};
use crate::work::Work;

/// The longest time limit that can be asked for.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Echoes every byte, under the concurrency strategy of your choice.
#[derive(Debug, Parser)]
#[command(name = "server", version, max_term_width = 100)]
pub(crate) struct Args {
    /// Where to listen: host:port, [v6]:port, :port or unix:/path; port 0 picks a free one, and
    /// [::]:port takes IPv4 clients too [default: 127.0.0.1:7007, or the sockets that a service
    /// manager passed].
    pub(crate) addr: Option<Addr>,

    /// Who runs a connection.
    #[arg(long, value_name = "MODE", default_value = "async")]
    mode: Mode,

    /// Threads or processes of the modes that have a fixed number of them, 1 to 4096 [default:
    /// the processors].
    #[arg(long, value_name = "N", value_parser = units::count(1..=Config::MOST_WORKERS))]
    workers: Option<usize>,

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

    /// A fault to show on purpose: panic-on=TEXT, abort-on=TEXT, hang-on=TEXT, escape-on=TEXT or
    /// exit-at-start[=FILE].
    #[arg(long, hide = true, value_name = "FAULT")]
    fault: Option<Fault>,

    // Last, since a heading holds for all flags below it.
    #[command(flatten)]
    pool: PoolArgs,

    #[command(flatten)]
    listen: ListenArgs,

    #[command(flatten)]
    identity: IdentityArgs,

    #[command(flatten)]
    limits: LimitArgs,

    #[command(flatten)]
    admin: AdminArgs,

    #[command(flatten)]
    pub(crate) manager: ManagerArgs,
}

/// What a command line asks for, validated.
#[derive(Debug)]
pub(crate) struct Asked {
    /// How to serve.
    pub(crate) config: Config,
    /// Who to be once it listens; none where it stays who it is.
    pub(crate) identity: Option<Identity>,
    /// Where the admin endpoint shall listen, if anywhere.
    pub(crate) admin: Option<Wanted>,
}

impl Args {
    /// The validated configuration.
    pub(crate) fn config(&self) -> Result<Config, InvalidArgs> {
        let choice = self.pool.choice(self.mode)?;
        let workers = self
            .workers
            .and_then(NonZeroUsize::new)
            .unwrap_or_else(processors);
        let worker_threads = self.pool.worker_threads();
        let plan = choice.plan(workers, worker_threads);
        let limits = self.limits.limits(self.ceiling(plan), worker_room(plan));
        let accept = self.listen.accept;
        if !plan.can_accept(accept) {
            return Err(InvalidArgs::CannotAccept { accept, choice });
        }
        let addr = self.addr();
        if accept == Accept::Reuseport && matches!(addr, Addr::Unix(_)) {
            return Err(InvalidArgs::OneSocket { addr });
        }
        let (work, offload, fault) = (self.work, self.offload, self.fault.clone());
        let config = Config {
            mode: choice.mode,
            workers,
            worker_mode: choice.inside,
            worker_threads,
            accept,
            limits,
            life: self.pool.life(),
            sandbox: self.pool.sandbox(choice)?,
            work,
            offload,
            fault,
        };
        if limits.on_full == OnFull::Reject && !config.can_reject() {
            return Err(InvalidArgs::CannotReject { choice });
        }
        Ok(config)
    }

    /// The most connections that the machine lets a server have that is made like `plan`.
    pub(crate) fn ceiling(&self, plan: Plan) -> Ceiling {
        default_max_connections(plan, self.admin.descriptors())
    }

    /// All that is asked for.
    pub(crate) fn asked(&self) -> Result<Asked, InvalidArgs> {
        Ok(Asked {
            config: self.config()?,
            identity: self.identity.identity()?,
            admin: self.admin.wanted()?,
        })
    }

    /// Where to listen, if nobody else has decided that.
    pub(crate) fn addr(&self) -> Addr {
        self.addr.clone().unwrap_or_default()
    }

    /// How to listen, for a server with that configuration.
    pub(crate) fn listen_options(&self, config: &Config) -> ListenOptions {
        self.listen.options(config)
    }

    /// What to tell the operator about flags without effect and limits beyond reach.
    pub(crate) fn advice(&self, config: &Config, kernel_backlog: Option<u32>) -> Vec<Advice> {
        let (plan, mode, choice) = (config.plan(), config.mode, config.choice());
        let ceiling = self.ceiling(plan);
        let workers = self.workers.filter(|_| !plan.uses_workers());
        let threads = self.pool.worker_threads;
        let threads = threads.filter(|_| !plan.inside.uses_threads());
        let queue = self.limits.queue;
        let queue = (queue != Limits::QUEUE && !plan.has_queue()).then_some(queue);
        let all = config.admitted();
        let all = if plan.has_queue() {
            all as usize
        } else {
            config.capacity(plan)
        };
        let per_ip = config.limits.max_per_ip.map(NonZeroU32::get);
        let per_ip = per_ip.filter(|per_ip| *per_ip as usize >= all);
        let grace = self.limits.min_rate_grace.is_some() && config.limits.min_rate.is_none();
        let leaky = config.sandbox != Sandbox::Off && !sandbox::is_tight(plan.inside);
        let asked = self.listen.backlog;
        let backlog = kernel_backlog.filter(|allowed| asked > *allowed);
        let connections = self.limits.max_connections;
        let connections = connections.filter(|asked| *asked > ceiling.count.get());
        [
            workers.map(|workers| Advice::WorkersUnused { workers, mode }),
            threads.map(|threads| Advice::ThreadsUnused { threads, choice }),
            queue.map(|queue| Advice::QueueUnused { queue, choice }),
            per_ip.map(|per_ip| Advice::PerIpUnused {
                per_ip,
                all,
                choice,
            }),
            leaky.then_some(Advice::LeakyMode { choice }),
            grace.then_some(Advice::GraceUnused),
            backlog.map(|allowed| Advice::BacklogCapped { asked, allowed }),
            connections.map(|asked| Advice::connections_capped(asked, ceiling, plan)),
        ]
        .into_iter()
        .flatten()
        .chain(self.listen.advice(&self.addr()))
        .collect()
    }

    /// The same about flags that whoever bound the sockets has decided.
    pub(crate) fn advice_to_managed(&self) -> impl Iterator<Item = Advice> {
        let flags = self.listen.of_who_binds();
        flags.map(|flag| Advice::DecidedElsewhere { flag })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::config::Life;
    use crate::mode::Choice;

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
        let limits = |line| args(line).config().unwrap().limits;
        let timeouts = |line| (limits(line).idle_timeout, limits(line).write_timeout);
        let seconds = |count| Some(Duration::from_secs(count));
        assert_eq!(timeouts("--idle-timeout 0"), (None, None));
        assert_eq!(timeouts("--idle-timeout 9s"), (seconds(9), seconds(9)));
        assert_eq!(timeouts("--write-timeout 0"), (seconds(300), None));
        let both = "--write-timeout 1s --idle-timeout 2s";
        assert_eq!(timeouts(both), (seconds(2), seconds(1)));
        let grace = |line| limits(line).min_rate.map(|rate| rate.grace);
        assert_eq!(grace("--min-rate 0 --min-rate-grace 1s"), None);
        assert_eq!(grace("--min-rate 1k"), seconds(5));
        assert_eq!(grace("--min-rate 1k --min-rate-grace 1s"), seconds(1));
        let nodelay = |line| args(line).listen_options(&config).nodelay;
        assert!(nodelay("") && !nodelay("--no-nodelay") && nodelay("--no-nodelay --nodelay"));
    }

    #[test]
    fn rejecting_needs_somebody_who_can_accept() {
        for choice in Choice::ALL {
            let line = format!("{} --on-full reject", choice.args().join(" "));
            let plan = choice.plan(NonZeroUsize::MIN, NonZeroUsize::MIN);
            let config = args(&line).config();
            assert_eq!(config.is_ok(), plan.can_reject(), "{choice}");
            if plan.can_accept(Accept::Handoff) {
                args(&format!("{line} --accept handoff")).config().unwrap();
            }
        }
    }

    #[test]
    fn who_accepts_must_be_there() {
        for choice in Choice::ALL {
            let plan = choice.plan(NonZeroUsize::MIN, NonZeroUsize::MIN);
            for (accept, name) in [
                (Accept::Shared, "shared"),
                (Accept::Reuseport, "reuseport"),
                (Accept::Handoff, "handoff"),
            ] {
                let line = format!("{} --accept {name}", choice.args().join(" "));
                let config = args(&line).config();
                assert_eq!(config.is_ok(), plan.can_accept(accept), "{line}");
            }
        }
        let sockets = |line: &str| args(line).config().unwrap().sockets().get();
        let three = "--workers 3 --accept reuseport --mode";
        assert_eq!(sockets(&format!("{three} epoll")), 3);
        let pool = format!("{three} process-pool --worker-mode epoll --worker-threads 2");
        assert_eq!(sockets(&pool), 3);
        assert_eq!(sockets("--workers 3 --mode epoll"), 1);
        let on_a_path = "unix:/a --mode process-pool --accept";
        assert!(args(&format!("{on_a_path} reuseport")).config().is_err());
        assert!(args(&format!("{on_a_path} handoff")).config().is_ok());
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
    fn the_life_of_a_worker_is_bounded_as_it_was_typed() {
        let life = |line: &str| {
            let config = args(&format!("--mode process-pool {line}")).config();
            config.unwrap().life
        };
        let forever = life("--hang-timeout 0 --max-requests 0");
        assert_eq!((forever.hang_timeout, forever.max_requests), (None, None));
        let bounded = life("--hang-timeout 2m --max-requests 5 --max-requests-jitter 3");
        assert_eq!(bounded.hang_timeout, Some(Duration::from_secs(120)));
        let requests = bounded.max_requests.map(NonZeroU64::get);
        assert_eq!((requests, bounded.max_requests_jitter), (Some(5), 3));
        assert_eq!(life(""), Life::default());
    }

    #[test]
    fn flags_without_effect_are_told_once_each() {
        let advice = |line: &str| {
            let args = args(line);
            args.advice(&args.config().unwrap(), Some(128)).len()
        };
        assert_eq!(advice("--mode async --backlog 100"), 0);
        assert_eq!(advice("--backlog 1 --min-rate-grace 1s --min-rate 9"), 0);
        assert_eq!(advice("--backlog 1 --min-rate-grace 1s"), 1);
        let per_ip = |line: &str| advice(&format!("--backlog 1 --max-per-ip {line}"));
        assert_eq!(per_ip("9 --max-connections 10"), 0);
        assert_eq!(per_ip("10 --max-connections 10"), 1);
        assert_eq!(per_ip("1 --mode sequential"), 1);
        assert_eq!(per_ip("8 --mode thread-pool --workers 2 --queue 7"), 0);
        assert_eq!(per_ip("2 --mode process-pool --workers 2"), 1);
        assert_eq!(advice("--mode sequential --workers 4 --backlog 100"), 1);
        assert_eq!(advice("--mode async --queue 7 --backlog 129"), 2);
        let pool = "--mode process-pool --backlog 1 --worker-threads 2 --worker-mode";
        assert_eq!(advice(&format!("{pool} process-per-connection")), 1);
        assert_eq!(advice(&format!("{pool} rayon --queue 7")), 1);
        assert_eq!(
            advice("--mode async --max-connections 1000000 --backlog 1"),
            1
        );
        let pool = "--mode process-pool --worker-mode epoll --workers 2 --max-connections";
        assert_eq!(advice(&format!("{pool} 1000000 --backlog 1")), 1);
        assert_eq!(advice(&format!("{pool} 100 --backlog 1")), 0);
        let ipv6_only = |addr: &str| advice(&format!("{addr} --backlog 1 --ipv6-only"));
        let told = ["[::]:0", "some.name:0", ":0", "[::1]:0", "unix:/a"].map(ipv6_only);
        assert_eq!(told, [0, 0, 1, 1, 1]);
        let tcp = "--keepalive 1m --user-timeout 1s --recv-buffer 64KiB --no-nodelay";
        let of_tcp = |addr: &str| advice(&format!("{addr} --backlog 1 --send-buffer 1KiB {tcp}"));
        assert_eq!((of_tcp(":0"), of_tcp("unix:/a")), (0, 4));
        assert_eq!(
            advice("--recv-buffer 1GiB --send-buffer 1GiB --backlog 1"),
            2
        );
    }
}
