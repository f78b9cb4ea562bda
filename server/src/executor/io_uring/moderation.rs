//! How many connections are to have said something before a ring is looked at again, as a network
//! card moderates its interrupts: a look that finds one report costs the same system call as one that
//! finds thirty. Pure: no clock and no ring, so it is tested exactly.
//!
//! Waiting must cost no rate and nobody's patience. So it is for a part of those only who are
//! talking, whose others keep their side busy meanwhile; for [`PATIENCE`] at most; and not at all
//! for a while if the last time was in vain, since then there is no crowd. Answers never wait: they
//! are on their way before the waiting begins.

use std::time::{Duration, Instant};

/// How long a batch is waited for: a few answers' time. From then on the first report is enough.
pub(super) const PATIENCE: Duration = Duration::from_micros(20);

/// One in so many of those who are talking makes a batch.
const PART: u32 = 2;
/// A smaller batch is not worth a wait: with batches of ten 20 clients had 3 % fewer answers.
const LEAST: u32 = 16;
/// A larger one saves nothing any more. Nor does waiting after a look that found more: the kernel takes as
/// many reports as it is asked for, and each look would find more than the one before, until the
/// buffers run out.
const MOST: u32 = 32;
/// Whoever said something in this one, or in the one before, is talking.
const WINDOW: Duration = Duration::from_millis(1);
/// The pause after a wait in vain, the first time; it doubles with each, and halves with each batch.
const SHORTEST_PAUSE: Duration = Duration::from_micros(100);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What a ring remembers of its last looks.
#[derive(Debug)]
pub(super) struct Moderation {
    /// A bit for each who is talking, in the window before and in this one. Who shares a bit is
    /// counted once, and so the batch is rather too small.
    talking: [u128; 2],
    /// When this window began.
    began: Instant,
    /// How many have said something since the last wait.
    heard: u32,
    /// What that wait was for; none if it was for anybody.
    batch: Option<u32>,
    /// Nobody is waited for until then.
    paused_until: Instant,
    /// How long the next pause is.
    pause: Duration,
}

