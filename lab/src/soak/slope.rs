//! Whether memory grows: a line through what is resident, looked at again and again.

use std::time::{Duration, Instant};

use super::case::Site;
use super::figure::{Figure, Unit};
use super::load::Watch;

/// What the memory of a server may grow by in a minute, once it is warm.
const LIMIT_BYTES_PER_MIN: f64 = (64 << 10) as f64;
/// How often memory is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// The slope of the server's resident memory in bytes per minute, over `window` or as long as the
/// load lasts; none when it could not be read.
#[must_use]
pub fn of_memory(site: &Site, watch: &Watch, window: Duration) -> Option<f64> {
    let start = Instant::now();
    let mut points = Vec::new();
    while start.elapsed() < window {
        let bytes = site.resident_bytes()?;
        points.push((start.elapsed().as_secs_f64() / 60.0, bytes as f64));
        if watch.ends_within(EVERY) {
            break;
        }
    }
    least_squares(&points)
}

/// What is published of it.
#[must_use]
pub fn figure(slope: Option<f64>) -> Figure {
    let name = "growth of the resident memory";
    Figure::at_most(name, slope, LIMIT_BYTES_PER_MIN, Unit::BytesPerMinute)
}

/// The slope of the line that lies closest to the points; none of fewer than two moments.
fn least_squares(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let (mut covariance, mut variance) = (0.0, 0.0);
    for point in points {
        covariance += (point.0 - x) * (point.1 - y);
        variance += (point.0 - x) * (point.0 - x);
    }
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_has_its_slope_and_a_moment_has_none() {
        assert_eq!(
            least_squares(&[(0.0, 5.0), (1.0, 7.0), (2.0, 9.0)]),
            Some(2.0)
        );
        assert_eq!(least_squares(&[(0.0, 4.0), (1.0, 4.0)]), Some(0.0));
        assert_eq!(least_squares(&[(1.0, 4.0), (1.0, 6.0)]), None);
        assert_eq!(least_squares(&[]), None);
    }

    proptest! {
        /// Noise around a line leaves its slope about as it is.
        #[test]
        fn noise_does_not_tilt_a_line(slope in -1e6..1e6_f64, noise in prop::collection::vec(-1.0..1.0_f64, 60)) {
            let points: Vec<(f64, f64)> = (0..)
                .zip(&noise)
                .map(|(index, noise)| (f64::from(index), slope * f64::from(index) + noise))
                .collect();
            let found = least_squares(&points).unwrap();
            prop_assert!((found - slope).abs() < 0.1, "{found} {slope}");
        }
    }
}
