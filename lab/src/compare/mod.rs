//! What the strategies cost: several servers under the same load, by turns and repeatedly.
//!
//! ```text
//! Plan ──order: A B C A' A' C B A──▶ a fresh server and a load each ──▶ Observation ──▶ Row (median, spread)
//! ```
//!
//! A' is the first subject once more. What differs between A and A' is noise, and no smaller
//! difference between others means anything. A server that leaves clients unserved is marked and
//! never ranked: its figures describe the survivors.

mod observation;
mod order;
mod table;

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bench::{Bench, Failure, RunNote};
use crate::load::Load;
use crate::stats::Spread;
use crate::subject::Subject;
pub use observation::{Observation, Row};
pub use table::{headline, tables};

/// Everybody is connected and served before the window begins, who ever will be.
const WARMUP: Duration = Duration::from_millis(300);

/// What is compared.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The servers, at least one.
    pub subjects: Vec<Subject>,
    /// Numbers of clients.
    pub clients: Vec<NonZeroU32>,
    /// How often each server is measured with each number of clients.
    pub repeats: NonZeroUsize,
    /// How long each run is measured.
    pub window: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// How often each row was measured.
    pub repeats: usize,
    /// How long each run was measured.
    pub window_s: f64,
    /// One for each server and number of clients.
    pub rows: Vec<Row>,
    /// How far two runs of the same thing differ, by number of clients.
    pub noise: Vec<Noise>,
    /// What was run.
    pub runs: Vec<RunNote>,
}

/// How far the first subject differs from itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// The number of clients.
    pub clients: u32,
    /// The difference between the two medians of the rate, as a share of them.
    pub between_medians: f64,
    /// Half the distance between the extremes of either, as a share of the median.
    pub within: f64,
}

impl Noise {
    /// Differences of the rate up to this share mean nothing.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.between_medians.max(self.within)
    }
}

/// One server with one number of clients, and what was seen of it.
#[derive(Debug)]
struct Series {
    subject: Subject,
    control: bool,
    clients: NonZeroU32,
    observations: Vec<Observation>,
}

/// Compares, and hands over what is known after each round: the last one also when the work ended
/// early.
///
/// # Errors
///
/// [`Failure`] when a server could not be measured or the user wants to end.
pub fn run(
    bench: &mut Bench,
    plan: &Plan,
    known: &mut dyn FnMut(Comparison),
) -> Result<(), Failure> {
    let mut series = all_series(plan);
    let mut runs = Vec::new();
    for round in 0..plan.repeats.get() {
        let result = one_round(bench, plan, round, &mut series);
        runs.append(&mut bench.take_runs());
        known(Comparison {
            repeats: plan.repeats.get(),
            window_s: plan.window.as_secs_f64(),
            rows: series.iter().filter_map(row).collect(),
            noise: plan
                .clients
                .iter()
                .filter_map(|clients| noise(&series, *clients))
                .collect(),
            runs: runs.clone(),
        });
        result?;
    }
    Ok(())
}

fn all_series(plan: &Plan) -> Vec<Series> {
    let mut all = Vec::new();
    for clients in &plan.clients {
        let subjects = plan.subjects.iter().map(|subject| (subject, false));
        let control = plan.subjects.first().map(|subject| (subject, true));
        all.extend(subjects.chain(control).map(|(subject, control)| Series {
            subject: subject.clone(),
            control,
            clients: *clients,
            observations: Vec::new(),
        }));
    }
    all
}

fn one_round(
    bench: &mut Bench,
    plan: &Plan,
    round: usize,
    all: &mut [Series],
) -> Result<(), Failure> {
    for index in order::of_round(round, all.len()) {
        let Some(series) = all.get_mut(index) else {
            continue;
        };
        let load = Load::busy(series.clients, plan.window).after(WARMUP);
        let measured = bench.measure(&series.subject, &load)?;
        series.observations.push(Observation::of(&measured));
    }
    Ok(())
}

fn row(series: &Series) -> Option<Row> {
    let control = if series.control { " (again)" } else { "" };
    let name = format!("{}{control}", series.subject.name);
    Row::of(name, series.control, &series.observations)
}

fn noise(all: &[Series], clients: NonZeroU32) -> Option<Noise> {
    let rate = |control| -> Option<Spread> {
        let of_first = all
            .iter()
            .find(|s| s.clients == clients && s.control == control)?;
        Spread::of_all(of_first.observations.iter().map(|seen| seen.rate_per_s))
    };
    let (first, again) = (rate(false)?, rate(true)?);
    let middle = (first.median + again.median) / 2.0;
    (middle > 0.0).then(|| Noise {
        clients: clients.get(),
        between_medians: (first.median - again.median).abs() / middle,
        within: first.relative().max(again.relative()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(control: bool, rates: &[f64]) -> Series {
        let seen = |rate: &f64| Observation {
            rate_per_s: Some(*rate),
            ..Observation::default()
        };
        Series {
            subject: Subject::own("async", 4),
            control,
            clients: NonZeroU32::MIN,
            observations: rates.iter().map(seen).collect(),
        }
    }

    #[test]
    fn noise_is_how_far_a_subject_differs_from_itself() {
        let all = [
            series(false, &[90.0, 100.0, 110.0]),
            series(true, &[108.0, 110.0, 112.0]),
        ];
        let noise = noise(&all, NonZeroU32::MIN).unwrap();
        assert!((noise.between_medians - 10.0 / 105.0).abs() < 1e-9);
        assert!((noise.within - 0.1).abs() < 1e-9);
        assert!((noise.share() - 0.1).abs() < 1e-9);
        assert_eq!(super::noise(&all[..1], NonZeroU32::MIN), None);
    }

    #[test]
    fn every_number_of_clients_has_its_own_control() {
        let plan = Plan {
            subjects: vec![Subject::own("async", 4), Subject::own("rayon", 4)],
            clients: [1, 50].into_iter().filter_map(NonZeroU32::new).collect(),
            repeats: NonZeroUsize::MIN,
            window: Duration::from_secs(1),
        };
        let all = all_series(&plan);
        assert_eq!(all.len(), 6);
        assert_eq!(all.iter().filter(|series| series.control).count(), 2);
    }
}
