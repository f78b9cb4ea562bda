//! Moments of a run as nanoseconds since its start: eight bytes each, cheap to compare and to keep.
//!
//! Only [`Clock`] asks the system; everything else is arithmetic and works under an invented time.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// A moment, counted from the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moment(u64);

impl Moment {
    /// The start of the run.
    pub(crate) const START: Self = Self(0);
    /// Later than everything: no such moment.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds after the start.
    pub(crate) const fn at(nanos: u64) -> Self {
        Self(nanos)
    }

    /// This moment, put off by `wait`; [`Moment::NEVER`] where that is too far away.
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(nanos(wait)))
    }

    /// Nanoseconds from `earlier` to this moment, 0 when it is not later.
    pub(crate) const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whether this is a moment at all.
    pub(crate) fn is_known(self) -> bool {
        self != Self::NEVER
    }

    /// Time since the start of the run; none for [`Moment::NEVER`].
    pub(crate) fn elapsed(self) -> Option<Duration> {
        self.is_known().then_some(Duration::from_nanos(self.0))
    }
}

/// Tells the time of one run; all its threads share one, so that their moments agree.
///
/// It is asked for every request, so it keeps the start as a number: the difference of two
/// [`std::time::Instant`]s costs more than asking for the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start_nanos: u64,
}

impl Clock {
    /// Starts the run: now is [`Moment::START`].
    pub(crate) fn start() -> Self {
        Self {
            start_nanos: reading(ClockId::Monotonic),
        }
    }

    /// The present moment.
    #[inline]
    pub(crate) fn now(self) -> Moment {
        Moment(reading(ClockId::Monotonic).saturating_sub(self.start_nanos))
    }
}

/// Processor time that the calling thread has used, in nanoseconds.
pub(crate) fn thread_cpu_nanos() -> u64 {
    reading(ClockId::ThreadCPUTime)
}

#[inline]
fn reading(clock: ClockId) -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    tv_sec.cast_unsigned() * 1_000_000_000 + tv_nsec.cast_unsigned()
}

/// A duration in nanoseconds; 584 years and more are all the same.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds as microseconds.
pub(crate) fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

/// Nanoseconds as seconds.
pub(crate) fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_never_wrap() {
        let late = Moment::at(u64::MAX - 1);
        assert_eq!(late.after(Duration::from_secs(1)), Moment::NEVER);
        assert_eq!(Moment::START.since(late), 0);
        assert_eq!(Moment::NEVER.elapsed(), None);
        assert_eq!(
            Moment::at(1_500).elapsed(),
            Some(Duration::from_nanos(1_500))
        );
    }
}
