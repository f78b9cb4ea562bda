//! The master's side: carries out what the [supervisor](super::supervisor) decides.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tracing::{debug, warn};

use super::channel::{Channel, Greeting, Inheritance, Word};
use super::supervisor::{Action, CRASH_LOOP, Event, Supervisor};
use crate::board::{Board, Count};
use crate::config::{Config, WorkerCommand};
use crate::gate::Gate;
use crate::listener::{ListenEnd, Listener};
use crate::log;
use crate::run::RunError;
use crate::stop::{Phase, Stop};

/// What a pool is made of.
#[derive(Debug)]
pub(crate) struct Pool<'a> {
    /// Given up at the beginning of the drain.
    pub(crate) listener: Option<Listener>,
    pub(crate) gate: Gate,
    pub(crate) board: &'a Board,
    pub(crate) config: &'a Config,
    pub(crate) worker: &'a WorkerCommand,
    pub(crate) stop: &'a Stop,
}

/// A living worker.
#[derive(Debug)]
struct Worker {
    child: Child,
    /// Readable when it is dead; unlike its number, it can never mean another process.
    pidfd: OwnedFd,
    /// Gone once the worker closed its end.
    channel: Option<Channel>,
    /// What its slot had served before it came.
    served_before: u64,
}

/// Runs the pool until the drain is over; returns how many workers had to be killed.
///
/// # Errors
///
/// [`RunError::CrashLoop`] when the workers do not live, and [`RunError::System`] when they cannot
/// be watched.
pub(crate) fn supervise(pool: Pool<'_>, on_ready: impl FnOnce()) -> Result<usize, RunError> {
    let mut master = Master::new(pool);
    let result = master.run(on_ready);
    if result.is_err() {
        master.kill_all();
    }
    if let Some(end) = master.end {
        end.see_off();
    }
    result
}

struct Master<'a> {
    pool: Pool<'a>,
    supervisor: Supervisor,
    workers: HashMap<usize, Worker>,
    /// How far the end had come at the last look.
    phase: Phase,
    /// The end of the listening, once the drain began.
    end: Option<ListenEnd>,
    /// When the drain must be over.
    deadline: Option<Instant>,
    killed: usize,
    last_death: String,
}

impl<'a> Master<'a> {
    fn new(pool: Pool<'a>) -> Self {
        let supervisor = Supervisor::new(pool.board.len());
        Self {
            pool,
            supervisor,
            workers: HashMap::new(),
            phase: Phase::Serving,
            end: None,
            deadline: None,
            killed: 0,
            last_death: String::new(),
        }
    }

