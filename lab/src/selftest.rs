//! Checks the checks: every experiment is run with something wrong on purpose, and must notice.
//!
//! A verdict that cannot be "does not hold" says nothing. Each experiment therefore names one fault
//! ([`Experiment::fault`]); with it the same measurement goes to the same judge.

use std::path::Path;

use cli::{Format, exit, stdout};
use serde::Serialize;

use crate::bench::Bench;
use crate::experiment::Experiment;
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
    caught: bool,
    verdict: Verdict,
    reason: String,
    took_s: f64,
}

impl Trial {
    fn line(&self) -> String {
        let end = match self.verdict {
            Verdict::DoesNotHold => "caught",
            Verdict::Inconclusive => "not told",
            Verdict::Holds => "missed",
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
        let progress = format!("[{number}/{}] {name}: {fault}", wanted.len());
        bench.narrator.say(&progress);
        let entry = experiment.conduct(&mut bench);
        let trial = Trial {
            name,
            fault,
            caught: entry.verdict == Verdict::DoesNotHold,
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
    // Here the best verdict is the worst end.
    match document.experiments.iter().map(|trial| trial.verdict).min() {
        None | Some(Verdict::DoesNotHold) => exit::SUCCESS,
        Some(Verdict::Inconclusive) => crate::exit::INCONCLUSIVE,
        Some(Verdict::Holds) => crate::exit::DOES_NOT_HOLD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(verdicts: &[Verdict]) -> u8 {
        let trial = |verdict: &Verdict| Trial {
            name: "trap",
            fault: "F.",
            caught: *verdict == Verdict::DoesNotHold,
            verdict: *verdict,
            reason: "r".into(),
            took_s: 1.0,
        };
        exit_code(&Document {
            schema: report::SCHEMA,
            tool: Tool::lab(),
            interrupted: false,
            experiments: verdicts.iter().map(trial).collect(),
        })
    }

    #[test]
    fn a_fault_that_nobody_noticed_outweighs_the_others() {
        use Verdict::{DoesNotHold, Holds, Inconclusive};
        assert_eq!((code(&[]), code(&[DoesNotHold, DoesNotHold])), (0, 0));
        assert_eq!(code(&[DoesNotHold, Inconclusive]), 4);
        assert_eq!(code(&[Inconclusive, DoesNotHold, Holds]), 3);
    }
}
