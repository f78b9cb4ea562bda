//! The clock that all processes of a server share, so that one can tell another when something was.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A moment on the kernel's monotonic clock: an [`Instant`](std::time::Instant) that is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Moment(u64);

impl Moment {
    /// This one.
    pub(crate) fn now() -> Self {
        Self::on(ClockId::Monotonic)
    }

    /// This one as of the kernel's last tick, some milliseconds ago: a quarter of the price, for
    /// what is noted with each request.
    pub(crate) fn coarse() -> Self {
        Self::on(ClockId::MonotonicCoarse)
    }

    /// The one that [`ns`](Self::ns) tells.
    pub(crate) fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// As a number, in nanoseconds.
    pub(crate) fn ns(self) -> u64 {
        self.0
    }

    /// How much later it is than `earlier`; nothing if it is not.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    fn on(clock: ClockId) -> Self {
        let time = clock_gettime(clock);
        // Both begin at 0 and grow; the sum is enough for five centuries.
        let [seconds, nanoseconds] =
            [time.tv_sec, time.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
        Self(seconds * 1_000_000_000 + nanoseconds)
    }
}

/// When something last was, where several processes can see it.
#[derive(Debug, Default)]
pub(crate) struct Stamp(AtomicU64);

impl Stamp {
    /// It was at `moment`.
    pub(crate) fn set(&self, moment: Moment) {
        self.0.store(moment.0, Relaxed);
    }

    /// It never was.
    pub(crate) fn clear(&self) {
        self.0.store(0, Relaxed);
    }

    /// When it was, if ever.
    pub(crate) fn get(&self) -> Option<Moment> {
        Some(Moment(self.0.load(Relaxed))).filter(|moment| moment.0 > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_tell_the_same_time_and_none_goes_backwards() {
        let coarse = Moment::coarse();
        let now = Moment::now();
        assert!(coarse <= now, "{coarse:?} {now:?}");
        assert!(now.since(coarse) < Duration::from_secs(1));
        assert_eq!(coarse.since(now), Duration::ZERO);
    }

    #[test]
    fn what_never_was_has_no_moment() {
        let (stamp, now) = (Stamp::default(), Moment::now());
        assert_eq!(stamp.get(), None);
        stamp.set(now);
        assert_eq!(stamp.get(), Some(now));
        stamp.clear();
        assert_eq!(stamp.get(), None);
    }
}
