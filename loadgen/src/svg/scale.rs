//! From values to places in a picture, and which values deserve a label.
//!
//! Pure arithmetic; places are pixels of the panel's own coordinates.

/// A mapping of values onto one side of a panel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    logarithmic: bool,
    domain: (f64, f64),
    range: (f64, f64),
}

impl Scale {
    /// Equal steps for equal differences. An empty domain is widened, so that a single value lands
    /// on the near end instead of nowhere.
    #[must_use]
    pub fn linear(domain: (f64, f64), range: (f64, f64)) -> Self {
        let (low, high) = domain;
        let high = if high > low { high } else { low + 1.0 };
        Self {
            logarithmic: false,
            domain: (low, high),
            range,
        }
    }

    /// Equal steps for equal ratios. What is not positive is moved to a small positive value: a
    /// logarithm has no place for it.
    #[must_use]
    pub fn log(domain: (f64, f64), range: (f64, f64)) -> Self {
        let low = domain.0.max(f64::MIN_POSITIVE.sqrt());
        let high = if domain.1 > low { domain.1 } else { low * 10.0 };
        Self {
            logarithmic: true,
            domain: (low, high),
            range,
        }
    }

    /// Where `value` is drawn; outside of the domain it sticks to the border.
    #[must_use]
    pub fn at(&self, value: f64) -> f64 {
        let (low, high) = self.domain;
        let value = value.clamp(low, high);
        let share = if self.logarithmic {
            (value / low).ln() / (high / low).ln()
        } else {
            (value - low) / (high - low)
        };
        self.range.0 + share * (self.range.1 - self.range.0)
    }

    /// At most about `most` round values inside the domain.
    #[must_use]
    pub fn ticks(&self, most: usize) -> Vec<f64> {
        let (low, high) = self.domain;
        if self.logarithmic {
            log_ticks(low, high, most)
        } else {
            nice_ticks(low, high, most)
        }
    }

    /// The ends of the domain.
    #[must_use]
    pub fn domain(&self) -> (f64, f64) {
        self.domain
    }

    /// The ends of the range.
    #[must_use]
    pub fn range(&self) -> (f64, f64) {
        self.range
    }
}

/// At most `most` + 1 multiples of 1, 2 or 5 times a power of ten from `low` to `high`.
#[must_use]
pub fn nice_ticks(low: f64, high: f64, most: usize) -> Vec<f64> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 {
        return vec![low];
    }
    let rough = span / most.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    // A little slack, or rounding makes 5 wanted steps of 0.2 into four of 0.5.
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= rough * (1.0 - 1e-9))
        .unwrap_or(10.0 * power);
    let first = (low / step - 1e-9).ceil();
    let last = (high / step + 1e-9).floor();
    let count = (last - first).min(1e3);
    (0_u32..)
        .map(f64::from)
        .take_while(|index| *index <= count)
        // `+ 0.0` turns a negative zero into the usual one.
        .map(|index| (first + index) * step + 0.0)
        .collect()
}

/// Powers of ten inside the bounds, thinned out when there are many and joined by their multiples
/// of 2 and 5 when there are few.
fn log_ticks(low: f64, high: f64, most: usize) -> Vec<f64> {
    let first = (low.log10() - 1e-9).floor();
    let decades = (high.log10().ceil() - first).clamp(0.0, 600.0);
    let powers: Vec<f64> = (0_u32..)
        .map(f64::from)
        .take_while(|index| *index <= decades)
        .map(|index| 10_f64.powf(first + index))
        .collect();
    let inside = |v: &f64| *v >= low * (1.0 - 1e-9) && *v <= high * (1.0 + 1e-9);
    let plain: Vec<f64> = powers.iter().copied().filter(inside).collect();
    if plain.len() >= 3 {
        let keep = plain.len().div_ceil(most.max(1));
        return plain.into_iter().step_by(keep).collect();
    }
    let multiples = powers
        .iter()
        .flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * power));
    multiples.filter(inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(nice_ticks(0.0, 5.2, 6), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(
            nice_ticks(0.0, 50.0, 5),
            [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
        );
        assert_eq!(nice_ticks(-1.0, 1.0, 4), [-1.0, -0.5, 0.0, 0.5, 1.0]);
        assert_eq!(nice_ticks(3.0, 3.0, 4), [3.0]);
    }

    #[test]
    fn log_ticks_are_powers_or_their_halves() {
        let scale = Scale::log((1.0, 1000.0), (0.0, 3.0));
        assert_eq!(scale.ticks(5), [1.0, 10.0, 100.0, 1000.0]);
        let narrow = Scale::log((15.0, 60.0), (0.0, 1.0)).ticks(5);
        assert_eq!(narrow, [20.0, 50.0]);
    }

    #[test]
    fn scales_hit_their_ends_and_stay_inside() {
        let scale = Scale::log((10.0, 1000.0), (100.0, 0.0));
        assert_eq!((scale.at(10.0), scale.at(1000.0)), (100.0, 0.0));
        assert!((scale.at(100.0) - 50.0).abs() < 1e-9);
        assert_eq!((scale.at(0.0), scale.at(1e9)), (100.0, 0.0));
        assert!(Scale::linear((3.0, 3.0), (0.0, 10.0)).at(3.0).is_finite());
    }

    proptest! {
        #[test]
        fn ticks_are_few_sorted_and_inside(low in -1e6..1e6_f64, span in 1e-3..1e6_f64, most in 1..12_usize) {
            let ticks = nice_ticks(low, low + span, most);
            prop_assert!(ticks.len() <= most + 1);
            prop_assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]));
            let slack = span * 1e-6 + 1e-6;
            prop_assert!(ticks.iter().all(|t| *t >= low - slack && *t <= low + span + slack));
        }

        #[test]
        fn scales_keep_the_order(
            low in 0.001..10.0_f64, ratio in 1.1..1e6_f64, a in 0.0..1.0_f64, b in 0.0..1.0_f64,
        ) {
            let high = low * ratio;
            let (a, b) = (low + (high - low) * a, low + (high - low) * b);
            for scale in [Scale::linear((low, high), (0.0, 100.0)), Scale::log((low, high), (0.0, 100.0))] {
                prop_assert_eq!(a < b, scale.at(a) < scale.at(b));
                prop_assert!((0.0..=100.0001).contains(&scale.at(a)));
            }
        }
    }
}
