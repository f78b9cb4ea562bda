//! Waits, recorded in nanoseconds, and what may be said of them when some have not ended.
//!
//! A wait that outlasted the run is *censored*: only a lower bound of it is known. It takes part in
//! every rank and in no value, so that nothing looks faster because somebody is still waiting.

use std::borrow::Cow;

use base64::Engine as _;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};

use crate::report::Latency;
use crate::time::micros;

/// The longest wait that is told apart from longer ones: one hour, in nanoseconds.
pub(crate) const LONGEST_NANOS: u64 = 3_600_000_000_000;
/// Three significant digits: a value is off by 0.1 % at most.
const DIGITS: u8 = 3;
/// A percentile of 0.9 and above needs this many waits beyond it.
const WAITS_BEYOND: u64 = 10;

/// Waits that ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    /// None before the first wait: it is a quarter of a megabyte, and the library writes to all of
    /// it when it is made.
    histogram: Option<Histogram<u64>>,
    sum_nanos: u64,
    max_nanos: u64,
    /// Samples beyond [`LONGEST_NANOS`]; they are recorded as that.
    clamped: u64,
}

/// A fraction of all waits, kept as a ratio so that ranks are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quantile {
    part: u64,
    of: u64,
}

/// Half of all waits are at most this long.
pub(crate) const P50: Quantile = Quantile { part: 1, of: 2 };
/// Nine of ten.
pub(crate) const P90: Quantile = Quantile { part: 9, of: 10 };
/// 99 of 100.
pub(crate) const P99: Quantile = Quantile { part: 99, of: 100 };
/// 999 of 1000.
pub(crate) const P999: Quantile = Quantile {
    part: 999,
    of: 1_000,
};

impl Quantile {
    /// The fraction that `percent` per cent is, such as `50` or `99.999`: from 1 to 99.999 with at
    /// most three decimals; none for any other text.
    pub(crate) fn percent(percent: &str) -> Option<Self> {
        let (whole, decimals) = percent.split_once('.').unwrap_or((percent, "0"));
        let is_number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) || decimals.len() > 3 || decimals.is_empty() {
            return None;
        }
        let thousandths = whole.parse::<u64>().ok()?.checked_mul(1_000)?
            + format!("{decimals:0<3}").parse::<u64>().ok()?;
        let quantile = Self {
            part: thousandths,
            of: 100_000,
        };
        (1_000..100_000).contains(&thousandths).then_some(quantile)
    }

    /// Whether both are the same fraction.
    pub(crate) fn is(self, other: Self) -> bool {
        u128::from(self.part) * u128::from(other.of) == u128::from(other.part) * u128::from(self.of)
    }

    /// The rank, from 1, of the wait that has this fraction of `total` at or below it.
    pub(crate) fn rank(self, total: u64) -> u64 {
        let rank = (u128::from(total) * u128::from(self.part)).div_ceil(u128::from(self.of));
        u64::try_from(rank).unwrap_or(u64::MAX).max(1)
    }

    /// Whether `total` waits are enough to tell.
    fn is_supported_by(self, total: u64) -> bool {
        let beyond = u128::from(total) * u128::from(self.of - self.part);
        let is_high = u128::from(self.part) * 10 >= u128::from(self.of) * 9;
        !is_high || beyond >= u128::from(WAITS_BEYOND) * u128::from(self.of)
    }
}

/// Waits that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Censored {
    /// How many.
    pub(crate) count: u64,
    /// The smallest of their lower bounds, in nanoseconds.
    pub(crate) above_nanos: Option<u64>,
}

impl Censored {
    /// Counts a wait that is known to be longer than `nanos`.
    pub(crate) fn add(&mut self, nanos: u64) {
        self.merge(&Self {
            count: 1,
            above_nanos: Some(nanos),
        });
    }

    /// Adds those of another thread.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        let both = [self.above_nanos, other.above_nanos];
        self.above_nanos = both.into_iter().flatten().min();
    }

    /// Of waits that began at different times, those that are longer than `longest`, the longest
    /// that ended, or all when none did. Shorter ones are merely the window's edge.
    pub(crate) fn beyond(ages: &[u64], longest: Option<u64>) -> Self {
        let mut censored = Self::default();
        for age in ages
            .iter()
            .filter(|age| longest.is_none_or(|max| **age > max))
        {
            censored.add(*age);
        }
        censored
    }
}

