//! Which worker is started, told or killed, and when: a pure function of what happened.
//!
//! The pool has as many *places* as it shall have workers. Each has one worker that takes
//! connections, and now and then its successor, which is ready before the other has to go. A worker
//! is known by its *slot* on the board, which is its own until it is buried.
//!
//! Invariant: no process, no clock, no descriptor. Time is passed in, orders are returned, so the
//! rules are tested with invented deaths.

mod place;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use self::place::Place;
use crate::status::State;

/// A worker that lived this long after it was ready did not die early.
pub(super) const PROVEN: Duration = Duration::from_secs(1);
/// This many early deaths in a row in one place are a crash loop. Over all places they would not
/// be: young workers that something kills together die of one cause, once.
pub(super) const CRASH_LOOP: u32 = 6;
/// How long a worker may take past its deadline, or past the signal that ends a hung one, before
/// it is killed.
pub(super) const KILL_AFTER: Duration = Duration::from_secs(3);

/// The worker of a slot, which no other living one has.
pub(super) type Slot = usize;

/// Something that happened to a worker, or to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The server begins.
    Begin,
    /// The worker takes connections.
    Ready(Slot),
    /// It has served as many requests as it shall.
    Worn(Slot),
    /// It does not move any more.
    Hung(Slot),
    /// It is dead and buried; `served` tells whether it ever served a client. A worker that could
    /// not be started is one that died early.
    Died {
        /// Its slot, which is free from now on.
        slot: Slot,
        /// Whether it had served anybody.
        served: bool,
    },
    /// All that live now are to be replaced.
    Restart,
    /// One worker more.
    More,
    /// One worker fewer.
    Fewer,
    /// The server drains.
    Drain,
    /// The deadline of its drain has come.
    Cut,
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Start a worker in this slot.
    Start(Slot),
    /// Tell it to drain.
    Drain(Slot, Why),
    /// Tell it that the deadline has come.
    Cut(Slot),
    /// Let it show where it hangs, and end.
    Abort(Slot),
    /// Kill it.
    Kill(Slot),
    /// The last of those that a restart replaces is gone.
    Restarted,
    /// New workers do not live, so the old ones stay.
    RestartGivenUp,
    /// The workers do not live: end the server.
    GiveUp,
}

/// Why a worker has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The server ends, or shall have fewer workers.
    Asked,
    /// The workers are restarted.
    Restarted,
    /// It has served its share.
    Recycled,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "asked",
            Self::Restarted => "restarted",
            Self::Recycled => "recycled",
        })
    }
}

/// Where the pool ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The most places.
    pub(super) most: usize,
    /// Slots of the board; more than places, since some have a successor already.
    pub(super) slots: usize,
    /// How long a worker may drain.
    pub(super) drain_timeout: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Worker {
    /// Restarts before it was started.
    generation: u64,
    ready_since: Option<Instant>,
    worn: bool,
    hung: bool,
    leaving: bool,
    /// When it is told that its own drain has lasted long enough.
    cut_at: Option<Instant>,
    kill_at: Option<Instant>,
}

/// The rules and their memory.
#[derive(Debug)]
pub(super) struct Supervisor {
    bounds: Bounds,
    places: Vec<Place>,
    /// All that are not buried.
    workers: BTreeMap<Slot, Worker>,
    /// Restarts so far.
    generation: u64,
    restarting: bool,
    draining: bool,
}

impl Supervisor {
    /// A pool of `count` workers.
    pub(super) fn new(count: usize, bounds: Bounds) -> Self {
        Self {
            bounds,
            places: vec![Place::default(); count],
            workers: BTreeMap::new(),
            generation: 0,
            restarting: false,
            draining: false,
        }
    }

