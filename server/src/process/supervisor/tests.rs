//! Invented deaths, wishes and times: what the pool does about them, one by one and at random.

use super::place::{FIRST_PAUSE, LONGEST_PAUSE};
use super::*;
use proptest::prelude::*;

const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
const BOUNDS: Bounds = Bounds {
    most: 4,
    slots: 8,
    drain_timeout: DRAIN_TIMEOUT,
};

fn died(slot: Slot, served: bool) -> Event {
    Event::Died { slot, served }
}

/// A pool whose workers are all ready.
fn pool(count: usize, now: Instant) -> Supervisor {
    let bounds = Bounds {
        most: count.max(BOUNDS.most),
        slots: 2 * count.max(BOUNDS.most),
        ..BOUNDS
    };
    let mut pool = Supervisor::new(count, bounds);
    let all: Vec<_> = (0..count).map(Action::Start).collect();
    assert_eq!(pool.on(Event::Begin, now), all);
    for slot in 0..count {
        assert!(!pool.all_ready());
        assert_eq!(pool.on(Event::Ready(slot), now), []);
    }
    assert!(pool.all_ready());
    pool
}

#[test]
fn one_that_lived_and_served_is_replaced_at_once() {
    let start = Instant::now();
    let mut pool = pool(2, start);
    assert_eq!(pool.on(died(1, true), start), [Action::Start(1)]);
    pool.on(Event::Ready(1), start);
    let later = start + PROVEN;
    assert_eq!(pool.on(died(1, false), later), [Action::Start(1)]);
}

#[test]
fn early_deaths_pause_longer_and_longer_and_then_end_it() {
    let mut now = Instant::now();
    let mut pool = Supervisor::new(1, BOUNDS);
    pool.on(Event::Begin, now);
    let mut pauses = Vec::new();
    let last = loop {
        let actions = pool.on(died(0, false), now);
        if !actions.is_empty() {
            break actions;
        }
        let due = pool.next_tick().unwrap();
        assert_eq!(pool.on(Event::Tick, due - Duration::from_nanos(1)), []);
        pauses.push((due - now).as_millis());
        now = due;
        assert_eq!(pool.on(Event::Tick, now), [Action::Start(0)]);
    };
    assert_eq!(pauses, [100, 200, 400, 800, 1600]);
    assert_eq!(last, [Action::GiveUp]);
}

#[test]
fn young_workers_that_are_killed_together_are_no_crash_loop() {
    let now = Instant::now();
    let mut pool = pool(50, now);
    assert!((0..50).all(|slot| pool.on(died(slot, false), now).is_empty()));
    let all: Vec<_> = (0..50).map(Action::Start).collect();
    assert_eq!(pool.on(Event::Tick, now + FIRST_PAUSE), all);
}

#[test]
fn a_drain_starts_nobody_and_ends_with_a_kill() {
    let now = Instant::now();
    let mut pool = pool(3, now);
    pool.on(died(2, false), now);
    let told = [0, 1].map(|slot| Action::Drain(slot, Why::Asked));
    assert_eq!(pool.on(Event::Drain, now), told);
    assert_eq!(pool.on(died(1, true), now), []);
    assert_eq!(pool.on(Event::Cut, now), [Action::Cut(0)]);
    assert!(!pool.is_over());
    let late = now + KILL_AFTER;
    assert_eq!(pool.on(Event::Tick, late), [Action::Kill(0)]);
    assert_eq!(
        (pool.on(died(0, false), late), pool.is_over()),
        (vec![], true)
    );
    assert_eq!(pool.next_tick(), None);
}

#[test]
fn a_restart_replaces_one_after_the_other_and_each_when_its_successor_is_ready() {
    let now = Instant::now();
    let mut pool = pool(2, now);
    let go = |slot| Action::Drain(slot, Why::Restarted);
    assert_eq!(pool.on(Event::Restart, now), [Action::Start(2)]);
    assert_eq!(pool.on(Event::Ready(2), now), [go(0), Action::Start(3)]);
    assert_eq!(pool.state(0), Some(State::Draining));
    assert_eq!(pool.on(Event::Ready(3), now), [go(1)]);
    assert_eq!(pool.on(died(1, true), now), []);
    assert_eq!(pool.on(died(0, true), now), [Action::Restarted]);
    assert_eq!(pool.next_tick(), None);
}

#[test]
fn a_worker_that_was_started_before_a_restart_is_replaced_too() {
    let now = Instant::now();
    let mut pool = Supervisor::new(1, BOUNDS);
    pool.on(Event::Begin, now);
    assert_eq!(pool.on(Event::Restart, now), []);
    assert_eq!(pool.on(Event::Ready(0), now), [Action::Start(1)]);
}

