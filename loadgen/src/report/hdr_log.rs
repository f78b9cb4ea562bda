//! The intervals as an HdrHistogram log 1.3, which the usual plotters and `HistogramLogProcessor`
//! read: a line for each interval and kind of wait, in nanoseconds, the longest in milliseconds.
//!
//! The tags are `rtt` and, in an open loop, `response`.

use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializeError;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogWriter, IntervalLogWriterBuilder, IntervalLogWriterError, Tag,
};

use super::{Interval, Report};
use crate::samples::{BadHistogram, Samples};

/// The log is in nanoseconds; its column for people is in milliseconds.
const NANOS_PER_MILLI: f64 = 1e6;

type Log<'a> = IntervalLogWriter<'a, 'a, Vec<u8>, V2DeflateSerializer>;

/// The log of `report`.
///
/// # Errors
///
/// [`BadHistogram`] when an interval holds no histogram.
///
/// # Panics
///
/// Never: memory takes every line.
pub fn render(report: &Report) -> Result<String, BadHistogram> {
    let mut intervals = Vec::with_capacity(report.intervals.len());
    for interval in &report.intervals {
        let response = interval.response.as_ref();
        let response = response.map(super::Response::samples).transpose()?;
        intervals.push((interval, interval.samples()?, response));
    }
    let (mut bytes, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let written = heading(report)
        .begin_log_with(&mut bytes, &mut serializer)
        .map_err(IntervalLogWriterError::from)
        .and_then(|mut log| {
            intervals.iter().try_for_each(|(interval, rtt, response)| {
                line(&mut log, interval, ("rtt", rtt))?;
                response
                    .iter()
                    .try_for_each(|response| line(&mut log, interval, ("response", response)))
            })
        });
    written.expect("memory takes every byte and the counts fit");
    Ok(String::from_utf8(bytes).expect("the log is text"))
}

fn heading(report: &Report) -> IntervalLogWriterBuilder {
    let since = span(report.window_unix_s());
    let window = SystemTime::UNIX_EPOCH.checked_add(since);
    let window = window.unwrap_or(SystemTime::UNIX_EPOCH);
    let mut heading = IntervalLogWriterBuilder::new();
    heading
        .add_comment("[Histogram log format version 1.3]")
        // A line break in a name must not begin a line of the log.
        .add_comment(&format!(
            "[loadgen {}: {} clients at {}, nanoseconds]",
            report.tool.version.escape_debug(),
            report.clients.asked,
            report.target.escape_debug()
        ))
        .with_start_time(window)
        .with_base_time(window)
        .with_max_value_divisor(NANOS_PER_MILLI);
    heading
}

fn line(
    log: &mut Log<'_>,
    interval: &Interval,
    (tag, samples): (&str, &Samples),
) -> Result<(), IntervalLogWriterError<V2DeflateSerializeError>> {
    let (start, length) = (span(interval.at_s), span(interval.length_s));
    log.write_histogram(&samples.histogram(), start, length, Tag::new(tag))
}

/// Seconds from a document; what is no length of time counts as none.
fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

impl Report {
    /// When the measured window began by the wall clock, in seconds since 1970.
    pub(crate) fn window_unix_s(&self) -> f64 {
        let warmup = self.config.get("warmup").and_then(|value| value.as_str());
        let warmup = warmup.and_then(cli::units::parse_duration);
        self.started_unix_s + warmup.unwrap_or_default().as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Response, synthetic};
    use base64::Engine as _;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    fn report() -> Report {
        let mut report = synthetic::closed(2, &[vec![1_000_000; 5], vec![], vec![3_000_000; 2]]);
        report.config.insert("warmup".to_owned(), "2s".into());
        report
    }

    #[test]
    fn a_reader_finds_every_interval_with_its_waits() {
        let mut report = report();
        report.intervals[0].response = Some(Response {
            p50_us: None,
            p99_us: None,
            max_us: None,
            histogram: synthetic::interval(0, &[9_000_000; 5]).histogram,
        });
        let text = render(&report).unwrap();
        let mut seen = Vec::new();
        for entry in IntervalLogIterator::new(text.as_bytes()) {
            match entry.unwrap() {
                LogEntry::Interval(line) => {
                    let blob = base64::engine::general_purpose::STANDARD
                        .decode(line.encoded_histogram())
                        .unwrap();
                    let read: hdrhistogram::Histogram<u64> = Deserializer::new()
                        .deserialize(&mut blob.as_slice())
                        .unwrap();
                    let tag = line.tag().unwrap().as_str().to_owned();
                    seen.push((
                        line.start_timestamp().as_secs(),
                        tag,
                        read.len(),
                        line.max(),
                    ));
                }
                LogEntry::StartTime(at) | LogEntry::BaseTime(at) => {
                    assert_eq!(at.as_secs(), 1_700_000_002);
                }
            }
        }
        let shown: Vec<_> = seen
            .iter()
            .map(|(at, tag, n, _)| (*at, tag.as_str(), *n))
            .collect();
        assert_eq!(
            shown,
            [
                (0, "rtt", 5),
                (0, "response", 5),
                (1, "rtt", 0),
                (2, "rtt", 2)
            ]
        );
        assert!(
            (seen[0].3 - 1.0).abs() < 1e-2,
            "the column for people is in ms"
        );
    }

    #[test]
    fn the_heading_is_what_plotters_look_for() {
        let text = render(&report()).unwrap();
        let heading: Vec<_> = text.lines().filter(|line| line.starts_with('#')).collect();
        insta::assert_snapshot!(heading.join("\n"), @"
        #[Histogram log format version 1.3]
        #[loadgen 0.1.0: 2 clients at 127.0.0.1:7007, nanoseconds]
        #[StartTime: 1700000002.000 (seconds since epoch)]
        #[BaseTime: 1700000002.000 (seconds since epoch)]
        #[MaxValueDivisor: 1000000.000]
        ");
        // Java's reader and the plotters take compressed histograms only.
        assert!(
            text.lines()
                .all(|line| line.starts_with('#') || line.contains(",HISTFA"))
        );
    }

    #[test]
    fn a_hostile_name_stays_in_its_comment() {
        let mut report = report();
        report.target = "x\nTag=rtt,0,1,2,HISTFA\u{1b}[2J".to_owned();
        let text = render(&report).unwrap();
        assert_eq!(
            text.lines().filter(|line| line.starts_with("Tag=")).count(),
            3
        );
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn times_that_no_clock_shows_are_survived() {
        for time in [1e19, 1e300, -1.0] {
            let mut report = report();
            report.started_unix_s = time;
            report.intervals[0].at_s = time;
            report.intervals[1].length_s = time;
            assert_eq!(render(&report).unwrap().lines().count(), 8, "{time}");
        }
    }

    #[test]
    fn a_broken_histogram_is_refused() {
        let mut report = report();
        report.intervals[1].histogram = "HISTE".to_owned();
        assert!(render(&report).is_err());
    }
}
