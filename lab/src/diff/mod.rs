//! What differs between the results of two machines or two versions: verdicts, and the figures that
//! lie further apart than they scatter.
//!
//! ```text
//! results.json ──figures──▶ path → Figure ┐
//! results.json ──figures──▶ path → Figure ┴──▶ Change (ratio, apart?) ──▶ text, JSON
//! ```

mod figures;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

use cli::{Format, exit, stdout};
use serde::Serialize;

use crate::machine::Machine;
use crate::report::{self, Document, Tool};
use crate::session::SessionError;
use crate::verdict::Verdict;
use figures::Figure;

/// Two documents side by side.
#[derive(Debug, Serialize)]
struct Difference {
    schema: u32,
    before: Side,
    after: Side,
    experiments: Vec<Change>,
}

/// Where one of the documents comes from.
#[derive(Debug, Serialize)]
struct Side {
    folder: String,
    tool: Tool,
    machine: Machine,
    command: String,
}

/// One experiment that stands in either of them.
#[derive(Debug, Serialize)]
struct Change {
    name: String,
    before: Option<Verdict>,
    after: Option<Verdict>,
    /// Those that both have: first those that both measured repeatedly, of these the largest ratio.
    figures: Vec<Moved>,
}

/// One figure that both have.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Moved {
    /// Where it stands among the figures, as `modes.async.rate_per_s`.
    path: String,
    before: Figure,
    after: Figure,
    /// The second in relation to the first; none where the first is 0.
    ratio: Option<f64>,
    /// Whether one of them was measured once, so that nothing says how far it scatters.
    once: bool,
    /// Whether they lie apart: both were measured repeatedly, and their ranges do not touch.
    apart: bool,
}

/// Reads the documents of two folders and says what differs. Returns the exit code.
///
/// # Errors
///
/// [`SessionError`] when one cannot be read, or nothing can be written.
pub(crate) fn run(before: &Path, after: &Path, format: Format) -> Result<u8, SessionError> {
    let (first, second) = (Document::read(before)?, Document::read(after)?);
    let difference = Difference {
        schema: report::SCHEMA,
        experiments: changes(&first, &second),
        before: Side::of(before, first),
        after: Side::of(after, second),
    };
    stdout::emit(&match format {
        Format::Text => text::text(&difference),
        Format::Json => report::pretty(&difference),
    })?;
    Ok(exit_code(&difference.experiments))
}

/// Whether a claim that held does not hold any more.
fn exit_code(changes: &[Change]) -> u8 {
    let lost = |change: &Change| {
        change.before == Some(Verdict::Holds) && change.after == Some(Verdict::DoesNotHold)
    };
    if changes.iter().any(lost) {
        crate::exit::DOES_NOT_HOLD
    } else {
        exit::SUCCESS
    }
}

impl Side {
    fn of(folder: &Path, document: Document) -> Self {
        Self {
            folder: folder.display().to_string(),
            tool: document.tool,
            machine: document.machine,
            command: document.command,
        }
    }
}

/// The experiments of either in the order of the second, then those that only the first has; a
/// comparison counts as one.
fn changes(before: &Document, after: &Document) -> Vec<Change> {
    let (mut first, second) = (results(before), results(after));
    let mut changes = Vec::new();
    for (name, result) in second {
        let other = first.iter().position(|(known, _)| *known == name);
        let other = other.map(|place| first.remove(place).1);
        changes.push(change(name, other, Some(result)));
    }
    changes.extend(
        first
            .into_iter()
            .map(|(name, result)| change(name, Some(result), None)),
    );
    changes
}

/// A verdict, where there is one, and figures by path.
type Outcome = (Option<Verdict>, BTreeMap<String, Figure>);

fn results(document: &Document) -> Vec<(String, Outcome)> {
    let experiments = document.experiments.iter().map(|entry| {
        let figures = figures::of(&serde_json::Value::Object(entry.figures.clone()));
        (entry.name.to_string(), (Some(entry.verdict), figures))
    });
    let comparison = document.comparison.iter().map(|comparison| {
        let rows = serde_json::to_value(&comparison.rows).unwrap_or_default();
        ("comparison".to_owned(), (None, figures::of(&rows)))
    });
    experiments.chain(comparison).collect()
}

fn change(name: String, before: Option<Outcome>, after: Option<Outcome>) -> Change {
    let (verdict, figures) = before.unwrap_or_default();
    let (verdict_after, figures_after) = after.unwrap_or_default();
    let both = figures
        .into_iter()
        .filter_map(|(path, figure)| Some(moved(figures_after.get(&path)?, path, figure)));
    let mut both: Vec<Moved> = both.collect();
    both.sort_by(|a, b| {
        let repeated_first = a.once.cmp(&b.once);
        repeated_first.then_with(|| b.size().total_cmp(&a.size()))
    });
    Change {
        name,
        before: verdict,
        after: verdict_after,
        figures: both,
    }
}

fn moved(after: &Figure, path: String, before: Figure) -> Moved {
    let ratio = (before.value != 0.0).then(|| after.value / before.value);
    Moved {
        path,
        ratio,
        once: before.range.is_none() || after.range.is_none(),
        apart: before.is_apart_from(after),
        before,
        after: *after,
    }
}

impl Moved {
    /// How far it moved, whichever way: the logarithm of the ratio; a change of sign, or from 0, is
    /// the farthest.
    fn size(&self) -> f64 {
        match self.ratio {
            Some(ratio) if ratio > 0.0 => ratio.ln().abs(),
            _ if self.before.value == self.after.value => 0.0,
            _ => f64::INFINITY,
        }
    }
}

#[cfg(test)]
mod tests;
