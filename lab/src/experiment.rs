//! The form of an experiment: a question, a claim, a prediction made before the run, a method, and
//! then figures, a verdict and what to conclude.

use std::time::Duration;

use serde::Serialize;

use crate::bench::{Bench, Failure, RunNote};
use crate::exhibit::Exhibit;
use crate::verdict::{Ruling, Verdict};

/// Figures by name, as they appear in `results.json`.
pub type Figures = serde_json::Map<String, serde_json::Value>;

/// What is known before the run.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// As typed, in kebab-case.
    pub name: &'static str,
    /// What one would like to know.
    pub question: &'static str,
    /// What is said to be true.
    pub claim: &'static str,
    /// What should therefore be measured, and how that follows.
    pub prediction: &'static str,
    /// What is done.
    pub method: &'static str,
    /// What to take home if the claim holds.
    pub lesson: &'static str,
    /// Does it.
    pub run: fn(&mut Bench) -> Result<Finding, Failure>,
}

/// What is known after the run.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The verdict and why.
    pub ruling: Ruling,
    /// One sentence with the figures that matter most, without jargon.
    pub headline: String,
    /// The figures.
    pub figures: Figures,
    /// Pictures and tables.
    pub exhibits: Vec<Exhibit>,
}

/// An experiment that was run, or that could not be.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// [`Experiment::name`].
    pub name: &'static str,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, with figures.
    pub reason: String,
    /// The figures; empty when it could not be run.
    pub figures: Figures,
    /// One sentence for people.
    pub headline: String,
    /// [`Experiment::question`].
    pub question: &'static str,
    /// [`Experiment::claim`].
    pub claim: &'static str,
    /// [`Experiment::prediction`].
    pub prediction: &'static str,
    /// [`Experiment::method`].
    pub method: &'static str,
    /// [`Experiment::lesson`].
    pub lesson: &'static str,
    /// How long it took.
    pub took_s: f64,
    /// What was run.
    pub runs: Vec<RunNote>,
    /// Whether it ran to its end.
    pub completed: bool,
    /// Pictures and tables, which only the page and the text show.
    #[serde(skip)]
    pub exhibits: Vec<Exhibit>,
}

impl Entry {
    /// The line that ends an experiment: scripts read it.
    #[must_use]
    pub fn verdict_line(&self) -> String {
        format!(
            "{}: {} — {}",
            self.name,
            self.verdict,
            one_line(&self.reason)
        )
    }
}

impl Experiment {
    /// Runs it on `bench` and writes down what came of it, also when nothing did.
    pub fn conduct(&self, bench: &mut Bench) -> Entry {
        let start = std::time::Instant::now();
        let result = (self.run)(bench);
        let took = start.elapsed();
        let completed = result.is_ok();
        let finding = result.unwrap_or_else(|failure| Finding {
            ruling: Ruling::inconclusive(match failure {
                Failure::Interrupted => failure.to_string(),
                failure => format!("could not run: {failure}"),
            }),
            headline: String::new(),
            figures: Figures::new(),
            exhibits: Vec::new(),
        });
        self.entry(finding, took, bench.take_runs(), completed)
    }

    fn entry(
        &self,
        finding: Finding,
        took: Duration,
        runs: Vec<RunNote>,
        completed: bool,
    ) -> Entry {
        Entry {
            name: self.name,
            verdict: finding.ruling.verdict,
            reason: finding.ruling.reason,
            figures: finding.figures,
            headline: finding.headline,
            question: self.question,
            claim: self.claim,
            prediction: self.prediction,
            method: self.method,
            lesson: self.lesson,
            took_s: took.as_secs_f64(),
            runs,
            completed,
            exhibits: finding.exhibits,
        }
    }
}

/// Reasons quote what others wrote, and a verdict is one line whatever that is.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The fields of `figures` by name.
pub fn figures_of(figures: &impl Serialize) -> Figures {
    match serde_json::to_value(figures) {
        Ok(serde_json::Value::Object(map)) => map,
        // Only a figure that JSON has no form for gets here, and none of ours is of that kind.
        _ => Figures::new(),
    }
}
