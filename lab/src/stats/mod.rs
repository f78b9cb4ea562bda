//! Medians, spreads and what is noise: the little arithmetic that a comparison needs.
//!
//! Pure. A figure that does not exist is `None`, never 0.

mod interval;
mod two_samples;

use serde::{Deserialize, Serialize};

pub use interval::Interval;

/// The middle of repeated measurements and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The spread of `values`; none without any. Values that are no numbers are left out.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|v| !v.is_nan()).collect();
        values.sort_by(f64::total_cmp);
        Some(Self {
            median: median_of_sorted(&values)?,
            min: *values.first()?,
            max: *values.last()?,
        })
    }

    /// The spread of values all of which must exist; one that is missing makes it `None`, because
    /// a median over the repeats that happened to have a figure would flatter.
    pub fn of_all(values: impl IntoIterator<Item = Option<f64>>) -> Option<Self> {
        let values: Option<Vec<f64>> = values.into_iter().collect();
        Self::of(values?)
    }

    /// Half the distance between the extremes, as a share of the median.
    #[must_use]
    pub fn relative(&self) -> f64 {
        if self.median == 0.0 {
            return 0.0;
        }
        (self.max - self.min) / 2.0 / self.median.abs()
    }
}

/// The median of `values`, which need no order; none without any.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    Spread::of(values.iter().copied()).map(|spread| spread.median)
}

fn median_of_sorted(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(middle.checked_sub(1)?)?;
    Some(lower + (upper - lower) / 2.0)
}

/// The smallest of `values` that a `share` of them does not exceed; none without any.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to the number of values"
    )]
    let rank = rank as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The straight line that lies closest to some points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// How much it rises for each step to the right.
    pub slope: f64,
    /// How much of the rise and fall of the points it explains, from 0 to 1 (R²).
    pub fit: f64,
}

impl Line {
    /// The line by least squares; none of fewer than two places to the right.
    #[must_use]
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let (mut covariance, mut right, mut up) = (0.0, 0.0, 0.0);
        for point in points {
            covariance += (point.0 - x) * (point.1 - y);
            right += (point.0 - x).powi(2);
            up += (point.1 - y).powi(2);
        }
        // A level line explains points that are all on one level.
        (right > 0.0).then(|| Self {
            slope: covariance / right,
            fit: share(covariance.powi(2), right * up).unwrap_or(1.0),
        })
    }
}

/// `part` of `whole` as a share, or `None` of nothing.
#[must_use]
pub fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn medians_of_odd_even_and_none() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        assert_eq!(Spread::of([f64::NAN]), None);
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values = [3.0, 1.0, 2.0, 4.0];
        let of = |share| quantile(&values, share);
        assert_eq!(
            (of(0.5), of(0.51), of(0.99)),
            (Some(2.0), Some(3.0), Some(4.0))
        );
        assert_eq!((of(0.0), quantile(&[], 0.5)), (Some(1.0), None));
    }

    #[test]
    fn a_missing_figure_is_not_replaced_by_the_others() {
        assert_eq!(Spread::of_all([Some(1.0), None, Some(3.0)]), None);
        let all = Spread::of_all([Some(90.0), Some(110.0), Some(100.0)]);
        assert_eq!(all.map(|s| (s.median, s.relative())), Some((100.0, 0.1)));
    }

    #[test]
    fn a_line_has_its_slope_and_one_place_has_none() {
        let line = |points: &[(f64, f64)]| Line::through(points).map(|it| (it.slope, it.fit));
        assert_eq!(
            line(&[(0.0, 5.0), (1.0, 7.0), (2.0, 9.0)]),
            Some((2.0, 1.0))
        );
        assert_eq!(line(&[(0.0, 4.0), (1.0, 4.0)]), Some((0.0, 1.0)));
        assert_eq!(
            line(&[(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)]),
            Some((0.0, 0.0))
        );
        assert_eq!(line(&[(1.0, 4.0), (1.0, 6.0)]), None);
        assert_eq!(line(&[]), None);
    }

    proptest! {
        /// Noise around a line leaves its slope about as it is.
        #[test]
        fn noise_does_not_tilt_a_line(slope in -1e6..1e6_f64, noise in prop::collection::vec(-1.0..1.0_f64, 60)) {
            let points: Vec<(f64, f64)> = (0..)
                .zip(&noise)
                .map(|(index, noise)| (f64::from(index), slope * f64::from(index) + noise))
                .collect();
            let found = Line::through(&points).unwrap().slope;
            prop_assert!((found - slope).abs() < 0.1, "{found} {slope}");
        }

        #[test]
        fn the_median_lies_in_the_middle(values in prop::collection::vec(-1e9..1e9_f64, 1..40)) {
            let spread = Spread::of(values.iter().copied()).unwrap();
            let below = values.iter().filter(|v| **v < spread.median).count();
            let above = values.iter().filter(|v| **v > spread.median).count();
            prop_assert!(below * 2 <= values.len() && above * 2 <= values.len());
            prop_assert!(spread.min <= spread.median && spread.median <= spread.max);
        }

        #[test]
        fn order_does_not_matter(mut values in prop::collection::vec(-1e9..1e9_f64, 0..40)) {
            let before = Spread::of(values.iter().copied());
            values.reverse();
            prop_assert_eq!(before, Spread::of(values));
        }
    }
}
