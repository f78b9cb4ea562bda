//! The master's side: carries out what the [supervisor](super::supervisor) decides.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitStatus;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use tracing::{debug, error, info, warn};

use super::channel::Word;
use super::fate::{OutOfMemory, fate, was_killed};
use super::intake::Intake;
use super::spawn::{Ended, Worker};
use super::supervisor::{Action, Bounds, CRASH_LOOP, Event, KILL_AFTER, Slot, Supervisor};
use super::violations::Violations;
use super::words::Words;
use crate::board::{Board, Count};
use crate::config::{Accept, Config, WorkerCommand};
use crate::gate::Gate;
use crate::herald::Feeding;
use crate::orders::{Control, Wanted};
use crate::run::RunError;
use crate::status::{self, Member, Observer, State};
use crate::stop::Phase;
use crate::vigil::Vigil;

/// What a pool is made of.
#[derive(Debug)]
pub(crate) struct Pool<'a> {
    pub(crate) observer: &'a Observer,
    pub(crate) intake: Intake,
    pub(crate) gate: Gate,
    pub(crate) board: &'a Board,
    pub(crate) config: &'a Config,
    pub(crate) worker: &'a WorkerCommand,
    pub(crate) control: &'a Control,
}

/// Runs the pool until the drain is over; returns how many workers had to be killed at its end.
///
/// # Errors
///
/// [`RunError::CrashLoop`] when the workers do not live, and [`RunError::System`] when they cannot
/// be watched.
pub(crate) fn supervise(pool: Pool<'_>, on_ready: impl FnOnce()) -> Result<usize, RunError> {
    let mut master = Master::new(pool)?;
    let result = master.run(on_ready);
    master.bury_all();
    master.pool.intake.see_off();
    result
}

struct Master<'a> {
    pool: Pool<'a>,
    supervisor: Supervisor,
    workers: BTreeMap<Slot, Worker>,
    words: Words,
    vigil: Option<Vigil<Slot>>,
    memory: OutOfMemory,
    feeding: Feeding,
    /// How far the end had come at the last look.
    phase: Phase,
    /// Whether it was said that the server is ready.
    announced: bool,
    /// When the drain must be over.
    deadline: Option<Instant>,
    killed: usize,
    /// How the last one ended that should not have, and what it said.
    last_death: (String, String),
}

impl<'a> Master<'a> {
    fn new(pool: Pool<'a>) -> io::Result<Self> {
        let bounds = Bounds {
            most: pool.config.most_workers(),
            // The last is the master's.
            slots: pool.board.len() - 1,
            drain_timeout: pool.config.limits.drain_timeout,
        };
        let hang_timeout = pool.config.life.hang_timeout;
        let feeding = Feeding::new(pool.control.herald.clone(), Instant::now());
        Ok(Self {
            supervisor: Supervisor::new(pool.config.workers.get(), bounds),
            pool,
            workers: BTreeMap::new(),
            words: Words::new()?,
            vigil: hang_timeout.map(|limit| Vigil::new(limit, Instant::now())),
            memory: OutOfMemory::watch(),
            feeding,
            phase: Phase::Serving,
            announced: false,
            deadline: None,
            killed: 0,
            last_death: Default::default(),
        })
    }

    fn run(&mut self, on_ready: impl FnOnce()) -> Result<usize, RunError> {
        let mut on_ready = Some(on_ready);
        self.tell(Event::Begin)?;
        while !self.supervisor.is_over() {
            for event in self.wait()? {
                self.tell(event)?;
            }
            let ready = on_ready.take_if(|_| self.supervisor.all_ready());
            self.announced |= ready.is_some();
            // First, so that whoever is told finds it so.
            self.publish();
            if let Some(on_ready) = ready {
                on_ready();
            }
        }
        Ok(self.killed)
    }

    fn tell(&mut self, event: Event) -> Result<(), RunError> {
        let actions = self.supervisor.on(event, Instant::now());
        actions.into_iter().try_for_each(|action| self.act(action))
    }

