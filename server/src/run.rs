//! One process that serves: from a listener to a finished drain.

use std::io;
use std::sync::Arc;
use std::thread;

use cli::Addr;
use tracing::debug;

use crate::accept;
use crate::board::{Board, Counters};
use crate::config::{Config, WorkerCommand};
use crate::conn::Shared;
use crate::executor::{Context, Strategy};
use crate::gate::Gate;
use crate::lead::Lead;
use crate::listener::Listener;
use crate::mode::{Choice, Inner, Mode};
use crate::orders::Control;
use crate::process;
use crate::pulse::{self, Pulse};
use crate::source::Source;
use crate::status::{Member, Observer, State};
use crate::sys::ring::{self, Unavailable};

/// What a server says of itself once it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Where it listens.
    pub addr: Addr,
    /// The strategy.
    pub mode: Mode,
    /// Workers that stand ready.
    pub workers: usize,
    /// Long-lived clients that are served at once.
    pub capacity: usize,
}

/// What a server says of itself at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// All that was counted.
    pub counters: Counters,
    /// Connections that were still open when even the bounded wait was over.
    pub left: usize,
}

/// Why a server ended otherwise than on request.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The workers of the pool die again and again.
    #[error(
        "crash loop: a worker died early {deaths} times in a row, at last it {last}; its last words: {}",
        if words.is_empty() { "none" } else { words }
    )]
    CrashLoop {
        /// How many.
        deaths: u32,
        /// How the last one ended.
        last: String,
        /// The last lines that it wrote to its standard error, as one.
        words: String,
    },
    /// The machine lacks, or forbids, what the mode is made of.
    #[error("mode {} cannot run here: {lack}; use {alternative}", Mode::IoUring)]
    Unsupported {
        /// What, and why.
        lack: String,
        /// What to type instead.
        alternative: &'static str,
    },
    /// The workers cannot be locked in as it is required.
    #[error(
        "--sandbox require: this machine cannot give its workers {lack}; use --sandbox best-effort, or a kernel that has it"
    )]
    Sandbox {
        /// What, and why.
        lack: String,
    },
    /// The system refuses something that serving needs.
    #[error("cannot serve: {0}")]
    System(#[from] io::Error),
}

/// Whether this machine has what a strategy is made of. To be asked first: [`Server::run`] would only find
/// out in each of its workers.
///
/// # Errors
///
/// [`RunError::Unsupported`], or [`RunError::System`] when it cannot be found out just now.
pub fn probe(choice: Choice) -> Result<(), RunError> {
    let is_pool = choice.mode.inner().is_none();
    let inside = choice.mode.inner().unwrap_or(choice.inside);
    if inside != Inner::IoUring {
        return Ok(());
    }
    ring::probe().map_err(|unavailable| match unavailable {
        Unavailable::System(error) => RunError::System(error),
        lack @ Unavailable::Feature { .. } => RunError::Unsupported {
            lack: lack.to_string(),
            alternative: if is_pool {
                "--worker-mode epoll"
            } else {
                "--mode epoll"
            },
        },
    })
}

/// A server that listens and serves nobody yet.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    config: Config,
    gate: Gate,
    board: Arc<Board>,
    observer: Observer,
}

impl Server {
    /// One that will serve at `listener`.
    ///
    /// # Errors
    ///
    /// When memory or descriptors are short.
    pub fn new(listener: Listener, config: Config) -> io::Result<Self> {
        let plan = config.plan();
        let board = match plan.processes {
            // A slot for each worker that there may be, for its successor, and for the master.
            Some(_) => Board::of(&config, 2 * config.most_workers() + 1)?.without_owners(),
            None => Board::of(&config, 1 + plan.workers.get())?,
        };
        let board = Arc::new(board);
        Ok(Self {
            observer: Observer::new(&config, &board, &listener)?,
            gate: Gate::new(config.admitted())?,
            board,
            listener,
            config,
        })
    }

    /// Whoever wants to know how it goes.
    #[must_use]
    pub fn observer(&self) -> &Observer {
        &self.observer
    }

