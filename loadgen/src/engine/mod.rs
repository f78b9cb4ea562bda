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

mod batch;
mod desk;
#[cfg(test)]
mod fixture;
mod link;
mod live;
mod ports;
mod preflight;
mod shared;
mod slots;
mod socket;
mod stop;
mod target;
mod timers;
mod together;
mod window;
mod witness;
mod worker;

use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, Scope};
use std::time::Duration;

use cli::Interrupt;

use crate::advice::Advice;
use crate::census::Census;
use crate::config::Pace;
use crate::failure::Failure;
use crate::kernel::{self, ListenTrouble};
use crate::observe::{self, tcp};
use crate::tally::{Loop, Tally};
use crate::time::{Clock, Moment};
use crate::{Config, Progress, Recent, RunError, Steer};
use live::Live;
use preflight::Demand;
use shared::Shared;
use target::Targets;
use witness::Witness;
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
    /// What ended the run before its time.
    pub(crate) ended_by: Option<EndedBy>,
    /// How long sending was held up by hand.
    pub(crate) paused: Duration,
    /// Share of the window that the busiest thread spent on a processor; none without a window.
    pub(crate) load: Option<f64>,
    /// What the kernel's listeners refused or dropped meanwhile, on this machine.
    pub(crate) trouble: Option<ListenTrouble>,
    /// The server's processes at the ends of the window, when they are on this machine.
    pub(crate) seen: Option<(observe::Sample, observe::Sample)>,
    /// What the kernel said of a sample of the connections.
    pub(crate) tcp: tcp::Sample,
}

/// What ended a run before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndedBy {
    /// A signal, or a person at the keys.
    Hand,
    /// Its own time limit over all.
    Deadline,
    /// Nobody listens.
    NobodyThere,
}

/// What one thread found out, frozen.
#[derive(Debug)]
struct Frozen {
    tally: Tally,
    census: Census,
    at: Moment,
    load: Option<f64>,
    paused: Duration,
    tcp: tcp::Sample,
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
    let (targets, _) = preflight(config, NonZeroU32::MIN)?;
    let lives: Vec<_> = (0..config.threads.get())
        .map(|_| Arc::new(Live::default()))
        .collect();
    let shared = Shared::new(config, targets)?;
    // Who wants to hold it up from the beginning must be heard before anything is sent.
    let asked = config.own_connections();
    let begin = progress(Progress {
        asked,
        warming_up: !config.warmup.is_zero(),
        ..Progress::default()
    });
    shared
        .paused
        .store(begin == Steer::Pause, Ordering::Relaxed);
    let workers = lives
        .iter()
        .enumerate()
        .map(|(thread, live)| Worker::new(&shared, thread, Arc::clone(live)))
        .collect::<io::Result<Vec<_>>>()?;
    let mut witness = match config.witness {
        true => Witness::open(config, &shared.targets),
        false => None,
    };
    wait_for_start(config, interrupt);
    if let Some(witness) = &mut witness {
        witness.look(Moment::START);
    }
    let before = ListenTrouble::read();
    let started_unix_s = kernel::unix_seconds();
    let (results, ended_by, seen) = thread::scope(|scope| {
        let clock = Clock::start();
        let team = Team::start(scope, workers, clock)?;
        let mut watch = Watch {
            config,
            shared: &shared,
            lives: &lives,
            clock,
            second: None,
            ended_by: None,
            witness,
        };
        let results = watch.collect(&team.inbox, interrupt, progress);
        let seen = watch.witness.and_then(Witness::finish);
        Ok::<_, RunError>((results, watch.ended_by, seen))
    })?;
    let after = ListenTrouble::read();
    let mut collected = Collected::new(config);
    collected.started_unix_s = started_unix_s;
    collected.ended_by = ended_by;
    collected.seen = seen;
    collected.trouble = before.zip(after).map(|(before, after)| after.since(before));
    merge(results, config, collected)
}

/// Resolves the targets of `config` and checks that this machine can carry it when `processes`
/// share its clients; also what is worth knowing about it.
///
/// # Errors
///
/// [`RunError`] when a name stands for nothing or this machine lacks something.
pub(crate) fn preflight(
    config: &Config,
    processes: NonZeroU32,
) -> Result<(Targets, Option<Advice>), RunError> {
    let mut targets = Targets::resolve(&config.targets, &config.bind)?;
    // All generators on this machine come from the same addresses, so all clients count.
    let spread = preflight::spread(config.connections.get(), &mut targets);
    let checked = preflight::check(&Demand {
        clients: config.own_clients(),
        threads: config.threads.get(),
        processes,
        targets: &targets,
    })?;
    Ok((targets, spread.or(checked)))
}

/// How many processes must share the clients of `config` on this machine.
pub(crate) fn processes(config: &Config) -> NonZeroU32 {
    preflight::processes(config)
}