    fn act(&mut self, action: Action) -> Result<(), RunError> {
        match action {
            Action::Start(slot) => self.start(slot)?,
            Action::Drain(slot, why) => {
                if let Some(worker) = self.workers.get_mut(&slot) {
                    worker.why = Some(why);
                }
                self.pool.intake.strike(slot);
                self.say(slot, Word::Drain);
            }
            Action::Cut(slot) => self.say(slot, Word::Cut),
            Action::Abort(slot) => {
                self.pool.intake.strike(slot);
                self.end(slot, Ended::Hung, Signal::ABORT);
            }
            Action::Kill(slot) => self.end(slot, Ended::Late, Signal::KILL),
            Action::Restarted => {
                info!("restarted: all workers are new");
                self.pool
                    .control
                    .herald
                    .ready("restarted: all workers are new");
            }
            Action::RestartGivenUp => {
                self.pool.control.herald.ready("the restart is given up");
                error!("the restart is given up: new workers die early, the old ones serve on");
            }
            Action::GiveUp => {
                let (last, words) = std::mem::take(&mut self.last_death);
                return Err(RunError::CrashLoop {
                    deaths: CRASH_LOOP,
                    last,
                    words,
                });
            }
        }
        Ok(())
    }

    fn start(&mut self, slot: Slot) -> Result<(), RunError> {
        let place = self.supervisor.place_of(slot);
        let invited = self.pool.intake.invite(slot, place);
        let started = invited.and_then(|invitation| {
            let started = Worker::start(&self.pool, slot, &invitation, &self.words);
            started.inspect_err(|_| self.pool.intake.strike(slot))
        });
        match started {
            Ok(worker) => drop(self.workers.insert(slot, worker)),
            Err(error) => {
                warn!(slot, %error, "cannot start a worker");
                self.pool.observer.roster().ended.unstarted += 1;
                self.last_death = (format!("could not be started: {error}"), String::new());
                let served = false;
                self.tell(Event::Died { slot, served })?;
            }
        }
        Ok(())
    }

    /// A worker that cannot be told is dead, and that is noticed soon.
    fn say(&self, slot: Slot, word: Word) {
        let worker = self.workers.get(&slot);
        if let Some(channel) = worker.and_then(|worker| worker.channel.as_ref()) {
            let _ = channel.say(word);
        }
    }

    fn end(&mut self, slot: Slot, ended: Ended, signal: Signal) {
        let Some(worker) = self.workers.get_mut(&slot) else {
            return;
        };
        let pid = worker.process.pid();
        match ended {
            Ended::Hung => warn!(slot, pid, "a worker is hung: ending it with SIGABRT"),
            Ended::Late => warn!(slot, pid, "killing a worker that does not end"),
        }
        self.killed += usize::from(signal == Signal::KILL && self.phase != Phase::Serving);
        worker.ended.get_or_insert(ended);
        worker.process.signal(signal);
    }

    /// Leaves nobody behind, however the server ends.
    fn bury_all(&mut self) {
        while let Some((_, worker)) = self.workers.pop_first() {
            drop(worker.process);
            self.words.last(worker.voice);
        }
    }

    /// Waits until something happens, and says what.
    fn wait(&mut self) -> Result<Vec<Event>, RunError> {
        let readable = self.poll()?;
        let mut events = self.phase_events()?;
        for source in readable {
            match source {
                Source::Channel(slot) => events.extend(self.hear(slot)),
                Source::Death(slot) => events.extend(self.bury(slot)?),
                Source::Orders => {
                    let wanted = self.pool.control.orders.take();
                    events.extend(self.take_orders(wanted));
                }
                Source::Violation(slot) => self.refuse(slot),
                Source::Phase => {}
            }
        }
        self.tell_violations();
        events.extend(self.watch());
        // Whoever comes here moves, and watches over the workers himself.
        self.feeding.feed(Instant::now(), || true);
        events.push(Event::Tick);
        Ok(events)
    }

