//! A comparison as tables: who is faster, what an equal load feels like, and what it costs.

use cli::units::{bytes, micros, number};

use super::judge::Conclusion;
use super::words;
use super::{Comparison, Row};
use crate::exhibit::{Cell, Table, Tone};
use crate::stats::Interval;

/// One kind of load: clients, bytes of a message, and requests per second unless it is saturation.
type Kind = (u32, u32, Option<f64>);

/// The tables, for each number of clients and length of message.
#[must_use]
pub fn tables(comparison: &Comparison) -> Vec<Table> {
    let mut tables: Vec<Table> = kinds(comparison)
        .into_iter()
        .flat_map(|kind| {
            let rows = rows_of(comparison, kind);
            match kind.2 {
                None => vec![saturation(kind, &rows)],
                Some(_) => vec![waits(kind, &rows), costs(kind, &rows, comparison)],
            }
        })
        .collect();
    if let Some(first) = tables.first_mut() {
        first.caption = format!("{} {}", first.caption, words::method(comparison));
    }
    tables
}

/// The kinds of load, in the order in which they were asked for, saturation first.
fn kinds(comparison: &Comparison) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    for row in &comparison.rows {
        if !kinds.contains(&kind(row)) {
            kinds.push(kind(row));
        }
    }
    kinds.sort_by_key(|(clients, size, _)| (*clients, *size));
    kinds
}

fn kind(row: &Row) -> Kind {
    (row.asked, row.cell.size_bytes, row.cell.offered_per_s)
}

pub(super) fn rows_of(comparison: &Comparison, wanted: Kind) -> Vec<&Row> {
    comparison
        .rows
        .iter()
        .filter(|row| kind(row) == wanted)
        .collect()
}

fn saturation(kind: Kind, rows: &[&Row]) -> Table {
    let line = |row: &&Row| {
        let mark = if row.generator_limited { "≥ " } else { "" };
        vec![
            name(row),
            served(row),
            figure(
                row,
                format!("{mark}{}", interval(row.figures.rate_per_s, number)),
            ),
            against(row, |figures| figures.rate_per_s, words::RATE),
        ]
    };
    Table {
        title: format!("{}, as fast as they can", words::load(kind.0, kind.1)),
        caption: words::saturation(rows),
        header: header(&["server", "served", "answers/s", "against the first"]),
        rows: rows.iter().map(line).collect(),
    }
}

fn waits(kind: Kind, rows: &[&Row]) -> Table {
    let line = |row: &&Row| {
        vec![
            name(row),
            served(row),
            figure(row, middle(row.figures.p50_us, micros)),
            figure(row, interval(row.figures.p99_us, micros)),
            against(row, |figures| figures.p99_us, words::WAIT),
        ]
    };
    Table {
        title: format!("{}: how long an answer takes", words::equal_load(kind)),
        caption: words::waits(rows),
        header: header(&["server", "served", "p50", "p99", "p99 against the first"]),
        rows: rows.iter().map(line).collect(),
    }
}

fn costs(kind: Kind, rows: &[&Row], comparison: &Comparison) -> Table {
    let two = |value: f64| format!("{value:.2}");
    let line = |row: &&Row| {
        vec![
            name(row),
            figure(row, middle(row.figures.cpu_us_per_answer, micros)),
            against(row, |figures| figures.cpu_us_per_answer, words::COST),
            figure(
                row,
                row.syscalls_per_answer.map_or_else(|| "-".to_owned(), two),
            ),
            figure(row, middle(row.figures.switches_per_answer, two)),
            figure(row, middle(row.figures.memory_bytes, memory)),
            figure(row, middle(row.figures.threads, number)),
        ]
    };
    Table {
        title: format!("{}: what an answer costs", words::equal_load(kind)),
        caption: words::costs(rows, comparison),
        header: header(&[
            "server",
            "CPU",
            "CPU against the first",
            "syscalls",
            "switches",
            "memory",
            "threads",
        ]),
        rows: rows.iter().map(line).collect(),
    }
}

fn header(heads: &[&str]) -> Vec<String> {
    heads.iter().map(|&head| head.to_owned()).collect()
}

fn name(row: &Row) -> Cell {
    let tone = if row.cell.control {
        Tone::Faint
    } else {
        Tone::Plain
    };
    Cell::toned(row.cell.subject.as_str(), tone)
}

/// Figures of a server that leaves clients unserved or fails them are shown and weigh nothing.
fn figure(row: &Row, text: String) -> Cell {
    Cell::toned(
        text,
        if row.comparable() {
            Tone::Plain
        } else {
            Tone::Faint
        },
    )
}

