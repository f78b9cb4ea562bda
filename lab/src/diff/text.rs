//! A difference for people at a terminal.

use super::{Change, Difference, Figure, Moved, Side};
use crate::exhibit::{Cell, Table, Tone};
use crate::report::table_text;
use crate::verdict::Verdict;

/// Figures that are shown of one experiment.
const SHOWN: usize = 8;
/// A ratio from which a figure is worth a line.
const WORTH: f64 = 1.1;

pub(super) fn text(difference: &Difference) -> String {
    let mut text = format!(
        "A  {}\nB  {}\n\n",
        side(&difference.before),
        side(&difference.after)
    );
    for change in &difference.experiments {
        text += &format!("{}: {}\n", change.name, verdicts(change));
        text += &figures(change);
    }
    text
}

fn side(side: &Side) -> String {
    let machine = &side.machine;
    format!(
        "{}: {} processors, Linux {}, lab {}: {}",
        side.folder, machine.cpus, machine.kernel, side.tool.version, side.command
    )
}

fn verdicts(change: &Change) -> String {
    let word = |verdict: Option<Verdict>| verdict.map(|verdict| verdict.to_string());
    match (word(change.before), word(change.after)) {
        (Some(before), Some(after)) if before == after => format!("{after} in both"),
        (Some(before), Some(after)) => format!("{before} in A, {after} in B"),
        (Some(before), None) => format!("{before} in A, not run in B"),
        (None, Some(after)) => format!("not run in A, {after} in B"),
        (None, None) => "no verdict".to_owned(),
    }
}

/// The figures that moved most, as a table; empty where none is worth a line.
fn figures(change: &Change) -> String {
    let worth = |moved: &&Moved| moved.apart && moved.size() >= WORTH.ln();
    let all: Vec<&Moved> = change.figures.iter().filter(worth).collect();
    if all.is_empty() {
        let common = change.figures.len();
        return if common == 0 {
            String::new()
        } else {
            format!("  {common} figures in common; none moved by a tenth beyond its spread\n")
        };
    }
    let table = Table {
        title: format!("  {} of {} figures moved", all.len(), change.figures.len()),
        caption: String::new(),
        header: ["figure", "A", "B", "B / A"].map(str::to_owned).to_vec(),
        rows: all.iter().take(SHOWN).map(|moved| row(moved)).collect(),
    };
    table_text(&table)
}

fn row(moved: &Moved) -> Vec<Cell> {
    let ratio = moved.ratio.map(|ratio| format!("{ratio:.2}"));
    vec![
        Cell::from(moved.path.as_str()),
        figure(&moved.before),
        figure(&moved.after),
        Cell::or_dash(ratio),
    ]
}

/// The number with its range; one that was measured once is faint.
fn figure(figure: &Figure) -> Cell {
    match figure.range {
        Some((low, high)) => Cell::from(format!(
            "{} [{}, {}]",
            short(figure.value),
            short(low),
            short(high)
        )),
        None => Cell::toned(short(figure.value), Tone::Faint),
    }
}

/// Four significant digits at most.
fn short(value: f64) -> String {
    if value.abs() >= 1e4 {
        cli::units::number(value)
    } else if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}
