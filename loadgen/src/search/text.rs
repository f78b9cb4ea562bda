//! What a search found out: a sentence and a table for people, a document for programs.

use std::fmt::Write as _;

use cli::units::number;
use serde::Serialize;

use super::{Cause, Conclusion, Outcome, Phase, Run};

/// The version of the document.
pub const SCHEMA: u32 = 1;

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The server's address as typed.
    pub target: String,
    /// What must hold.
    pub promises: Vec<String>,
    /// Whether a signal ended the search.
    pub interrupted: bool,
    /// The highest rate that holds; none when there is none, or it is not known.
    pub found_per_s: Option<f64>,
    /// The lowest rate that does not hold, and why.
    pub bound: Option<Bound>,
    /// The same for people.
    pub sentence: String,
    /// All runs in their order.
    pub runs: Vec<Tried>,
}

/// What bounds the rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bound {
    /// The rate that does not hold.
    pub rate_per_s: f64,
    /// Who it was.
    pub cause: Cause,
    /// The figures.
    pub detail: String,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tried {
    /// What it was for.
    pub phase: Phase,
    /// Its rate.
    pub rate_per_s: f64,
    /// Whether all promises were kept.
    pub kept: bool,
    /// What broke them.
    pub cause: Option<Cause>,
    /// The figures.
    pub detail: Option<String>,
}

/// The document of a search at `target` for `promises`, which came to `conclusion` in `runs`; none
/// when it was interrupted.
#[must_use]
pub fn document(
    target: String,
    promises: Vec<String>,
    runs: &[Run],
    conclusion: Option<&Conclusion>,
) -> Document {
    let number = match conclusion {
        Some(Conclusion::UpTo(_, bound)) => *bound,
        Some(Conclusion::Never(number)) => Some(*number),
        Some(Conclusion::Unknown) | None => None,
    };
    let found_per_s = match conclusion {
        Some(Conclusion::UpTo(rate, _)) => Some(*rate),
        _ => None,
    };
    let bound = number.and_then(|number| runs.get(number)).and_then(bound);
    Document {
        schema: SCHEMA,
        target,
        interrupted: conclusion.is_none(),
        sentence: sentence(&promises.join(" and "), conclusion, bound.as_ref()),
        promises,
        found_per_s,
        bound,
        runs: runs.iter().map(tried).collect(),
    }
}

fn bound(run: &Run) -> Option<Bound> {
    match &run.outcome {
        Outcome::Kept => None,
        Outcome::Broken(cause, detail) => Some(Bound {
            rate_per_s: run.rate_per_s,
            cause: *cause,
            detail: detail.clone(),
        }),
    }
}

fn tried(run: &Run) -> Tried {
    let bound = bound(run);
    Tried {
        phase: run.phase,
        rate_per_s: run.rate_per_s,
        kept: bound.is_none(),
        cause: bound.as_ref().map(|bound| bound.cause),
        detail: bound.map(|bound| bound.detail),
    }
}

fn sentence(promises: &str, conclusion: Option<&Conclusion>, bound: Option<&Bound>) -> String {
    let why = bound.map_or(String::new(), |bound| {
        let rate = number(bound.rate_per_s);
        format!("at {rate}/s {}: {}", bound.detail, blame(bound.cause))
    });
    match conclusion {
        None => format!("interrupted before it was known up to which rate {promises} holds"),
        Some(Conclusion::Unknown) => {
            format!(
                "up to which rate {promises} holds changes from run to run; use a longer --duration"
            )
        }
        Some(Conclusion::UpTo(rate, _)) if bound.is_none() => {
            format!(
                "{promises} holds at {}/s, the highest rate tried",
                number(*rate)
            )
        }
        Some(Conclusion::UpTo(rate, _)) => {
            format!("{promises} holds up to {}/s; {why}", number(*rate))
        }
        Some(Conclusion::Never(_)) => format!("{promises} holds at no rate tried; {why}"),
    }
}

const fn blame(cause: Cause) -> &'static str {
    match cause {
        Cause::Server => "the server",
        Cause::Generator => "the generator, not the server; use more or larger generators",
        Cause::Window => {
            "too few requests for the figure; use a longer --duration or a higher --from"
        }
        Cause::Schedule => "the schedule was not kept up with",
    }
}

/// The runs as a table, and the sentence last.
#[must_use]
pub fn render(document: &Document) -> String {
    let mut text = format!("{:<9}{:<10}{}\n", "phase", "rate/s", "result");
    for run in &document.runs {
        let phase = match run.phase {
            Phase::Climb => "climb",
            Phase::Bisect => "bisect",
            Phase::Again => "again",
            Phase::Confirm => "confirm",
        };
        let result = run.detail.as_deref().unwrap_or("kept");
        let _ = writeln!(text, "{phase:<9}{:<10}{result}", number(run.rate_per_s));
    }
    let _ = writeln!(text, "\n{}", document.sentence);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(phase: Phase, rate_per_s: f64, outcome: Outcome) -> Run {
        Run {
            phase,
            rate_per_s,
            outcome,
        }
    }

    #[test]
    fn the_sentence_names_rate_bound_and_cause() {
        let broken = Outcome::Broken(Cause::Server, "p99<5ms: 9ms".to_owned());
        let runs = [
            run(Phase::Climb, 43_000.0, broken),
            run(Phase::Confirm, 41_200.0, Outcome::Kept),
        ];
        let of = |conclusion: Option<Conclusion>| {
            let promises = vec!["p99<5ms".to_owned()];
            document("a:7".to_owned(), promises, &runs, conclusion.as_ref())
        };
        insta::assert_snapshot!(render(&of(Some(Conclusion::UpTo(41_200.0, Some(0))))), @"
        phase    rate/s    result
        climb    43.0k     p99<5ms: 9ms
        confirm  41.2k     kept

        p99<5ms holds up to 41.2k/s; at 43.0k/s p99<5ms: 9ms: the server
        ");
        insta::assert_snapshot!(of(Some(Conclusion::Never(0))).sentence, @"p99<5ms holds at no rate tried; at 43.0k/s p99<5ms: 9ms: the server");
        insta::assert_snapshot!(of(Some(Conclusion::UpTo(5.0, None))).sentence, @"p99<5ms holds at 5/s, the highest rate tried");
        assert!(of(None).interrupted && of(None).found_per_s.is_none());
    }
}
