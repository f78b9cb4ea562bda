//! Which worker is started, told or killed, and when: a pure function of what happened.
//!
//! Invariant: no process, no clock, no descriptor. Time is passed in, orders are returned, so the
//! rules are tested with invented deaths.

use std::time::{Duration, Instant};

/// The first pause before a worker that died early is started again; it doubles with each.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A worker that lived this long after it was ready did not die early.
pub(super) const PROVEN: Duration = Duration::from_secs(1);
/// This many early deaths in a row in one slot are a crash loop. Over all slots they would not
/// be: young workers that something kills together die of one cause, once.
pub(super) const CRASH_LOOP: u32 = 6;
/// How long a drained worker may take past its own deadline before it is killed.
pub(super) const KILL_AFTER: Duration = Duration::from_secs(3);

/// Something that happened to the worker in a slot, or to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The worker takes connections.
    Ready(usize),
    /// The worker is dead and buried; `served` tells whether it ever served a client. A worker
    /// that could not be started is one that died early.
    Died {
        /// Its slot.
        slot: usize,
        /// Whether it had served anybody.
        served: bool,
    },
    /// The server drains.
    Drain,
    /// The deadline of the drain has come.
    Cut,
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Start a worker in this slot.
    Start(usize),
    /// Tell it to drain.
    Drain(usize),
    /// Tell it that the deadline has come.
    Cut(usize),
    /// Kill it.
    Kill(usize),
    /// The workers do not live: end the server.
    GiveUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worker {
    Starting,
    Ready {
        since: Instant,
    },
    /// To be started again at that time.
    Pausing {
        until: Instant,
    },
    Gone,
}

/// The rules and their memory.
#[derive(Debug)]
pub(super) struct Supervisor {
    workers: Vec<Worker>,
    /// In a row, by slot.
    early_deaths: Vec<u32>,
    draining: bool,
    /// When those that are still alive are killed.
    kill_at: Option<Instant>,
}

impl Supervisor {
    /// A pool of `count` workers, all of which the caller starts at once.
    pub(super) fn new(count: usize) -> Self {
        Self {
            workers: vec![Worker::Starting; count],
            early_deaths: vec![0; count],
            draining: false,
            kill_at: None,
        }
    }

