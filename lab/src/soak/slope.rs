//! Whether memory grows: a line through what is resident, looked at again and again.

use std::time::{Duration, Instant};

use super::case::Site;
use super::figure::{Figure, Unit};
use super::load::Watch;
use crate::stats::Line;

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
    Some(Line::through(&points)?.slope)
}

/// What is published of it.
#[must_use]
pub fn figure(slope: Option<f64>) -> Figure {
    let name = "growth of the resident memory";
    Figure::at_most(name, slope, LIMIT_BYTES_PER_MIN, Unit::BytesPerMinute)
}