/// Waits until the wall clock says that all generators begin.
fn wait_for_start(config: &Config, interrupt: &Interrupt) {
    let Some(start_s) = config.start_at_unix_s else {
        return;
    };
    loop {
        let left_s = start_s - kernel::unix_seconds();
        match Duration::try_from_secs_f64(left_s) {
            Ok(left) if !left.is_zero() && interrupt.signal().is_none() => {
                thread::sleep(left.min(TICK));
            }
            _ => return,
        }
    }
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
    config: &'a Config,
    shared: &'a Shared,
    lives: &'a [Arc<Live>],
    clock: Clock,
    /// The last second that all have ended.
    second: Option<(u64, Recent)>,
    ended_by: Option<EndedBy>,
    witness: Option<Witness>,
}

impl Watch<'_> {
    /// Waits for all workers, or what is left of them.
    fn collect(
        &mut self,
        inbox: &Receiver<io::Result<Frozen>>,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(Progress) -> Steer,
    ) -> Vec<io::Result<Frozen>> {
        let mut results = Vec::new();
        while results.len() < self.lives.len() {
            match inbox.recv_timeout(self.patience()) {
                Ok(result) => results.push(result),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = self.clock.now();
            if let Some(witness) = &mut self.witness {
                witness.look(now);
            }
            let steer = progress(self.progress());
            let paused = steer == Steer::Pause;
            self.shared.paused.store(paused, Ordering::Relaxed);
            if self.ended_by.is_none() {
                self.ended_by = self.end(interrupt, steer);
                if self.ended_by.is_some() {
                    self.shared.stop.raise();
                }
            }
        }
        results
    }

    /// How long nothing is to be done here.
    fn patience(&self) -> Duration {
        let look = self.witness.as_ref().map_or(Moment::NEVER, Witness::next);
        TICK.min(Duration::from_nanos(look.since(self.clock.now())))
    }

    /// Why the run ends now, if it does.
    fn end(&self, interrupt: &Interrupt, steer: Steer) -> Option<EndedBy> {
        let deadline = self.config.deadline;
        let elapsed = self.clock.now().elapsed().unwrap_or_default();
        if interrupt.signal().is_some() || steer == Steer::Stop {
            Some(EndedBy::Hand)
        } else if Live::sum(self.lives).nobody_is_there() {
            Some(EndedBy::NobodyThere)
        } else if deadline.is_some_and(|deadline| elapsed >= deadline) {
            Some(EndedBy::Deadline)
        } else {
            None
        }
    }

    fn progress(&mut self) -> Progress {
        let known = self.second.map(|(index, _)| index);
        self.second = Live::second(self.lives, known).or(self.second);
        let progress = Live::sum(self.lives).progress(self.clock.now());
        Progress {
            warming_up: progress.elapsed < self.config.warmup,
            asked: self.config.own_connections(),
            recent: self.second.map(|(_, recent)| recent),
            ..progress
        }
    }
}

impl Collected {
    /// Nothing yet.
    pub(crate) fn new(config: &Config) -> Self {
        let pace = match config.pace {
            Pace::Closed => Loop::Closed,
            Pace::Open(..) => Loop::Open,
        };
        Self {
            tally: Tally::new(pace, config.profiles.len()),
            census: Census::default(),
            started_unix_s: 0.0,
            frozen: Moment::START,
            ended_by: None,
            paused: Duration::ZERO,
            load: None,
            trouble: None,
            seen: None,
            tcp: tcp::Sample::default(),
        }
    }

    /// Whether a signal or a person ended the run.
    pub(crate) fn was_interrupted(&self) -> bool {
        self.ended_by == Some(EndedBy::Hand)
    }
}

fn merge(
    results: Vec<io::Result<Frozen>>,
    config: &Config,
    mut collected: Collected,
) -> Result<Collected, RunError> {
    let mut first_failure = None;
    for (place, frozen) in results.into_iter().enumerate() {
        let frozen = frozen?;
        if place == 0 {
            (collected.tally, collected.census) = (frozen.tally, frozen.census);
        } else {
            collected.tally.merge(&frozen.tally);
            collected.census.merge(&frozen.census);
        }
        collected.tcp.merge(&frozen.tcp);
        collected.frozen = collected.frozen.max(frozen.at);
        collected.paused = collected.paused.max(frozen.paused);
        collected.load = [collected.load, frozen.load]
            .into_iter()
            .flatten()
            .reduce(f64::max);
        first_failure = first_failure.or(frozen.first_failure);
    }
    if collected.tally.connected > 0 {
        return Ok(collected);
    }
    let target = config.target();
    match first_failure {
        Some((kind, source)) => Err(match kind.remedy() {
            Some(_) if kind == Failure::NoLocalPort => RunError::Limit(kernel::port_shortage()),
            Some(remedy) => RunError::Limit(remedy.to_owned()),
            None => RunError::NoConnection { target, source },
        }),
        None if collected.was_interrupted() => Ok(collected),
        None => {
            let source = io::Error::new(
                io::ErrorKind::TimedOut,
                "no answer to any attempt before the run ended",
            );
            Err(RunError::NoConnection { target, source })
        }
    }
}
