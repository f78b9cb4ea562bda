//! How much a worker process may serve before it is replaced.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::config::Life;

/// Says once that the limit is reached. Whoever reached it serves on until it is replaced.
pub(crate) struct Wear {
    limit: u64,
    said: AtomicBool,
    say: Box<dyn Fn() + Send + Sync>,
}

impl Wear {
    /// No limit.
    pub(crate) fn none() -> Self {
        Self::at(u64::MAX, || {})
    }

    /// The limit that `life` sets, with a share of the jitter, for one who begins with a count of
    /// `before`.
    pub(crate) fn of(life: &Life, before: u64, say: impl Fn() + Send + Sync + 'static) -> Self {
        let Some(limit) = life.max_requests else {
            return Self::none();
        };
        // Each process and each call has another state.
        let random = RandomState::new().hash_one(before);
        let share = random % life.max_requests_jitter.saturating_add(1);
        Self::at(
            before.saturating_add(limit.get()).saturating_add(share),
            say,
        )
    }

    fn at(limit: u64, say: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            limit,
            said: AtomicBool::new(false),
            say: Box::new(say),
        }
    }

    /// So many requests were counted.
    pub(crate) fn note(&self, requests: u64) {
        if requests >= self.limit && !self.said.swap(true, Relaxed) {
            (self.say)();
        }
    }
}

impl fmt::Debug for Wear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Wear");
        debug.field("limit", &self.limit).field("said", &self.said);
        debug.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    /// At which count it was said, if it counts one by one from `before`.
    fn said_at(max_requests: u64, max_requests_jitter: u64, before: u64) -> u64 {
        let life = Life {
            max_requests: NonZeroU64::new(max_requests),
            max_requests_jitter,
            hang_timeout: None,
        };
        let said = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&said);
        let wear = Wear::of(&life, before, move || {
            count.fetch_add(1, Relaxed);
        });
        let at = (before + 1..before + 1000).find(|requests| {
            wear.note(*requests);
            said.load(Relaxed) > 0
        });
        (before + 1000..before + 2000).for_each(|requests| wear.note(requests));
        assert!(said.load(Relaxed) <= 1);
        at.unwrap_or(0)
    }

    #[test]
    fn it_is_said_once_and_at_the_limit_of_this_process() {
        assert_eq!(
            (said_at(10, 0, 0), said_at(10, 0, 500), said_at(0, 9, 500)),
            (10, 510, 0)
        );
    }

    #[test]
    fn the_jitter_is_drawn_anew_and_within_its_bound() {
        let draws: Vec<_> = (0..64).map(|_| said_at(10, 50, 0)).collect();
        assert!(draws.iter().all(|at| (10..=60).contains(at)), "{draws:?}");
        assert!(draws.iter().any(|at| *at != draws[0]), "{draws:?}");
    }
}
