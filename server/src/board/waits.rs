//! How long clients waited for their first answer: a histogram that processes add to together.

use std::iter::Sum;
use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The bounds of the buckets but the last, which has none.
const BOUNDS: [Duration; 18] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];
const BUCKETS: usize = BOUNDS.len() + 1;

/// A histogram under way. What is read of it while somebody adds may lack that one.
#[derive(Debug, Default)]
pub(super) struct Cells {
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Cells {
    /// Counts one.
    pub(super) fn add(&self, wait: Duration) {
        let bucket = BOUNDS.partition_point(|bound| *bound < wait);
        self.buckets[bucket].fetch_add(1, Relaxed);
        let ns = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(ns, Relaxed);
    }

    /// What was counted so far.
    pub(super) fn read(&self) -> Waits {
        Waits {
            buckets: self.buckets.each_ref().map(|bucket| bucket.load(Relaxed)),
            sum: Duration::from_nanos(self.sum_ns.load(Relaxed)),
        }
    }
}

/// A histogram of waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    buckets: [u64; BUCKETS],
    sum: Duration,
}

impl Waits {
    /// The buckets that have a bound, each with that and those up to it.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let counts = self.buckets.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        BOUNDS.into_iter().zip(counts)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// What they come to.
    pub(crate) fn sum(&self) -> Duration {
        self.sum
    }
}

impl Sum for Waits {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}

impl Add for Waits {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        for (count, more) in self.buckets.iter_mut().zip(other.buckets) {
            *count += more;
        }
        self.sum += other.sum;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_counts_in_every_bucket_whose_bound_it_does_not_exceed() {
        let cells = Cells::default();
        let ns = Duration::from_nanos(1);
        for wait in [BOUNDS[0], BOUNDS[0] + ns, BOUNDS[17], BOUNDS[17] + ns] {
            cells.add(wait);
        }
        let waits = cells.read();
        let counts: Vec<_> = waits.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counts[..2], [1, 2]);
        assert_eq!(counts[16..], [2, 3]);
        assert_eq!(waits.count(), 4, "the last has no bound");
        assert_eq!(waits.sum(), 2 * (BOUNDS[0] + BOUNDS[17] + ns));
        let both: Waits = [waits, waits].into_iter().sum();
        assert_eq!((both.count(), both.sum()), (8, 2 * waits.sum()));
    }

    #[test]
    fn the_bounds_grow() {
        assert!(BOUNDS.is_sorted_by(|one, next| one < next));
    }
}
