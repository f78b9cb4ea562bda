//! What a server is asked to do: validated values, no flags and no environment.

use std::ffi::OsString;
use std::io;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::escape;
use crate::limits;
use crate::mode::{Choice, Inner, Mode, Plan};
use crate::sandbox::Sandbox;
use crate::work::Work;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The strategy.
    pub mode: Mode,
    /// Threads or processes of those modes that have a fixed number of them.
    pub workers: NonZeroUsize,
    /// What runs inside the worker processes of [`Mode::ProcessPool`].
    pub worker_mode: Inner,
    /// Threads inside each worker process, where its mode has a fixed number of them.
    pub worker_threads: NonZeroUsize,
    /// Who accepts, where there are several who could.
    pub accept: Accept,
    /// What bounds it.
    pub limits: Limits,
    /// What bounds the life of a worker process.
    pub life: Life,
    /// Whether its worker processes are locked in.
    pub sandbox: Sandbox,
    /// What a message costs before it is echoed.
    pub work: Work,
    /// Where computation is done.
    pub offload: Offload,
    /// A fault to show on purpose.
    pub fault: Option<Fault>,
}

/// Everything has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Connections inside the server at once, over all its processes.
    pub max_connections: NonZeroU32,
    /// Connections inside one worker process at once, which is full before the server is.
    pub per_worker: NonZeroU32,
    /// Connections of one address inside the server at once, over all its processes.
    pub max_per_ip: Option<NonZeroU32>,
    /// Connections that may wait inside the server for a worker of a pool.
    pub queue: u32,
    /// What the next one meets when the server is full.
    pub on_full: OnFull,
    /// Silence after which a connection is closed.
    pub idle_timeout: Option<Duration>,
    /// How long a peer may take none of the bytes that are there for it.
    pub write_timeout: Option<Duration>,
    /// How fast a message must come once it has begun.
    pub min_rate: Option<MinRate>,
    /// How long a drain serves on what is still busy.
    pub drain_timeout: Duration,
}

/// How fast a message must come once it has begun; it is complete at its `\n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinRate {
    /// Bytes per second.
    pub bytes_per_s: NonZeroU32,
    /// The time that it has whatever its length.
    pub grace: Duration,
}

/// When a worker process has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Reads that brought bytes, after which it is replaced.
    pub max_requests: Option<NonZeroU64>,
    /// By how many more at the most, which each worker draws for itself, so that not all are
    /// replaced at the same time.
    pub max_requests_jitter: u64,
    /// It hangs if one of those who serve works on one step for so long, or none of it moves.
    pub hang_timeout: Option<Duration>,
}

/// Who accepts, where there are several who could.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Accept {
    /// All of them, at one listening socket: whoever has time takes the next.
    #[default]
    Shared,
    /// All of them, each at a listening socket of its own (`SO_REUSEPORT`): the kernel deals the
    /// connections out, and does not know who has time.
    Reuseport,
    /// The master of a process pool, which hands each connection to the least loaded worker.
    Handoff,
}

/// What a client meets when the server is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum OnFull {
    /// It stays in the kernel's accept queue: connected, unserved.
    #[default]
    Wait,
    /// It is accepted, closed at once and counted.
    Reject,
}

/// Where computation is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Offload {
    /// On the thread that serves the connection.
    #[default]
    Inline,
    /// On a compute pool of its own, with a thread per processor.
    Rayon,
}

/// Something that goes wrong on purpose, so that surviving it can be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// Panic when a read contains this text.
    PanicOn(String),
    /// End the whole process on the spot (abort(3)) when a read contains this text.
    AbortOn(String),
    /// Work for ever when a read contains this text.
    HangOn(String),
    /// Try everything that a sandbox refuses when a read contains this text.
    EscapeOn(String),
    /// A worker process ends before it is ready, once this file exists if one is named.
    ExitAtStart(Option<PathBuf>),
}

