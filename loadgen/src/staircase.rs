//! The staircase: when a pool of W workers that each hold a client for H serves C clients, client
//! number i (from 0, in the order of admission) gets its first byte at `floor(i / W) × H`.
//!
//! Read the other way round, a measured staircase gives away the size of the pool. Pure.

use serde::Serialize;

/// When client `index` gets its first byte, in seconds, from a server that serves `capacity`
/// clients at once and is held by each for `hold_s`.
#[must_use]
pub fn expected_s(index: usize, capacity: usize, hold_s: f64) -> f64 {
    (index / capacity.max(1)) as f64 * hold_s
}

/// What a measured staircase says about the server behind it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fit {
    /// How many clients were admitted on each step.
    pub groups: Vec<usize>,
    /// How many clients the server seems to serve at once.
    pub concurrent: usize,
    /// Whether there was a second step; with one step alone `concurrent` is only a lower bound.
    pub stepped: bool,
}

/// Reads a staircase off the moments of the first bytes (in seconds, in any order); a new step
/// begins where more than half a `hold_s` has passed since the step's first client. `None` without
/// a client.
#[must_use]
pub fn fit(first_bytes_s: &[f64], hold_s: f64) -> Option<Fit> {
    let mut sorted = first_bytes_s.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut groups: Vec<usize> = Vec::new();
    let mut step_began_s = f64::NEG_INFINITY;
    for at_s in sorted {
        match groups.last_mut() {
            Some(size) if at_s - step_began_s <= hold_s / 2.0 => *size += 1,
            _ => {
                groups.push(1);
                step_began_s = at_s;
            }
        }
    }
    // The upper median: the last step is what was left over and may be lower.
    let mut sizes = groups.clone();
    sizes.sort_unstable();
    Some(Fit {
        concurrent: *sizes.get(sizes.len() / 2)?,
        stepped: groups.len() > 1,
        groups,
    })
}

/// The moments of admission against their prediction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Deviation {
    /// The client that was served the longest time before it was due, in seconds; never negative.
    pub earliest_s: f64,
    /// The client that was served the longest time after it was due, in seconds; never negative.
    pub latest_s: f64,
}

/// How far the first bytes (in seconds, in any order) lie from `floor(i / capacity) × hold_s`.
#[must_use]
pub fn deviation(first_bytes_s: &[f64], capacity: usize, hold_s: f64) -> Deviation {
    let mut sorted = first_bytes_s.to_vec();
    sorted.sort_by(f64::total_cmp);
    let errors = sorted
        .iter()
        .enumerate()
        .map(|(index, at_s)| at_s - expected_s(index, capacity, hold_s));
    errors.fold(Deviation::default(), |worst, error_s| Deviation {
        earliest_s: worst.earliest_s.max(-error_s),
        latest_s: worst.latest_s.max(error_s),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_textbook_case_gives_the_pool_away() {
        let at_s: Vec<f64> = (0..20).map(|i| expected_s(i, 4, 1.0)).collect();
        assert_eq!((at_s[3], at_s[4], at_s[19]), (0.0, 1.0, 4.0));
        let fit = fit(&at_s, 1.0).unwrap();
        assert_eq!((fit.concurrent, fit.stepped), (4, true));
        assert_eq!(fit.groups, [4, 4, 4, 4, 4]);
    }

    #[test]
    fn without_a_second_step_the_fit_is_a_lower_bound() {
        let fit = fit(&[0.001; 20], 1.0).unwrap();
        assert_eq!((fit.concurrent, fit.stepped), (20, false));
        assert_eq!(super::fit(&[], 1.0), None);
    }

    #[test]
    fn deviations_keep_their_sign() {
        let found = deviation(&[0.0, 0.02, 0.9], 2, 1.0);
        assert!((found.latest_s - 0.02).abs() < 1e-9, "{found:?}");
        assert!((found.earliest_s - 0.1).abs() < 1e-9, "{found:?}");
    }

    proptest! {
        #[test]
        fn any_pool_is_recovered_from_a_noisy_staircase(
            capacity in 1..12_usize,
            steps in 2..6_usize,
            left_over in 0..12_usize,
            noise in prop::collection::vec(0.0..0.2_f64, 100),
        ) {
            let clients = capacity * steps + left_over % capacity;
            let at_s: Vec<f64> = (0..clients)
                .map(|i| expected_s(i, capacity, 1.0) + noise[i])
                .collect();
            let fit = fit(&at_s, 1.0).unwrap();
            prop_assert_eq!(fit.concurrent, capacity);
            prop_assert_eq!(fit.groups.iter().sum::<usize>(), clients);
            prop_assert!(deviation(&at_s, capacity, 1.0).latest_s <= 0.2);
        }
    }
}
