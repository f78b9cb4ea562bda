//! Intervals for noise that is not normal. Pure.
//!
//! Both are read off ranks, so their levels are exact and not every level can be had: of five values
//! even the widest interval has 93.75 %. An interval therefore says which level it has. Values are
//! taken to be independent.
//!
//! * The median: order statistics, whose ranks follow from the binomial distribution, whatever that of
//!   the values is (Conover, "Practical Nonparametric Statistics"; David and Nagaraja, "Order
//!   Statistics": the distribution-free interval for a quantile).
//! * The shift of paired values: the median of all averages of two, each with itself as well (the
//!   estimate of Hodges and Lehmann, "Estimates of location based on rank tests", 1963), with the
//!   interval that inverts the signed-rank test of Wilcoxon ("Individual comparisons by ranking
//!   methods", 1945). Differences are taken to be symmetric around the shift, which they are when both
//!   sides have the same noise.

use serde::{Deserialize, Serialize};

use super::median_of_sorted;

/// The level that is aimed at.
const LEVEL: f64 = 0.95;
/// Beyond so many pairs the signed-rank distribution is taken for normal.
const MOST_EXACT: usize = 50;
/// The standard normal distribution exceeds this with half of what [`LEVEL`] leaves.
const NORMAL: f64 = 1.959_964;

/// An estimate and where the truth lies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The estimate.
    pub middle: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// How often such an interval holds the truth, from 0 to 1.
    pub level: f64,
}

impl Interval {
    /// The median of `values`; none without any, or if one is no number.
    #[must_use]
    pub fn of_median(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values)?;
        let (skip, level) = widest_skip(sorted.len() / 2, LEVEL, |skip| {
            binomial_tail(sorted.len(), skip)
        });
        Self::of_ranks(&sorted, skip, level)
    }

    /// By how much values lie above what each of them is paired with, from their `differences`; none
    /// without any, or if one is no number.
    #[must_use]
    pub fn of_shift(differences: &[f64]) -> Option<Self> {
        let count = differences.len();
        let pairs = (0..count).flat_map(|first| (first..count).map(move |second| (first, second)));
        let walsh = |(first, second): (usize, usize)| {
            Some((differences.get(first)? + differences.get(second)?) / 2.0)
        };
        let sorted = sorted(&pairs.filter_map(walsh).collect::<Vec<_>>())?;
        let (skip, level) = if count <= MOST_EXACT {
            let tails = signed_rank_tails(count);
            let tail = |skip: usize| tails.get(skip).copied().unwrap_or(1.0);
            widest_skip(sorted.len() / 2, LEVEL, tail)
        } else {
            (normal_skip(count), LEVEL)
        };
        Self::of_ranks(&sorted, skip, level)
    }

    /// The median of sorted values between those that `skip` values on either side lie outside of.
    pub(super) fn of_ranks(sorted: &[f64], skip: usize, level: f64) -> Option<Self> {
        Some(Self {
            middle: median_of_sorted(sorted)?,
            low: *sorted.get(skip)?,
            high: *sorted.get(sorted.len().checked_sub(skip + 1)?)?,
            level,
        })
    }

    /// The same of numbers of which these are the logarithms.
    #[must_use]
    pub fn exp(self) -> Self {
        Self {
            middle: self.middle.exp(),
            low: self.low.exp(),
            high: self.high.exp(),
            level: self.level,
        }
    }
}

pub(super) fn sorted(values: &[f64]) -> Option<Vec<f64>> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let numbers = sorted.iter().all(|value| value.is_finite());
    numbers.then_some(sorted)
}

/// How many values may be left outside on either side, at most `most`, for an interval that has at least
/// the level `wanted` if that can be had, and the level then. `tail` tells how likely it is that the
/// truth lies on one side outside of them.
pub(super) fn widest_skip(most: usize, wanted: f64, tail: impl Fn(usize) -> f64) -> (usize, f64) {
    let level = |skip| (1.0 - 2.0 * tail(skip)).max(0.0);
    let good = (1..=most).take_while(|skip| level(*skip) >= wanted);
    let skip = good.last().unwrap_or(0);
    (skip, level(skip))
}

/// How likely it is that at most `skip` of `count` values lie below the median.
fn binomial_tail(count: usize, skip: usize) -> f64 {
    let mut term = (-(count as f64) * std::f64::consts::LN_2).exp();
    let mut sum = term;
    for successes in 1..=skip {
        term *= (count + 1 - successes) as f64 / successes as f64;
        sum += term;
    }
    sum
}