impl Fault {
    /// Happens, if these bytes were read for it.
    ///
    /// # Panics
    ///
    /// If that is the fault.
    pub(crate) fn strike(&self, bytes: &[u8]) {
        let has = |text: &String| memchr::memmem::find(bytes, text.as_bytes()).is_some();
        match self {
            Self::PanicOn(text) => assert!(!has(text), "the fault that --fault asked for"),
            Self::AbortOn(text) if has(text) => std::process::abort(),
            Self::HangOn(text) if has(text) => loop {
                std::thread::park();
            },
            Self::EscapeOn(text) if has(text) => escape::try_everything(),
            Self::AbortOn(_) | Self::HangOn(_) | Self::EscapeOn(_) | Self::ExitAtStart(_) => {}
        }
    }
}

impl Fault {
    /// Happens to a process that is about to serve, if it is for such a one.
    ///
    /// # Errors
    ///
    /// The fault.
    pub(crate) fn strike_at_start(&self) -> io::Result<()> {
        match self {
            Self::ExitAtStart(file) if file.as_ref().is_none_or(|file| file.exists()) => {
                Err(io::Error::other("the fault that --fault asked for"))
            }
            _ => Ok(()),
        }
    }
}

impl std::str::FromStr for Fault {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some(("panic-on", text)) if !text.is_empty() => Ok(Self::PanicOn(text.into())),
            Some(("abort-on", text)) if !text.is_empty() => Ok(Self::AbortOn(text.into())),
            Some(("hang-on", text)) if !text.is_empty() => Ok(Self::HangOn(text.into())),
            Some(("escape-on", text)) if !text.is_empty() => Ok(Self::EscapeOn(text.into())),
            Some(("exit-at-start", file)) if !file.is_empty() => {
                Ok(Self::ExitAtStart(Some(file.into())))
            }
            None if text == "exit-at-start" => Ok(Self::ExitAtStart(None)),
            _ => Err(
                "must be panic-on=TEXT, abort-on=TEXT, hang-on=TEXT, escape-on=TEXT or \
                 exit-at-start[=FILE]",
            ),
        }
    }
}

/// The programs that a server starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// A worker, or the process of one connection.
    pub worker: WorkerCommand,
    /// The server itself, when it is upgraded.
    pub server: ServerCommand,
}

/// How the server is started anew: this command must end up in [`crate::entry`], with the server's own
/// arguments after these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCommand {
    /// The program to run. Its path is kept and not its file, since a new file there is the point.
    pub program: PathBuf,
    /// What comes before the server's own arguments.
    pub args: Vec<OsString>,
}

/// How a worker process is started: this command must end up in [`crate::worker_entry`].
///
/// It is a value that the caller passes in because the running program is not always the server:
/// the lab and the tests are programs of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerCommand {
    /// The program to run.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

impl WorkerCommand {
    /// The running program, by the kernel's own hold on it: that is neither closed by the rights of
    /// a directory, once the user is another one, nor replaced when a new program gets its path.
    #[must_use]
    pub fn this_program(args: Vec<OsString>) -> Self {
        // Whoever is about to execute it is a copy of this process, so that it is the same program.
        let program = PathBuf::from("/proc/self/exe");
        Self { program, args }
    }
}

impl Config {
    /// A server in that mode with everything else as the command line's defaults have it.
    #[must_use]
    pub fn new(choice: impl Into<Choice>, workers: NonZeroUsize) -> Self {
        let choice: Choice = choice.into();
        let plan = choice.plan(workers, NonZeroUsize::MIN);
        let limits = Limits {
            max_connections: limits::default_max_connections(plan, 0).count,
            per_worker: limits::worker_room(plan).count,
            max_per_ip: None,
            queue: Limits::QUEUE,
            on_full: OnFull::Wait,
            idle_timeout: Some(Limits::IDLE_TIMEOUT),
            write_timeout: Some(Limits::IDLE_TIMEOUT),
            min_rate: None,
            drain_timeout: Limits::DRAIN_TIMEOUT,
        };
        Self {
            mode: choice.mode,
            workers,
            worker_mode: choice.inside,
            worker_threads: NonZeroUsize::MIN,
            accept: Accept::Shared,
            limits,
            life: Life::default(),
            sandbox: Sandbox::Off,
            work: Work::None,
            offload: Offload::Inline,
            fault: None,
        }
    }

    /// What the mode is made of.
    #[must_use]
    pub fn plan(&self) -> Plan {
        self.choice().plan(self.workers, self.worker_threads)
    }