    /// Who has something to say, or died; in the order in which it happened to each.
    fn poll(&self) -> io::Result<Vec<Source>> {
        let Control { stop, orders, .. } = self.pool.control;
        let orders = orders.as_fd();
        let phase = match self.phase {
            Phase::Serving => Some(stop.draining()),
            Phase::Draining => Some(stop.cutting()),
            Phase::Cutting => None,
        };
        let mut sources = vec![(Source::Orders, orders)];
        sources.extend(phase.map(|phase| (Source::Phase, phase)));
        for (slot, worker) in &self.workers {
            let channel = worker.channel.as_ref();
            sources.extend(channel.map(|channel| (Source::Channel(*slot), channel.as_fd())));
            let violations = worker.violations.as_ref();
            sources.extend(violations.map(|one| (Source::Violation(*slot), one.reports().as_fd())));
            sources.push((Source::Death(*slot), worker.process.as_fd()));
        }
        let fds = sources.iter().map(|(_, fd)| PollFd::new(fd, PollFlags::IN));
        let mut fds: Vec<_> = fds.collect();
        let limit = self.next_look().and_then(|due| {
            let left = due.saturating_duration_since(Instant::now());
            Timespec::try_from(left).ok()
        });
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let ready = sources.iter().zip(ready);
        Ok(ready
            .filter_map(|((source, _), ready)| ready.then_some(*source))
            .collect())
    }

    /// When there is something to do though nothing happens.
    fn next_look(&self) -> Option<Instant> {
        let vigil = self.vigil.as_ref().map(Vigil::next_look);
        let violations = self.workers.values();
        let violations = violations.filter_map(|worker| worker.violations.as_ref()?.due());
        let feeding = self.feeding.due();
        let others = [self.supervisor.next_tick(), self.deadline, vigil, feeding];
        others.into_iter().flatten().chain(violations).min()
    }

