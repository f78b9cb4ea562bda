//! Random choices that a seed repeats: who is killed and when, who is served first, how long it takes.

use std::time::Duration;

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and as random as choices and simulations need.
#[derive(Clone, Copy, Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The choices that follow from `seed`.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Those of one of many that follow from the same seed, such as clients.
    #[must_use]
    pub const fn of_one(seed: u64, index: u64) -> Self {
        let scrambled = Self::of(seed).next();
        // An odd number far from the step of the state, so that no two of them run into each other.
        Self::of(scrambled ^ index.wrapping_mul(0xD1B5_4A32_D192_ED03))
    }

    /// One of `all`; none of nothing.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        all.get(self.below(all.len())).copied()
    }

    /// A number below `count`; 0 if there is none.
    pub fn below(&mut self, count: usize) -> usize {
        let left = self.next().checked_rem(count as u64).unwrap_or(0);
        // What is left of a division by a number of type usize fits into one.
        usize::try_from(left).unwrap_or(0)
    }

    /// Puts `all` in an order of which each is as likely (Fisher and Yates).
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for count in (2..=all.len()).rev() {
            all.swap(count - 1, self.below(count));
        }
    }

    /// A time from nothing to just below `longest`.
    pub fn time(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.bits() / RANGE)
    }

    /// A number strictly between 0 and 1.
    pub fn share(&mut self) -> f64 {
        // Shifted by a half, so that it is never 0.
        (self.bits() + 0.5) / RANGE
    }

    /// An exponential number with this mean, by inversion, cut to a whole one.
    pub fn exponential(&mut self, mean: f64) -> u64 {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, and at most 37 means"
        )]
        let whole = (-mean * self.share().ln()) as u64;
        whole
    }

    /// A normal number with a standard deviation of 1 (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.share(), self.share());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// As many bits as a fraction can hold: 53.
    fn bits(&mut self) -> f64 {
        (self.next() >> 11) as f64
    }

    const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// What [`Dice::bits`] stay below.
const RANGE: f64 = (1_u64 << 53) as f64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_seed_repeats_its_choices_and_none_is_left_out() {
        let choices = |seed| -> Vec<u8> {
            let mut dice = Dice::of(seed);
            (0..100).filter_map(|_| dice.pick(&[1, 2, 3, 4])).collect()
        };
        assert_eq!(choices(7), choices(7));
        assert_ne!(choices(7), choices(8));
        let all: HashSet<u8> = choices(7).into_iter().collect();
        assert_eq!(all.len(), 4);
        assert_eq!(Dice::of(1).pick::<u8>(&[]), None);
    }

    #[test]
    fn one_of_many_has_choices_of_its_own() {
        let choices = |index| {
            let mut dice = Dice::of_one(7, index);
            [0; 8].map(|_| dice.below(1_000))
        };
        assert_eq!(choices(1), choices(1));
        let different: HashSet<_> = (0..1_000).map(choices).collect();
        assert_eq!(different.len(), 1_000);
    }

    #[test]
    fn exponential_numbers_have_their_mean_and_a_long_tail() {
        let mut dice = Dice::of(5);
        let numbers: Vec<u64> = (0..10_000).map(|_| dice.exponential(1e6)).collect();
        let mean = numbers.iter().sum::<u64>() as f64 / 1e4;
        assert!((mean / 1e6 - 1.0).abs() < 0.05, "{mean}");
        // One in e exceeds the mean.
        let late = numbers.iter().filter(|number| **number > 1_000_000).count();
        assert!((3_450..3_900).contains(&late), "{late}");
    }

    #[test]
    fn times_are_spread_below_the_longest() {
        let mut dice = Dice::of(3);
        let longest = Duration::from_millis(50);
        let times: Vec<Duration> = (0..1000).map(|_| dice.time(longest)).collect();
        assert!(times.iter().all(|time| *time < longest));
        let late = times.iter().filter(|time| **time > longest / 2).count();
        assert!((400..600).contains(&late), "{late}");
    }
}