    fn run(&mut self, on_ready: impl FnOnce()) -> Result<usize, RunError> {
        let mut on_ready = Some(on_ready);
        for slot in 0..self.pool.board.len() {
            self.act(Action::Start(slot))?;
        }
        while !self.supervisor.is_over() {
            for event in self.wait()? {
                self.tell(event)?;
            }
            if self.supervisor.all_ready()
                && let Some(on_ready) = on_ready.take()
            {
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
            Action::Start(slot) => match self.start(slot) {
                Ok(worker) => drop(self.workers.insert(slot, worker)),
                Err(error) => {
                    warn!(slot, %error, "cannot start a worker");
                    self.last_death = format!("could not be started: {error}");
                    self.tell(Event::Died {
                        slot,
                        served: false,
                    })?;
                }
            },
            // A worker that cannot be told is dead, and that is noticed soon.
            Action::Drain(slot) => self.say(slot, Word::Drain),
            Action::Cut(slot) => self.say(slot, Word::Cut),
            Action::Kill(slot) => self.kill(slot),
            Action::GiveUp => {
                let last = std::mem::take(&mut self.last_death);
                return Err(RunError::CrashLoop {
                    deaths: CRASH_LOOP,
                    last,
                });
            }
        }
        Ok(())
    }

    fn start(&self, slot: usize) -> io::Result<Worker> {
        let listener = self
            .pool
            .listener
            .as_ref()
            .ok_or(io::ErrorKind::NotConnected)?;
        let (channel, theirs) = Channel::pair()?;
        let child = Command::new(&self.pool.worker.program)
            .args(&self.pool.worker.args)
            .arg0(format!("echolab-worker-{slot}"))
            .stdin(Stdio::from(theirs))
            // The ready line is the master's alone.
            .stdout(Stdio::null())
            .spawn()?;
        let pid = child.id();
        let pidfd = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or(io::ErrorKind::InvalidData)?;
        let pidfd = pidfd_open(pidfd, PidfdFlags::empty())?;
        let greeting = Greeting {
            slot,
            slots: self.pool.board.len(),
            master: std::process::id(),
            config: self.pool.config.clone(),
            worker: self.pool.worker.clone(),
            log: log::format(),
        };
        let inheritance = Inheritance {
            listener: listener.as_fd(),
            gate: self.pool.gate.as_fd(),
            board: self.pool.board.as_fd(),
        };
        // One that died before it was greeted is noticed like any other death.
        let _ = channel.greet(&greeting, &inheritance);
        debug!(slot, pid, "started a worker");
        let served_before = self.pool.board[slot].counters().served;
        Ok(Worker {
            child,
            pidfd,
            channel: Some(channel),
            served_before,
        })
    }

    fn say(&self, slot: usize, word: Word) {
        if let Some(channel) = self
            .workers
            .get(&slot)
            .and_then(|worker| worker.channel.as_ref())
        {
            let _ = channel.say(word);
        }
    }

    fn kill(&mut self, slot: usize) {
        if let Some(worker) = self.workers.get_mut(&slot) {
            warn!(
                slot,
                pid = worker.child.id(),
                "killing a worker that does not end"
            );
            self.killed += 1;
            // It can only have died by itself meanwhile.
            let _ = worker.child.kill();
        }
    }

    /// Leaves nobody behind when the server fails.
    fn kill_all(&mut self) {
        for (_, mut worker) in self.workers.drain() {
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }

    /// Waits until something happens, and says what.
    fn wait(&mut self) -> Result<Vec<Event>, RunError> {
        let readable = self.poll()?;
        let mut events = self.phase_events();
        for (slot, source) in readable {
            match source {
                Source::Channel => events.extend(self.hear(slot)),
                Source::Death => events.extend(self.bury(slot)?),
            }
        }
        events.push(Event::Tick);
        Ok(events)
    }

    /// Which workers have something to say, or died; in the order in which it happened to each.
    fn poll(&self) -> io::Result<Vec<(usize, Source)>> {
        let stop = self.pool.stop;
        let next = match self.phase {
            Phase::Serving => stop.draining(),
            Phase::Draining | Phase::Cutting => stop.cutting(),
        };
        let mut sources = Vec::new();
        let mut fds = Vec::new();
        for (slot, worker) in &self.workers {
            if let Some(channel) = &worker.channel {
                sources.push((*slot, Source::Channel));
                fds.push(PollFd::new(channel, PollFlags::IN));
            }
            sources.push((*slot, Source::Death));
            fds.push(PollFd::new(&worker.pidfd, PollFlags::IN));
        }
        if self.phase != Phase::Cutting {
            fds.push(PollFd::new(&next, PollFlags::IN));
        }
        let due = [self.supervisor.next_tick(), self.deadline]
            .into_iter()
            .flatten()
            .min();
        let limit = due.map(|due| due.saturating_duration_since(Instant::now()));
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = fds.iter().map(|fd| !fd.revents().is_empty());
        Ok(sources
            .into_iter()
            .zip(ready)
            .filter_map(|(source, ready)| ready.then_some(source))
            .collect())
    }

    /// Follows the stop, whose drain must not outlast its limit.
    fn phase_events(&mut self) -> Vec<Event> {
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.pool.stop.cut();
        }
        let (before, after) = (self.phase, self.pool.stop.phase());
        self.phase = after;
        let mut events = Vec::new();
        if before < Phase::Draining && after >= Phase::Draining {
            if let Some(listener) = self.pool.listener.take() {
                // Busy workers hold it open, so it has to be ended for all of them. There is a
                // queue only if all are busy, so that nobody would serve those in it.
                let end = self.end.insert(ListenEnd::of(listener));
                let dismissed = end.dismiss_all() + end.refuse();
                self.pool.board[0].add(Count::Dismissed, dismissed);
            }
            self.deadline = Some(now + self.pool.config.limits.drain_timeout);
            events.push(Event::Drain);
        }
        if before < Phase::Cutting && after == Phase::Cutting {
            self.deadline = None;
            events.push(Event::Cut);
        }
        events
    }

    fn hear(&mut self, slot: usize) -> Option<Event> {
        let worker = self.workers.get_mut(&slot)?;
        let heard = worker.channel.as_ref()?.hear();
        if let Ok(Some(Word::Ready)) = heard {
            return Some(Event::Ready(slot));
        }
        // It closed its end, so it is about to die; until then there is nothing to hear.
        worker.channel = None;
        None
    }

    /// Reads a dead worker's fate, which removes the zombie, and settles its books.
    fn bury(&mut self, slot: usize) -> io::Result<Option<Event>> {
        let Some(mut worker) = self.workers.remove(&slot) else {
            return Ok(None);
        };
        let Some(status) = worker.child.try_wait()? else {
            self.workers.insert(slot, worker);
            return Ok(None);
        };
        let board = &self.pool.board[slot];
        self.pool.gate.give_back(self.pool.board.bury(slot));
        let served = board.counters().served > worker.served_before;
        self.last_death = fate(status);
        let (pid, fate) = (worker.child.id(), &self.last_death);
        if self.phase == Phase::Serving {
            warn!(slot, pid, %fate, served, "a worker died");
        } else {
            debug!(slot, pid, %fate, "a worker ended");
        }
        Ok(Some(Event::Died { slot, served }))
    }
}

/// What a worker's descriptor tells.
#[derive(Clone, Copy, Debug)]
enum Source {
    Channel,
    Death,
}

/// How a process ended, in words.
pub(super) fn fate(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("an unnamed signal");
            format!("was ended by {name} ({signal})")
        }
        (None, None) => "ended in an unknown way".into(),
    }
}
