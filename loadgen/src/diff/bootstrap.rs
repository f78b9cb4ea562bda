//! The interval of a ratio of medians, by resampling. Pure, and the same each time: the random
//! numbers follow from a constant.

/// Resamples; the ends of the interval are ranks of about 50 among them.
const RESAMPLES: usize = 2_000;
/// Of the resampled ratios, this share lies below the interval and as many above.
const TAIL: f64 = 0.025;
const SEED: u64 = 0x6c6f_6164_6765_6e21;

/// A ratio and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratio {
    pub(super) ratio: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// The median of `b` divided by that of `a`. Both have positive values, at least one.
pub(super) fn ratio_of_medians(a: &[f64], b: &[f64]) -> Ratio {
    let mut random = Splitmix(SEED);
    let mut scratch = Vec::with_capacity(a.len().max(b.len()));
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let below = resampled_median(a, &mut scratch, &mut random);
            resampled_median(b, &mut scratch, &mut random) / below
        })
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    Ratio {
        ratio: median(&mut b.to_vec()) / median(&mut a.to_vec()),
        low: ratios[tail()],
        high: ratios[RESAMPLES - 1 - tail()],
    }
}

/// The number of resamples on either side of the interval.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small constant"
)]
const fn tail() -> usize {
    (RESAMPLES as f64 * TAIL) as usize
}

/// The median of as many values as there are, drawn with replacement.
fn resampled_median(values: &[f64], scratch: &mut Vec<f64>, random: &mut Splitmix) -> f64 {
    scratch.clear();
    scratch.extend(values.iter().map(|_| values[random.below(values.len())]));
    median(scratch)
}

/// The median of `values`, of which there is at least one; their order is lost.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    let odd = values.len() % 2 == 1;
    let (lower, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    if odd {
        return upper;
    }
    let lower = lower.iter().copied().fold(f64::MIN, f64::max);
    lower + (upper - lower) / 2.0
}

/// Splitmix64: small, fast, and good enough to draw with.
#[derive(Clone, Debug)]
pub(super) struct Splitmix(pub(super) u64);

impl Splitmix {
    /// The next 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`, evenly but for one in 2^64.
    fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.next()) * bound as u128;
        usize::try_from(product >> 64).expect("it is below a usize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(median(&mut [3.0]), 3.0);
        assert_eq!(median(&mut [9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(&mut [9.0, 1.0, 5.0, 6.0]), 5.5);
    }

    #[test]
    fn the_generator_is_splitmix64() {
        let mut random = Splitmix(1_234_567);
        let drawn = [random.next(), random.next(), random.next()];
        let known = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(drawn, known);
    }

    #[test]
    fn values_without_noise_have_an_interval_without_width() {
        let ratio = ratio_of_medians(&[2.0; 5], &[3.0; 5]);
        assert_eq!((ratio.ratio, ratio.low, ratio.high), (1.5, 1.5, 1.5));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn the_interval_lies_between_the_extremes_and_around_the_ratio(
            a in prop::collection::vec(1.0..1e6_f64, 3..12), b in prop::collection::vec(1.0..1e6_f64, 3..12),
        ) {
            let found = ratio_of_medians(&a, &b);
            let least = |v: &[f64]| v.iter().copied().fold(f64::MAX, f64::min);
            let most = |v: &[f64]| v.iter().copied().fold(0.0, f64::max);
            prop_assert!(found.low <= found.ratio && found.ratio <= found.high);
            prop_assert!(found.low >= least(&b) / most(&a) * (1.0 - 1e-12));
            prop_assert!(found.high <= most(&b) / least(&a) * (1.0 + 1e-12));
            prop_assert_eq!(found, ratio_of_medians(&a, &b));
        }
    }
}
