//! By how much the values of one sample lie above those of another that it is not paired with. Pure.
//!
//! The estimate is the median of all differences between a value of the one and a value of the other
//! (Hodges and Lehmann, "Estimates of location based on rank tests", 1963), and the interval inverts
//! the test of Mann and Whitney ("On a test of whether one of two random variables is stochastically
//! larger than the other", 1947), whose recurrence also gives the exact levels here. Noise need not be
//! normal; the two samples are taken to differ by a shift alone.

use super::interval::{Interval, sorted, widest_skip};

/// Beyond so many values in either sample the distribution is taken for normal.
const MOST_EXACT: usize = 20;

impl Interval {
    /// By how much `after` lies above `before`, with an interval of at least this `level` where so few
    /// values can have it; none without values on either side, or if one is no number.
    #[must_use]
    pub fn of_difference(before: &[f64], after: &[f64], level: f64) -> Option<Self> {
        let pairs = after
            .iter()
            .flat_map(|after| before.iter().map(move |before| after - before));
        let sorted = sorted(&pairs.collect::<Vec<_>>())?;
        let (first, second) = (before.len(), after.len());
        let tails = if first.max(second) <= MOST_EXACT {
            exact_tails(first, second)
        } else {
            normal_tails(first, second)
        };
        let tail = |skip: usize| tails.get(skip).copied().unwrap_or(1.0);
        let (skip, level) = widest_skip(sorted.len() / 2, level, tail);
        Self::of_ranks(&sorted, skip, level)
    }
}

/// For each number, how likely it is that at most so many of all pairs have the value of the first
/// sample above that of the second, if both come from the same source.
fn exact_tails(first: usize, second: usize) -> Vec<f64> {
    // The largest of all values is one of the second sample's or one of the first's, which then lies
    // above all of the second. `column[n]` is the distribution with `n` values in the second sample.
    let mut column: Vec<Vec<f64>> = vec![vec![1.0]; second + 1];
    for m in 1..=first {
        let mut next: Vec<Vec<f64>> = vec![vec![1.0]];
        for n in 1..=second {
            let share = m as f64 / (m + n) as f64;
            let mut chances = vec![0.0; m * n + 1];
            let of_first = column.get(n).into_iter().flatten().zip(n..);
            let of_second = next.last().into_iter().flatten().zip(0..);
            let weighted = of_first.map(|it| (it, share));
            for ((chance, pairs), share) in weighted.chain(of_second.map(|it| (it, 1.0 - share))) {
                if let Some(sum) = chances.get_mut(pairs) {
                    *sum += chance * share;
                }
            }
            next.push(chances);
        }
        column = next;
    }
    let chances = column.pop().unwrap_or_default();
    let below = |sum: &mut f64, chance: f64| {
        *sum += chance;
        Some(*sum)
    };
    chances.into_iter().scan(0.0, below).collect()
}

/// The same by the normal distribution, with its correction for whole numbers.
fn normal_tails(first: usize, second: usize) -> Vec<f64> {
    let (m, n) = (first as f64, second as f64);
    let (mean, spread) = (m * n / 2.0, (m * n * (m + n + 1.0) / 12.0).sqrt());
    let all = 0..=first * second;
    all.map(|pairs| normal_below((pairs as f64 + 0.5 - mean) / spread))
        .collect()
}

/// How likely a standard normal number is to lie below `z` (Abramowitz and Stegun, "Handbook of
/// Mathematical Functions", 26.2.17, whose error is below 7.5e-8).
fn normal_below(z: f64) -> f64 {
    const TERMS: [f64; 5] = [
        0.319_381_530,
        -0.356_563_782,
        1.781_477_937,
        -1.821_255_978,
        1.330_274_429,
    ];
    let step = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let sum = TERMS
        .iter()
        .rev()
        .fold(0.0, |sum, term| (sum + term) * step);
    let above = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt() * sum;
    if z < 0.0 { above } else { 1.0 - above }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_tails_are_those_of_the_tables() {
        // Three and three: 20 orders, of which one has no pair the wrong way, one has 1 and two have 2.
        let tails = exact_tails(3, 3);
        for (pairs, orders) in [(0, 1.0), (1, 2.0), (2, 4.0), (9, 20.0)] {
            let tail: f64 = tails[pairs];
            assert!((tail - orders / 20.0).abs() < 1e-12, "{pairs}");
        }
        // Eight and eight: 13 is the published critical value of the two-sided test at 5 %, 7 at 1 %.
        let tails = exact_tails(8, 8);
        assert!(tails[13] <= 0.025 && tails[14] > 0.025);
        assert!(tails[7] <= 0.005 && tails[8] > 0.005);
    }

    #[test]
    fn many_values_are_nearly_as_the_exact_counts_say() {
        let (exact, normal) = (exact_tails(40, 40), normal_tails(40, 40));
        let furthest = exact.iter().zip(&normal).map(|(a, b)| (a - b).abs());
        assert!(furthest.fold(0.0, f64::max) < 0.002);
        let critical = |tails: &[f64]| tails.iter().rposition(|tail| *tail <= 0.005).unwrap();
        assert!(critical(&exact).abs_diff(critical(&normal)) <= 3);
    }

    #[test]
    fn nothing_has_no_difference() {
        assert_eq!(Interval::of_difference(&[], &[1.0], 0.95), None);
        assert_eq!(Interval::of_difference(&[1.0], &[f64::NAN], 0.95), None);
        let one = Interval::of_difference(&[1.0], &[3.0], 0.95).unwrap();
        assert_eq!((one.middle, one.level), (2.0, 0.0));
    }

    proptest! {
        #[test]
        fn what_is_added_to_one_side_is_added_to_the_difference(
            before in prop::collection::vec(-9.0..9.0_f64, 1..12),
            after in prop::collection::vec(-9.0..9.0_f64, 1..12),
            by in -50.0..50.0_f64,
        ) {
            let moved: Vec<f64> = after.iter().map(|value| value + by).collect();
            let was = Interval::of_difference(&before, &after, 0.95).unwrap();
            let is = Interval::of_difference(&before, &moved, 0.95).unwrap();
            prop_assert!((is.low - was.low - by).abs() < 1e-9);
            prop_assert!((is.high - was.high - by).abs() < 1e-9);
            prop_assert!(was.low <= was.middle && was.middle <= was.high);
            // Seen from the other side it is the same.
            let back = Interval::of_difference(&after, &before, 0.95).unwrap();
            prop_assert!((back.low + was.high).abs() < 1e-9);
        }
    }
}
