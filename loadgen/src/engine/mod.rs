//! Runs the clients: a thread per core with an epoll set each, nothing shared per request.
//!
//! ```text
//! run ──▶ Worker × threads ──Frozen──▶ merge
//!  ▲  └─ watches for Ctrl-C and for a target where nobody listens
//!  └──── lets the workers close their sockets only when all have frozen their counters
//! ```
//!
//! Invariant: no socket of the run closes at its end before every counter of the run is frozen. A
//! pool that is released by the first closing clients would serve the waiting ones and make them
//! look served.

mod link;
mod live;
mod preflight;
mod shared;
mod slots;
mod socket;
mod stop;
mod target;
mod timers;
mod window;
mod worker;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, Scope};
use std::time::Duration;

use cli::Interrupt;

use crate::census::Census;
use crate::failure::Failure;
use crate::kernel::{self, ListenTrouble};
use crate::tally::Tally;
use crate::time::{Clock, Moment};
use crate::{Config, Progress, RunError, Steer};
use live::Live;
use shared::Shared;
use target::Target;
use worker::Worker;

/// How often the coordinator looks at the signal and at the progress.
const TICK: Duration = Duration::from_millis(20);

/// What all threads together found out.
#[derive(Debug)]
pub(crate) struct Collected {
    /// The counters.
    pub(crate) tally: Tally,
    /// The clients.
    pub(crate) census: Census,
    /// When the run began by the wall clock, in seconds since 1970.
    pub(crate) started_unix_s: f64,
    /// When the last thread froze its counters.
    pub(crate) frozen: Moment,
    /// Whether a signal ended the run.
    pub(crate) interrupted: bool,
    /// Share of the window that the busiest thread spent on a processor; none without a window.
    pub(crate) load: Option<f64>,
    /// What the kernel's listeners refused or dropped meanwhile, on this machine.
    pub(crate) trouble: Option<ListenTrouble>,
}

/// What one thread found out, frozen.
#[derive(Debug)]
struct Frozen {
    tally: Tally,
    census: Census,
    at: Moment,
    load: Option<f64>,
    first_failure: Option<(Failure, io::Error)>,
}

/// Runs `config` to its end.
///
/// # Errors
///
/// [`RunError`] when nobody could connect or the system refuses what the engine needs.
pub(crate) fn run(
    config: &Config,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(Progress) -> Steer,
) -> Result<Collected, RunError> {
    preflight::check(config)?;
    let target = Target::resolve(&config.target)?;
    let lives: Vec<_> = (0..config.threads.get())
        .map(|_| Arc::new(Live::default()))
        .collect();
    let shared = Shared::new(config, target)?;
    let workers = lives
        .iter()
        .enumerate()
        .map(|(thread, live)| Worker::new(&shared, thread, Arc::clone(live)))
        .collect::<io::Result<Vec<_>>>()?;
    let before = ListenTrouble::read();
    let started_unix_s = kernel::unix_seconds();
    let results = thread::scope(|scope| {
        let clock = Clock::start();
        let team = Team::start(scope, workers, clock)?;
        let watch = Watch {
            shared: &shared,
            lives: &lives,
            clock,
            config,
        };
        Ok::<_, RunError>(watch.collect(&team.inbox, interrupt, progress))
    })?;
    let after = ListenTrouble::read();
    let collected = merge(results, config, interrupt, before.zip(after))?;
    Ok(Collected {
        started_unix_s,
        ..collected
    })
}

/// The workers at work.
struct Team {
    /// What each of them found out.
    inbox: Receiver<io::Result<Frozen>>,
    /// Their sockets close when this is dropped.
    _release: Vec<mpsc::Sender<()>>,
}

impl Team {
    fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        workers: Vec<Worker<'scope>>,
        clock: Clock,
    ) -> io::Result<Self> {
        let (results, inbox) = mpsc::channel();
        let mut holds = Vec::new();
        for (number, mut worker) in workers.into_iter().enumerate() {
            let (hold, release) = mpsc::channel::<()>();
            let results = results.clone();
            holds.push(hold);
            thread::Builder::new()
                .name(format!("loadgen-{number}"))
                .spawn_scoped(scope, move || {
                    let _ = results.send(worker.work(clock));
                    // The coordinator must not wait for a thread that has nothing more to say.
                    drop(results);
                    let _ = release.recv();
                })?;
        }
        Ok(Self {
            inbox,
            _release: holds,
        })
    }
}

/// What the coordinator watches while the workers work.
struct Watch<'a> {
    shared: &'a Shared,
    lives: &'a [Arc<Live>],
    clock: Clock,
    config: &'a Config,
}

impl Watch<'_> {
    /// Waits for all workers, or what is left of them.
    fn collect(
        &self,
        inbox: &Receiver<io::Result<Frozen>>,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(Progress) -> Steer,
    ) -> Vec<io::Result<Frozen>> {
        let mut results = Vec::new();
        let mut recent = live::LastSecond::default();
        while results.len() < self.lives.len() {
            match inbox.recv_timeout(TICK) {
                Ok(result) => results.push(result),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let sum = Live::sum(self.lives);
            if interrupt.signal().is_some() || sum.nobody_is_there() {
                self.shared.stop.raise();
            }
            let now = self.clock.now();
            recent.note(now, sum);
            let seen = Progress {
                asked: self.config.connections.get(),
                warming_up: now.elapsed().unwrap_or_default() < self.config.warmup,
                recent: recent.figures(),
                ..sum.progress(now)
            };
            if progress(seen) == Steer::Stop {
                self.shared.stop.raise();
            }
        }
        results
    }
}

fn merge(
    results: Vec<io::Result<Frozen>>,
    config: &Config,
    interrupt: &Interrupt,
    trouble: Option<(ListenTrouble, ListenTrouble)>,
) -> Result<Collected, RunError> {
    let mut collected = Collected {
        tally: Tally::new(),
        census: Census::default(),
        started_unix_s: 0.0,
        frozen: Moment::START,
        interrupted: interrupt.signal().is_some(),
        load: None,
        trouble: trouble.map(|(before, after)| after.since(before)),
    };
    let mut first_failure = None;
    for frozen in results {
        let frozen = frozen?;
        collected.tally.merge(&frozen.tally);
        collected.census.merge(&frozen.census);
        collected.frozen = collected.frozen.max(frozen.at);
        collected.load = [collected.load, frozen.load]
            .into_iter()
            .flatten()
            .reduce(f64::max);
        first_failure = first_failure.or(frozen.first_failure);
    }
    if collected.tally.connected > 0 {
        return Ok(collected);
    }
    let target = config.target.to_string();
    match first_failure {
        Some((kind, source)) => Err(match kind.remedy() {
            Some(remedy) => RunError::Limit(remedy.to_owned()),
            None => RunError::NoConnection { target, source },
        }),
        None if collected.interrupted => Ok(collected),
        None => {
            let source = io::Error::new(
                io::ErrorKind::TimedOut,
                "no answer to any attempt before the run ended",
            );
            Err(RunError::NoConnection { target, source })
        }
    }
}
