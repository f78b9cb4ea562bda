//! How a ping is told: a line for each answer, and the summary as prose or as a document. Pure.

use std::time::Duration;

use cli::{Format, units};
use serde::Serialize;

use crate::config::PingPlan;
use crate::ping::flight::{Answer, Punctuality};
use crate::ping::stats::{RoundTrips, Stats};

/// Grows when a key of the document changes its meaning.
const SCHEMA: u32 = 1;

/// The line for a message that came back.
pub(crate) fn answer_line(answer: &Answer, plan: &PingPlan) -> String {
    let late = match answer.punctuality {
        Punctuality::InTime => "",
        Punctuality::Late => " (late: counted as lost)",
    };
    let Answer { seq, rtt, .. } = answer;
    let (bytes, rtt) = (plan.size_bytes, units::micros(micros(*rtt)));
    format!("{bytes} bytes back: seq={seq} rtt={rtt}{late}\n")
}

/// The line for a message that was given up.
pub(crate) fn lost_line(seq: u64, plan: &PingPlan) -> String {
    format!(
        "no answer within {}: seq={seq}\n",
        units::span(plan.timeout)
    )
}

/// What is said at the end.
#[derive(Debug)]
pub(crate) struct Summary<'a> {
    /// As typed.
    pub(crate) target: String,
    /// What was to be sent.
    pub(crate) plan: PingPlan,
    /// From the first message to the end.
    pub(crate) duration: Duration,
    /// Whether a signal ended it.
    pub(crate) interrupted: bool,
    /// What became of it.
    pub(crate) stats: &'a Stats,
}

/// The document. Figures that do not exist are null.
#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: u32,
    target: &'a str,
    size_bytes: usize,
    interval_s: f64,
    timeout_s: f64,
    interrupted: bool,
    duration_s: f64,
    sent: u64,
    answered: u64,
    lost: u64,
    late: u64,
    pending: u64,
    rtt: Option<Rtt>,
}

#[derive(Debug, Serialize)]
struct Rtt {
    min_us: f64,
    avg_us: f64,
    max_us: f64,
    p50_us: Option<f64>,
}

impl Summary<'_> {
    /// The text for stdout.
    pub(crate) fn render(&self) -> String {
        match self.plan.format {
            Format::Text => self.text(),
            Format::Json => self.json(),
        }
    }

    fn text(&self) -> String {
        let stats = self.stats;
        let (sent, answered, lost) = (stats.sent(), stats.answered(), stats.lost());
        let percent = if sent == 0 {
            0.0
        } else {
            100.0 * lost as f64 / sent as f64
        };
        let mut text = format!(
            "--- {} ---\n{sent} sent, {answered} answered, {lost} lost ({percent:.1} %)",
            self.target
        );
        for (count, what) in [(stats.late(), "late"), (stats.pending(), "pending")] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        let seconds = units::micros(micros(self.duration));
        text.push_str(&format!(", in {seconds}\n"));
        if let Some(rtt) = stats.round_trips() {
            text.push_str(&self.rtt_line(&rtt));
        }
        text
    }

    fn rtt_line(&self, rtt: &RoundTrips) -> String {
        let show = |duration| units::micros(micros(duration));
        let beyond = || format!(">{}", units::span(self.plan.timeout));
        format!(
            "rtt min/avg/max/p50 = {}/{}/{}/{}\n",
            show(rtt.min),
            show(rtt.avg),
            show(rtt.max),
            rtt.p50.map_or_else(beyond, show),
        )
    }

    fn json(&self) -> String {
        let stats = self.stats;
        let document = Document {
            schema: SCHEMA,
            target: &self.target,
            size_bytes: self.plan.size_bytes,
            interval_s: self.plan.interval.as_secs_f64(),
            timeout_s: self.plan.timeout.as_secs_f64(),
            interrupted: self.interrupted,
            duration_s: self.duration.as_secs_f64(),
            sent: stats.sent(),
            answered: stats.answered(),
            lost: stats.lost(),
            late: stats.late(),
            pending: stats.pending(),
            rtt: stats.round_trips().map(|rtt| Rtt {
                min_us: micros(rtt.min),
                avg_us: micros(rtt.avg),
                max_us: micros(rtt.max),
                p50_us: rtt.p50.map(micros),
            }),
        };
        let text = serde_json::to_string_pretty(&document);
        text.expect("numbers and texts are always a document") + "\n"
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    fn plan(format: Format) -> PingPlan {
        PingPlan {
            count: None,
            interval: Duration::from_secs(1),
            size_bytes: 64,
            timeout: Duration::from_secs(5),
            format,
        }
    }

    fn answer(seq: u64, rtt: Duration, punctuality: Punctuality) -> Answer {
        Answer {
            seq,
            rtt,
            punctuality,
        }
    }

    /// The summary of four messages.
    fn render(format: Format, answers: &[Answer], lost: u64) -> String {
        let mut stats = Stats::new();
        for _ in 0..4 {
            stats.count_sent();
        }
        for _ in 0..lost {
            stats.count_lost();
        }
        for answer in answers {
            stats.count_answer(answer);
        }
        let summary = Summary {
            target: "127.0.0.1:7007".to_owned(),
            plan: plan(format),
            duration: Duration::from_secs(9),
            interrupted: true,
            stats: &stats,
        };
        summary.render()
    }

    /// 100 us, 300 us, and one that came back after it had been given up.
    fn answers() -> [Answer; 3] {
        [
            answer(0, 100 * US, Punctuality::InTime),
            answer(1, 300 * US, Punctuality::InTime),
            answer(2, 6_000_000 * US, Punctuality::Late),
        ]
    }

    #[test]
    fn people_read_two_lines() {
        insta::assert_snapshot!(render(Format::Text, &answers(), 1), @r#"
        --- 127.0.0.1:7007 ---
        4 sent, 2 answered, 1 lost (25.0 %), 1 late, 1 pending, in 9.00s
        rtt min/avg/max/p50 = 100us/200us/300us/300us
        "#);
    }

    #[test]
    fn a_median_among_the_lost_is_shown_as_a_bound() {
        insta::assert_snapshot!(render(Format::Text, &answers()[..1], 3), @r#"
        --- 127.0.0.1:7007 ---
        4 sent, 1 answered, 3 lost (75.0 %), in 9.00s
        rtt min/avg/max/p50 = 100us/100us/100us/>5s
        "#);
    }

    #[test]
    fn programs_read_a_document() {
        insta::assert_snapshot!(render(Format::Json, &answers(), 1), @r#"
        {
          "schema": 1,
          "target": "127.0.0.1:7007",
          "size_bytes": 64,
          "interval_s": 1.0,
          "timeout_s": 5.0,
          "interrupted": true,
          "duration_s": 9.0,
          "sent": 4,
          "answered": 2,
          "lost": 1,
          "late": 1,
          "pending": 1,
          "rtt": {
            "min_us": 100.0,
            "avg_us": 200.0,
            "max_us": 300.0,
            "p50_us": 300.0
          }
        }
        "#);
    }

    #[test]
    fn each_message_has_its_line() {
        let [in_time, _, late] = answers();
        let plan = plan(Format::Text);
        let lines = [
            answer_line(&in_time, &plan),
            answer_line(&late, &plan),
            lost_line(2, &plan),
        ];
        insta::assert_snapshot!(lines.concat(), @r#"
        64 bytes back: seq=0 rtt=100us
        64 bytes back: seq=2 rtt=6.00s (late: counted as lost)
        no answer within 5s: seq=2
        "#);
    }
}
