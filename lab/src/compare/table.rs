//! A comparison as tables and as one sentence.

use cli::units::{bytes, micros, number};

use super::{Comparison, Noise, Row};
use crate::exhibit::{Cell, Table, Tone};
use crate::stats::Spread;

/// The heads of the columns.
const HEADER: [&str; 10] = [
    "server",
    "served",
    "answers/s",
    "p50",
    "p99",
    "fairness",
    "CPU",
    "memory",
    "threads",
    "switches",
];

/// One table for each number of clients.
#[must_use]
pub fn tables(comparison: &Comparison) -> Vec<Table> {
    let mut asked: Vec<u32> = comparison.rows.iter().map(|row| row.asked).collect();
    asked.sort_unstable();
    asked.dedup();
    asked
        .into_iter()
        .map(|clients| one_table(comparison, clients))
        .collect()
}

/// What can be said in one sentence.
#[must_use]
pub fn headline(comparison: &Comparison) -> String {
    let starved: Vec<String> = comparison
        .rows
        .iter()
        .filter(|row| !row.control && row.served < row.asked)
        .map(|row| format!("{} ({}/{})", row.subject, row.served, row.asked))
        .collect();
    if starved.is_empty() {
        return "Every server served every client.".to_owned();
    }
    format!(
        "Not comparable, because they leave clients unserved: {}. The others can be compared.",
        starved.join(", ")
    )
}

fn one_table(comparison: &Comparison, clients: u32) -> Table {
    let of_clients = |row: &&Row| row.asked == clients;
    let rows: Vec<&Row> = comparison.rows.iter().filter(of_clients).collect();
    let noise = comparison
        .noise
        .iter()
        .find(|noise| noise.clients == clients);
    let best = fastest(&rows, noise);
    Table {
        title: format!("{clients} clients that talk without a pause"),
        caption: caption(comparison, noise, best),
        header: HEADER.map(str::to_owned).to_vec(),
        rows: rows
            .iter()
            .map(|row| cells(row, Some(row.subject.as_str()) == best))
            .collect(),
    }
}

/// The row that is faster than every other by more than the noise, among those that may be
/// compared at all.
fn fastest<'a>(rows: &[&'a Row], noise: Option<&Noise>) -> Option<&'a str> {
    let mut ranked: Vec<(f64, &str)> = rows
        .iter()
        .filter(|row| row.comparable() && !row.control)
        .filter_map(|row| Some((row.rate_per_s?.median, row.subject.as_str())))
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (best, name) = *ranked.first()?;
    let (second, _) = *ranked.get(1)?;
    (best - second > noise?.share() * best).then_some(name)
}

fn caption(comparison: &Comparison, noise: Option<&Noise>, best: Option<&str>) -> String {
    let noise = noise.map_or_else(String::new, |noise| {
        format!(
            " The first server was measured twice over: its rates differ by {:.1} % between the two \
             medians and spread by ± {:.1} %; smaller differences mean nothing.",
            noise.between_medians * 100.0,
            noise.within * 100.0
        )
    });
    let best = best.map_or_else(
        || " No server is faster than all others by more than that.".to_owned(),
        |name| format!(" {name} is the fastest of those that serve everybody."),
    );
    format!(
        "Medians of {} runs of {} s, smallest to largest in brackets; a fresh server for each, by \
         turns and back again. CPU time and context switches per answer, memory and threads are \
         those of the server and its children, read from outside.{noise}{best}",
        comparison.repeats, comparison.window_s
    )
}

fn cells(row: &Row, best: bool) -> Vec<Cell> {
    // Figures of a server that leaves clients unserved or fails them are shown and weigh nothing.
    let tone = if row.comparable() {
        Tone::Plain
    } else {
        Tone::Faint
    };
    let figure = |text: String| Cell::toned(text, tone);
    let rate = spread(row.rate_per_s, number);
    vec![
        Cell::toned(
            row.subject.as_str(),
            if row.control {
                Tone::Faint
            } else {
                Tone::Plain
            },
        ),
        served(row),
        if best {
            Cell::toned(rate, Tone::Good)
        } else {
            figure(rate)
        },
        figure(median(row.p50_us, micros)),
        figure(median(row.p99_us, micros)),
        figure(median(row.fairness, |value| format!("{value:.2}"))),
        figure(median(row.cpu_us_per_answer, micros)),
        figure(median(row.memory_bytes, memory)),
        figure(median(row.threads, number)),
        figure(median(row.switches_per_answer, |value| {
            format!("{value:.2}")
        })),
    ]
}

