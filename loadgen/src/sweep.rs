//! The same run over several values of one setting: in which order, and what it comes to.
//!
//! Pure: who runs is the caller. Repeats go to and fro (A B C C B A …), so that whatever drifts in
//! the meantime hits all values alike.

use std::fmt::Write as _;

use cli::units::{micros, number};

use crate::report::{Latency, Report, Verdict};

/// The turns of `values` values with `repeats` repeats: which value is next.
///
/// ```
/// assert_eq!(loadgen::sweep::turns(3, 2), [0, 1, 2, 2, 1, 0]);
/// ```
#[must_use]
pub fn turns(values: usize, repeats: usize) -> Vec<usize> {
    let there = |repeat: usize| -> Vec<usize> {
        if repeat.is_multiple_of(2) {
            (0..values).collect()
        } else {
            (0..values).rev().collect()
        }
    };
    (0..repeats).flat_map(there).collect()
}

/// The runs with one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The value as people read it.
    pub value: String,
    /// Its runs; none yet when the sweep was interrupted before.
    pub runs: Vec<Report>,
}

/// Which row may be called the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Best {
    /// The one with the highest rate.
    Rate,
    /// None: a higher value is another load, and no better server.
    Nobody,
}

/// One line of the table.
struct Row {
    value: String,
    rate: Option<f64>,
    spread: Option<f64>,
    waits: [Option<f64>; 2],
    served: String,
    errors: u64,
    badge: &'static str,
    /// What keeps it from being the best.
    flaws: Vec<String>,
}

/// The table for people: a row for each value of `setting`, figures as medians of its runs.
#[must_use]
pub fn render(setting: &str, cells: &[Cell], best: Best) -> String {
    let measured = cells.iter().filter(|cell| !cell.runs.is_empty());
    let rows: Vec<Row> = measured.map(Row::of).collect();
    let fastest = match best {
        Best::Rate if rows.len() > 1 => fastest(&rows),
        _ => None,
    };
    let heads = [
        "rate/s", "spread", "p50", "p99", "served", "errors", "audit",
    ];
    let mut text = line(setting, &heads.map(str::to_owned), "");
    for (number, row) in rows.iter().enumerate() {
        let note = match fastest {
            Some(first) if first == number => "best".to_owned(),
            _ => row.flaws.join(", "),
        };
        text.push_str(&line(&row.value, &row.cells(), &note));
    }
    let missing = cells.len() - rows.len();
    if missing > 0 {
        let _ = writeln!(text, "\ninterrupted: {missing} values were not measured");
    }
    text
}

/// The row with the highest rate among those without a flaw.
fn fastest(rows: &[Row]) -> Option<usize> {
    let rated = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.flaws.is_empty());
    let rated = rated.filter_map(|(number, row)| Some((number, row.rate?)));
    rated
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(number, _)| number)
}

impl Row {
    fn of(cell: &Cell) -> Self {
        let runs = &cell.runs;
        let rates: Vec<f64> = runs.iter().filter_map(|r| r.rate_per_s).collect();
        let wait = |figure: fn(&Latency) -> Option<f64>| {
            let values = runs.iter().map(|run| felt(run).and_then(figure));
            values.collect::<Option<Vec<_>>>().and_then(median)
        };
        let clients = runs.iter().map(|r| r.clients);
        let served = clients.clone().map(|c| c.served).min().unwrap_or(0);
        let asked = clients.map(|c| c.asked).max().unwrap_or(0);
        let verdict = runs.iter().map(|r| r.audit.verdict).max();
        Self {
            value: cell.value.clone(),
            spread: spread(&rates),
            rate: median(rates),
            waits: [wait(|l| l.p50_us), wait(|l| l.p99_us)],
            served: format!("{served}/{asked}"),
            errors: runs
                .iter()
                .map(|r| r.requests.errors + r.requests.timeouts)
                .sum(),
            badge: match verdict {
                Some(Verdict::Fail) => "INVALID",
                Some(Verdict::Warn) => "warn",
                _ => "pass",
            },
            flaws: flaws(runs),
        }
    }

    fn cells(&self) -> [String; 7] {
        let shown =
            |value: Option<f64>, unit: fn(f64) -> String| value.map_or("-".to_owned(), unit);
        [
            shown(self.rate, number),
            shown(self.spread, |share| format!("{:.1} %", share * 100.0)),
            shown(self.waits[0], micros),
            shown(self.waits[1], micros),
            self.served.clone(),
            self.errors.to_string(),
            self.badge.to_owned(),
        ]
    }
}

