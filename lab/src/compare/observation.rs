//! What one run tells a comparison, and what the runs of a server tell together.

use loadgen::report::Verdict;
use serde::{Deserialize, Serialize};

use super::figures::Figures;
use super::judge::{Conclusion, Effect, Rounds};
use crate::load::Measured;
use crate::stats::{Interval, share};

/// The check of the audit that fails to pass when a thread of the generator was always busy.
pub const GENERATOR_LOAD: &str = "generator-load";
/// Who answers less of a schedule than this share was asked for too much.
const KEPT_UP: f64 = 0.95;

/// One run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Clients asked for.
    pub asked: u32,
    /// Clients that got at least one byte.
    pub served: u32,
    /// The figures; none where one does not exist, or a wait falls among requests without an answer.
    pub figures: Figures<Option<f64>>,
    /// Failed and timed-out requests, and answers with wrong bytes.
    pub failures: u64,
    /// Why the run cannot be trusted, if so.
    pub invalid: Option<String>,
    /// Whether the load generator had no time left: the server could have done more.
    pub generator_limited: bool,
    /// Whether it answered less than the schedule asked for.
    pub behind: bool,
}

impl Observation {
    /// What `measured` says.
    #[must_use]
    pub fn of(measured: &Measured) -> Self {
        let (report, usage) = (&measured.report, measured.usage.as_ref());
        let latency = &report.latency;
        // From the due time where there is one: from the send, a stall would count once.
        let wait = latency.response.as_ref().or(latency.rtt.as_ref());
        let server = report.server.as_ref();
        let per_answer = |total: u64| share(total as f64, report.requests.answered as f64);
        let switches = |server: &loadgen::report::Server| {
            server.voluntary_switches + server.involuntary_switches
        };
        let schedule = report.schedule.as_ref();
        let checks = report.audit.checks.iter();
        Self {
            asked: report.clients.asked,
            served: report.clients.served,
            figures: Figures {
                rate_per_s: report.rate_per_s,
                p50_us: wait.and_then(|wait| wait.p50_us),
                p99_us: wait.and_then(|wait| wait.p99_us),
                cpu_us_per_answer: server.and_then(|server| server.cpu_us_per_request),
                memory_bytes: usage.map(|usage| usage.memory_bytes as f64),
                threads: usage.map(|usage| usage.threads as f64),
                switches_per_answer: server.and_then(|server| per_answer(switches(server))),
                fairness: report.clients.fairness,
            },
            failures: report.requests.errors + report.requests.timeouts + report.mismatches,
            invalid: measured.invalid(),
            generator_limited: checks
                .into_iter()
                .any(|check| check.name == GENERATOR_LOAD && check.verdict != Verdict::Pass),
            behind: schedule
                .and_then(|schedule| schedule.rate_ratio)
                .is_some_and(|ratio| ratio < KEPT_UP),
        }
    }
}

/// What is common to all runs of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The server and its load: no two rows have the same.
    pub name: String,
    /// The server.
    pub subject: String,
    /// Whether it is the first server once more, to show the noise.
    pub control: bool,
    /// The length of a message.
    pub size_bytes: u32,
    /// Requests per second that were due, over all clients; none at saturation.
    pub offered_per_s: Option<f64>,
}

/// A server under one load over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What was run.
    #[serde(flatten)]
    pub cell: Cell,
    /// Clients asked for.
    pub asked: u32,
    /// Clients served in the worst round.
    pub served: u32,
    /// The medians, with distribution-free intervals.
    pub figures: Figures<Option<Interval>>,
    /// System calls per answer, counted in a run of their own.
    pub syscalls_per_answer: Option<f64>,
    /// How each figure compares with that of the first server; none for that one itself.
    pub against_first: Option<Figures<Effect>>,
    /// Failures over all rounds.
    pub failures: u64,
    /// Why a round cannot be trusted, if so.
    pub invalid: Option<String>,
    /// Whether the load generator had no time left in one of the rounds.
    pub generator_limited: bool,
    /// Whether it answered less than the schedule asked for in one of the rounds.
    pub behind: bool,
}

