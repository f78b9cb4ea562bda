//! Checks the checks: every experiment is run with something wrong on purpose, and must notice.
//!
//! A verdict that cannot be "does not hold" says nothing. Each experiment therefore names one fault
//! ([`Experiment::fault`]); with it the same measurement goes to the same judge.

use std::path::Path;

use cli::{Format, exit, stdout};
use serde::Serialize;

use crate::bench::Bench;
use crate::experiment::{Experiment, Fault};
use crate::report::{self, Tool};
use crate::session::SessionError;
use crate::verdict::Verdict;

/// The document's name in the output folder.
const DOCUMENT: &str = "selftest.json";

#[derive(Debug, Serialize)]
struct Document {
    schema: u32,
    tool: Tool,
    interrupted: bool,
    experiments: Vec<Trial>,
}

/// One experiment with its fault.
#[derive(Debug, Serialize)]
struct Trial {
    name: &'static str,
    fault: &'static str,
    outcome: Outcome,
    verdict: Verdict,
    reason: String,
    took_s: f64,
}

/// How a check fared with its fault, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// It objected to what the fault leads to.
    Caught,
    /// The machine was too busy to tell.
    NotTold,
    /// It objected to something else, which is no notice of the fault.
    ElseObjected,
    /// It was content.
    Missed,
}

impl Outcome {
    fn of(verdict: Verdict, reason: &str, fault: Fault) -> Self {
        match verdict {
            Verdict::DoesNotHold if reason.contains(fault.symptom) => Self::Caught,
            Verdict::DoesNotHold => Self::ElseObjected,
            Verdict::Inconclusive => Self::NotTold,
            Verdict::Holds => Self::Missed,
        }
    }
}

impl Trial {
    fn line(&self) -> String {
        let end = match self.outcome {
            Outcome::Caught => "caught",
            Outcome::NotTold => "not told",
            Outcome::ElseObjected => "something else objected",
            Outcome::Missed => "missed",
        };
        format!("{}: {end} — {}\n", self.name, self.reason)
    }
}

/// Runs `wanted` on `bench` with their faults, and says of each whether it noticed. Returns the exit
/// code.
///
/// # Errors
///
/// [`SessionError`] when nothing can be written.
pub(crate) fn run(
    wanted: &[&'static Experiment],
    bench: Bench,
    out: &Path,
    format: Format,
) -> Result<u8, SessionError> {
    let mut bench = bench.with_fault();
    let mut document = Document {
        schema: report::SCHEMA,
        tool: Tool::lab(),
        interrupted: false,
        experiments: Vec::new(),
    };
    for (number, experiment) in (1..).zip(wanted) {
        let (name, fault) = (experiment.name, experiment.fault);
        let progress = format!("[{number}/{}] {name}: {}", wanted.len(), fault.what);
        bench.narrator.say(&progress);
        let entry = experiment.conduct(&mut bench);
        let trial = Trial {
            name,
            fault: fault.what,
            outcome: Outcome::of(entry.verdict, &entry.reason, fault),
            verdict: entry.verdict,
            reason: crate::experiment::one_line(&entry.reason),
            took_s: entry.took_s,
        };
        bench.narrator.clear();
        match format {
            Format::Text => stdout::emit(&trial.line())?,
            Format::Json => bench.narrator.say(trial.line().trim_end()),
        }
        document.experiments.push(trial);
        document.interrupted = bench.interrupt.signal().is_some();
        report::put(out, DOCUMENT, &report::pretty(&document))?;
        if document.interrupted {
            break;
        }
    }
    if format == Format::Json {
        stdout::emit(&report::pretty(&document))?;
    }
    let signal = bench.interrupt.signal();
    Ok(signal.map_or_else(|| exit_code(&document), exit::interrupted))
}

/// What the worst of the trials deserves.
fn exit_code(document: &Document) -> u8 {
    match document.experiments.iter().map(|trial| trial.outcome).max() {
        None | Some(Outcome::Caught) => exit::SUCCESS,
        Some(Outcome::NotTold) => crate::exit::INCONCLUSIVE,
        Some(Outcome::ElseObjected | Outcome::Missed) => crate::exit::DOES_NOT_HOLD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULT: Fault = Fault {
        what: "F.",
        symptom: "50 of 50",
    };

    fn code(trials: &[(Verdict, &str)]) -> u8 {
        let trial = |&(verdict, reason): &(Verdict, &str)| Trial {
            name: "trap",
            fault: FAULT.what,
            outcome: Outcome::of(verdict, reason, FAULT),
            verdict,
            reason: reason.into(),
            took_s: 1.0,
        };
        exit_code(&Document {
            schema: report::SCHEMA,
            tool: Tool::lab(),
            interrupted: false,
            experiments: trials.iter().map(trial).collect(),
        })
    }

    #[test]
    fn a_fault_that_nobody_noticed_outweighs_the_others() {
        let caught = (Verdict::DoesNotHold, "served 50 of 50");
        let unclear = (Verdict::Inconclusive, "busy");
        let other = (Verdict::DoesNotHold, "the server died");
        let content = (Verdict::Holds, "fine");
        assert_eq!((code(&[]), code(&[caught, caught])), (0, 0));
        assert_eq!(code(&[caught, unclear]), 4);
        assert_eq!(code(&[unclear, caught, content]), 3);
        assert_eq!(code(&[caught, other]), 3);
    }
}