#[test]
fn restarts_upon_restarts_keep_no_more_than_twice_the_workers() {
    let now = Instant::now();
    let mut pool = pool(2, now);
    for slot in [2, 3] {
        pool.on(Event::Restart, now);
        pool.on(Event::Ready(slot), now);
    }
    assert_eq!(pool.on(Event::Restart, now), [], "two are on their way out");
    assert_eq!(pool.on(died(0, true), now), [Action::Start(0)]);
}

#[test]
fn a_restart_whose_workers_do_not_live_leaves_the_old_ones() {
    let mut now = Instant::now();
    let mut pool = pool(1, now);
    let mut actions = pool.on(Event::Restart, now);
    let mut attempts = 0;
    while actions == [Action::Start(1)] {
        attempts += 1;
        actions = pool.on(died(1, false), now);
        if actions.is_empty() {
            now = pool.next_tick().unwrap();
            actions = pool.on(Event::Tick, now);
        }
    }
    assert_eq!(
        (attempts, &actions[..]),
        (CRASH_LOOP, &[Action::RestartGivenUp][..])
    );
    assert_eq!(pool.on(Event::Tick, now + LONGEST_PAUSE), []);
    assert_eq!(pool.state(0), Some(State::Ready));
    // The next one is a new attempt.
    assert_eq!(
        pool.on(Event::Restart, now + LONGEST_PAUSE),
        [Action::Start(1)]
    );
}

#[test]
fn worn_workers_are_replaced_one_at_a_time() {
    let now = Instant::now();
    let mut pool = pool(3, now);
    assert_eq!(pool.on(Event::Worn(1), now), [Action::Start(3)]);
    assert_eq!(pool.on(Event::Worn(2), now), []);
    let recycled = Action::Drain(1, Why::Recycled);
    assert_eq!(pool.on(Event::Ready(3), now), [recycled, Action::Start(4)]);
}

#[test]
fn the_wear_is_remembered_until_a_successor_lives() {
    let mut now = Instant::now();
    let mut pool = pool(1, now);
    pool.on(Event::Worn(0), now);
    for _ in 0..3 * CRASH_LOOP {
        assert_eq!(pool.on(died(1, false), now), []);
        let due = pool.next_tick().unwrap();
        assert!(due - now <= LONGEST_PAUSE);
        now = due;
        assert_eq!(pool.on(Event::Tick, now), [Action::Start(1)]);
    }
    let recycled = Action::Drain(0, Why::Recycled);
    assert_eq!(pool.on(Event::Ready(1), now), [recycled]);
}

#[test]
fn one_that_drains_too_long_is_cut_and_then_killed() {
    let now = Instant::now();
    let mut pool = pool(2, now);
    let asked = Action::Drain(1, Why::Asked);
    assert_eq!(pool.on(Event::Fewer, now), [asked]);
    assert_eq!(pool.next_tick(), Some(now + DRAIN_TIMEOUT));
    // However late it is noticed, the rest of the order is kept.
    let late = now + 2 * DRAIN_TIMEOUT;
    assert_eq!(pool.on(Event::Tick, late), [Action::Cut(1)]);
    assert_eq!(pool.on(Event::Tick, late + KILL_AFTER), [Action::Kill(1)]);
    assert_eq!((pool.on(died(1, true), late), pool.count()), (vec![], 1));
}

#[test]
fn the_number_of_workers_stays_within_its_bounds() {
    let now = Instant::now();
    let mut pool = pool(3, now);
    assert_eq!(pool.on(Event::More, now), [Action::Start(3)]);
    assert_eq!(pool.on(Event::More, now), [], "four are the most");
    // One that has not even begun goes as well.
    let asked = |slot| Action::Drain(slot, Why::Asked);
    assert_eq!(pool.on(Event::Fewer, now), [asked(3)]);
    assert_eq!(pool.on(Event::Fewer, now), [asked(2)]);
    assert_eq!(pool.on(Event::Fewer, now), [asked(1)]);
    assert_eq!(pool.on(Event::Fewer, now), []);
    assert_eq!(pool.count(), 1);
    assert_eq!(pool.on(Event::Ready(3), now), [], "it came too late");
}

#[test]
fn a_hung_worker_may_say_where_before_it_is_killed_and_is_replaced_like_any_other() {
    let now = Instant::now();
    let mut pool = pool(2, now);
    assert_eq!(pool.on(Event::Hung(1), now), [Action::Abort(1)]);
    assert_eq!(pool.on(Event::Hung(1), now), [], "it is told once");
    assert_eq!(pool.state(1), Some(State::Hung));
    let late = now + KILL_AFTER;
    assert_eq!(pool.on(Event::Tick, late), [Action::Kill(1)]);
    assert_eq!(pool.on(died(1, false), late), [Action::Start(1)]);
}

/// What a test does with a pool: the supervisor, and what became of its orders.
struct Model {
    pool: Supervisor,
    now: Instant,
    /// Who lives, and whether he was told to drain.
    living: BTreeMap<Slot, bool>,
    ready: Vec<Slot>,
    killed: Vec<Slot>,
    draining: bool,
    given_up: bool,
    restarts: (u32, u32),
}