    /// Follows the stop, whose drain must not outlast its limit.
    fn phase_events(&mut self) -> io::Result<Vec<Event>> {
        let (now, stop) = (Instant::now(), &self.pool.control.stop);
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            stop.cut();
        }
        let (before, after) = (self.phase, stop.phase());
        self.phase = after;
        let mut events = Vec::new();
        if before < Phase::Draining && after >= Phase::Draining {
            self.pool.observer.forget_listeners();
            let limit = self.pool.config.limits.drain_timeout;
            self.pool.control.herald.stopping(limit + KILL_AFTER);
            let dismissed = self.pool.intake.end()?;
            // By no worker.
            let own = self.pool.board.last();
            own.map(|own| own.add(Count::Dismissed, dismissed));
            self.deadline = Some(now + limit);
            events.push(Event::Drain);
        }
        if before < Phase::Cutting && after == Phase::Cutting {
            self.deadline = None;
            events.push(Event::Cut);
        }
        Ok(events)
    }

    fn take_orders(&self, wanted: Wanted) -> Vec<Event> {
        if wanted.status {
            status::log(&self.pool.observer.status());
        }
        if self.phase != Phase::Serving {
            return Vec::new();
        }
        let mut events = Vec::new();
        if wanted.restart {
            info!(workers = self.supervisor.count(), "restarting the workers");
            self.pool.control.herald.reloading();
            events.push(Event::Restart);
        }
        if wanted.more != 0 && self.pool.config.accept == Accept::Reuseport {
            info!(
                "ignored: with --accept reuseport there are as many workers as listening sockets"
            );
        } else if wanted.more != 0 {
            let (before, most) = (self.supervisor.count(), self.pool.config.most_workers());
            let workers = before
                .saturating_add_signed(wanted.more as isize)
                .clamp(1, most);
            info!(workers, before, most, "as many workers as asked for");
            let one = if wanted.more > 0 {
                Event::More
            } else {
                Event::Fewer
            };
            events.extend((0..workers.abs_diff(before)).map(|_| one));
        }
        events
    }

    /// Says on the roster who there is.
    fn publish(&self) {
        let members = self.workers.iter().filter_map(|(slot, worker)| {
            let state = self.supervisor.state(*slot)?;
            Some(Member {
                state,
                ..worker.member
            })
        });
        let members = members.collect();
        let mut roster = self.pool.observer.roster();
        roster.members = members;
        roster.wanted = self.supervisor.count();
        roster.state = match (self.phase, self.announced) {
            (Phase::Serving, false) => State::Starting,
            (Phase::Serving, true) => State::Ready,
            (Phase::Draining | Phase::Cutting, _) => State::Draining,
        };
    }

    /// Looks at the beats of the workers, when that is due.
    fn watch(&mut self) -> Vec<Event> {
        let now = Instant::now();
        let vigil = self.vigil.as_mut().filter(|vigil| now >= vigil.next_look());
        let Some(vigil) = vigil else {
            return Vec::new();
        };
        let board = self.pool.board;
        let beats = self
            .workers
            .keys()
            .map(|slot| (*slot, board[*slot].beats()));
        vigil
            .look(beats, now)
            .into_iter()
            .map(Event::Hung)
            .collect()
    }

    fn hear(&mut self, slot: Slot) -> Option<Event> {
        let worker = self.workers.get_mut(&slot)?;
        match worker.channel.as_ref()?.hear_with() {
            Ok(Some((Word::Confined, Some(reports)))) => {
                worker.violations = Some(Violations::of(reports.into()));
                None
            }
            Ok(Some((Word::Ready, _))) => {
                if let Err(error) = self.pool.intake.enlist(slot) {
                    warn!(slot, %error, "a worker gets no connections");
                }
                Some(Event::Ready(slot))
            }
            Ok(Some((Word::Worn, _))) => Some(Event::Worn(slot)),
            Ok(Some((Word::Hung, _))) => Some(Event::Hung(slot)),
            // It closed its end, so it is about to die; until then there is nothing to hear.
            _ => {
                worker.channel = None;
                None
            }
        }
    }

    /// Refuses what a locked-in worker tries.
    fn refuse(&mut self, slot: Slot) {
        let Some(worker) = self.workers.get_mut(&slot) else {
            return;
        };
        let board = &self.pool.board[slot];
        let over = worker.violations.take_if(|one| !one.refuse(board));
        if let Some(mut over) = over {
            over.tell_at_once(slot, worker.process.pid());
        }
    }

    /// Tells of what was refused, as often as that may be told.
    fn tell_violations(&mut self) {
        let now = Instant::now();
        for (slot, worker) in &mut self.workers {
            if let Some(violations) = &mut worker.violations {
                violations.tell(*slot, worker.process.pid(), now);
            }
        }
    }

    /// Reads a dead worker's fate, which removes the zombie, and settles its books.
    fn bury(&mut self, slot: Slot) -> io::Result<Option<Event>> {
        let Some(worker) = self.workers.get_mut(&slot) else {
            return Ok(None);
        };
        let Some(status) = worker.process.bury()? else {
            return Ok(None);
        };
        let Some(mut worker) = self.workers.remove(&slot) else {
            return Ok(None);
        };
        if let Some(mut violations) = worker.violations.take() {
            violations.tell_at_once(slot, worker.process.pid());
        }
        self.pool.intake.strike(slot);
        let board = &self.pool.board[slot];
        self.pool.gate.give_back(self.pool.board.bury(slot));
        if let Some(vigil) = &mut self.vigil {
            vigil.forget(slot);
        }
        let words = self.words.last(worker.voice);
        let served = (board.counters() - worker.member.before).served > 0;
        self.tell_fate(slot, &worker, status, words);
        Ok(Some(Event::Died { slot, served }))
    }

    fn tell_fate(&mut self, slot: Slot, worker: &Worker, status: ExitStatus, words: String) {
        let (pid, fate) = (worker.process.pid(), fate(status));
        if self.phase == Phase::Serving {
            let mut roster = self.pool.observer.roster();
            *worker.kind_of_end(status, &mut roster.ended) += 1;
        }
        match worker.why {
            Some(reason) if status.success() && self.phase == Phase::Serving => {
                return info!(slot, pid, %reason, "a worker ended");
            }
            Some(reason) if status.success() => {
                return debug!(slot, pid, %reason, "a worker ended");
            }
            _ => {}
        }
        let reason = match worker.ended {
            Some(Ended::Hung) => Some("hung"),
            Some(Ended::Late) => Some("late"),
            None if was_killed(status) => self.memory.hint(),
            None => None,
        };
        warn!(slot, pid, %fate, reason, "a worker died");
        self.last_death = (fate, words);
    }
}

/// What the master is told by a descriptor.
#[derive(Clone, Copy, Debug)]
enum Source {
    Orders,
    Phase,
    Channel(Slot),
    Violation(Slot),
    Death(Slot),
}