impl Row {
    /// The row of all observations, still without a verdict; none without any.
    #[must_use]
    pub fn of(cell: Cell, seen: &[Observation]) -> Option<Self> {
        let rounds = rounds(seen);
        let interval = |values: Vec<&Rounds>| {
            let all: Option<Vec<f64>> = values.into_iter().flatten().copied().collect();
            // One that is missing makes it none: a median of the others would flatter.
            Interval::of_median(&all?)
        };
        Some(Self {
            cell,
            asked: seen.first()?.asked,
            served: seen.iter().map(|one| one.served).min()?,
            figures: Figures::across(&[rounds], interval),
            syscalls_per_answer: None,
            against_first: None,
            failures: seen.iter().map(|one| one.failures).sum(),
            invalid: seen.iter().find_map(|one| one.invalid.clone()),
            generator_limited: seen.iter().any(|one| one.generator_limited),
            behind: seen.iter().any(|one| one.behind),
        })
    }

    /// Whether its figures may be compared with others: everybody was served, nothing failed, it kept
    /// up with what was due, and every run is valid. What resets its clients must not win.
    #[must_use]
    pub fn comparable(&self) -> bool {
        self.served == self.asked && self.failures == 0 && self.invalid.is_none() && !self.behind
    }

    /// The verdicts on this row, of which `seen` are the runs, beside the first.
    pub(super) fn judge(
        &mut self,
        seen: &[Observation],
        first: (&Self, &[Observation]),
        again: (&Self, &[Observation]),
    ) {
        let fit = self.comparable() && first.0.comparable() && again.0.comparable();
        let control = self.cell.control;
        let compare = |first: &Rounds, other: &Rounds, again: &Rounds| match (fit, control) {
            (false, _) => Effect::none(Conclusion::NotComparable),
            (true, true) => Effect::of_control(first, other),
            (true, false) => Effect::of(first, other, again),
        };
        let [one, other, third] = [first.1, seen, again.1].map(rounds);
        let mut effects = one.with(&other, &third, compare);
        if self.cell.offered_per_s.is_none() {
            // Each server was asked for all it had: the faster one was asked for more.
            for wait in [&mut effects.p50_us, &mut effects.p99_us] {
                *wait = Effect::none(Conclusion::NotComparable);
            }
            let limited = match effects.rate_per_s.conclusion {
                Conclusion::Higher => first.0.generator_limited,
                Conclusion::Lower => self.generator_limited,
                Conclusion::NoDifference => first.0.generator_limited || self.generator_limited,
                _ => false,
            };
            if limited && !control {
                effects.rate_per_s.conclusion = Conclusion::GeneratorLimited;
            }
        }
        self.against_first = Some(effects);
    }
}

