//! The top of the page: what the run means, and whether to believe it.

use std::time::{Duration, UNIX_EPOCH};

use cli::units::{bytes, number};
use maud::{Markup, html};

use super::table::badge;
use crate::report::{Report, Verdict, sentence};

/// Characters that fit into a headline of large letters.
const LONG_HEADLINE: usize = 130;
/// The last second that has a date with a year of four digits.
const LAST_DATE_S: f64 = 253_402_300_799.0;

/// The sentence, the badges and the figures that people look for first.
pub(super) fn header(report: &Report) -> Markup {
    html! {
        header {
            p class="kicker" { "loadgen · " (report.target) @if let Some(date) = date(report) { " · " (date) } }
            (headline(&sentence::conclude(report)))
            p class="badges" {
                (badge(report.audit.verdict, "audit: "))
                @for gate in &report.gates { " " (badge(gate.verdict, &format!("{}: ", gate.name))) }
                @if report.interrupted { " " span class="badge unclear" { "! interrupted: partial" } }
                @if report.merged > 1 { " " span class="badge" { "sum of " (report.merged) " reports" } }
            }
            (tiles(report))
        }
    }
}

/// The first thing to read; a long one in smaller letters.
pub(super) fn headline(text: &str) -> Markup {
    let long = text.chars().count() > LONG_HEADLINE;
    html! { h1 class=[long.then_some("long")] { (text) } }
}

fn tiles(report: &Report) -> Markup {
    let clients = &report.clients;
    let failed = report.requests.errors + report.requests.timeouts;
    html! {
        ul class="tiles" {
            (tile("clients served", &format!("{} of {}", clients.served, clients.asked), (clients.starved > 0).then(|| format!("{} never got a byte", clients.starved))))
            (tile("answers per second", &report.rate_per_s.map_or("none".to_owned(), number), traffic(report)))
            (tile("effective clients", &clients.effective.map_or("none".to_owned(), |n| format!("{n:.1}")), clients.fairness.map(|f| format!("fairness {f:.2}"))))
            (tile("requests failed", &number(failed as f64), (report.mismatches > 0).then(|| format!("{} with wrong bytes", report.mismatches))))
        }
    }
}

fn tile(name: &str, figure: &str, note: Option<String>) -> Markup {
    html! {
        li {
            span class="kicker" { (name) }
            strong { (figure) }
            span class="kicker" { (note.unwrap_or_default()) }
        }
    }
}

fn traffic(report: &Report) -> Option<String> {
    let per_second = report.bytes.total() as f64 / report.duration_s;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast of a float saturates, and the figure is for people"
    )]
    per_second.is_finite().then(|| {
        format!(
            "{}/s in {:.1} s",
            bytes(per_second as u64),
            report.duration_s
        )
    })
}

/// When the run began, in universal time.
pub(super) fn date(report: &Report) -> Option<String> {
    let began_s = Some(report.started_unix_s).filter(|s| (0.0..=LAST_DATE_S).contains(s))?;
    let began = UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(began_s).ok()?)?;
    Some(humantime::format_rfc3339_seconds(began).to_string())
}

/// Whether a figure of this run must not be compared with others.
pub(super) fn doubtful(report: &Report) -> bool {
    report.audit.verdict == Verdict::Fail || report.mismatches > 0 || report.clients.starved > 0
}
