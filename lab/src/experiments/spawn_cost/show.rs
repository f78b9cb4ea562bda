//! What the report shows of it.

use cli::units::micros;

use super::{Figures, Row, Way};
use crate::exhibit::{Cell, Exhibit, Table};
use crate::stats::Spread;

/// One sentence for people.
pub(super) fn headline(figures: &Figures) -> String {
    let shown = |way| {
        figures
            .median_us(way)
            .map_or_else(|| "-".to_owned(), micros)
    };
    format!(
        "A task {}, a thread {}, a spawned process {}; a copied one {}, or {} if its parent has 256 MiB.",
        shown(Way::Task),
        shown(Way::Thread),
        shown(Way::SpawnSmall),
        shown(Way::ForkSmall),
        shown(Way::ForkLarge)
    )
}

/// Its table.
pub(super) fn exhibits(figures: &Figures) -> Vec<Exhibit> {
    let thread_us = figures.median_us(Way::Thread);
    let row = |row: &Row| {
        let median = |spread: Option<Spread>| Cell::or_dash(spread.map(|it| micros(it.median)));
        let range = row
            .done_us
            .map(|it| format!("{} to {}", micros(it.min), micros(it.max)));
        let threads = row.done_us.zip(thread_us);
        let threads = threads.map(|(us, thread_us)| us.median / thread_us);
        vec![
            row.way.name().into(),
            median(row.asked_us),
            median(row.done_us),
            Cell::or_dash(range),
            Cell::or_dash(threads.map(|threads| format!("{threads:.3}"))),
        ]
    };
    let page = figures.page_ns().unwrap_or(0.0);
    let header = [
        "",
        "starter goes on",
        "it has ended",
        "over the rounds",
        "in threads",
    ];
    vec![Exhibit::Table(Table {
        title: "What it costs to start something that does nothing".into(),
        caption: format!(
            "Medians of the rounds. Starting only asks, but a copy holds its parent up until it is made: \
             {page:.0} ns for each page."
        ),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.rows.iter().map(row).collect(),
    })]
}