    /// Serves until `control` says stop, and through the drain that follows. `on_ready` is called
    /// once, when the workers are up and connections are taken.
    ///
    /// `worker` is how the modes that need it start a process of their own.
    ///
    /// # Errors
    ///
    /// [`RunError`] when it cannot start or its workers do not live. What clients do is no error.
    pub fn run(
        self,
        worker: &WorkerCommand,
        control: &Control,
        on_ready: impl FnOnce(Ready),
    ) -> Result<Drained, RunError> {
        let (board, plan) = (Arc::clone(&self.board), self.config.plan());
        let ready = Ready {
            addr: self.listener.addr().clone(),
            mode: self.config.mode,
            workers: plan.standing_workers(),
            capacity: self.config.capacity(plan),
        };
        let on_ready = || on_ready(ready);
        let left = if plan.processes.is_some() {
            self.supervise(worker, control, on_ready)?
        } else {
            self.serve(worker, control, on_ready)?
        };
        Ok(Drained {
            counters: board.totals(),
            left,
        })
    }

    fn supervise(
        self,
        worker: &WorkerCommand,
        control: &Control,
        on_ready: impl FnOnce(),
    ) -> Result<usize, RunError> {
        let (config, board) = (&self.config, &self.board);
        let how = (config, &control.stop, worker);
        let pool = process::Pool {
            intake: process::Intake::begin(self.listener, &self.gate, board, how)?,
            gate: self.gate,
            board,
            config,
            observer: &self.observer,
            worker,
            control,
        };
        process::supervise(pool, on_ready)
    }

    fn serve(
        self,
        worker: &WorkerCommand,
        control: &Control,
        on_ready: impl FnOnce(),
    ) -> Result<usize, RunError> {
        let pid = std::process::id();
        self.board[0].take_over(pid);
        self.observer.roster().members = vec![Member::new(0, pid, Counters::default())];
        let board = Arc::clone(&self.board);
        let lead = Arc::new(Lead::new(control, self.observer, board));
        let leads = Arc::clone(&lead);
        let mut shared = Shared::new(self.config, control.stop.clone(), self.board, 0)?;
        // Where nobody watches the server, it does not watch itself.
        shared.pulse = Pulse::new(control.herald.watchdog());
        let shared = Arc::new(shared);
        pulse::start(&shared, "the service manager's watchdog", || ())?;
        let cx = Context {
            end: Some(self.listener.end()?),
            sources: split(self.listener),
            gate: self.gate,
            seats: None,
            worker: worker.clone(),
            shared,
        };
        let left = serve(cx, Some(lead), move || {
            leads.enter(State::Ready);
            on_ready();
        })?;
        Ok(left)
    }
}

fn split(listener: Listener) -> Vec<Source> {
    listener.split().into_iter().map(Source::Listener).collect()
}

/// Serves in this process; returns how many connections the drain had to leave open. `lead` leads it
/// where no master does.
///
/// # Errors
///
/// When the executor cannot start or the listener is unusable.
pub(crate) fn serve(
    cx: Context,
    lead: Option<Arc<Lead>>,
    on_ready: impl FnOnce(),
) -> io::Result<usize> {
    let (shared, end) = (Arc::clone(&cx.shared), cx.end.clone());
    let strategy = Strategy::build(shared.config.plan(), &cx)?;
    // A thread of its own, since all others may be busy when the drain or its deadline comes.
    let drained = Arc::clone(&shared);
    let drain = thread::Builder::new().name("drain".into());
    let drain = drain.spawn(move || drained.drain(end, lead.as_deref()))?;
    let served = match strategy {
        Strategy::Owning(executor) => executor.run(cx, Box::new(on_ready)),
        Strategy::Blocking(dispatch) => {
            let accepted = accept::serve(&cx, &dispatch, on_ready);
            // The port is free, and nobody waits in vain, while the open connections are served on.
            drop(cx);
            accepted.map(|()| 0)
        }
    };
    shared.stop.drain();
    shared.registry.complete();
    let left = drain
        .join()
        .map_err(|_| io::Error::other("the drain panicked"))?;
    debug!(left, "drained");
    served.map(|unfinished| unfinished + left)
}
