//! How far the mean of a short window may lie from the mean of all time, by chance alone.
//!
//! The same window is played with many seeds. Of K such windows and one more, each is equally likely
//! to be the lowest or the highest: so a further one lies outside of all K with probability
//! 2 / (K + 1), whatever the distribution. That is the sampling interval, and it needs no theory of
//! how waits in a queue depend on each other.

use std::num::NonZeroUsize;

use serde::Serialize;

use super::simulation::{Nanos, waits};
use crate::dice::Dice;

/// A window of arrivals at one queue.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Poisson arrivals per second.
    pub arrivals_per_s: f64,
    /// The mean of the exponential service times.
    pub service: Nanos,
    /// What each service takes besides.
    pub hold: Nanos,
    /// Who serves.
    pub workers: NonZeroUsize,
    /// The queue is empty at first; what ends before this is not counted.
    pub from: Nanos,
    /// Nor is what ends later.
    pub until: Nanos,
}

/// The range of the mean waits of many windows, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The lowest.
    pub low_s: f64,
    /// The mean of all.
    pub mean_s: f64,
    /// The highest.
    pub high_s: f64,
}

impl Interval {
    /// Whether `value_s` lies within.
    #[must_use]
    pub fn contains(&self, value_s: f64) -> bool {
        (self.low_s..=self.high_s).contains(&value_s)
    }
}

impl Window {
    /// The range over `count` seeds from `seed` on; none if nothing was served in one of them.
    #[must_use]
    pub fn interval(&self, seed: u64, count: u32) -> Option<Interval> {
        let means = (0..u64::from(count)).map(|index| self.mean_wait_s(Dice::of_one(seed, index)));
        let means: Vec<f64> = means.collect::<Option<_>>()?;
        Some(Interval {
            low_s: means.iter().copied().reduce(f64::min)?,
            mean_s: means.iter().sum::<f64>() / means.len() as f64,
            high_s: means.iter().copied().reduce(f64::max)?,
        })
    }

    fn mean_wait_s(&self, mut dice: Dice) -> Option<f64> {
        let gap = 1e9 / self.arrivals_per_s;
        let mut now = 0;
        let mut requests = Vec::new();
        loop {
            now += dice.exponential(gap);
            if now >= self.until {
                break;
            }
            requests.push((now, dice.exponential(self.service as f64) + self.hold));
        }
        let waits = waits(&requests, self.workers);
        let counted = requests
            .iter()
            .zip(&waits)
            .filter(|((arrival, service), wait)| {
                (self.from..self.until).contains(&(arrival + service + **wait))
            });
        let (sum, count) = counted.fold((0.0, 0_u32), |(sum, count), (_, wait)| {
            (sum + *wait as f64, count + 1)
        });
        (count > 0).then(|| sum / f64::from(count) / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::erlang::Mmc;
    use std::num::NonZeroU32;

    fn window(seconds: u64, load: f64) -> Window {
        Window {
            arrivals_per_s: load * 400.0,
            service: 10_000_000,
            hold: 0,
            workers: NonZeroUsize::new(4).unwrap(),
            from: 500_000_000,
            until: seconds * 1_000_000_000,
        }
    }

    fn formula_s(load: f64) -> f64 {
        let four = NonZeroU32::new(4).unwrap();
        Mmc::new(four, load * 400.0, 0.01).unwrap().wait_s()
    }

    #[test]
    fn the_mean_of_the_windows_is_the_formula() {
        let interval = window(20, 0.7).interval(1, 200).unwrap();
        let error = interval.mean_s / formula_s(0.7) - 1.0;
        assert!(error.abs() < 0.05, "{interval:?}");
        assert!(interval.contains(formula_s(0.7)));
    }

    #[test]
    fn a_longer_window_has_a_narrower_interval() {
        let width = |seconds| {
            let interval = window(seconds, 0.8).interval(1, 100).unwrap();
            interval.high_s - interval.low_s
        };
        assert!(width(32) < width(8), "{} {}", width(32), width(8));
    }

    #[test]
    fn further_windows_lie_outside_as_rarely_as_is_said() {
        let window = window(3, 0.5);
        let interval = window.interval(1, 99).unwrap();
        let outside = (0..400)
            .filter_map(|index| window.mean_wait_s(Dice::of_one(2, index)))
            .filter(|mean| !interval.contains(*mean));
        // 2 in 100 are expected, given this very interval a little more or less.
        assert!(outside.count() <= 24);
    }

    #[test]
    fn a_window_in_which_nothing_ends_has_no_mean() {
        let mut empty = window(3, 0.5);
        empty.from = empty.until;
        assert_eq!(empty.interval(1, 3), None);
    }
}
