//! By turns and back again: A B C, C B A, A B C, …
//!
//! A machine that slowly warms up or gets busier then harms all alike. Pure.

/// The order of `count` measurements in round number `round`.
#[must_use]
pub(super) fn of_round(round: usize, count: usize) -> Vec<usize> {
    let forwards = 0..count;
    if round.is_multiple_of(2) {
        forwards.collect()
    } else {
        forwards.rev().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_second_round_goes_back() {
        assert_eq!(of_round(0, 3), [0, 1, 2]);
        assert_eq!(of_round(1, 3), [2, 1, 0]);
    }

    proptest! {
        #[test]
        fn over_two_rounds_everybody_has_the_same_place_on_average(count in 1..20_usize, round in 0..9_usize) {
            let (there, back) = (of_round(round, count), of_round(round + 1, count));
            for index in 0..count {
                let place = |order: &[usize]| order.iter().position(|i| *i == index).unwrap();
                prop_assert_eq!(place(&there) + place(&back), count - 1);
            }
        }
    }
}
