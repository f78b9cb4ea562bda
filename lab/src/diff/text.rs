//! A difference for people at a terminal.

use super::{Change, Difference, Figure, Moved, Side};
use crate::exhibit::{Cell, Table, Tone};
use crate::report::table_text;
use crate::verdict::Verdict;

/// Figures that are shown of one experiment.
const SHOWN: usize = 8;
/// The same of those that were measured once.
const SHOWN_ONCE: usize = 3;
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
    let (machine, tool) = (&side.machine, &side.tool);
    let commit = tool.commit.as_ref();
    let commit = commit.map_or_else(String::new, |commit| format!(", commit {commit}"));
    format!(
        "{}: {} processors, Linux {}, lab {}{commit}: {}",
        side.folder, machine.cpus, machine.kernel, tool.version, side.command
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

/// The figures that moved most: those that lie apart, then some of those that were measured once.
fn figures(change: &Change) -> String {
    let common = change.figures.len();
    let moved = |of: fn(&Moved) -> bool| -> Vec<&Moved> {
        let worth = |moved: &&Moved| of(moved) && moved.size() >= WORTH.ln();
        change.figures.iter().filter(worth).collect()
    };
    let (apart, once) = (moved(|moved| moved.apart), moved(|moved| moved.once));
    let mut text = String::new();
    if !apart.is_empty() {
        let title = format!("  {} of {common} figures moved", apart.len());
        text += &table(title, &apart, SHOWN);
    }
    if !once.is_empty() {
        let title = format!(
            "  {} more differ, which were measured once: nothing says how far they scatter",
            once.len()
        );
        text += &table(title, &once, SHOWN_ONCE);
    }
    if text.is_empty() && common > 0 {
        text = format!("  {common} figures in common; none moved by a tenth beyond its spread\n");
    }
    text
}

fn table(title: String, moved: &[&Moved], most: usize) -> String {
    table_text(&Table {
        title,
        caption: String::new(),
        header: ["figure", "A", "B", "B / A"].map(str::to_owned).to_vec(),
        rows: moved.iter().take(most).map(|moved| row(moved)).collect(),
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Effort;
    use crate::diff::{change, figures as numbers};
    use crate::report::Document;
    use std::path::Path;

    #[test]
    fn a_side_names_its_commit() {
        let mut document = Document::new("lab run trap".into(), Effort::Short, 1);
        document.tool.commit = Some("0123abcd".into());
        let shown = side(&Side::of(Path::new("a"), document));
        assert!(shown.contains(", commit 0123abcd: lab run trap"), "{shown}");
    }

    #[test]
    fn what_lies_apart_comes_first_and_little_of_what_was_measured_once() {
        let side = |by: f64| {
            let once: serde_json::Map<String, serde_json::Value> = ["a", "b", "c", "d"]
                .iter()
                .map(|name| ((*name).to_owned(), (7.0 * by * by).into()))
                .collect();
            let rate = serde_json::json!({"median": 10.0 * by, "min": 9.0 * by, "max": 11.0 * by});
            let all = serde_json::json!({"rate": rate, "seen": once});
            Some((Some(Verdict::Holds), numbers::of(&all)))
        };
        let moved = |by: f64| figures(&change("x".into(), side(1.0), side(by)));
        insta::assert_snapshot!(moved(2.0), @"
        1 of 5 figures moved
         figure            A             B   B / A
       ─────────────────────────────────────────────
         rate     10 [9, 11]   20 [18, 22]    2.00
        4 more differ, which were measured once: nothing says how far they scatter
         figure   A    B   B / A
       ───────────────────────────
         seen.a   7   28    4.00
         seen.b   7   28    4.00
         seen.c   7   28    4.00
        ");
        assert!(moved(1.01).contains("5 figures in common; none moved"));
    }
}