    /// The most workers, of whatever kind, that a server has by default.
    pub const MOST_WORKERS: usize = 4096;

    /// The most workers that this one may come to have.
    pub(crate) fn most_workers(&self) -> usize {
        self.workers.get().max(Self::MOST_WORKERS)
    }

    /// Who runs a connection.
    #[must_use]
    pub fn choice(&self) -> Choice {
        Choice {
            mode: self.mode,
            inside: self.worker_mode,
        }
    }

    /// Whether somebody is free to accept, and so to reject, while every worker is busy.
    #[must_use]
    pub fn can_reject(&self) -> bool {
        self.accept == Accept::Handoff || self.plan().can_reject()
    }

    /// How many sockets listen.
    #[must_use]
    pub fn sockets(&self) -> NonZeroUsize {
        let plan = self.plan();
        match self.accept {
            Accept::Reuseport => plan.processes.unwrap_or(plan.workers),
            Accept::Shared | Accept::Handoff => NonZeroUsize::MIN,
        }
    }

    /// The configuration of one worker process: what the plan has inside, without the processes.
    pub(crate) fn inside_worker(&self) -> Self {
        let limits = Limits {
            max_connections: self.limits.max_connections.min(self.limits.per_worker),
            ..self.limits
        };
        Self {
            mode: self.plan().inside.mode(),
            workers: self.plan().workers,
            limits,
            ..self.clone()
        }
    }

    /// Connections that each worker process may have at once, where that is less than all.
    pub(crate) fn seats(&self) -> Option<u32> {
        let plan = self.plan();
        let of_mode = match self.accept {
            Accept::Handoff => plan.seats_to_hand_out(),
            Accept::Shared | Accept::Reuseport => plan.seats(),
        };
        let of_mode = of_mode.and_then(|seats| u32::try_from(seats.get()).ok());
        // One that serves the connection it accepts has no other.
        let several = plan.processes.is_some() && plan.inside != Inner::Sequential;
        let of_process = several.then_some(self.limits.per_worker.get());
        let of_process = of_process.filter(|seats| *seats < self.limits.max_connections.get());
        of_mode.into_iter().chain(of_process).min()
    }

    /// How many long-lived clients a server that is made like `plan` serves at once.
    pub(crate) fn capacity(&self, plan: Plan) -> usize {
        let each = self.limits.per_worker.get() as usize;
        let workers = plan.processes.map_or(usize::MAX, NonZeroUsize::get);
        let all = plan.capacity(self.limits.max_connections.get());
        all.min(workers.saturating_mul(each))
    }

    /// How many connections may be inside at once: where there is a queue, the workers and the
    /// queue bound it too. Where the next one is rejected, it must be known when all workers are
    /// full; where it waits, there may be more workers later on.
    #[must_use]
    pub fn admitted(&self) -> u32 {
        let limit = self.limits.max_connections.get();
        let workers = u32::try_from(self.workers.get()).unwrap_or(u32::MAX);
        if self.plan().has_queue() {
            limit.min(workers.saturating_add(self.limits.queue))
        } else if self.plan().processes.is_some() && self.limits.on_full == OnFull::Reject {
            limit.min(workers.saturating_mul(self.limits.per_worker.get()))
        } else {
            limit
        }
    }
}

impl Life {
    /// The limit for a worker that hangs by default: longer than any request should take.
    pub const HANG_TIMEOUT: Duration = Duration::from_secs(30);
}

impl Default for Life {
    /// As long as it is well.
    fn default() -> Self {
        Self {
            max_requests: None,
            max_requests_jitter: 0,
            hang_timeout: Some(Self::HANG_TIMEOUT),
        }
    }
}

impl Limits {
    /// Connections that wait inside a pool by default: enough for a burst, and few enough that
    /// the rest stays where the kernel can push back.
    pub const QUEUE: u32 = 64;
    /// The idle limit by default, and so the write limit.
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
    /// The time by default that a message may take whatever its length, where there is a minimum rate.
    pub const MIN_RATE_GRACE: Duration = Duration::from_secs(5);
    /// The time for a drain by default.
    pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
    /// The accept queue by default, in connections; the kernel may allow less.
    pub const BACKLOG: u32 = 4096;
}
