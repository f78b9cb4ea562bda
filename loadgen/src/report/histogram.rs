//! Distributions that were written into a document, read back and added up.
//!
//! Percentiles are never averaged: the histograms are added, count by count, and the percentiles
//! are read from the sum by the rules of [`Samples`]. What a document does not say (the longest
//! wait where some have not ended) stays unsaid.

use super::{Interval, Latency, Response};
use crate::samples::{BadHistogram, Censored, P50, P99, Samples};
use crate::time::micros;

impl Latency {
    /// The waits that ended.
    ///
    /// # Errors
    ///
    /// [`BadHistogram`] when the histogram is none.
    pub(crate) fn samples(&self) -> Result<Samples, BadHistogram> {
        let sum_us = self.mean_us.map_or(0.0, |mean| mean * self.count as f64);
        Samples::decode(&self.histogram, nanos(sum_us), self.max_us.map(nanos))
    }

    /// The waits that have not ended.
    pub(crate) fn waiting(&self) -> Censored {
        Censored {
            count: self.censored,
            above_nanos: self.censored_above_us.map(nanos),
        }
    }
}

/// The distribution of all waits of `parts`; none without parts.
///
/// # Errors
///
/// [`BadHistogram`] when one of them holds no histogram.
pub(crate) fn add<'a>(
    parts: impl IntoIterator<Item = &'a Latency>,
) -> Result<Option<Latency>, BadHistogram> {
    let mut samples = Samples::new();
    let mut waiting = Censored::default();
    for part in parts {
        samples.merge(&part.samples()?);
        waiting.merge(&part.waiting());
    }
    // A part with waits that have not ended does not say its longest; then nobody's is used, so
    // that it makes no difference in which order reports are added.
    if waiting.count > 0 {
        samples.blur_max();
    }
    Ok(samples.summary(&waiting))
}

/// One slice of all generators.
///
/// # Errors
///
/// [`BadHistogram`] when one of `parts` holds no histogram.
pub(crate) fn add_intervals(parts: &[&Interval]) -> Result<Interval, BadHistogram> {
    let mut samples = Samples::new();
    for part in parts {
        samples.merge(&part.samples()?);
    }
    let responses: Vec<_> = parts.iter().filter_map(|p| p.response.as_ref()).collect();
    Ok(Interval {
        at_s: parts.iter().map(|p| p.at_s).fold(f64::MAX, f64::min),
        length_s: parts.iter().map(|p| p.length_s).fold(0.0, f64::max),
        answered: parts
            .iter()
            .fold(0, |sum, p| sum.saturating_add(p.answered)),
        p50_us: samples.quantile_us(P50, 0),
        p99_us: samples.quantile_us(P99, 0),
        max_us: samples.max_nanos().map(micros),
        failed: parts.iter().fold(0, |sum, p| sum.saturating_add(p.failed)),
        histogram: samples.encoded(),
        response: add_responses(&responses)?,
    })
}

fn add_responses(parts: &[&Response]) -> Result<Option<Response>, BadHistogram> {
    let mut samples = Samples::new();
    for part in parts {
        samples.merge(&part.samples()?);
    }
    Ok((!parts.is_empty()).then(|| Response {
        p50_us: samples.quantile_us(P50, 0),
        p99_us: samples.quantile_us(P99, 0),
        max_us: samples.max_nanos().map(micros),
        histogram: samples.encoded(),
    }))
}

impl Interval {
    /// The round trips that ended in it; their sum is not known.
    ///
    /// # Errors
    ///
    /// [`BadHistogram`] when the histogram is none.
    pub(crate) fn samples(&self) -> Result<Samples, BadHistogram> {
        Samples::decode(&self.histogram, 0, self.max_us.map(nanos))
    }
}

impl Response {
    /// The waits that ended in it; their sum is not known.
    ///
    /// # Errors
    ///
    /// [`BadHistogram`] when the histogram is none.
    pub(crate) fn samples(&self) -> Result<Samples, BadHistogram> {
        Samples::decode(&self.histogram, 0, self.max_us.map(nanos))
    }
}

/// Microseconds as whole nanoseconds.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, and waits are not negative"
)]
pub(crate) fn nanos(us: f64) -> u64 {
    (us * 1e3).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn latency(nanos: &[u64], waiting: &[u64]) -> Option<Latency> {
        let mut samples = Samples::new();
        nanos.iter().for_each(|value| samples.record(*value));
        samples.summary(&Censored::beyond(waiting, None))
    }

    fn close(a: Option<f64>, b: Option<f64>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs(),
            _ => a == b,
        }
    }

    const WAITS: std::ops::Range<u64> = 1..1 << 41;

    proptest! {
        // Each case walks through tens of thousands of counters, unoptimised.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_merged_blob_is_the_histogram_of_all_samples(
            a in prop::collection::vec(WAITS, 0..300), b in prop::collection::vec(WAITS, 0..300),
        ) {
            let parts = [latency(&a, &[]), latency(&b, &[])];
            let merged = add(parts.iter().flatten()).unwrap();
            let together = latency(&[a, b].concat(), &[]);
            let blob = |latency: &Option<Latency>| latency.as_ref().map(|l| l.histogram.clone());
            prop_assert_eq!(blob(&merged), blob(&together));
            let mean = |latency: &Option<Latency>| latency.as_ref().and_then(|l| l.mean_us);
            prop_assert!(close(mean(&merged), mean(&together)));
            // Everything else is the same too, to the last bit.
            let without_mean = |latency: Option<Latency>| latency.map(|l| Latency { mean_us: None, ..l });
            prop_assert_eq!(without_mean(merged), without_mean(together));
        }

        #[test]
        fn who_still_waits_keeps_waiting_in_the_sum(
            a in prop::collection::vec(WAITS, 0..50), b in prop::collection::vec(WAITS, 1..50),
            waiting in prop::collection::vec(WAITS, 1..20), more in prop::collection::vec(WAITS, 0..20),
        ) {
            let parts = [latency(&a, &waiting), latency(&b, &more)];
            let merged = add(parts.iter().flatten()).unwrap().unwrap();
            let all = [waiting, more].concat();
            prop_assert_eq!(merged.count, (a.len() + b.len()) as u64);
            prop_assert_eq!(merged.censored, all.len() as u64);
            let least = all.iter().min().copied().map(micros);
            prop_assert!(close(merged.censored_above_us, least));
            prop_assert_eq!(merged.max_us, None);
            let total = merged.count + merged.censored;
            prop_assert_eq!(merged.p50_us.is_some(), P50.rank(total) <= merged.count);
        }
    }

    #[test]
    fn grouping_makes_no_difference_where_the_longest_is_not_known() {
        // The median lies in the same bin as the longest, which only the first part knows exactly.
        let known = latency(&[5_000_123; 3], &[]).unwrap();
        let waiting = latency(&[], &[9_000_000]).unwrap();
        let first = add([&known, &waiting]).unwrap().unwrap();
        let grouped = add([&first, &waiting]).unwrap();
        assert_eq!(add([&known, &waiting, &waiting]).unwrap(), grouped);
    }

    #[test]
    fn nothing_added_up_is_nothing() {
        assert_eq!(add([]).unwrap(), None);
    }

    #[test]
    fn a_blob_that_is_none_is_refused() {
        let broken = Latency {
            histogram: "HISTE".to_owned(),
            ..latency(&[1_000], &[]).unwrap()
        };
        assert!(add([&broken]).is_err());
    }
}
