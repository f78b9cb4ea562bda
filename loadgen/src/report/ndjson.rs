//! The run as a time series: one JSON object for each interval on a line of its own.
//!
//! The keys are flat and every line carries the labels of its run, so that the lines of many runs
//! can be poured into one store and be told apart there.

use serde::Serialize;

use super::{Interval, Report};

/// One line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    /// The start of the interval by the wall clock, in seconds since 1970.
    time: f64,
    tool: &'static str,
    version: &'a str,
    target: &'a str,
    /// The run among others: when it began, in seconds since 1970.
    run_unix_s: f64,
    clients: u32,
    seed: u64,
    at_s: f64,
    length_s: f64,
    rate_per_s: Option<f64>,
    answered: u64,
    failed: u64,
    rtt_p50_us: Option<f64>,
    rtt_p99_us: Option<f64>,
    rtt_max_us: Option<f64>,
    response_p50_us: Option<f64>,
    response_p99_us: Option<f64>,
    response_max_us: Option<f64>,
}

/// The lines of all `reports`, one for each interval, each ending in a newline.
///
/// # Panics
///
/// Never: every key is a string, and what is no number becomes `null`.
#[must_use]
pub fn render(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        for interval in &report.intervals {
            let line = serde_json::to_string(&line(report, interval));
            text.push_str(&line.expect("a line has only string keys"));
            text.push('\n');
        }
    }
    text
}

fn line<'a>(report: &'a Report, interval: &Interval) -> Line<'a> {
    let response = interval.response.as_ref();
    Line {
        time: report.window_unix_s() + interval.at_s,
        tool: "loadgen",
        version: &report.tool.version,
        target: &report.target,
        run_unix_s: report.started_unix_s,
        clients: report.clients.asked,
        seed: report.seed,
        at_s: interval.at_s,
        length_s: interval.length_s,
        rate_per_s: interval.rate_per_s(),
        answered: interval.answered,
        failed: interval.failed,
        rtt_p50_us: interval.p50_us,
        rtt_p99_us: interval.p99_us,
        rtt_max_us: interval.max_us,
        response_p50_us: response.and_then(|r| r.p50_us),
        response_p99_us: response.and_then(|r| r.p99_us),
        response_max_us: response.and_then(|r| r.max_us),
    }
}

impl Interval {
    /// Answers per second; none in an interval without length.
    pub(crate) fn rate_per_s(&self) -> Option<f64> {
        (self.length_s > 0.0).then(|| self.answered as f64 / self.length_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;

    #[test]
    fn each_interval_is_a_flat_line_with_the_labels_of_its_run() {
        let mut report = synthetic::closed(2, &[vec![1_000_000; 5], vec![]]);
        report.config.insert("warmup".to_owned(), "1s".into());
        report.intervals[1].length_s = 0.5;
        report.intervals[1].failed = 7;
        insta::assert_snapshot!(render(&[report]), @r#"
        {"time":1700000001.0,"tool":"loadgen","version":"0.1.0","target":"127.0.0.1:7007","run_unix_s":1700000000.0,"clients":2,"seed":1,"at_s":0.0,"length_s":1.0,"rate_per_s":5.0,"answered":5,"failed":0,"rtt_p50_us":1000.0,"rtt_p99_us":null,"rtt_max_us":1000.0,"response_p50_us":null,"response_p99_us":null,"response_max_us":null}
        {"time":1700000002.0,"tool":"loadgen","version":"0.1.0","target":"127.0.0.1:7007","run_unix_s":1700000000.0,"clients":2,"seed":1,"at_s":1.0,"length_s":0.5,"rate_per_s":0.0,"answered":0,"failed":7,"rtt_p50_us":null,"rtt_p99_us":null,"rtt_max_us":null,"response_p50_us":null,"response_p99_us":null,"response_max_us":null}
        "#);
    }

    #[test]
    fn hostile_names_stay_inside_their_line() {
        let mut report = synthetic::closed(2, &[vec![1_000_000], vec![2_000_000]]);
        report.target = "\"}\n{\"time\":0}<script>\u{1b}[2J".to_owned();
        report.tool.version = report.target.clone();
        let text = render(&[report.clone(), report.clone()]);
        assert_eq!(text.lines().count(), 4);
        assert!(!text.contains('\u{1b}'));
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["target"], report.target.as_str());
            let flat = value.as_object().unwrap().values();
            assert!(
                flat.into_iter()
                    .all(|cell| !cell.is_object() && !cell.is_array())
            );
        }
    }
}