/// Each figure, round by round.
fn rounds(seen: &[Observation]) -> Figures<Rounds> {
    let all: Vec<Figures<Option<f64>>> = seen.iter().map(|one| one.figures).collect();
    Figures::across(&all, |values| values.into_iter().copied().collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::compare) fn cell(name: &str) -> Cell {
        Cell {
            name: name.to_owned(),
            subject: name.to_owned(),
            control: false,
            size_bytes: 64,
            offered_per_s: None,
        }
    }

    pub(in crate::compare) fn seen(served: u32, rate: f64) -> Observation {
        Observation {
            asked: 50,
            served,
            figures: Figures {
                rate_per_s: Some(rate),
                memory_bytes: Some(2048.0),
                p99_us: Some(900.0),
                ..Figures::default()
            },
            ..Observation::default()
        }
    }

    fn all(rate: f64) -> Vec<Observation> {
        [1.0, 1.01, 0.99, 1.0, 1.02]
            .map(|noise| seen(50, rate * noise))
            .to_vec()
    }

    /// The verdict on the rate of `other` beside a first server of 100 per second.
    fn verdict(other: &[Observation], change: impl Fn(&mut Row, &mut Row)) -> Conclusion {
        let runs = all(100.0);
        let mut first = Row::of(cell("first"), &runs).unwrap();
        let mut row = Row::of(cell("other"), other).unwrap();
        change(&mut first, &mut row);
        let again = first.clone();
        row.judge(other, (&first, &runs), (&again, &runs));
        row.against_first.unwrap().rate_per_s.conclusion
    }

    #[test]
    fn the_worst_round_decides_who_was_served() {
        let runs = [seen(50, 10.0), seen(49, 30.0), seen(50, 20.0)];
        let row = Row::of(cell("x"), &runs).unwrap();
        let rate = row.figures.rate_per_s.map(|rate| rate.middle);
        assert_eq!((row.served, rate), (49, Some(20.0)));
        assert!(!row.comparable());
        assert_eq!(Row::of(cell("x"), &[]), None);
    }

    #[test]
    fn a_figure_that_one_round_lacks_has_no_median() {
        let mut runs = all(100.0);
        runs[3].figures.p99_us = None;
        let row = Row::of(cell("x"), &runs).unwrap();
        assert!(row.figures.p99_us.is_none() && row.figures.memory_bytes.is_some());
    }

    #[test]
    fn who_is_faster_is_called_so_and_who_leaves_clients_unserved_is_not() {
        assert_eq!(verdict(&all(150.0), |_, _| ()), Conclusion::Higher);
        assert_eq!(verdict(&all(50.0), |_, _| ()), Conclusion::Lower);
        let mut starving = all(150.0);
        starving[1].served = 4;
        assert_eq!(verdict(&starving, |_, _| ()), Conclusion::NotComparable);
    }

    #[test]
    fn failures_invalid_runs_and_who_falls_behind_are_never_ranked() {
        let broken: [fn(&mut Row); 4] = [
            |row| row.failures = 1,
            |row| row.invalid = Some("why".into()),
            |row| row.behind = true,
            |row| row.served = 49,
        ];
        for breaks in broken {
            assert_eq!(
                verdict(&all(150.0), |_, row| breaks(row)),
                Conclusion::NotComparable
            );
            // Beside a first server that cannot be compared nobody is ranked.
            assert_eq!(
                verdict(&all(150.0), |first, _| breaks(first)),
                Conclusion::NotComparable
            );
        }
    }

    #[test]
    fn the_lower_rate_must_be_the_servers_own() {
        let first = |first: &mut Row, _: &mut Row| first.generator_limited = true;
        let other = |_: &mut Row, row: &mut Row| row.generator_limited = true;
        assert_eq!(verdict(&all(150.0), first), Conclusion::GeneratorLimited);
        assert_eq!(
            verdict(&all(150.0), other),
            Conclusion::Higher,
            "by at least as much"
        );
        assert_eq!(verdict(&all(50.0), other), Conclusion::GeneratorLimited);
        assert_eq!(verdict(&all(50.0), first), Conclusion::Lower);
        assert_eq!(verdict(&all(100.0), other), Conclusion::GeneratorLimited);
    }

    #[test]
    fn latencies_at_saturation_are_not_ranked() {
        let (runs, mut slow) = (all(100.0), all(100.0));
        for one in &mut slow {
            one.figures.p99_us = Some(9000.0);
        }
        for (offered, expected) in [
            (None, Conclusion::NotComparable),
            (Some(50.0), Conclusion::Higher),
        ] {
            let cell = Cell {
                offered_per_s: offered,
                ..cell("x")
            };
            let first = Row::of(cell.clone(), &runs).unwrap();
            let mut row = Row::of(cell, &slow).unwrap();
            row.judge(&slow, (&first, &runs), (&first, &runs));
            assert_eq!(row.against_first.unwrap().p99_us.conclusion, expected);
        }
    }
}