fn served(row: &Row) -> Cell {
    let share = format!("{}/{}", row.served, row.asked);
    let why = if row.served < row.asked {
        "starved".to_owned()
    } else if row.failures > 0 {
        format!("{} failed", row.failures)
    } else if row.invalid.is_some() {
        "invalid".to_owned()
    } else if row.behind {
        "behind".to_owned()
    } else {
        return Cell::from(share);
    };
    Cell::toned(format!("{share} {why}"), Tone::Bad)
}

/// The verdict on a figure; the first server has none.
fn against(row: &Row, of: words::Verdict, words: words::Pair) -> Cell {
    let Some(effects) = &row.against_first else {
        return Cell::toned("-", Tone::Faint);
    };
    let effect = of(effects);
    let text = words::effect(&effect, words);
    let tone = match effect.conclusion {
        Conclusion::Higher | Conclusion::Lower if row.cell.control => Tone::Bad,
        Conclusion::Higher if words.more_is_better => Tone::Good,
        Conclusion::Lower if !words.more_is_better => Tone::Good,
        Conclusion::Higher | Conclusion::Lower | Conclusion::NoDifference => Tone::Plain,
        _ => Tone::Faint,
    };
    Cell::toned(text, tone)
}

fn memory(value: f64) -> String {
    // A median of memory sizes is not negative and far below 2^64.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "see above"
    )]
    let whole = value as u64;
    bytes(whole)
}

fn middle(interval: Option<Interval>, show: impl Fn(f64) -> String) -> String {
    interval.map_or_else(|| "-".to_owned(), |found| show(found.middle))
}

fn interval(interval: Option<Interval>, show: impl Fn(f64) -> String) -> String {
    interval.map_or_else(
        || "-".to_owned(),
        |found| {
            format!(
                "{} [{}–{}]",
                show(found.middle),
                show(found.low),
                show(found.high)
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Figures;
    use crate::compare::judge::Effect;
    use crate::compare::observation::tests::{cell, seen};

    fn row(name: &str, served: u32) -> Row {
        Row::of(cell(name), &[seen(served, 5e4)]).unwrap()
    }

    fn effect(conclusion: Conclusion) -> Option<Figures<Effect>> {
        let effect = Effect::none(conclusion);
        Some(Figures::across(&[Figures::<()>::default()], |_| effect))
    }

    #[test]
    fn what_is_wrong_with_a_row_stands_beside_who_was_served() {
        let change = |change: fn(&mut Row)| {
            let mut row = row("x", 50);
            change(&mut row);
            served(&row)
        };
        let bad = |text: &str| Cell::toned(text, Tone::Bad);
        assert_eq!(change(|_| ()), Cell::from("50/50"));
        assert_eq!(change(|row| row.served = 4), bad("4/50 starved"));
        assert_eq!(change(|row| row.failures = 3), bad("50/50 3 failed"));
        assert_eq!(
            change(|row| row.invalid = Some("why".into())),
            bad("50/50 invalid")
        );
        assert_eq!(change(|row| row.behind = true), bad("50/50 behind"));
    }

    #[test]
    fn good_is_what_is_better_and_a_control_that_differs_is_bad() {
        let tone = |conclusion, control, words| {
            let mut row = row("x", 50);
            row.cell.control = control;
            row.against_first = effect(conclusion);
            against(&row, |figures| figures.rate_per_s, words).tone
        };
        assert_eq!(tone(Conclusion::Higher, false, words::RATE), Tone::Good);
        assert_eq!(tone(Conclusion::Higher, false, words::COST), Tone::Plain);
        assert_eq!(tone(Conclusion::Lower, false, words::COST), Tone::Good);
        assert_eq!(tone(Conclusion::Lower, true, words::COST), Tone::Bad);
        assert_eq!(
            tone(Conclusion::NotComparable, false, words::RATE),
            Tone::Faint
        );
    }

    #[test]
    fn every_row_fits_its_header_and_figures_of_the_starved_are_faint() {
        let mut offered = row("b", 50);
        offered.cell.offered_per_s = Some(250.0);
        let comparison = Comparison {
            rows: vec![row("a", 4), row("b", 50), offered],
            ..Comparison::default()
        };
        let tables = tables(&comparison);
        assert_eq!(tables.len(), 3);
        for table in &tables {
            assert!(
                table.rows.iter().all(|row| row.len() == table.header.len()),
                "{table:?}"
            );
        }
        assert_eq!(tables[0].rows.len(), 2);
        assert_eq!(tables[0].rows[0][2].tone, Tone::Faint);
    }
}
