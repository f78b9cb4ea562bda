//! The form of an experiment: a question, a claim, a prediction made before the run, a method, and
//! then figures, a verdict and what to conclude.

use std::borrow::Cow;
use std::fmt;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::bench::{Bench, Failure, RunNote};
use crate::exhibit::Exhibit;
use crate::verdict::{Ruling, Verdict};

/// Figures by name, as they appear in `results.json`.
pub type Figures = serde_json::Map<String, serde_json::Value>;

/// How often an experiment is run at most until it can tell: a busy machine may calm down.
pub const ATTEMPTS: u32 = 3;

/// A text of an experiment: of this program, or read from a report.
pub type Text = Cow<'static, str>;

/// The parts of the course, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chapter {
    /// What a process is, what a thread is, and what becomes of them.
    Processes,
    /// Several that change one thing.
    Sharing,
    /// Several that hand something on.
    Passing,
    /// Who serves how many clients.
    Serving,
    /// Clients and workers that misbehave, and more load than there is capacity.
    Trouble,
    /// What it costs, and what can be foreseen.
    Cost,
}

/// Something that is wrong on purpose, to see whether a check notices it.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What is wrong.
    pub what: &'static str,
    /// What the reason of the verdict then says, or the check has noticed something else.
    pub symptom: &'static str,
}

/// What is known before the run.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// As typed, in kebab-case.
    pub name: &'static str,
    /// Where it stands in the course.
    pub chapter: Chapter,
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
    /// What is wrong on purpose in a run on a bench that is [`Bench::faulted`]: the check must then
    /// object.
    pub fault: Fault,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// [`Experiment::name`].
    pub name: Text,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, with figures.
    pub reason: String,
    /// The figures; empty when it could not be run.
    pub figures: Figures,
    /// One sentence for people.
    pub headline: String,
    /// [`Experiment::chapter`].
    pub chapter: Chapter,
    /// [`Experiment::question`].
    pub question: Text,
    /// [`Experiment::claim`].
    pub claim: Text,
    /// [`Experiment::prediction`].
    pub prediction: Text,
    /// [`Experiment::method`].
    pub method: Text,
    /// [`Experiment::lesson`].
    pub lesson: Text,
    /// How often it was run until it could tell; figures and verdict are those of the last time.
    pub attempts: u32,
    /// How long all of that took.
    pub took_s: f64,
    /// What was run.
    pub runs: Vec<RunNote>,
    /// Whether it ran to its end.
    pub completed: bool,
    /// Pictures and tables.
    pub exhibits: Vec<Exhibit>,
}

impl Entry {
    /// The line that ends an experiment: scripts read it.
    #[must_use]
    pub fn verdict_line(&self) -> String {
        let again = match self.attempts {
            1 => String::new(),
            attempts => format!(" (attempt {attempts} of {ATTEMPTS})"),
        };
        let reason = one_line(&self.reason);
        format!("{}: {} — {reason}{again}", self.name, self.verdict)
    }
}

impl Experiment {
    /// Runs it on `bench` and writes down what came of it, also when nothing did.
    pub fn conduct(&self, bench: &mut Bench) -> Entry {
        let start = Instant::now();
        let (result, attempts) = until_it_tells(|| (self.run)(bench));
        let completed = result.is_ok();
        let finding = result.unwrap_or_else(|failure| Finding::none(&failure));
        Entry {
            name: self.name.into(),
            chapter: self.chapter,
            verdict: finding.ruling.verdict,
            reason: finding.ruling.reason,
            figures: finding.figures,
            headline: finding.headline,
            question: self.question.into(),
            claim: self.claim.into(),
            prediction: self.prediction.into(),
            method: self.method.into(),
            lesson: self.lesson.into(),
            attempts,
            took_s: start.elapsed().as_secs_f64(),
            runs: bench.take_runs(),
            completed,
            exhibits: finding.exhibits,
        }
    }
}

impl fmt::Display for Chapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Processes => "Processes and threads",
            Self::Sharing => "Sharing without harm",
            Self::Passing => "Handing on",
            Self::Serving => "Who serves whom",
            Self::Trouble => "Trouble",
            Self::Cost => "What it costs, and what can be foreseen",
        })
    }
}

impl Finding {
    /// What is known of an experiment that could not be run.
    fn none(failure: &Failure) -> Self {
        Self {
            ruling: Ruling::inconclusive(match failure {
                Failure::Interrupted => failure.to_string(),
                failure => format!("could not run: {failure}"),
            }),
            headline: String::new(),
            figures: Figures::new(),
            exhibits: Vec::new(),
        }
    }
}

/// Runs again what could not tell, and says how often it was run. That is no way to a pleasant
/// verdict: what contradicts the claim is never repeated.
fn until_it_tells(
    mut run: impl FnMut() -> Result<Finding, Failure>,
) -> (Result<Finding, Failure>, u32) {
    let mut attempts = 1;
    loop {
        let result = run();
        let unclear = result
            .as_ref()
            .is_ok_and(|finding| finding.ruling.verdict == Verdict::Inconclusive);
        if !unclear || attempts == ATTEMPTS {
            return (result, attempts);
        }
        attempts += 1;
    }
}

/// Reasons quote what others wrote, and a verdict is one line whatever that is.
pub(crate) fn one_line(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs an experiment that comes to these verdicts one after the other.
    fn attempts(rulings: &[Ruling]) -> (Verdict, u32) {
        let mut next = rulings.iter();
        let (result, attempts) = until_it_tells(|| {
            let mut finding = Finding::none(&Failure::Interrupted);
            finding.ruling = next.next().expect("it is not run again").clone();
            Ok(finding)
        });
        (result.unwrap().ruling.verdict, attempts)
    }

    #[test]
    fn only_what_cannot_tell_is_run_again() {
        let (yes, no) = (Ruling::holds("a"), Ruling::does_not_hold("b"));
        let unclear = Ruling::inconclusive("c");
        assert_eq!(attempts(std::slice::from_ref(&yes)), (Verdict::Holds, 1));
        assert_eq!(
            attempts(std::slice::from_ref(&no)),
            (Verdict::DoesNotHold, 1)
        );
        assert_eq!(attempts(&[unclear.clone(), yes]), (Verdict::Holds, 2));
        assert_eq!(attempts(&[unclear.clone(), no]), (Verdict::DoesNotHold, 2));
        let never = [unclear.clone(), unclear.clone(), unclear];
        assert_eq!(attempts(&never), (Verdict::Inconclusive, 3));
    }

    #[test]
    fn what_could_not_run_is_not_run_again() {
        let mut runs = 0;
        let (result, attempts) = until_it_tells(|| {
            runs += 1;
            Err(Failure::Interrupted)
        });
        assert!(result.is_err());
        assert_eq!((runs, attempts), (1, 1));
    }

    #[test]
    fn a_verdict_is_one_line_whatever_it_quotes() {
        assert_eq!(one_line("a\nb\x1b[1m"), "a b [1m");
    }
}