/// A histogram in a report that cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum BadHistogram {
    /// The text is no base64.
    #[error("it is no base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// The bytes are no histogram.
    #[error("it is no HdrHistogram V2: {0}")]
    Format(#[from] hdrhistogram::serialization::DeserializeError),
    /// It holds waits that are longer than any that this program records.
    #[error("it was not written by loadgen: its waits exceed one hour")]
    Range(#[from] hdrhistogram::AdditionError),
}

impl Samples {
    /// The samples of a histogram that [`Samples::encoded`] wrote, whose sum is `sum_nanos`. The
    /// longest is known to three digits only, unless `max_nanos` says it.
    ///
    /// # Errors
    ///
    /// [`BadHistogram`] when `text` is none.
    pub(crate) fn decode(
        text: &str,
        sum_nanos: u64,
        max_nanos: Option<u64>,
    ) -> Result<Self, BadHistogram> {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text)?;
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice())?;
        let mut histogram = empty();
        histogram.add(&read)?;
        Ok(Self {
            sum_nanos,
            max_nanos: max_nanos.unwrap_or_else(|| histogram.max()),
            clamped: 0,
            histogram: Some(histogram),
        })
    }

    /// Takes the longest for known to three digits only, as [`Samples::decode`] does.
    pub(crate) fn blur_max(&mut self) {
        self.max_nanos = self.histogram.as_ref().map_or(0, Histogram::max);
    }

    /// The counts, for a log of histograms.
    pub(crate) fn histogram(&self) -> Cow<'_, Histogram<u64>> {
        match &self.histogram {
            Some(histogram) => Cow::Borrowed(histogram),
            None => Cow::Owned(empty()),
        }
    }

    /// No samples yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a wait.
    #[inline]
    pub(crate) fn record(&mut self, nanos: u64) {
        self.record_n(nanos, 1);
    }

    /// Adds `count` waits of the same length.
    #[inline]
    pub(crate) fn record_n(&mut self, nanos: u64, count: u64) {
        self.clamped += if nanos > LONGEST_NANOS { count } else { 0 };
        self.sum_nanos = self.sum_nanos.saturating_add(nanos.saturating_mul(count));
        self.max_nanos = self.max_nanos.max(nanos);
        let histogram = self.histogram.get_or_insert_with(empty);
        histogram.saturating_record_n(nanos.max(1), count);
    }

    /// Adds all samples of `other`.
    ///
    /// # Panics
    ///
    /// Never: all histograms have the same bounds.
    pub(crate) fn merge(&mut self, other: &Self) {
        match (&mut self.histogram, &other.histogram) {
            (_, None) => {}
            (None, more) => self.histogram.clone_from(more),
            (Some(sum), Some(more)) => sum.add(more).expect("all histograms have the same bounds"),
        }
        self.sum_nanos = self.sum_nanos.saturating_add(other.sum_nanos);
        self.max_nanos = self.max_nanos.max(other.max_nanos);
        self.clamped += other.clamped;
    }

    /// Forgets all samples.
    pub(crate) fn clear(&mut self) {
        if let Some(histogram) = &mut self.histogram {
            histogram.reset();
        }
        (self.sum_nanos, self.max_nanos, self.clamped) = (0, 0, 0);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, Histogram::len)
    }

    /// Their sum in nanoseconds.
    pub(crate) const fn sum_nanos(&self) -> u64 {
        self.sum_nanos
    }

    /// How many were longer than can be recorded.
    pub(crate) const fn clamped(&self) -> u64 {
        self.clamped
    }

    /// The longest in nanoseconds; none without samples.
    pub(crate) fn max_nanos(&self) -> Option<u64> {
        (self.count() > 0).then_some(self.max_nanos)
    }

    /// How many lie between the two bounds in nanoseconds, both included.
    pub(crate) fn count_between(&self, low: u64, high: u64) -> u64 {
        let histogram = self.histogram.as_ref();
        histogram.map_or(0, |histogram| histogram.count_between(low, high))
    }

    /// As [`Censored::beyond`], for ages that are samples themselves.
    pub(crate) fn beyond(&self, longest: Option<u64>) -> Censored {
        let ages = self.sparse().into_iter();
        let mut censored = Censored::default();
        for (nanos, count) in ages.filter(|(nanos, _)| longest.is_none_or(|max| *nanos > max)) {
            censored.merge(&Censored {
                count,
                above_nanos: Some(nanos),
            });
        }
        censored
    }

    /// The recorded values with their counts, to keep a distribution in little memory.
    pub(crate) fn sparse(&self) -> Vec<(u64, u64)> {
        let bins = self.histogram.iter().flat_map(Histogram::iter_recorded);
        bins.map(|bin| (bin.value_iterated_to(), bin.count_at_value()))
            .collect()
    }

    /// The wait in microseconds at `quantile` when `censored` more waits are longer than all of
    /// these; none where the rank falls among those or too few lie beyond it.
    pub(crate) fn quantile_us(&self, quantile: Quantile, censored: u64) -> Option<f64> {
        let total = self.count().saturating_add(censored);
        let rank = quantile.rank(total);
        if !quantile.is_supported_by(total) || rank > self.count() {
            return None;
        }
        let mut below = 0;
        let bin = self.histogram.as_ref()?.iter_recorded().find(|bin| {
            below += bin.count_at_value();
            below >= rank
        })?;
        Some(micros(bin.value_iterated_to().min(self.max_nanos)))
    }

    /// Everything that the report says about these waits; none when there was no wait at all.
    pub(crate) fn summary(&self, censored: &Censored) -> Option<Latency> {
        let count = self.count();
        (count > 0 || censored.count > 0).then(|| Latency {
            count,
            censored: censored.count,
            censored_above_us: censored.above_nanos.map(micros),
            mean_us: (count > 0).then(|| micros(self.sum_nanos) / count as f64),
            p50_us: self.quantile_us(P50, censored.count),
            p90_us: self.quantile_us(P90, censored.count),
            p99_us: self.quantile_us(P99, censored.count),
            p999_us: self.quantile_us(P999, censored.count),
            max_us: self.max_nanos().filter(|_| censored.count == 0).map(micros),
            histogram: self.encoded(),
        })
    }

    /// HdrHistogram V2, base64.
    pub(crate) fn encoded(&self) -> String {
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&self.histogram(), &mut bytes)
            .expect("memory takes every byte and the counts fit");
        base64::engine::general_purpose::STANDARD.encode(bytes)
    }
}

