//! The comparison for people: a line for each figure, and what to make of it.

use std::fmt::Write as _;

use cli::units::{micros, number};

use super::{Conclusion, Diff, Effect, FEWEST, Samples, Unit};
use crate::report::text::visible;

const FIGURE: usize = 14;
const CELL: usize = 9;
const RANGE: usize = 28;

/// The comparison as lines of text, ending in a newline.
#[must_use]
pub fn render(diff: &Diff) -> String {
    let mut lines = vec![
        format!("A  {}, {}", visible(&diff.a.name), runs(diff.a.runs)),
        format!("B  {}, {}", visible(&diff.b.name), runs(diff.b.runs)),
        String::new(),
        format!(
            "{:FIGURE$} {:CELL$} {:CELL$} B against A, 95 % interval",
            "", "A", "B"
        ),
    ];
    lines.extend(diff.effects.iter().map(line));
    lines.push(String::new());
    for unlike in &diff.unlike {
        lines.push(format!("forced: they differ in {}", visible(unlike)));
    }
    for warning in &diff.warnings {
        lines.push(format!("warning: {}", visible(warning)));
    }
    lines.push(conclusion(diff));
    let mut text = String::new();
    for line in lines {
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn runs(count: usize) -> String {
    format!("{count} run{}", if count == 1 { "" } else { "s" })
}

fn line(effect: &Effect) -> String {
    let cell = |samples: &Samples| match samples.median {
        None => "-".to_owned(),
        Some(value) if effect.figure.ends_with("_us") => micros(value),
        Some(value) => number(value),
    };
    let figure = match effect.figure.as_str() {
        "rate_per_s" => "req/s".to_owned(),
        other => other.trim_end_matches("_us").replace('.', " "),
    };
    format!(
        "{figure:FIGURE$} {:CELL$} {:CELL$} {:RANGE$} {}",
        cell(&effect.a),
        cell(&effect.b),
        range(effect),
        verdict(effect)
    )
}

fn range(effect: &Effect) -> String {
    match (effect.ratio, effect.low, effect.high) {
        (Some(ratio), Some(low), Some(high)) => {
            format!("{} [{}, {}]", percent(ratio), percent(low), percent(high))
        }
        _ => "-".to_owned(),
    }
}

/// A ratio as a change.
fn percent(ratio: f64) -> String {
    format!("{:+.1} %", (ratio - 1.0) * 100.0)
}

fn verdict(effect: &Effect) -> String {
    let (a, b) = (&effect.a, &effect.b);
    let word = match effect.conclusion {
        Conclusion::Higher => "higher".to_owned(),
        Conclusion::Lower => "lower".to_owned(),
        Conclusion::NoDifference => "no difference".to_owned(),
        Conclusion::NoFigure => "no such figure in every run".to_owned(),
        Conclusion::NotEnoughRuns => {
            format!(
                "not enough runs ({} and {}, {FEWEST} needed)",
                a.count, b.count
            )
        }
    };
    match (a.of, b.of) {
        (Unit::Runs, Unit::Runs) => word,
        _ => format!("{word}, by seconds and not by runs"),
    }
}

/// The last line: which figures differ, and what chance alone does.
fn conclusion(diff: &Diff) -> String {
    let differs = |e: &&Effect| matches!(e.conclusion, Conclusion::Higher | Conclusion::Lower);
    let same = |e: &&Effect| e.conclusion == Conclusion::NoDifference;
    let different = diff.effects.iter().filter(differs).count();
    let judged = different + diff.effects.iter().filter(same).count();
    match (different, judged) {
        (_, 0) => format!("Nothing can be said: a side needs {FEWEST} runs or more."),
        (0, _) => "No difference.".to_owned(),
        (n, all) => format!(
            "{n} of {all} figures differ. By chance alone one of twenty would, and with only \
             {FEWEST} runs a side one of eight."
        ),
    }
}
