//! What one run tells a comparison, and what several of them tell together.

use serde::{Deserialize, Serialize};

use crate::load::Measured;
use crate::stats::{Spread, share};

/// One run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Clients asked for.
    pub asked: u32,
    /// Clients that got at least one byte.
    pub served: u32,
    /// Answers per second.
    pub rate_per_s: Option<f64>,
    /// Median round trip; none where it falls among requests without an answer.
    pub p50_us: Option<f64>,
    /// 99th percentile of the round trip, likewise.
    pub p99_us: Option<f64>,
    /// Jain's index over all clients asked.
    pub fairness: Option<f64>,
    /// CPU time of the server per answer.
    pub cpu_us_per_answer: Option<f64>,
    /// Memory of the server and its children.
    pub memory_bytes: Option<f64>,
    /// Threads of the server and its children.
    pub threads: Option<f64>,
    /// Context switches of the server per answer.
    pub switches_per_answer: Option<f64>,
    /// Failed and timed-out requests, and answers with wrong bytes.
    pub failures: u64,
    /// Why the run cannot be trusted, if so.
    pub invalid: Option<String>,
}

impl Observation {
    /// What `measured` says.
    #[must_use]
    pub fn of(measured: &Measured) -> Self {
        let report = &measured.report;
        let rtt = report.latency.rtt.as_ref();
        let usage = measured.usage.as_ref();
        let per_answer = |per_s: f64| share(per_s, report.rate_per_s?);
        Self {
            asked: report.clients.asked,
            served: report.clients.served,
            rate_per_s: report.rate_per_s,
            p50_us: rtt.and_then(|rtt| rtt.p50_us),
            p99_us: rtt.and_then(|rtt| rtt.p99_us),
            fairness: report.clients.fairness,
            cpu_us_per_answer: usage.and_then(|usage| per_answer(usage.cpu_cores * 1e6)),
            memory_bytes: usage.map(|usage| usage.memory_bytes as f64),
            threads: usage.map(|usage| usage.threads as f64),
            switches_per_answer: usage.and_then(|usage| per_answer(usage.switches_per_s)),
            failures: report.requests.errors + report.requests.timeouts + report.mismatches,
            invalid: measured.invalid(),
        }
    }
}

/// One server with one number of clients over all repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The server.
    pub subject: String,
    /// Whether it is the first subject once more, to show the noise.
    pub control: bool,
    /// Clients asked for.
    pub asked: u32,
    /// Clients served in the worst repeat.
    pub served: u32,
    /// Answers per second.
    pub rate_per_s: Option<Spread>,
    /// Median round trip.
    pub p50_us: Option<Spread>,
    /// 99th percentile of the round trip.
    pub p99_us: Option<Spread>,
    /// Jain's index.
    pub fairness: Option<Spread>,
    /// CPU time of the server per answer.
    pub cpu_us_per_answer: Option<Spread>,
    /// Memory of the server and its children.
    pub memory_bytes: Option<Spread>,
    /// Threads of the server and its children.
    pub threads: Option<Spread>,
    /// Context switches of the server per answer.
    pub switches_per_answer: Option<Spread>,
    /// Failures over all repeats.
    pub failures: u64,
    /// Why a repeat cannot be trusted, if so.
    pub invalid: Option<String>,
}

impl Row {
    /// The row of all observations; none without any.
    #[must_use]
    pub fn of(subject: String, control: bool, seen: &[Observation]) -> Option<Self> {
        let spread = |of: fn(&Observation) -> Option<f64>| Spread::of_all(seen.iter().map(of));
        Some(Self {
            subject,
            control,
            asked: seen.first()?.asked,
            served: seen.iter().map(|one| one.served).min()?,
            rate_per_s: spread(|one| one.rate_per_s),
            p50_us: spread(|one| one.p50_us),
            p99_us: spread(|one| one.p99_us),
            fairness: spread(|one| one.fairness),
            cpu_us_per_answer: spread(|one| one.cpu_us_per_answer),
            memory_bytes: spread(|one| one.memory_bytes),
            threads: spread(|one| one.threads),
            switches_per_answer: spread(|one| one.switches_per_answer),
            failures: seen.iter().map(|one| one.failures).sum(),
            invalid: seen.iter().find_map(|one| one.invalid.clone()),
        })
    }

    /// Whether its figures may be compared with others: everybody was served, nothing failed, and
    /// every run is valid. What resets its clients must not win.
    #[must_use]
    pub fn comparable(&self) -> bool {
        self.served == self.asked && self.failures == 0 && self.invalid.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(served: u32, rate: f64) -> Observation {
        Observation {
            asked: 50,
            served,
            rate_per_s: Some(rate),
            ..Observation::default()
        }
    }

    #[test]
    fn the_worst_repeat_decides_who_was_served() {
        let row = Row::of(
            "x".into(),
            false,
            &[seen(50, 10.0), seen(49, 30.0), seen(50, 20.0)],
        )
        .unwrap();
        assert_eq!(
            (row.served, row.rate_per_s.map(|r| r.median)),
            (49, Some(20.0))
        );
        assert!(!row.comparable());
        assert_eq!(Row::of("x".into(), false, &[]), None);
    }

    #[test]
    fn failures_and_invalid_runs_are_not_comparable() {
        let good = Row::of("x".into(), false, &[seen(50, 1.0)]).unwrap();
        assert!(good.comparable());
        assert!(
            !Row {
                failures: 1,
                ..good.clone()
            }
            .comparable()
        );
        assert!(
            !Row {
                invalid: Some("why".into()),
                ..good
            }
            .comparable()
        );
    }
}
