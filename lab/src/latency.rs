//! Reads the histograms of the load generator's document.
//!
//! They hold the waits that *ended*. That is what the usual tools report, and the reason why the
//! usual figures look good in a starved pool: who never got an answer is not in them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use loadgen::report::Latency;

/// How many points a curve has at most.
const POINTS: u32 = 160;
/// Fewer answers than this beyond a percentile say nothing about it.
const LEAST_BEYOND: f64 = 10.0;

/// The waits that ended, in nanoseconds; `None` if the text is no histogram.
#[must_use]
pub fn decode(text: &str) -> Option<Histogram<u64>> {
    let bytes = STANDARD.decode(text).ok()?;
    let mut histogram: Histogram<u64> = Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .ok()?;
    histogram.auto(true);
    Some(histogram)
}

/// The wait in microseconds that a `share` of those that ended did not exceed: the figure that the
/// usual tools call a percentile.
#[must_use]
pub fn of_the_answered_us(latency: Option<&Latency>, share: f64) -> Option<f64> {
    let histogram = decode(&latency?.histogram)?;
    (!histogram.is_empty()).then(|| microseconds(histogram.value_at_quantile(share)))
}

/// (share, microseconds) over all of `latencies`, from the fastest answer to the rarest that can
/// be told, evenly spread over a logarithmic axis of `1 / (1 - share)`.
#[must_use]
pub fn curve<'a>(latencies: impl IntoIterator<Item = &'a Latency>) -> Vec<(f64, f64)> {
    let histograms = latencies
        .into_iter()
        .filter_map(|latency| decode(&latency.histogram));
    let together = histograms.reduce(|mut sum, next| {
        // Wider values than the first histogram holds are what can fail, and ours grow by themselves.
        let _ = sum.add(next);
        sum
    });
    let Some(histogram) = together else {
        return Vec::new();
    };
    let rarest = histogram.len() as f64 / LEAST_BEYOND;
    if rarest <= 1.0 {
        return Vec::new();
    }
    let step = rarest.ln() / f64::from(POINTS);
    let shares = (0..=POINTS).map(|point| 1.0 - (-step * f64::from(point)).exp());
    shares
        .map(|share| (share, microseconds(histogram.value_at_quantile(share))))
        .collect()
}

fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::{Serializer, V2Serializer};
    use proptest::prelude::*;

    fn latency(nanoseconds: impl Iterator<Item = u64>) -> Latency {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        nanoseconds.for_each(|value| histogram.record(value).unwrap());
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&histogram, &mut bytes)
            .unwrap();
        Latency {
            count: histogram.len(),
            censored: 0,
            censored_above_us: None,
            mean_us: None,
            p50_us: None,
            p90_us: None,
            p99_us: None,
            p999_us: None,
            max_us: None,
            histogram: STANDARD.encode(bytes),
        }
    }

    #[test]
    fn percentiles_come_back_in_microseconds() {
        let latency = latency((1..=1000).map(|us| us * 1000));
        let p99 = of_the_answered_us(Some(&latency), 0.99).unwrap();
        assert!((p99 - 990.0).abs() < 1.0, "{p99}");
        assert_eq!(of_the_answered_us(None, 0.5), None);
        assert_eq!(decode("not base64!").map(|h| h.len()), None);
    }

    #[test]
    fn a_few_answers_make_no_curve() {
        assert_eq!(curve(&[latency([5_000; 8].into_iter())]), []);
        assert_eq!(curve(&[]), []);
    }

    #[test]
    fn curves_of_several_runs_are_one() {
        let (fast, slow) = (
            latency([1_000; 50].into_iter()),
            latency([9_000_000; 50].into_iter()),
        );
        let points = curve([&fast, &slow]);
        assert!(
            points.first().unwrap().1 < 1.1 && points.last().unwrap().1 > 8_000.0,
            "{points:?}"
        );
    }

    proptest! {
        // Each case makes and reads a whole histogram.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn curves_rise(values in prop::collection::vec(1_000..10_000_000_u64, 20..300)) {
            let count = values.len() as f64;
            let points = curve(&[latency(values.into_iter())]);
            prop_assert!(points.windows(2).all(|p| p[0].0 < p[1].0 && p[0].1 <= p[1].1));
            let last = points.last().unwrap().0;
            prop_assert!((1.0 - last) * count >= LEAST_BEYOND - 1e-6, "nothing is shown beyond what can be told");
        }
    }
}
