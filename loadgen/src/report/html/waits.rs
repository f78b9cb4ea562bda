//! The waits, each on a line of its own and never mixed.

use cli::units::micros;
use maud::{Markup, html};

use super::table::{Cell, Tone, table};
use crate::report::text::{beyond, percentile};
use crate::report::{Latency, Report};
use crate::samples::{P50, P90, P99, P999};

/// The heads of a table of waits; the first column is what is waited for.
pub(super) const HEADS: [&str; 9] = [
    "",
    "mean",
    "p50",
    "p90",
    "p99",
    "p99.9",
    "max",
    "ended",
    "still waiting",
];

/// The table of the waits.
pub(super) fn section(report: &Report) -> Markup {
    let waits = &report.latency;
    let named = [
        ("connect", &waits.connect),
        ("admission", &waits.admission),
        ("rtt", &waits.rtt),
        ("response", &waits.response),
        ("schedule lag", &waits.lag),
    ];
    let rows: Vec<Vec<Cell>> = named
        .iter()
        .filter_map(|(name, wait)| wait.as_ref().map(|wait| row(name, wait)))
        .collect();
    html! {
        section id="waits" {
            h2 { "How long did who wait?" }
            figure class="wide" {
                (table("Waits", &HEADS, &rows))
                figcaption {
                    "connect: until the connection stood. admission: from then to the client's first byte. rtt: from sending a request to its whole answer. "
                    @if waits.response.is_some() { "response: the same from the moment the request was due, so that a stall counts for all who waited behind it. schedule lag: the generator's own delay. " }
                    "A wait that had not ended takes part in every rank, as a bound such as >10s. A dash means that too few waits were measured to tell."
                }
            }
        }
    }
}

/// One kind of wait.
pub(super) fn row(name: &str, wait: &Latency) -> Vec<Cell> {
    let longest = wait.max_us.map_or_else(|| beyond(wait), micros);
    let waiting = if wait.censored > 0 {
        Cell::toned(wait.censored.to_string(), Tone::Bad)
    } else {
        "0".into()
    };
    let mut row = vec![name.into(), Cell::or_dash(wait.mean_us.map(micros))];
    for (quantile, value) in [
        (P50, wait.p50_us),
        (P90, wait.p90_us),
        (P99, wait.p99_us),
        (P999, wait.p999_us),
    ] {
        row.push(percentile(wait, quantile, value).into());
    }
    row.extend([longest.into(), wait.count.to_string().into(), waiting]);
    row
}