fn served(row: &Row) -> Cell {
    let share = format!("{}/{}", row.served, row.asked);
    if row.served < row.asked {
        return Cell::toned(format!("{share} starved"), Tone::Bad);
    }
    match (&row.invalid, row.failures) {
        (Some(_), _) => Cell::toned(format!("{share} invalid"), Tone::Bad),
        (None, 0) => Cell::from(share),
        (None, failures) => Cell::toned(format!("{share} {failures} failed"), Tone::Bad),
    }
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

fn median(spread: Option<Spread>, show: impl Fn(f64) -> String) -> String {
    spread.map_or_else(|| "-".to_owned(), |spread| show(spread.median))
}

fn spread(spread: Option<Spread>, show: impl Fn(f64) -> String) -> String {
    spread.map_or_else(
        || "-".to_owned(),
        |spread| {
            format!(
                "{} ({}–{})",
                show(spread.median),
                show(spread.min),
                show(spread.max)
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Observation;

    fn row(name: &str, served: u32, rate: f64) -> Row {
        let seen = Observation {
            asked: 50,
            served,
            rate_per_s: Some(rate),
            p99_us: Some(900.0),
            memory_bytes: Some(2048.0),
            ..Observation::default()
        };
        Row::of(name.into(), false, &[seen]).unwrap()
    }

    fn noise(share: f64) -> Noise {
        Noise {
            clients: 50,
            between_medians: share,
            within: 0.0,
        }
    }

    #[test]
    fn a_starved_server_never_wins() {
        let (pool, tasks, threads) = (
            row("pool", 4, 90_000.0),
            row("async", 50, 50_000.0),
            row("threads", 50, 30_000.0),
        );
        let rows = [&pool, &tasks, &threads];
        assert_eq!(fastest(&rows, Some(&noise(0.05))), Some("async"));
        let cells = cells(&pool, false);
        assert_eq!(
            (cells[1].text.as_str(), cells[1].tone),
            ("4/50 starved", Tone::Bad)
        );
        assert_eq!(cells[2].tone, Tone::Faint);
    }

    #[test]
    fn a_server_that_fails_its_clients_never_wins() {
        let reset = Row {
            failures: 3,
            ..row("resets", 50, 99_000.0)
        };
        let (tasks, threads) = (row("async", 50, 50_000.0), row("threads", 50, 30_000.0));
        assert_eq!(served(&reset), Cell::toned("50/50 3 failed", Tone::Bad));
        assert_eq!(
            fastest(&[&reset, &tasks, &threads], Some(&noise(0.0))),
            Some("async")
        );
    }

    #[test]
    fn a_lead_within_the_noise_is_none() {
        let (tasks, threads) = (row("async", 50, 50_000.0), row("threads", 50, 48_000.0));
        assert_eq!(fastest(&[&tasks, &threads], Some(&noise(0.05))), None);
        assert_eq!(
            fastest(&[&tasks, &threads], None),
            None,
            "unknown noise proves nothing"
        );
        assert_eq!(
            fastest(&[&tasks], Some(&noise(0.0))),
            None,
            "alone nobody is the fastest"
        );
    }

    #[test]
    fn every_row_fits_the_header() {
        assert_eq!(cells(&row("a", 50, 1.0), true).len(), HEADER.len());
    }

    #[test]
    fn who_cannot_be_compared_is_named_first() {
        let comparison = Comparison {
            rows: vec![row("pool", 4, 9.0), row("async", 50, 5.0)],
            ..Comparison::default()
        };
        assert!(headline(&comparison).contains("pool (4/50)"));
        assert_eq!(tables(&comparison).len(), 1);
    }
}