impl Moderation {
    /// Of a ring that nobody has talked to.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            talking: [0; 2],
            began: now,
            heard: 0,
            batch: None,
            paused_until: now,
            pause: SHORTEST_PAUSE,
        }
    }

    /// Connection `key` said something.
    pub(super) fn hear(&mut self, key: usize) {
        self.heard = self.heard.saturating_add(1);
        let [_, now] = &mut self.talking;
        *now |= 1 << (key % 128);
    }

    /// How many are to be waited for after a look that began at `now`; none if anybody will do.
    pub(super) fn next_batch(&mut self, now: Instant) -> Option<u32> {
        let heard = std::mem::take(&mut self.heard);
        self.judge(heard, now);
        self.turn_window(now);
        let [before, after] = self.talking;
        let batch = ((before | after).count_ones() / PART).min(MOST);
        let is_worth_it = batch >= LEAST && heard <= MOST;
        self.batch = (is_worth_it && now >= self.paused_until).then_some(batch);
        self.batch
    }

    /// Whether the last wait was worth it: half a batch is.
    fn judge(&mut self, heard: u32, now: Instant) {
        match self.batch.take() {
            Some(batch) if heard < batch / 2 => {
                self.paused_until = now + self.pause;
                self.pause = LONGEST_PAUSE.min(self.pause * 2);
            }
            Some(_) => self.pause = SHORTEST_PAUSE.max(self.pause / 2),
            None => {}
        }
    }

    fn turn_window(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.began);
        if age >= WINDOW {
            let [_, last] = self.talking;
            // After a silence of two windows nobody is talking.
            self.talking = [if age < 2 * WINDOW { last } else { 0 }, 0];
            self.began = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_micros(10);

    /// Looks that find so many of `clients` each, in turn, one after the other.
    struct Looks {
        moderation: Moderation,
        now: Instant,
        next: usize,
    }

    impl Looks {
        fn new() -> Self {
            let now = Instant::now();
            let moderation = Moderation::new(now);
            Self {
                moderation,
                now,
                next: 0,
            }
        }

        /// The same, and so many have been heard that a batch is as large as it ever is.
        fn at_a_crowd() -> Self {
            let mut looks = Self::new();
            while looks.find(MOST, 10_000) != Some(MOST) {}
            looks
        }

        /// A look that finds `found` of `clients`; what is waited for then.
        fn find(&mut self, found: u32, clients: usize) -> Option<u32> {
            self.now += ROUND;
            for _ in 0..found {
                self.moderation.hear(self.next % clients);
                self.next += 1;
            }
            self.moderation.next_batch(self.now)
        }

        /// Looks at a crowd until a batch of it is waited for.
        fn until_a_wait(&mut self) {
            while self.find(1, 50).is_none() {}
        }

        /// Waits in vain; how long nobody is waited for then, although all of a crowd are there.
        fn pause(&mut self) -> Duration {
            assert_eq!(self.find(1, 50), None);
            let began = self.now;
            self.until_a_wait();
            self.now - began
        }
    }

    #[test]
    fn nobody_waits_for_the_only_client() {
        let mut looks = Looks::new();
        assert!((0..10_000).all(|_| looks.find(1, 1).is_none()));
    }

    #[test]
    fn a_few_clients_are_no_crowd() {
        let mut looks = Looks::new();
        let few = usize::try_from(LEAST * PART).unwrap() - 1;
        assert!((0..10_000).all(|_| looks.find(7, few).is_none()));
    }

    #[test]
    fn a_batch_is_a_part_of_those_who_talk() {
        for (clients, batch) in [(32, 16), (40, 20), (50, 25)] {
            let mut looks = Looks::new();
            let batches: Vec<_> = (0..200).map(|_| looks.find(25, clients)).collect();
            assert_eq!(batches.last(), Some(&Some(batch)), "{clients} clients");
        }
    }

    #[test]
    fn a_batch_has_an_end() {
        let mut looks = Looks::at_a_crowd();
        assert!((0..1_000).all(|_| looks.find(MOST, 10_000) == Some(MOST)));
    }

    #[test]
    fn who_finds_more_than_the_largest_batch_waits_for_none() {
        let mut looks = Looks::at_a_crowd();
        for _ in 0..1_000 {
            assert_eq!(looks.find(MOST + 1, 10_000), None);
            assert_eq!(looks.find(20, 10_000), Some(MOST));
        }
    }

    #[test]
    fn each_wait_in_vain_makes_the_next_pause_twice_as_long() {
        let mut looks = Looks::new();
        looks.until_a_wait();
        for doublings in 0..9 {
            assert_eq!(looks.pause(), SHORTEST_PAUSE * (1 << doublings));
        }
        assert_eq!(looks.pause(), LONGEST_PAUSE);
        assert_eq!(looks.pause(), LONGEST_PAUSE);
    }

    #[test]
    fn each_batch_that_comes_halves_the_next_pause() {
        let mut looks = Looks::new();
        looks.until_a_wait();
        let pauses = [(); 3].map(|()| looks.pause());
        assert_eq!(pauses, [1, 2, 4].map(|times| times * SHORTEST_PAUSE));
        for _ in 0..2 {
            assert_eq!(looks.find(25, 50), Some(25));
        }
        assert_eq!(looks.pause(), 2 * SHORTEST_PAUSE);
        for _ in 0..10 {
            assert_eq!(looks.find(25, 50), Some(25));
        }
        assert_eq!(looks.pause(), SHORTEST_PAUSE);
    }

    #[test]
    fn half_a_batch_is_not_in_vain() {
        let mut looks = Looks::new();
        while looks.find(25, 50) != Some(25) {}
        assert_eq!(looks.find(12, 50), Some(25));
        assert_eq!(looks.find(11, 50), None);
    }

    #[test]
    fn after_a_silence_the_crowd_is_forgotten() {
        let mut looks = Looks::new();
        while looks.find(25, 50) != Some(25) {}
        looks.now += 2 * WINDOW;
        assert_eq!(looks.find(25, 50), None, "nobody is known to talk");
        assert_eq!(looks.find(32, 50), Some(16), "nor was the wait in vain");
    }
}
