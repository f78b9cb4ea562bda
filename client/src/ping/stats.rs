//! What became of the messages, in bounded memory. Pure.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::ping::flight::{Answer, Punctuality};

/// The longest round trip that is told apart from a longer one.
const MAX_RTT: Duration = Duration::from_secs(3600);
/// The median is exact to a thousandth.
const DIGITS: u8 = 3;

/// Counts and round-trip times. Invariant: `sent = answered + lost + pending`.
#[derive(Debug)]
pub(crate) struct Stats {
    sent: u64,
    lost: u64,
    late: u64,
    sum_ns: u128,
    min: Duration,
    max: Duration,
    histogram: Histogram<u32>,
}

/// The round-trip times of the messages that were answered in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoundTrips {
    /// The shortest.
    pub(crate) min: Duration,
    /// The mean.
    pub(crate) avg: Duration,
    /// The longest.
    pub(crate) max: Duration,
    /// The median of the answered and the lost, which took longer than any limit; none if it is
    /// a lost one.
    pub(crate) p50: Option<Duration>,
}

impl Stats {
    /// Nothing has been sent.
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, nanos(MAX_RTT), DIGITS)
            .expect("the bounds are constants that the histogram accepts");
        Self {
            sent: 0,
            lost: 0,
            late: 0,
            sum_ns: 0,
            min: Duration::MAX,
            max: Duration::ZERO,
            histogram,
        }
    }

    /// One more was sent.
    pub(crate) fn count_sent(&mut self) {
        self.sent += 1;
    }

    /// One was given up.
    pub(crate) fn count_lost(&mut self) {
        self.lost += 1;
    }

    /// One came back. A late one stays lost: its round trip is not a time but a failure.
    pub(crate) fn count_answer(&mut self, answer: &Answer) {
        match answer.punctuality {
            Punctuality::Late => self.late += 1,
            Punctuality::InTime => {
                self.sum_ns += answer.rtt.as_nanos();
                self.min = self.min.min(answer.rtt);
                self.max = self.max.max(answer.rtt);
                self.histogram.saturating_record(nanos(answer.rtt));
            }
        }
    }

    /// How many were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// How many were answered in time.
    pub(crate) fn answered(&self) -> u64 {
        self.histogram.len()
    }

    /// How many were not.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// How many of the lost came back after all.
    pub(crate) fn late(&self) -> u64 {
        self.late
    }

    /// How many are under way.
    pub(crate) fn pending(&self) -> u64 {
        self.sent - self.answered() - self.lost
    }

    /// The round trips; none without an answer.
    pub(crate) fn round_trips(&self) -> Option<RoundTrips> {
        let answered = self.answered();
        let avg_ns = self.sum_ns.checked_div(u128::from(answered))?;
        Some(RoundTrips {
            min: self.min,
            avg: Duration::from_nanos(u64::try_from(avg_ns).unwrap_or(u64::MAX)),
            max: self.max,
            p50: self.median(),
        })
    }

    fn median(&self) -> Option<Duration> {
        let answered = self.answered();
        let rank = (answered + self.lost).div_ceil(2);
        (1..=answered).contains(&rank).then(|| {
            // The middle of the rank, which no rounding can push into the next one.
            let quantile = (rank as f64 - 0.5) / answered as f64;
            let middle = Duration::from_nanos(self.histogram.value_at_quantile(quantile));
            middle.clamp(self.min, self.max)
        })
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stats(rtts_us: &[u64], lost: u64) -> Stats {
        let mut stats = Stats::new();
        for (seq, &us) in (0..).zip(rtts_us) {
            stats.count_sent();
            stats.count_answer(&Answer {
                seq,
                rtt: Duration::from_micros(us),
                punctuality: Punctuality::InTime,
            });
        }
        for _ in 0..lost {
            stats.count_sent();
            stats.count_lost();
        }
        stats
    }

    #[test]
    fn without_an_answer_there_are_no_figures() {
        assert_eq!(stats(&[], 3).round_trips(), None);
        assert_eq!((stats(&[], 3).sent(), stats(&[], 3).pending()), (3, 0));
    }

    #[test]
    fn a_lost_message_is_slower_than_any_other() {
        assert!(stats(&[1, 2], 2).round_trips().unwrap().p50.is_some());
        assert_eq!(stats(&[1, 2], 3).round_trips().unwrap().p50, None);
    }

    #[test]
    fn a_late_answer_stays_lost() {
        let mut stats = stats(&[5], 1);
        let before = stats.round_trips();
        stats.count_answer(&Answer {
            seq: 1,
            rtt: MAX_RTT,
            punctuality: Punctuality::Late,
        });
        assert_eq!((stats.late(), stats.lost(), stats.answered()), (1, 1, 1));
        assert_eq!(stats.round_trips(), before);
    }

    proptest! {
        #[test]
        fn the_figures_are_those_of_the_sorted_list(
            mut rtts in prop::collection::vec(1_u64..10_000_000, 1..300),
            lost in 0_u64..200,
        ) {
            let stats = stats(&rtts, lost);
            let found = stats.round_trips().unwrap();
            rtts.sort_unstable();
            let us = |us: u64| Duration::from_micros(us);
            let sum: u64 = rtts.iter().sum();
            prop_assert_eq!((found.min, found.max), (us(rtts[0]), us(rtts[rtts.len() - 1])));
            prop_assert_eq!(found.avg.as_nanos(), u128::from(sum) * 1000 / rtts.len() as u128);
            let rank = (rtts.len() + usize::try_from(lost).unwrap()).div_ceil(2);
            match (rtts.get(rank - 1), found.p50) {
                (None, p50) => prop_assert_eq!(p50, None),
                (Some(_), None) => prop_assert!(false, "the median is an answered one"),
                (Some(&exact), Some(p50)) => {
                    let error = us(exact).abs_diff(p50);
                    prop_assert!(error <= us(exact) / 1000, "{:?} is not {}", p50, exact);
                }
            }
            prop_assert_eq!(stats.sent(), stats.answered() + stats.lost() + stats.pending());
        }
    }
}
