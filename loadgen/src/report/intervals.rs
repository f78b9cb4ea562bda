//! The window second by second: the slices of all threads, added up.

use std::collections::BTreeMap;

use super::{Interval, Response};
use crate::samples::{P50, P99, Samples};
use crate::tally::{Loop, SLICE_NANOS, Slice};
use crate::time::{micros, seconds};

/// A rest of the window that is shorter than this, and empty, belongs to the slice before it: no
/// clock stops a run to the nanosecond.
const STUB_NANOS: u64 = SLICE_NANOS / 20;

/// All seconds of a window of `duration_nanos`, also those in which nothing happened.
pub(super) fn of(slices: &[Slice], pace: Loop, duration_nanos: u64) -> Vec<Interval> {
    let mut by_second: BTreeMap<u64, Vec<&Slice>> = BTreeMap::new();
    for slice in slices {
        by_second.entry(slice.index).or_default().push(slice);
    }
    let with_answers = by_second.keys().next_back().map_or(0, |last| last + 1);
    let whole = duration_nanos
        .saturating_sub(STUB_NANOS)
        .div_ceil(SLICE_NANOS);
    let count = whole.max(with_answers).max(u64::from(duration_nanos > 0));
    let mut samples = Samples::new();
    (0..count)
        .map(|index| {
            let start = index * SLICE_NANOS;
            let rest = duration_nanos.saturating_sub(start);
            let length = if index + 1 == count {
                rest
            } else {
                rest.min(SLICE_NANOS)
            };
            let parts = by_second.get(&index).map_or(&[][..], Vec::as_slice);
            second((start, length), parts, pace, &mut samples)
        })
        .collect()
}

fn second(
    (start, length): (u64, u64),
    parts: &[&Slice],
    pace: Loop,
    samples: &mut Samples,
) -> Interval {
    let response = (pace == Loop::Open).then(|| {
        gather(samples, parts.iter().flat_map(|slice| &slice.response));
        Response {
            p50_us: samples.quantile_us(P50, 0),
            p99_us: samples.quantile_us(P99, 0),
            max_us: samples.max_nanos().map(micros),
            histogram: samples.encoded(),
        }
    });
    gather(samples, parts.iter().flat_map(|slice| &slice.rtt));
    Interval {
        at_s: seconds(start),
        length_s: seconds(length),
        answered: parts.iter().map(|slice| slice.answered).sum(),
        p50_us: samples.quantile_us(P50, 0),
        p99_us: samples.quantile_us(P99, 0),
        max_us: samples.max_nanos().map(micros),
        failed: parts.iter().map(|slice| slice.failed).sum(),
        histogram: samples.encoded(),
        response,
    }
}

/// Replaces what `samples` holds by `values`.
fn gather<'a>(samples: &mut Samples, values: impl Iterator<Item = &'a (u64, u64)>) {
    samples.clear();
    for (nanos, count) in values {
        samples.record_n(*nanos, *count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(index: u64, values: &[(u64, u64)]) -> Slice {
        Slice {
            index,
            answered: values.iter().map(|(_, count)| count).sum(),
            failed: 1,
            rtt: values.to_vec(),
            response: values.iter().map(|(nanos, n)| (nanos * 2, *n)).collect(),
        }
    }

    /// Start, length and answers of each interval.
    fn cut(slices: &[Slice], duration_nanos: u64) -> Vec<(f64, f64, u64)> {
        let intervals = of(slices, Loop::Closed, duration_nanos);
        let parts = intervals.iter().map(|i| (i.at_s, i.length_s, i.answered));
        parts.collect()
    }

    #[test]
    fn slices_of_all_threads_are_added_second_by_second() {
        let slices = [
            slice(0, &[(1_000, 2)]),
            slice(2, &[(9_000, 1)]),
            slice(0, &[(5_000, 1)]),
        ];
        let expected = [(0.0, 1.0, 3), (1.0, 1.0, 0), (2.0, 0.5, 1)];
        assert_eq!(cut(&slices, 2_500_000_000), expected);
        let all = of(&slices, Loop::Open, 2_500_000_000);
        assert_eq!((all[0].p50_us, all[0].max_us), (Some(1.0), Some(5.0)));
        assert_eq!((all[0].failed, all[1].failed, all[1].max_us), (2, 0, None));
        let response = all[0].response.as_ref().unwrap();
        assert_eq!((response.p50_us, response.max_us), (Some(2.0), Some(10.0)));
        assert_eq!(of(&slices, Loop::Closed, 2_500_000_000)[0].response, None);
    }

    #[test]
    fn a_window_that_ends_a_moment_late_has_no_stub() {
        let one = [slice(0, &[(1_000, 2)])];
        assert_eq!(cut(&one, 1_000_200_000), [(0.0, 1.000_2, 2)]);
        assert_eq!(cut(&one, 300), [(0.0, 3e-7, 2)]);
        assert_eq!(cut(&[], 2_000_000_000), [(0.0, 1.0, 0), (1.0, 1.0, 0)]);
        assert_eq!(cut(&[], 0), []);
    }
}
