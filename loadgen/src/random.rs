//! Every choice of a run, as a function of the seed: no state, so that a client needs none and the
//! same seed gives the same run.

/// What a random choice follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u64);

impl Key {
    /// The choices of client `number`.
    pub(crate) const fn new(seed: u64, number: u32) -> Self {
        Self(mix(seed ^ (number as u64).rotate_left(32)))
    }

    /// The choice number `index` of them.
    pub(crate) const fn with(self, index: u64) -> Self {
        Self(mix(self.0.wrapping_add(index)))
    }

    /// 64 even bits.
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// A number below `bound`, each equally often but for one part in 2³².
    pub(crate) const fn below(self, bound: u32) -> u32 {
        // The upper half of a product with a 32-bit fraction lies below the factor.
        (((self.0 >> 32) * bound as u64) >> 32) as u32
    }

    /// A number in (0, 1].
    fn unit(self) -> f64 {
        ((self.0 >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}

/// The finaliser of splitmix64 (Steele, Lea and Flood, 2014): a bijection that spreads every bit.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// When client `number` comes, as a share of the time over which all come.
pub(crate) fn arrival(seed: u64, number: u32) -> f64 {
    // No request has the last number, so that no other choice follows from the same key.
    Key::new(seed, number).with(u64::MAX).unit()
}

/// An exponentially distributed number of mean 1, by inversion.
pub(crate) fn exponential(key: Key) -> f64 {
    -key.unit().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> impl Iterator<Item = Key> {
        (0..100_000).map(|index| Key::new(1, 2).with(index))
    }

    #[test]
    fn choices_are_even() {
        let mut seen = [0_u32; 10];
        keys().for_each(|key| seen[key.below(10) as usize] += 1);
        assert!(
            seen.iter().all(|count| count.abs_diff(10_000) < 400),
            "{seen:?}"
        );
    }

    #[test]
    fn clients_that_come_at_random_are_spread_evenly_and_in_no_order() {
        let moments: Vec<f64> = (0..10_000).map(|number| arrival(1, number)).collect();
        let within = |from: f64| {
            let span = from..from + 0.1;
            moments
                .iter()
                .filter(|moment| span.contains(moment))
                .count()
        };
        let tenths = (0..10_u8).map(|tenth| within(f64::from(tenth) / 10.0));
        // Ninety is three times the standard deviation, √(10,000 × 0.1 × 0.9).
        assert!(tenths.into_iter().all(|count| count.abs_diff(1_000) < 120));
        let later = moments.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!(later.abs_diff(5_000) < 200, "{later}");
    }

    #[test]
    fn exponential_numbers_have_mean_and_variance_one() {
        let values: Vec<f64> = keys().map(exponential).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let square = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!((square - 2.0).abs() < 0.08, "{square}");
        assert!(
            values
                .iter()
                .all(|value| value.is_finite() && *value >= 0.0)
        );
    }
}