/// A histogram without counts.
fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NANOS, DIGITS)
        .expect("the bounds are constants that the histogram accepts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples(nanos: &[u64]) -> Samples {
        let mut samples = Samples::new();
        nanos.iter().for_each(|value| samples.record(*value));
        samples
    }

    #[test]
    fn high_percentiles_need_ten_waits_beyond() {
        for (quantile, enough) in [(P50, 1), (P90, 100), (P99, 1_000), (P999, 10_000)] {
            let mut samples = Samples::new();
            samples.record_n(1_000, enough - 1);
            assert_eq!(samples.quantile_us(quantile, 0), None, "{quantile:?}");
            samples.record(1_000);
            assert_eq!(samples.quantile_us(quantile, 0), Some(1.0), "{quantile:?}");
        }
    }

    #[test]
    fn percentiles_are_read_as_exact_fractions() {
        for (text, same) in [
            ("50", P50),
            ("90", P90),
            ("99", P99),
            ("99.9", P999),
            ("99.900", P999),
        ] {
            assert!(Quantile::percent(text).unwrap().is(same), "{text}");
        }
        for text in [
            "0", "100", "0.5", "99.9999", "", ".", "9.", "-1", "1e1", "+9", "99.9.9",
        ] {
            assert_eq!(Quantile::percent(text), None, "{text}");
        }
        // Below 0.9 one wait is enough; from 0.9 on ten must lie beyond.
        assert!(Quantile::percent("75").unwrap().is_supported_by(1));
        let high = Quantile::percent("99.999").unwrap();
        assert!(high.is_supported_by(1_000_000) && !high.is_supported_by(999_999));
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        for text in ["HISTE", "%", "", "AAAA"] {
            assert!(Samples::decode(text, 0, None).is_err(), "{text}");
        }
    }

    #[test]
    fn who_still_waits_takes_part_in_every_rank() {
        let few = samples(&[10_000; 4]);
        let mut waiting = Censored::default();
        (0..46).for_each(|_| waiting.add(5_000_000_000));
        let starved = few.summary(&waiting).unwrap();
        assert_eq!((starved.count, starved.censored), (4, 46));
        assert_eq!((starved.p50_us, starved.max_us), (None, None));
        assert_eq!(starved.censored_above_us, Some(5e6));
        assert_eq!(starved.mean_us, Some(10.0));
        assert_eq!(few.quantile_us(P50, 4), Some(10.0));
        assert_eq!(few.quantile_us(P50, 5), None);
    }

    #[test]
    fn figures_that_do_not_exist_are_none() {
        assert_eq!(Samples::new().summary(&Censored::default()), None);
        let mut timeouts = Censored::default();
        timeouts.add(7_000);
        let black_hole = Samples::new().summary(&timeouts).unwrap();
        assert_eq!((black_hole.mean_us, black_hole.p50_us), (None, None));
        assert_eq!(black_hole.censored_above_us, Some(7.0));
    }

    #[test]
    fn a_young_pending_request_is_the_windows_edge() {
        let pending = [5, 20, 30];
        assert_eq!(Censored::beyond(&pending, Some(30)).count, 0);
        let old = Censored::beyond(&pending, Some(10));
        assert_eq!((old.count, old.above_nanos), (2, Some(20)));
        assert_eq!(Censored::beyond(&pending, None).count, 3);
    }

    #[test]
    fn waits_beyond_an_hour_are_counted_as_such() {
        let long = samples(&[LONGEST_NANOS + 1, LONGEST_NANOS]);
        assert_eq!((long.clamped(), long.count()), (1, 2));
    }

    proptest! {
        // Each case walks through tens of thousands of counters, unoptimised.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn quantiles_agree_with_an_exact_sort(
            mut nanos in prop::collection::vec(1_u64..10_000_000_000, 1..2_000), censored in 0_u64..500
        ) {
            let recorded = samples(&nanos);
            nanos.sort_unstable();
            let total = nanos.len() as u64 + censored;
            for quantile in [P50, P90, P99, P999] {
                let rank = usize::try_from(quantile.rank(total)).unwrap();
                let exact = nanos.get(rank - 1).copied();
                let expected = exact.filter(|_| quantile.is_supported_by(total));
                let shown = recorded.quantile_us(quantile, censored);
                prop_assert_eq!(shown.is_some(), expected.is_some());
                if let (Some(shown), Some(exact)) = (shown, expected) {
                    prop_assert!((shown * 1e3 - exact as f64).abs() <= exact as f64 * 1e-3 + 1e-6);
                }
            }
            prop_assert_eq!(recorded.max_nanos(), nanos.last().copied());
        }

        #[test]
        fn merged_samples_are_those_of_the_concatenation(
            a in prop::collection::vec(0_u64..1 << 45, 0..200),
            b in prop::collection::vec(0_u64..1 << 45, 0..200),
        ) {
            let mut merged = samples(&a);
            merged.merge(&samples(&b));
            let together = samples(&[a, b].concat());
            prop_assert_eq!(merged.encoded(), together.encoded());
            prop_assert_eq!(merged.summary(&Censored::default()), together.summary(&Censored::default()));
            prop_assert_eq!(merged.clamped(), together.clamped());
        }

        #[test]
        fn a_damaged_histogram_is_read_or_refused(
            nanos in prop::collection::vec(1_u64..1 << 40, 1..20),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            use base64::engine::general_purpose::STANDARD;
            let mut bytes = STANDARD.decode(samples(&nanos).encoded()).unwrap();
            for (at, byte) in damage {
                // Not the bounds: a histogram of any size is a histogram.
                let at = 40 + at.index(bytes.len() - 40);
                bytes[at] = byte;
            }
            if let Ok(read) = Samples::decode(&STANDARD.encode(bytes), u64::MAX, None) {
                let waiting = Censored { count: u64::MAX, above_nanos: Some(1) };
                prop_assert!(read.summary(&waiting).is_some());
            }
        }

        #[test]
        fn the_report_carries_the_whole_histogram(nanos in prop::collection::vec(1_u64..1 << 40, 1..200)) {
            let recorded = samples(&nanos);
            let read = Samples::decode(&recorded.encoded(), 0, None).unwrap();
            prop_assert_eq!(&read.histogram, &recorded.histogram);
            prop_assert_eq!(read.encoded(), recorded.encoded());
        }
    }
}
