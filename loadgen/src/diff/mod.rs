//! Whether two sides differ: runs of one server against runs of another, figure by figure.
//!
//! The effect on a figure is the ratio of its medians, B to A, with a 95 % bootstrap interval. An
//! interval that contains 1 says "no difference", and fewer than [`FEWEST`] samples say nothing at
//! all. Runs that asked for different things are not compared, and latencies at saturation are called
//! what they are.

mod bootstrap;
mod comparable;
mod document;
mod saturation;
mod text;

pub use document::{Conclusion, Diff, Effect, SCHEMA, Samples, Summary, Unit};
pub use text::render;

use crate::report::{Latency, Report, Verdict};
use bootstrap::Ratio;
pub(crate) use bootstrap::median;

/// A side needs this many samples.
pub const FEWEST: usize = 3;

/// An interval shorter than this part of a second is no sample of the rate.
const WHOLE_SECOND: f64 = 0.9;

/// One of the two things that are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// What messages call it.
    pub name: String,
    /// Its runs, at least one.
    pub runs: Vec<Report>,
}

/// What to do with runs that asked for different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlike {
    /// Refuse them.
    Refuse,
    /// Compare them all the same, and say so.
    Compare,
}

/// Why two sides cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiffError {
    /// A side has no runs.
    #[error("{0} has no runs")]
    Empty(String),
    /// The runs asked for different things, or ran on different machines.
    #[error("not comparable, they differ in {}; use --force to compare them all the same", .0.join(", "))]
    Unlike(Vec<String>),
}

/// A figure by name and how it is read from a run.
type Figure = (String, Box<dyn Fn(&Report) -> Option<f64>>);

/// A wait of a run by name.
type Wait = (&'static str, fn(&Report) -> Option<&Latency>);

/// A percentile of a wait by name.
type Percentile = (&'static str, fn(&Latency) -> Option<f64>);

/// Compares `b` with `a`.
///
/// # Errors
///
/// [`DiffError`] when a side is empty, or when runs are not comparable and `unlike` refuses that.
pub fn diff(a: &Side, b: &Side, unlike: Unlike) -> Result<Diff, DiffError> {
    for side in [a, b] {
        if side.runs.is_empty() {
            return Err(DiffError::Empty(side.name.clone()));
        }
    }
    let differences = comparable::differences(a.runs.iter().chain(&b.runs));
    if unlike == Unlike::Refuse && !differences.is_empty() {
        return Err(DiffError::Unlike(differences));
    }
    Ok(Diff {
        schema: SCHEMA,
        a: a.summary(),
        b: b.summary(),
        unlike: differences,
        warnings: warnings(a, b),
        effects: effects(a, b),
    })
}

fn effects(a: &Side, b: &Side) -> Vec<Effect> {
    let mut effects = vec![effect("rate_per_s", (rates(a), rates(b)))];
    for (name, figure) in figures() {
        let sides = [a, b].map(|side| side.runs.iter().map(&figure).collect::<Vec<_>>());
        // What no run has is no figure of this kind of load.
        if sides.iter().flatten().any(Option::is_some) {
            let [a, b] = sides.map(|values| (values, Unit::Runs));
            effects.push(effect(&name, (a, b)));
        }
    }
    effects
}

/// The percentiles of the waits.
fn figures() -> Vec<Figure> {
    let waits: [Wait; 3] = [
        ("rtt", |r| r.latency.rtt.as_ref()),
        ("response", |r| r.latency.response.as_ref()),
        ("admission", |r| r.latency.admission.as_ref()),
    ];
    let percentiles: [Percentile; 4] = [
        ("p50_us", |l| l.p50_us),
        ("p90_us", |l| l.p90_us),
        ("p99_us", |l| l.p99_us),
        ("p999_us", |l| l.p999_us),
    ];
    let mut figures: Vec<Figure> = Vec::new();
    for (wait, latency) in waits {
        for (name, percentile) in percentiles {
            let read = move |report: &Report| latency(report).and_then(percentile);
            figures.push((format!("{wait}.{name}"), Box::new(read)));
        }
    }
    figures
}

/// The rates of the runs, or of the seconds when there is one run only.
fn rates(side: &Side) -> (Vec<Option<f64>>, Unit) {
    match side.runs.as_slice() {
        [only] => {
            let whole = only.intervals.iter().filter(|i| i.length_s >= WHOLE_SECOND);
            (whole.map(|i| i.rate_per_s()).collect(), Unit::Seconds)
        }
        runs => (runs.iter().map(|r| r.rate_per_s).collect(), Unit::Runs),
    }
}

type Values = (Vec<Option<f64>>, Unit);

fn effect(figure: &str, (a, b): (Values, Values)) -> Effect {
    let ratio = conclude(&a.0, &b.0);
    let known = ratio.as_ref().ok();
    Effect {
        figure: figure.to_owned(),
        a: samples(&a),
        b: samples(&b),
        ratio: known.map(|r| r.ratio),
        low: known.map(|r| r.low),
        high: known.map(|r| r.high),
        conclusion: match ratio {
            Err(why) => why,
            Ok(Ratio { low, .. }) if low > 1.0 => Conclusion::Higher,
            Ok(Ratio { high, .. }) if high < 1.0 => Conclusion::Lower,
            Ok(_) => Conclusion::NoDifference,
        },
    }
}

fn samples((values, of): &Values) -> Samples {
    // A median over the runs that happen to have the figure would flatter.
    let all: Option<Vec<f64>> = values.iter().copied().collect();
    Samples {
        median: all
            .filter(|all| !all.is_empty())
            .map(|mut all| bootstrap::median(&mut all)),
        count: values.len(),
        of: *of,
    }
}

fn conclude(a: &[Option<f64>], b: &[Option<f64>]) -> Result<Ratio, Conclusion> {
    if a.len().min(b.len()) < FEWEST {
        return Err(Conclusion::NotEnoughRuns);
    }
    let all = |values: &[Option<f64>]| -> Option<Vec<f64>> {
        let positive = |value: &Option<f64>| value.filter(|v| v.is_finite() && *v > 0.0);
        values.iter().map(positive).collect()
    };
    match (all(a), all(b)) {
        (Some(a), Some(b)) => Ok(bootstrap::ratio_of_medians(&a, &b)),
        _ => Err(Conclusion::NoFigure),
    }
}

fn warnings(a: &Side, b: &Side) -> Vec<String> {
    let mut said = Vec::new();
    for side in [a, b] {
        let (name, runs) = (&side.name, side.runs.len());
        let count = |test: fn(&&Report) -> bool| side.runs.iter().filter(test).count();
        for (how_many, what) in [
            (
                count(|r| r.audit.verdict == Verdict::Fail),
                "are invalid: see their audit",
            ),
            (count(|r| r.interrupted), "were interrupted"),
            (
                count(|r| r.clients.starved > 0),
                "have starved clients, whose waits are in no percentile of rtt",
            ),
        ] {
            if how_many > 0 {
                said.push(format!("{how_many} of {runs} runs of {name} {what}"));
            }
        }
        if let [_] = side.runs.as_slice() {
            said.push(format!(
                "{name} is one run: its seconds stand in for runs, and only in the rate"
            ));
        }
    }
    said.extend(saturation::warning(a, b));
    said
}

impl Side {
    fn summary(&self) -> Summary {
        Summary {
            name: self.name.clone(),
            runs: self.runs.len(),
        }
    }
}

#[cfg(test)]
mod tests;