    /// What to do about `event`, which happened at `now`.
    pub(super) fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = match event {
            Event::Begin => Vec::new(),
            Event::Ready(slot) => self.ready(slot, now),
            Event::Worn(slot) => {
                self.update(slot, |worker| worker.worn = true);
                Vec::new()
            }
            Event::Hung(slot) => self.hung(slot, now),
            Event::Died { slot, served } => self.died(slot, served, now),
            Event::Restart => {
                self.generation += 1;
                self.restarting = true;
                Vec::new()
            }
            Event::More => {
                if self.places.len() < self.bounds.most {
                    self.places.push(Place::default());
                }
                Vec::new()
            }
            Event::Fewer => self.fewer(now),
            Event::Drain => {
                self.draining = true;
                let all: Vec<_> = self.workers.keys().copied().collect();
                let told = all
                    .into_iter()
                    .filter_map(|slot| self.leave(slot, Why::Asked));
                told.collect()
            }
            Event::Cut => {
                let limit = now + KILL_AFTER;
                let told = self.workers.iter_mut().map(|(slot, worker)| {
                    (worker.cut_at, worker.kill_at) = (None, Some(limit));
                    Action::Cut(*slot)
                });
                told.collect()
            }
            Event::Tick => self.tick(now),
        };
        if !self.draining {
            self.fill(&mut actions);
            if self.restarting && self.all_ready() && !self.workers.values().any(|w| self.is_old(w))
            {
                self.restarting = false;
                actions.push(Action::Restarted);
            }
        }
        actions
    }

    /// When an [`Event::Tick`] is next due.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        let limits = self.workers.values();
        let limits = limits.flat_map(|worker| [worker.cut_at, worker.kill_at]);
        let rests = self.places.iter().map(Place::rests_until);
        let rests = rests.filter(|_| !self.draining);
        limits.chain(rests).flatten().min()
    }

    /// How many workers the pool shall have.
    pub(super) fn count(&self) -> usize {
        self.places.len()
    }

    /// Whether every place has a worker that takes connections.
    pub(super) fn all_ready(&self) -> bool {
        self.places.iter().all(|place| place.serving.is_some())
    }

    /// Whether nobody is left and nobody will come.
    pub(super) fn is_over(&self) -> bool {
        self.draining && self.workers.is_empty()
    }

    /// The place in which the worker serves, or will; 0 if it has none any more.
    pub(super) fn place_of(&self, slot: Slot) -> usize {
        let place = self.places.iter().position(|place| place.is_of(slot));
        place.unwrap_or_default()
    }

    /// What the worker is doing.
    pub(super) fn state(&self, slot: Slot) -> Option<State> {
        let worker = self.workers.get(&slot)?;
        Some(match worker {
            Worker { hung: true, .. } => State::Hung,
            Worker { leaving: true, .. } => State::Draining,
            Worker {
                ready_since: Some(_),
                ..
            } => State::Ready,
            _ => State::Starting,
        })
    }

    fn update(&mut self, slot: Slot, change: impl FnOnce(&mut Worker)) {
        if let Some(worker) = self.workers.get_mut(&slot) {
            change(worker);
        }
    }

    fn ready(&mut self, slot: Slot, now: Instant) -> Vec<Action> {
        self.update(slot, |worker| worker.ready_since = Some(now));
        let place = self
            .places
            .iter_mut()
            .find(|place| place.coming == Some(slot));
        // One that was told to leave meanwhile has no place any more.
        let Some(place) = place else {
            return Vec::new();
        };
        let Some(before) = place.welcome() else {
            return Vec::new();
        };
        let worn = self.workers.get(&before).is_some_and(|before| before.worn);
        let why = if worn { Why::Recycled } else { Why::Restarted };
        self.part_with(before, why, now).into_iter().collect()
    }

    /// It goes, though the server goes on: within its limit.
    fn part_with(&mut self, slot: Slot, why: Why, now: Instant) -> Option<Action> {
        let limit = now + self.bounds.drain_timeout;
        self.update(slot, |worker| worker.cut_at = Some(limit));
        self.leave(slot, why)
    }

    fn leave(&mut self, slot: Slot, why: Why) -> Option<Action> {
        let worker = self.workers.get_mut(&slot)?;
        let told_before = std::mem::replace(&mut worker.leaving, true);
        (!told_before).then_some(Action::Drain(slot, why))
    }

    fn hung(&mut self, slot: Slot, now: Instant) -> Vec<Action> {
        match self.workers.get_mut(&slot) {
            Some(worker) if !worker.hung => {
                worker.hung = true;
                (worker.cut_at, worker.kill_at) = (None, Some(now + KILL_AFTER));
                vec![Action::Abort(slot)]
            }
            _ => Vec::new(),
        }
    }

    fn fewer(&mut self, now: Instant) -> Vec<Action> {
        if self.places.len() == 1 {
            return Vec::new();
        }
        let place = self.places.pop().unwrap_or_default();
        let both = [place.serving, place.coming].into_iter().flatten();
        both.filter_map(|slot| self.part_with(slot, Why::Asked, now))
            .collect()
    }

    fn died(&mut self, slot: Slot, served: bool, now: Instant) -> Vec<Action> {
        let Some(worker) = self.workers.remove(&slot) else {
            return Vec::new();
        };
        let place = self.places.iter_mut().find(|place| place.is_of(slot));
        let Some(place) = place.filter(|_| !self.draining) else {
            return Vec::new();
        };
        let since = worker.ready_since;
        let proven = since.is_some_and(|since| served || now >= since + PROVEN);
        place.lose(slot, proven, now);
        if place.early_deaths < CRASH_LOOP {
            Vec::new()
        } else if place.is_deserted() {
            vec![Action::GiveUp]
        } else if self.restarting {
            self.give_up_restart();
            vec![Action::RestartGivenUp]
        } else {
            Vec::new()
        }
    }

    /// From now on those that are there count as those that were wanted.
    fn give_up_restart(&mut self) {
        self.restarting = false;
        let generation = self.generation;
        for worker in self.workers.values_mut() {
            worker.generation = generation;
        }
    }

    fn tick(&mut self, now: Instant) -> Vec<Action> {
        self.places.iter_mut().for_each(|place| place.wake(now));
        let mut actions = Vec::new();
        for (slot, worker) in &mut self.workers {
            if worker.cut_at.is_some_and(|cut_at| now >= cut_at) {
                (worker.cut_at, worker.kill_at) = (None, Some(now + KILL_AFTER));
                actions.push(Action::Cut(*slot));
            } else if worker.kill_at.is_some_and(|kill_at| now >= kill_at) {
                worker.kill_at = None;
                actions.push(Action::Kill(*slot));
            }
        }
        actions
    }

    /// Starts whoever is missing, and a successor for one of those that shall go.
    fn fill(&mut self, actions: &mut Vec<Action>) {
        for index in 0..self.places.len() {
            if self.places[index].is_vacant() {
                actions.extend(self.start(index));
            }
        }
        // One at a time, and no more on their way out than are wanted: however often it is told to
        // restart, the pool has twice its workers at the most.
        let leaving = self.workers.values().filter(|worker| worker.leaving);
        if leaving.count() >= self.places.len() || self.places.iter().any(Place::is_changing) {
            return;
        }
        let shall_go = |place: &Place| {
            let serving = place.serving.and_then(|slot| self.workers.get(&slot));
            serving.is_some_and(|worker| worker.worn || self.is_old(worker))
        };
        if let Some(index) = self.places.iter().position(shall_go) {
            actions.extend(self.start(index));
        }
    }

    /// Whether a restart was asked for since it was started.
    fn is_old(&self, worker: &Worker) -> bool {
        worker.generation < self.generation
    }

    fn start(&mut self, index: usize) -> Option<Action> {
        let slot = (0..self.bounds.slots).find(|slot| !self.workers.contains_key(slot))?;
        self.workers.insert(
            slot,
            Worker {
                generation: self.generation,
                ready_since: None,
                worn: false,
                hung: false,
                leaving: false,
                cut_at: None,
                kill_at: None,
            },
        );
        self.places[index].expect(slot);
        Some(Action::Start(slot))
    }
}