/// Why the figures of `runs` are not to be compared with those of a good run.
fn flaws(runs: &[Report]) -> Vec<String> {
    let count = |test: fn(&&Report) -> bool| runs.iter().filter(test).count();
    let of = |how_many: usize| match runs.len() {
        1 => String::new(),
        all => format!(" in {how_many} of {all} runs"),
    };
    let starved = runs.iter().map(|r| r.clients.starved).max().unwrap_or(0);
    let broken = |r: &&Report| r.gates.iter().any(|gate| gate.verdict == Verdict::Fail);
    let kinds = [
        (
            count(|r| r.audit.verdict == Verdict::Fail || r.mismatches > 0),
            "invalid".to_owned(),
        ),
        (
            count(|r| r.clients.starved > 0),
            format!("{starved} STARVED"),
        ),
        (count(broken), "promise broken".to_owned()),
        (count(|r| r.interrupted), "interrupted".to_owned()),
    ];
    let seen = kinds.into_iter().filter(|(how_many, _)| *how_many > 0);
    seen.map(|(how_many, what)| what + &of(how_many)).collect()
}

/// The wait that a user would feel: from the due time in an open loop.
fn felt(report: &Report) -> Option<&Latency> {
    let waits = &report.latency;
    match report.schedule {
        Some(_) => waits.response.as_ref(),
        None => waits.rtt.as_ref(),
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    (!values.is_empty()).then(|| crate::diff::median(&mut values))
}

/// From the lowest to the highest, as a share of the median; none with less than two values.
pub(crate) fn spread(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (lowest, highest) = (*sorted.first()?, *sorted.last()?);
    let median = median(sorted).filter(|median| *median > 0.0 && values.len() > 1)?;
    Some((highest - lowest) / median)
}

fn line(value: &str, cells: &[String; 7], note: &str) -> String {
    let [rate, spread, p50, p99, served, errors, audit] = cells;
    let row = format!(
        "{value:<13}{rate:<10}{spread:<9}{p50:<10}{p99:<10}{served:<12}{errors:<8}{audit:<9}{note}"
    );
    format!("{}\n", row.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;
    use proptest::prelude::*;

    fn cell(value: &str, rates: &[u32]) -> Cell {
        let run = |rate: &u32| synthetic::closed(50, &[vec![1_000_000; *rate as usize]]);
        Cell {
            value: value.to_owned(),
            runs: rates.iter().map(run).collect(),
        }
    }

    #[test]
    fn starved_and_invalid_rows_are_marked_and_never_best() {
        let mut starved = cell("50", &[3_000, 3_000]);
        starved.runs[1].clients.starved = 46;
        starved.runs[1].clients.served = 4;
        let mut invalid = cell("8", &[2_500]);
        invalid.runs[0].audit.verdict = Verdict::Fail;
        let cells = [
            cell("1", &[1_000, 1_200]),
            cell("4", &[2_000]),
            invalid,
            starved,
            cell("64", &[]),
        ];
        insta::assert_snapshot!(render("connections", &cells, Best::Rate), @"
        connections  rate/s    spread   p50       p99       served      errors  audit
        1            1.1k      18.2 %   1.00ms    1.00ms    50/50       0       pass
        4            2.0k      -        1.00ms    1.00ms    50/50       0       pass     best
        8            2.5k      -        1.00ms    1.00ms    50/50       0       INVALID  invalid
        50           3.0k      0.0 %    1.00ms    1.00ms    4/50        0       pass     46 STARVED in 1 of 2 runs

        interrupted: 1 values were not measured
        ");
    }

    #[test]
    fn where_a_value_is_a_load_nobody_is_best() {
        let cells = [cell("1k", &[1_000]), cell("2k", &[2_000])];
        assert!(!render("rate", &cells, Best::Nobody).contains("best"));
    }

    proptest! {
        #[test]
        fn each_value_has_its_repeats_and_neighbours_in_time(values in 1..20_usize, repeats in 1..9_usize) {
            let turns = turns(values, repeats);
            for value in 0..values {
                prop_assert_eq!(turns.iter().filter(|turn| **turn == value).count(), repeats);
            }
            let whole = |slice: &[usize]| slice.iter().sum::<usize>();
            for (first, second) in turns.chunks(values).zip(turns.chunks(values).skip(1)) {
                prop_assert_eq!(whole(first), whole(second));
                prop_assert_eq!(first.last(), second.first());
            }
        }
    }
}