    /// What to do about `event`, which happened at `now`.
    pub(super) fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Ready(slot) => {
                self.workers[slot] = Worker::Ready { since: now };
                Vec::new()
            }
            Event::Died { slot, served } => self.died(slot, served, now),
            Event::Drain => {
                self.draining = true;
                for worker in &mut self.workers {
                    if matches!(worker, Worker::Pausing { .. }) {
                        *worker = Worker::Gone;
                    }
                }
                self.living().map(Action::Drain).collect()
            }
            Event::Cut => {
                self.kill_at = Some(now + KILL_AFTER);
                self.living().map(Action::Cut).collect()
            }
            Event::Tick => self.tick(now),
        }
    }

    /// When a [`Event::Tick`] is next due.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        let pauses = self.workers.iter().filter_map(|worker| match worker {
            Worker::Pausing { until } => Some(*until),
            _ => None,
        });
        pauses.chain(self.kill_at).min()
    }

    /// Whether every worker takes connections.
    pub(super) fn all_ready(&self) -> bool {
        self.workers
            .iter()
            .all(|worker| matches!(worker, Worker::Ready { .. }))
    }

    /// Whether nobody is left and nobody will come.
    pub(super) fn is_over(&self) -> bool {
        self.draining && self.living().next().is_none()
    }

    fn died(&mut self, slot: usize, served: bool, now: Instant) -> Vec<Action> {
        let proven = match self.workers[slot] {
            Worker::Ready { since } => served || now >= since + PROVEN,
            _ => false,
        };
        if self.draining {
            self.workers[slot] = Worker::Gone;
            return Vec::new();
        }
        if proven {
            self.early_deaths[slot] = 0;
            self.workers[slot] = Worker::Starting;
            return vec![Action::Start(slot)];
        }
        self.early_deaths[slot] += 1;
        if self.early_deaths[slot] >= CRASH_LOOP {
            self.workers[slot] = Worker::Gone;
            return vec![Action::GiveUp];
        }
        let doublings = self.early_deaths[slot] - 1;
        let pause = FIRST_PAUSE
            .saturating_mul(1 << doublings.min(16))
            .min(LONGEST_PAUSE);
        self.workers[slot] = Worker::Pausing { until: now + pause };
        Vec::new()
    }

    fn tick(&mut self, now: Instant) -> Vec<Action> {
        if self.kill_at.is_some_and(|kill_at| now >= kill_at) {
            self.kill_at = None;
            return self.living().map(Action::Kill).collect();
        }
        let mut actions = Vec::new();
        for (slot, worker) in self.workers.iter_mut().enumerate() {
            if matches!(worker, Worker::Pausing { until } if now >= *until) {
                *worker = Worker::Starting;
                actions.push(Action::Start(slot));
            }
        }
        actions
    }

    fn living(&self) -> impl Iterator<Item = usize> + '_ {
        let alive = |worker: &Worker| matches!(worker, Worker::Starting | Worker::Ready { .. });
        self.workers
            .iter()
            .enumerate()
            .filter(move |(_, worker)| alive(worker))
            .map(|(slot, _)| slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn early(slot: usize) -> Event {
        Event::Died {
            slot,
            served: false,
        }
    }

    #[test]
    fn one_that_lived_and_served_is_replaced_at_once() {
        let (mut pool, start) = (Supervisor::new(2), Instant::now());
        assert!(!pool.all_ready());
        (0..2).for_each(|slot| drop(pool.on(Event::Ready(slot), start)));
        assert!(pool.all_ready());
        assert_eq!(
            pool.on(
                Event::Died {
                    slot: 1,
                    served: true
                },
                start
            ),
            [Action::Start(1)]
        );
        pool.on(Event::Ready(1), start);
        assert_eq!(pool.on(early(1), start + PROVEN), [Action::Start(1)]);
    }

    #[test]
    fn early_deaths_pause_longer_and_longer_and_then_end_it() {
        let (mut pool, mut now) = (Supervisor::new(1), Instant::now());
        let mut pauses = Vec::new();
        let last = loop {
            let actions = pool.on(early(0), now);
            let Some(due) = pool.next_tick() else {
                break actions;
            };
            assert_eq!(pool.on(Event::Tick, due - Duration::from_nanos(1)), []);
            pauses.push((due - now).as_millis());
            now = due;
            assert_eq!(pool.on(Event::Tick, now), [Action::Start(0)]);
        };
        assert_eq!(
            (pauses, last),
            (vec![100, 200, 400, 800, 1600], vec![Action::GiveUp])
        );
    }

    #[test]
    fn young_workers_that_are_killed_together_are_no_crash_loop() {
        let (mut pool, now) = (Supervisor::new(50), Instant::now());
        (0..50).for_each(|slot| drop(pool.on(Event::Ready(slot), now)));
        assert!((0..50).all(|slot| pool.on(early(slot), now).is_empty()));
        let all: Vec<_> = (0..50).map(Action::Start).collect();
        assert_eq!(pool.on(Event::Tick, now + FIRST_PAUSE), all);
    }

    #[test]
    fn a_drain_starts_nobody_and_ends_with_a_kill() {
        let (mut pool, now) = (Supervisor::new(3), Instant::now());
        pool.on(Event::Ready(0), now);
        pool.on(early(2), now);
        assert_eq!(
            pool.on(Event::Drain, now),
            [Action::Drain(0), Action::Drain(1)]
        );
        assert_eq!(
            pool.on(
                Event::Died {
                    slot: 1,
                    served: true
                },
                now
            ),
            []
        );
        assert_eq!(
            (pool.on(Event::Cut, now), pool.is_over()),
            (vec![Action::Cut(0)], false)
        );
        assert_eq!(pool.on(Event::Tick, now + KILL_AFTER), [Action::Kill(0)]);
        assert_eq!((pool.on(early(0), now), pool.is_over()), (vec![], true));
    }

    proptest! {
        /// Whatever happens: nobody is started twice, and nothing starts after a drain.
        #[test]
        fn a_slot_never_has_two_workers(events in proptest::collection::vec((0_usize..3, 0_u8..5, 0_u64..3000), 0..200)) {
            let (mut pool, mut now) = (Supervisor::new(3), Instant::now());
            let (mut alive, mut draining) = ([true; 3], false);
            for (slot, what, later) in events {
                now += Duration::from_millis(later);
                let event = match what {
                    0 if alive[slot] => Event::Ready(slot),
                    1 | 2 if alive[slot] => {
                        alive[slot] = false;
                        Event::Died { slot, served: what == 2 }
                    }
                    3 if later > 2990 => {
                        draining = true;
                        Event::Drain
                    }
                    _ => Event::Tick,
                };
                for action in pool.on(event, now) {
                    match action {
                        Action::Start(slot) => {
                            prop_assert!(!alive[slot] && !draining);
                            alive[slot] = true;
                        }
                        Action::GiveUp => return Ok(()),
                        Action::Drain(slot) | Action::Cut(slot) | Action::Kill(slot) => prop_assert!(alive[slot]),
                    }
                }
                prop_assert_eq!(pool.living().count(), alive.iter().filter(|alive| **alive).count());
                prop_assert_eq!(pool.is_over(), draining && alive == [false; 3]);
            }
        }
    }
}
