//! Random choices that a seed repeats: who is killed, and when.

use std::time::Duration;

/// SplitMix64: small, and as random as a choice of victims needs.
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The choices that follow from `seed`.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self { state: seed }
    }

    /// One of `all`; none of nothing.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let count = all.len() as u64;
        // What is left of a division by a number of type usize fits into one.
        let index = usize::try_from(self.next().checked_rem(count)?).ok()?;
        all.get(index).copied()
    }

    /// Puts `all` in an order of which each is as likely (Fisher and Yates).
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for count in (2..=all.len()).rev() {
            let places: Vec<usize> = (0..count).collect();
            if let Some(place) = self.pick(&places) {
                all.swap(count - 1, place);
            }
        }
    }

    /// A time from nothing to just below `longest`.
    pub fn time(&mut self, longest: Duration) -> Duration {
        // 53 bits are what a fraction can hold.
        longest.mul_f64((self.next() >> 11) as f64 / (1_u64 << 53) as f64)
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

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
    fn times_are_spread_below_the_longest() {
        let mut dice = Dice::of(3);
        let longest = Duration::from_millis(50);
        let times: Vec<Duration> = (0..1000).map(|_| dice.time(longest)).collect();
        assert!(times.iter().all(|time| *time < longest));
        let late = times.iter().filter(|time| **time > longest / 2).count();
        assert!((400..600).contains(&late), "{late}");
    }
}
