//! What is said about a command line: what makes no sense, and what has no effect.

use std::num::NonZeroUsize;

use clap::ValueEnum;
use cli::Addr;

use crate::config::{Accept, Config};
use crate::limits::{Ceiling, worker_room};
use crate::mode::{Choice, Inner, Mode, Plan};

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
        "--max-per-ip {per_ip} bounds nobody: all addresses together have {all} at most in mode {choice}"
    )]
    PerIpUnused {
        per_ip: u32,
        all: usize,
        choice: Choice,
    },
    #[error("--min-rate-grace has no meaning without --min-rate")]
    GraceUnused,
    #[error(
        "--backlog {asked} is more than the kernel allows: it is {allowed} (net.core.somaxconn)"
    )]
    BacklogCapped { asked: u32, allowed: u32 },
    #[error("{flag} {asked} is more than the kernel allows: it is {allowed} ({setting})")]
    BufferCapped {
        flag: &'static str,
        asked: String,
        allowed: String,
        setting: &'static str,
    },
    #[error("{flag} has no meaning for {addr}: it says something about TCP only")]
    TcpOnly { flag: &'static str, addr: Addr },
    #[error(
        "--accept reuseport: whom the kernel deals to a worker that is busy or hangs waits for that one, though others are free"
    )]
    DealtBlindly,
    #[error(
        "{flag} has no meaning for sockets that a service manager passed: it was decided where they were bound (Backlog=, BindIPv6Only= of the .socket unit)"
    )]
    DecidedElsewhere { flag: &'static str },
    #[error("--sandbox best-effort: in mode {choice} {}, so that not all is closed to them", leak(choice.inside))]
    LeakyMode { choice: Choice },
    #[error("--ipv6-only has no meaning for {addr}: only [::] stands for IPv4 too")]
    Ipv6OnlyUnused { addr: Addr },
    #[error("--max-connections {asked} is more than the machine allows: about {allowed}, by {by}", allowed = ceiling.count, by = ceiling.by)]
    ConnectionsCapped { asked: u32, ceiling: Ceiling },
    #[error("--max-connections {asked} is more than {workers} workers can have, {} each by {}: it takes --workers {needed}", each.count, each.by)]
    WorkersCapped {
        asked: u32,
        workers: usize,
        each: Ceiling,
        needed: u32,
    },
}

impl Advice {
    /// What would allow `asked` connections, which are more than a server made like `plan` can have:
    /// more workers, where it is theirs to have them.
    pub(super) fn connections_capped(asked: u32, ceiling: Ceiling, plan: Plan) -> Self {
        let each = worker_room(plan);
        let capped = plan.processes.filter(|_| ceiling.by == each.by);
        let needed = asked.div_ceil(each.count.get());
        match capped.filter(|_| needed as usize <= Config::MOST_WORKERS) {
            Some(workers) => Self::WorkersCapped {
                asked,
                workers: workers.get(),
                each,
                needed,
            },
            None => Self::ConnectionsCapped { asked, ceiling },
        }
    }
}

/// A command line that makes no sense as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidArgs {
    #[error(
        "invalid value 'reject' for '--on-full <POLICY>': in mode {choice} nobody can accept while all workers are busy; use wait, --accept handoff with process-pool, or one of {}", names(Choice::ALL.iter().filter(|choice| choice.plan(NonZeroUsize::MIN, NonZeroUsize::MIN).can_reject()))
    )]
    CannotReject { choice: Choice },
    #[error(
        "invalid value '{}' for '--accept <WHO>': mode {choice} has nobody but one to accept; use shared, or {}", typed(*accept), modes_that_accept(*accept)
    )]
    CannotAccept { accept: Accept, choice: Choice },
    #[error(
        "invalid value 'reuseport' for '--accept <WHO>': {addr} can have one listening socket only; use shared or handoff"
    )]
    OneSocket { addr: Addr },
    #[error(
        "{addr} was typed, and listening sockets were passed to the server (LISTEN_FDS): give it one or the other"
    )]
    TwoPlaces { addr: Addr },
    #[error(
        "invalid value 'require' for '--sandbox <HOW>': in mode {choice} {}; use best-effort, or another mode", leak(choice.inside)
    )]
    LeakyMode { choice: Choice },
    #[error("--group has no meaning without --user: a server that stays root keeps its rights")]
    GroupOfRoot,
    #[error("--user {user} has no group of its own here but root's, or none; give --group")]
    NoGroup { user: String },
    #[error("{flag} has no meaning in mode {mode}: only process-pool has worker processes")]
    NoWorkers { flag: &'static str, mode: Mode },
    #[error(
        "--max-requests-jitter {jitter} has no meaning without --max-requests: workers are replaced only if that is given"
    )]
    JitterOfNothing { jitter: u64 },
    #[error(
        "invalid value 'process-pool' for '--worker-mode <MODE>': a worker process does not start a pool of them; must be one of {}", names(Mode::ALL.iter().filter(|mode| mode.inner().is_some()))
    )]
    PoolOfPools,
    #[error("{flag} has no meaning without --admin: it says who may ask there")]
    NoAdmin { flag: &'static str },
    #[error(
        "invalid value '{addr}' for '--admin <ADDR>': must be a loopback address, localhost or unix:/path, unless --admin-allow-remote and --admin-token-file say who else may ask"
    )]
    RemoteAdmin { addr: Addr },
    #[error(
        "--admin-allow-remote needs --admin-token-file: other machines must prove that they may ask"
    )]
    RemoteWithoutToken,
}

/// Why a mode cannot be locked in for good.
fn leak(inside: Inner) -> &'static str {
    match inside {
        Inner::ProcessPerConnection => "workers have to load programs",
        _ => "workers have rings, whose operations pass no filter of system calls",
    }
}

fn typed(value: impl ValueEnum) -> String {
    let typed = value.to_possible_value();
    typed.map_or_else(String::new, |typed| typed.get_name().to_owned())
}

/// Those with which that makes sense, whatever their workers do inside.
fn modes_that_accept(accept: Accept) -> String {
    let mut modes: Vec<Mode> = Vec::new();
    for choice in Choice::ALL {
        let plan = choice.plan(NonZeroUsize::MIN, NonZeroUsize::MIN);
        if plan.can_accept(accept) && !modes.contains(&choice.mode) {
            modes.push(choice.mode);
        }
    }
    match &modes[..] {
        [only] => format!("mode {only}"),
        several => format!("one of {}", names(several.iter())),
    }
}

fn names<T: ToString>(all: impl Iterator<Item = T>) -> String {
    all.map(|one| one.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}
