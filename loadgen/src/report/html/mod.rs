//! The report as a page with pictures: one file that needs no script and no network.
//!
//! ```text
//! Report ──▶ verdict, waits, clients, curves, timeline, details ──▶ page::render
//! Reports ─▶ comparison ───────────────────────────────────────────┘
//! ```
//!
//! Each part says for itself when it has nothing to show. Every text is escaped; what a picture
//! shows is also said in its caption or in a table.

mod clients;
mod comparison;
mod conditions;
mod curves;
mod data;
mod details;
mod histogram;
mod lines;
mod table;
mod timeline;
mod verdict;
mod waits;

use maud::html;

use super::Report;
use crate::page::{self, Data};

/// The page of one run.
#[must_use]
pub fn render(report: &Report) -> String {
    let body = html! {
        (verdict::header(report))
        (waits::section(report))
        (clients::section(report))
        (curves::section(report))
        (timeline::section(report))
        (details::sections(report))
        (conditions::section(report))
    };
    let json = data::of_one(report);
    let title = format!("loadgen: {}", report.target);
    page::render(&title, &body, block(&json))
}

/// The page of several runs, side by side: what a sweep leaves behind. One run alone gets its own
/// page.
#[must_use]
pub fn render_many(reports: &[Report]) -> String {
    if let [report] = reports {
        return render(report);
    }
    let body = comparison::body(reports);
    let json = data::of_many(reports);
    page::render(
        &format!("loadgen: {} runs", reports.len()),
        &body,
        block(&json),
    )
}

fn block(json: &str) -> Data<'_> {
    Data { id: "report", json }
}

#[cfg(test)]
mod tests;