/// For each rank sum, how likely the signed-rank statistic of `count` pairs is to be no greater.
fn signed_rank_tails(count: usize) -> Vec<f64> {
    let mut chances = vec![1.0];
    for rank in 1..=count {
        let mut next = vec![0.0; chances.len() + rank];
        for (sum, chance) in chances.iter().enumerate() {
            next[sum] += chance / 2.0;
            next[sum + rank] += chance / 2.0;
        }
        chances = next;
    }
    let below = |sum: &mut f64, chance: &f64| {
        *sum += chance;
        Some(*sum)
    };
    chances.iter().scan(0.0, below).collect()
}

fn normal_skip(count: usize) -> usize {
    let n = count as f64;
    let spread = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
    let skip = n * (n + 1.0) / 4.0 - NORMAL * spread;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive for more than MOST_EXACT pairs, and less than the number of averages"
    )]
    let skip = skip as usize;
    skip
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 1 to `count`.
    fn ranks(count: u32) -> Vec<f64> {
        (1..=count).map(f64::from).collect()
    }

    #[test]
    fn ranks_of_the_median_are_those_of_the_tables() {
        // (count, lower rank, upper rank, level), as tables of intervals for the median have them.
        for (count, low, high, level) in [
            (5, 1.0, 5.0, 0.9375),
            (6, 1.0, 6.0, 0.968_75),
            (10, 2.0, 9.0, 0.978_515_625),
            (15, 4.0, 12.0, 0.964_843_75),
            (20, 6.0, 15.0, 0.958_610_534_667_968_8),
        ] {
            let found = Interval::of_median(&ranks(count)).unwrap();
            assert_eq!((found.low, found.high), (low, high), "{count}");
            assert!(
                (found.level - level).abs() < 1e-9,
                "{count}: {}",
                found.level
            );
        }
    }

    #[test]
    fn ranks_of_the_shift_are_those_of_the_tables() {
        // The greatest rank sums with at most 2.5 % on one side: tables of the signed-rank test.
        for (count, critical) in [
            (6, Some(0)),
            (7, Some(2)),
            (8, Some(3)),
            (10, Some(8)),
            (20, Some(52)),
            (5, None),
        ] {
            let tails = signed_rank_tails(count);
            let found = tails.iter().rposition(|tail| *tail <= 0.025);
            assert_eq!(found, critical, "{count}");
        }
    }

    #[test]
    fn no_more_is_left_outside_than_the_level_allows() {
        // Ten pairs: 8 averages on either side leave 95.1 %, and 9 would leave 93.6 %.
        let found = Interval::of_shift(&ranks(10)).unwrap();
        assert!(
            (found.level - 0.951_171_875).abs() < 1e-9,
            "{}",
            found.level
        );
        let mut walsh: Vec<f64> = (1..=10)
            .flat_map(|first| (first..=10).map(move |second| f64::from(first + second) / 2.0))
            .collect();
        walsh.sort_by(f64::total_cmp);
        assert_eq!((found.low, found.high), (walsh[8], walsh[46]));
    }

    #[test]
    fn a_few_values_have_an_interval_of_a_lower_level() {
        let level = |count| Interval::of_shift(&ranks(count)).map(|found| found.level);
        assert_eq!(
            [1, 2, 3, 5].map(level),
            [Some(0.0), Some(0.5), Some(0.75), Some(0.9375)]
        );
        assert_eq!(
            (Interval::of_shift(&[]), Interval::of_median(&[])),
            (None, None)
        );
        assert_eq!(Interval::of_shift(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn many_pairs_are_nearly_as_the_exact_ranks_say() {
        let tails = signed_rank_tails(MOST_EXACT);
        let exact = tails.iter().rposition(|tail| *tail <= 0.025).unwrap() + 1;
        assert!(exact.abs_diff(normal_skip(MOST_EXACT)) <= 2);
    }

    proptest! {
        #[test]
        fn the_estimate_lies_inside(values in prop::collection::vec(-1e6..1e6_f64, 1..80)) {
            for found in [Interval::of_median(&values), Interval::of_shift(&values)] {
                let found = found.unwrap();
                prop_assert!(found.low <= found.middle && found.middle <= found.high);
                prop_assert!((0.0..=1.0).contains(&found.level));
            }
        }

        #[test]
        fn what_is_added_to_all_is_added_to_the_interval(values in prop::collection::vec(-100.0..100.0_f64, 1..20), by in -100.0..100.0_f64) {
            let shifted: Vec<f64> = values.iter().map(|value| value + by).collect();
            let (before, after) = (Interval::of_shift(&values).unwrap(), Interval::of_shift(&shifted).unwrap());
            prop_assert!((after.low - before.low - by).abs() < 1e-9);
            prop_assert!((after.high - before.high - by).abs() < 1e-9);
        }
    }
}