impl Model {
    fn new(count: usize) -> Self {
        let mut model = Self {
            pool: Supervisor::new(count, BOUNDS),
            now: Instant::now(),
            living: BTreeMap::new(),
            ready: Vec::new(),
            killed: Vec::new(),
            draining: false,
            given_up: false,
            restarts: (0, 0),
        };
        model.on(Event::Begin);
        model
    }

    fn on(&mut self, event: Event) {
        let accepting = self.accepting();
        match event {
            Event::Ready(slot) => self.ready.push(slot),
            Event::Died { slot, .. } => {
                self.living.remove(&slot);
                self.ready.retain(|ready| *ready != slot);
                self.killed.retain(|killed| *killed != slot);
            }
            Event::Drain => self.draining = true,
            Event::Restart => self.restarts.0 += 1,
            _ => {}
        }
        for action in self.pool.on(event, self.now) {
            match action {
                Action::Start(slot) => {
                    assert!(!self.draining && slot < BOUNDS.slots);
                    assert_eq!(self.living.insert(slot, false), None, "two in one slot");
                }
                Action::Drain(slot, why) => {
                    let told = self.living.insert(slot, true);
                    assert_eq!(told, Some(false), "the dead are told nothing, others once");
                    let is_ready = self.ready.contains(&slot);
                    if why != Why::Asked {
                        assert!(is_ready && matches!(event, Event::Ready(_)));
                    }
                }
                Action::Cut(slot) | Action::Abort(slot) => {
                    assert!(self.living.contains_key(&slot));
                }
                Action::Kill(slot) => {
                    assert!(self.living.contains_key(&slot));
                    self.killed.push(slot);
                }
                Action::Restarted | Action::RestartGivenUp => self.restarts.1 += 1,
                Action::GiveUp => self.given_up = true,
            }
        }
        if !matches!(event, Event::Died { .. } | Event::Fewer | Event::Drain) {
            assert!(self.accepting() >= accepting, "{event:?} cost a worker");
        }
        assert!(self.living.len() <= BOUNDS.slots);
        assert_eq!(self.pool.is_over(), self.draining && self.living.is_empty());
        let states = self
            .living
            .keys()
            .all(|slot| self.pool.state(*slot).is_some());
        assert!(states && self.restarts.1 <= self.restarts.0);
    }

    /// How many are ready and were not told to go.
    fn accepting(&self) -> usize {
        let stays = |slot: &&Slot| self.living.get(slot) == Some(&false);
        self.ready.iter().filter(stays).count()
    }

    /// Whoever can become ready does, whoever was told to go or killed dies, and time passes.
    fn settle(&mut self) {
        for _ in 0..100 {
            self.now = self.pool.next_tick().unwrap_or(self.now).max(self.now);
            self.on(Event::Tick);
            let living: Vec<_> = self
                .living
                .iter()
                .map(|(slot, told)| (*slot, *told))
                .collect();
            for (slot, told) in living {
                if told || self.killed.contains(&slot) {
                    self.on(died(slot, true));
                } else if !self.ready.contains(&slot) {
                    self.on(Event::Ready(slot));
                }
            }
        }
    }
}

proptest! {
    /// Whatever happens: nobody is started twice, nothing starts after a drain, only deaths and
    /// orders make the pool smaller, and once it is left alone it is complete and does nothing.
    #[test]
    fn a_pool_keeps_its_promises(events in proptest::collection::vec((0_usize..8, 0_u8..16, 0_u64..3000), 0..200)) {
        let mut model = Model::new(3);
        for (slot, what, later) in events {
            model.now += Duration::from_millis(later);
            let known = model.living.contains_key(&slot);
            let is_ready = model.ready.contains(&slot);
            let event = match what {
                0..=3 if known && !is_ready => Event::Ready(slot),
                4 if known => died(slot, false),
                5 if known => died(slot, is_ready),
                6 if is_ready => Event::Worn(slot),
                7 if known => Event::Hung(slot),
                8 => Event::Restart,
                9 => Event::More,
                10 => Event::Fewer,
                11 if later > 2990 => Event::Drain,
                12 if model.draining => Event::Cut,
                _ => Event::Tick,
            };
            model.on(event);
            if model.given_up {
                return Ok(());
            }
        }
        model.settle();
        if model.draining {
            prop_assert!(model.pool.is_over());
        } else {
            prop_assert_eq!(model.accepting(), model.pool.count());
            prop_assert_eq!(model.living.len(), model.pool.count());
            let settled = model.pool.workers.values().all(|worker| {
                !worker.worn && worker.generation == model.pool.generation
            });
            prop_assert!(settled && !model.pool.restarting);
        }
        prop_assert_eq!(model.pool.next_tick(), None);
    }
}
