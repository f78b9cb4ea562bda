//! The largest rate that keeps all promises: which rate is tried next, and when that is known.
//!
//! ```text
//! climb (double, or halve below the first) ──▶ bisect ──▶ confirm ──▶ Conclusion
//!     a rate that breaks a promise is tried again before it is believed
//! ```
//!
//! Pure: it knows no clock and makes no run. It is told what each run showed and says what to run
//! next, so that it is tested with servers that never were.

mod observe;
mod text;

use serde::Serialize;

pub use observe::observe;
pub use text::{Document, SCHEMA, document, render};

/// Below the first rate it goes down by so many halvings at most.
const MOST_HALVINGS: i32 = 10;
/// A search that cannot decide after so many runs ends with what it knows.
const MOST_RUNS: usize = 200;

/// What to look for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// The first rate, in requests per second; positive.
    pub from_per_s: f64,
    /// No higher rate is tried.
    pub most_per_s: f64,
    /// How close, as a share of the rate; positive.
    pub precision: f64,
    /// How often the rate that was found is repeated, at least once.
    pub repeats: u32,
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Doubles the rate, or halves it below the first.
    Climb,
    /// Halves what lies between a rate that holds and one that does not.
    Bisect,
    /// Tries a rate again that broke a promise.
    Again,
    /// Repeats what was found.
    Confirm,
}

/// What kept a rate from counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// A promise broke while the generator kept its schedule.
    Server,
    /// The generator was late, busy or near its ceiling: the server may do better.
    Generator,
    /// Every promise was kept, but not every request due was answered.
    Schedule,
    /// There were too few requests for a promised figure to exist.
    Window,
}

/// What a run showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// All promises were kept at this rate.
    Kept,
    /// They were not: why, and the figures.
    Broken(Cause, String),
}

/// One run of the search.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// What it was for.
    pub phase: Phase,
    /// Its rate.
    pub rate_per_s: f64,
    /// What it showed.
    pub outcome: Outcome,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Run at this rate.
    Try(Phase, f64),
    /// It is known.
    Done(Conclusion),
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub enum Conclusion {
    /// The promises hold up to this rate; the lowest rate that did not is the run of that number.
    UpTo(f64, Option<usize>),
    /// No rate that was tried holds; the lowest is the run of that number.
    Never(usize),
    /// It ended before anything was known for certain.
    Unknown,
}

/// A search under way.
#[derive(Clone, Debug)]
pub struct Search {
    plan: Plan,
    runs: Vec<Run>,
    /// The highest rate that holds.
    kept: Option<f64>,
    /// The lowest rate that does not, and the number of its run.
    broken: Option<(f64, usize)>,
    next: Step,
    /// Of the confirmation: runs that kept the promises, and all.
    confirmed: (u32, u32),
    /// By how much the next candidate is lower when a confirmation fails.
    retreat: f64,
}

impl Search {
    /// Begins with the first rate of `plan`.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            runs: Vec::new(),
            kept: None,
            broken: None,
            next: Step::Try(Phase::Climb, plan.from_per_s.min(plan.most_per_s)),
            confirmed: (0, 0),
            retreat: 1.0 + plan.precision,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn next(&self) -> Step {
        self.next.clone()
    }

    /// All runs so far.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Takes in what the run that was asked for showed. After the end it changes nothing.
    pub fn observe(&mut self, outcome: Outcome) {
        let Step::Try(phase, rate) = self.next else {
            return;
        };
        let kept = outcome == Outcome::Kept;
        self.runs.push(Run {
            phase,
            rate_per_s: rate,
            outcome,
        });
        self.next = match phase {
            _ if self.runs.len() >= MOST_RUNS => Step::Done(Conclusion::Unknown),
            Phase::Confirm => self.count(kept, rate),
            // One bad moment of the machine must not bound the search.
            Phase::Climb | Phase::Bisect if !kept => Step::Try(Phase::Again, rate),
            _ if kept => {
                self.kept = Some(rate);
                self.narrow()
            }
            _ => {
                self.broken = Some((rate, self.runs.len() - 1));
                self.narrow()
            }
        };
    }

    /// The next rate that tells most.
    fn narrow(&mut self) -> Step {
        let plan = self.plan;
        let lowest = plan.from_per_s / 2_f64.powi(MOST_HALVINGS);
        match (self.kept, self.broken) {
            (None, Some((rate, number))) if rate / 2.0 < lowest => {
                Step::Done(Conclusion::Never(number))
            }
            // A lower rate makes even fewer requests.
            (None, Some((_, number))) if self.lacks_figures(number) => {
                Step::Done(Conclusion::Never(number))
            }
            (None, Some((rate, _))) => Step::Try(Phase::Climb, rate / 2.0),
            (Some(rate), None) if rate >= plan.most_per_s => self.confirm(rate),
            (Some(rate), None) => Step::Try(Phase::Climb, (rate * 2.0).min(plan.most_per_s)),
            (Some(kept), Some((broken, _))) if broken / kept > 1.0 + plan.precision => {
                Step::Try(Phase::Bisect, (kept * broken).sqrt())
            }
            (Some(kept), Some(_)) => self.confirm(kept),
            (None, None) => Step::Done(Conclusion::Unknown),
        }
    }

    fn lacks_figures(&self, number: usize) -> bool {
        let outcome = self.runs.get(number).map(|run| &run.outcome);
        matches!(outcome, Some(Outcome::Broken(Cause::Window, _)))
    }

    fn confirm(&mut self, rate: f64) -> Step {
        self.confirmed = (0, 0);
        Step::Try(Phase::Confirm, rate)
    }

    /// Counts a repetition of `rate`: the majority decides.
    fn count(&mut self, kept: bool, rate: f64) -> Step {
        let (good, all) = self.confirmed;
        self.confirmed = (good + u32::from(kept), all + 1);
        let (good, all) = self.confirmed;
        if all < self.plan.repeats {
            return Step::Try(Phase::Confirm, rate);
        }
        if 2 * good > all {
            let bound = self.broken.map(|(_, number)| number);
            return Step::Done(Conclusion::UpTo(rate, bound));
        }
        let last = self
            .runs
            .iter()
            .rposition(|run| run.outcome != Outcome::Kept);
        let number = last.unwrap_or_default();
        self.broken = Some((rate, number));
        let lower = rate / self.retreat;
        self.retreat *= self.retreat;
        if lower < self.plan.from_per_s / 2_f64.powi(MOST_HALVINGS) {
            Step::Done(Conclusion::Never(number))
        } else {
            self.confirm(lower)
        }
    }
}

#[cfg(test)]
mod tests;
