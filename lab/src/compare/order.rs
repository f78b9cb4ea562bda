//! Who is measured when: everyone once in each round, in an order that the seed draws anew.
//!
//! A machine that warms up or gets busier then harms all alike, and so does whatever a server leaves
//! behind for the next one. Pure.

use crate::dice::Dice;

/// The orders of `rounds` rounds of `count` measurements each.
#[must_use]
pub(crate) fn of_rounds(seed: u64, rounds: usize, count: usize) -> Vec<Vec<usize>> {
    let mut dice = Dice::of(seed);
    let mut round = || {
        let mut order: Vec<usize> = (0..count).collect();
        dice.shuffle(&mut order);
        order
    };
    (0..rounds).map(|_| round()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rounds_and_seeds_differ_and_a_seed_repeats_its_own() {
        let rounds = of_rounds(7, 5, 12);
        for (index, round) in rounds.iter().enumerate() {
            assert!(!rounds[..index].contains(round), "round {index}");
        }
        assert_eq!(rounds, of_rounds(7, 5, 12));
        assert_ne!(rounds, of_rounds(8, 5, 12));
    }

    #[test]
    fn everybody_is_at_every_place_about_as_often() {
        let rounds = of_rounds(1, 4000, 4);
        for place in 0..4 {
            for who in 0..4 {
                let count = rounds.iter().filter(|round| round[place] == who).count();
                assert!((880..1120).contains(&count), "{who} at {place}: {count}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_round_has_each_once(seed in any::<u64>(), rounds in 0..6_usize, count in 0..30_usize) {
            let all = of_rounds(seed, rounds, count);
            prop_assert_eq!(all.len(), rounds);
            for mut round in all {
                round.sort_unstable();
                prop_assert!(round.into_iter().eq(0..count));
            }
        }
    }
}
