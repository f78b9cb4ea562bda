//! Who does not move any more: a pure function of beats and of the time.
//!
//! Whoever works, or lives, beats a few times within the limit. Who has not for as long as the limit
//! hangs, whatever the cause. A watcher that did not run either has no right to judge: so a group of
//! processes that was stopped as a whole goes on as a whole.
//!
//! The master watches its workers in this way, and each worker those of its threads that serve.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How often within the limit somebody looks, or beats.
const WITHIN_LIMIT: u32 = 4;

/// The time between two looks, or between two beats of somebody who is well.
pub(crate) fn pause(limit: Duration) -> Duration {
    limit / WITHIN_LIMIT
}

/// What a watcher remembers of those who are known as `K`.
#[derive(Debug)]
pub(crate) struct Vigil<K> {
    limit: Duration,
    /// The last beat of each, and since when it is that.
    seen: HashMap<K, (u32, Instant)>,
    looked: Instant,
}

impl<K: Copy + Eq + Hash> Vigil<K> {
    /// Begins at `now`; whoever does not beat for `limit` hangs.
    pub(crate) fn new(limit: Duration, now: Instant) -> Self {
        Self {
            limit,
            seen: HashMap::new(),
            looked: now,
        }
    }

    /// When the next look is due.
    pub(crate) fn next_look(&self) -> Instant {
        self.looked + pause(self.limit)
    }

    /// Looks at the beats of all who are watched; returns those that hang.
    pub(crate) fn look(&mut self, beats: impl Iterator<Item = (K, u32)>, now: Instant) -> Vec<K> {
        let overslept = now.saturating_duration_since(self.looked) >= 2 * pause(self.limit);
        self.looked = now;
        let before = std::mem::take(&mut self.seen);
        let mut hung = Vec::new();
        for (who, beat) in beats {
            let known = before.get(&who).filter(|(last, _)| *last == beat);
            let since = known.map_or(now, |(_, since)| if overslept { now } else { *since });
            if now >= since + self.limit {
                hung.push(who);
            }
            self.seen.insert(who, (beat, since));
        }
        hung
    }

    /// Whoever is known by that name from now on has the whole time.
    pub(crate) fn forget(&mut self, who: K) {
        self.seen.remove(&who);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(4);
    const PAUSE: Duration = Duration::from_secs(1);

    /// The number of looks after which number 0 hangs, if its beat is `beat` at each look.
    fn hangs_after(beat: impl Fn(u32) -> u32, pause: impl Fn(u32) -> Duration) -> Option<u32> {
        let mut now = Instant::now();
        let mut vigil = Vigil::new(LIMIT, now);
        (0..20).find(|look| {
            now += pause(*look);
            // Its neighbour is well.
            let hung = vigil.look([(0, beat(*look)), (1, *look)].into_iter(), now);
            assert!(hung.is_empty() || hung == [0]);
            !hung.is_empty()
        })
    }

    #[test]
    fn who_does_not_beat_for_the_limit_hangs() {
        assert_eq!(hangs_after(|_| 7, |_| PAUSE), Some(WITHIN_LIMIT));
        assert_eq!(hangs_after(|look| look / 4, |_| PAUSE), None);
        assert_eq!(
            hangs_after(|look| look.min(5), |_| PAUSE),
            Some(5 + WITHIN_LIMIT)
        );
    }

    #[test]
    fn a_watcher_that_was_stopped_itself_gives_everybody_a_new_period() {
        let hour = Duration::from_secs(3600);
        let stopped = |look| if look == 3 { hour } else { PAUSE };
        assert_eq!(hangs_after(|_| 7, stopped), Some(3 + WITHIN_LIMIT));
        assert_eq!(hangs_after(|_| 7, |_| hour), None);
    }

    #[test]
    fn a_successor_under_the_same_name_has_the_whole_time() {
        let mut now = Instant::now();
        let mut vigil = Vigil::new(LIMIT, now);
        let mut look = |vigil: &mut Vigil<i32>| {
            now += PAUSE;
            vigil.look([(0, 7)].into_iter(), now)
        };
        (0..4).for_each(|_| assert!(look(&mut vigil).is_empty()));
        vigil.forget(0);
        (0..4).for_each(|_| assert!(look(&mut vigil).is_empty()));
        assert_eq!(look(&mut vigil), [0]);
        assert_eq!(vigil.next_look(), now + PAUSE);
    }
}
