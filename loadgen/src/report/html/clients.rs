//! Who was admitted when: the staircase and the rows of clients.

use maud::{Markup, html};

use crate::page::{figure, who_waits};
use crate::report::{Life, Report, sentence};
use crate::staircase::{expected_s, fit};
use crate::svg::{self, Moments, Span};

/// Rows that a picture has at most; of more clients every second, third and so on is drawn.
const MOST_ROWS: usize = 100;

/// The pictures of the clients; nothing where the report does not list them.
pub(super) fn section(report: &Report) -> Markup {
    let mut connected: Vec<&Life> = report
        .lives
        .iter()
        .filter(|life| life.connected_s.is_some())
        .collect();
    if connected.is_empty() {
        return html! {};
    }
    let first = |life: &&Life| life.first_byte_s.unwrap_or(f64::INFINITY);
    connected.sort_by(|a, b| first(a).total_cmp(&first(b)));
    let end_s = end_s(report);
    html! {
        section id="clients" {
            h2 { "Who was served, and when?" }
            div class="exhibits" {
                (stairs(report, &connected, end_s))
                (rows(&connected, end_s))
            }
        }
    }
}

/// The end of the run: of its window, or of whatever was seen last.
fn end_s(report: &Report) -> f64 {
    let warmup_s = setting_s(report, "warmup").unwrap_or(0.0);
    let seen = report.lives.iter().flat_map(|life| {
        let moments = [life.connected_s, life.first_byte_s, life.ended_s];
        moments.into_iter().flatten()
    });
    seen.fold(warmup_s + report.duration_s, f64::max)
}

/// A duration among the flags, in seconds.
fn setting_s(report: &Report, flag: &str) -> Option<f64> {
    let typed = report.config.get(flag)?.as_str()?;
    cli::units::parse_duration(typed).map(|length| length.as_secs_f64())
}

fn stairs(report: &Report, clients: &[&Life], end_s: f64) -> Markup {
    let measured: Vec<f64> = clients
        .iter()
        .filter_map(|life| life.first_byte_s)
        .collect();
    let reading = Reading::of(report, &measured);
    let predicted = reading.predicted(clients.len(), end_s);
    let moments = Moments {
        measured: &measured,
        predicted: &predicted,
    };
    let picture = svg::steps(&report.target, clients.len(), moments, end_s);
    figure(
        "The staircase of admission",
        &reading.say(report, &measured),
        &picture,
        &html! {},
    )
}

fn rows(clients: &[&Life], end_s: f64) -> Markup {
    let every = clients.len().div_ceil(MOST_ROWS);
    let spans: Vec<Span> = clients
        .iter()
        .step_by(every)
        .map(|life| span(life))
        .collect();
    let left_out = match every {
        1 => String::new(),
        n => format!(" Of {} clients one in {n} is drawn.", clients.len()),
    };
    let caption = format!(
        "A row is a client, from its connection to its end: hatched while it waits for its first \
         byte, coloured from then on.{left_out}"
    );
    figure(
        "Client by client",
        &caption,
        &svg::gantt("clients", &spans, end_s),
        &who_waits(),
    )
}

fn span(life: &Life) -> Span {
    Span {
        since_s: life.connected_s.unwrap_or(0.0),
        first_byte_s: life.first_byte_s,
        ended_s: life.ended_s,
    }
}

/// What the staircase gives away.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reading {
    /// Nobody was served.
    Nobody,
    /// Steps as high as the pool and as wide as a client's stay.
    Steps { at_once: usize, hold_s: f64 },
    /// Some were served and the others waited to the end.
    Flat { served: usize },
    /// Everybody was served, over this long.
    Everybody { within_s: f64 },
}

impl Reading {
    /// Reads it off the moments of the first bytes, which ascend.
    fn of(report: &Report, measured: &[f64]) -> Self {
        let (Some(first), Some(last)) = (measured.first(), measured.last()) else {
            return Self::Nobody;
        };
        let hold_s = setting_s(report, "hold").filter(|hold_s| *hold_s > 0.0);
        let steps = hold_s.and_then(|hold_s| {
            let fit = fit(measured, hold_s).filter(|fit| fit.stepped)?;
            Some(Self::Steps {
                at_once: fit.concurrent,
                hold_s,
            })
        });
        let flat = (report.clients.starved > 0).then_some(Self::Flat {
            served: measured.len(),
        });
        steps.or(flat).unwrap_or(Self::Everybody {
            within_s: last - first,
        })
    }

    /// When `clients` clients would be admitted if the reading is right.
    fn predicted(self, clients: usize, end_s: f64) -> Vec<f64> {
        let Self::Steps { at_once, hold_s } = self else {
            return Vec::new();
        };
        (0..clients)
            .map(|index| expected_s(index, at_once, hold_s))
            .filter(|at_s| *at_s <= end_s)
            .collect()
    }

    /// In words.
    fn say(self, report: &Report, measured: &[f64]) -> String {
        let starved = report.clients.starved;
        match self {
            Self::Nobody => "The line stays at 0: no client got a byte.".to_owned(),
            Self::Steps { at_once, hold_s } => format!(
                "Steps of {at_once}, one for each {hold_s} s that a client stays: seen from \
                 outside, the server serves {at_once} at once. The dashed line is what a pool of \
                 {at_once} would do."
            ),
            Self::Flat { served } => {
                let looks_like = if sentence::overflows(report).is_some() {
                    "The accept queue overflowed meanwhile, so that this may be its limit."
                        .to_owned()
                } else {
                    format!("That is what a pool of {served} looks like.")
                };
                format!(
                    "The line stops at {served} and stays flat: {served} were let in, and as long \
                     as they stay nobody else is. {starved} waited in vain. {looks_like}"
                )
            }
            Self::Everybody { within_s } => format!(
                "One riser and no steps: all {} were admitted within {} of the first, so nothing \
                 here limits how many are served at once.",
                measured.len(),
                cli::units::micros(within_s * 1e6)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn read(measured: &[f64], hold: &str, starved: u32) -> Reading {
        let mut report = sample::starved();
        report.config.insert("hold".into(), hold.into());
        report.clients.starved = starved;
        Reading::of(&report, measured)
    }

    #[test]
    fn the_shape_gives_the_pool_away() {
        let steps = Reading::Steps {
            at_once: 2,
            hold_s: 1.0,
        };
        assert_eq!(read(&[0.0, 0.01, 1.0, 1.01, 2.0], "1s", 40), steps);
        assert_eq!(steps.predicted(5, 1.5), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(read(&[0.0, 0.01], "0s", 40), Reading::Flat { served: 2 });
        assert_eq!(
            read(&[0.0, 0.5], "0s", 0),
            Reading::Everybody { within_s: 0.5 }
        );
        assert_eq!(read(&[], "0s", 50), Reading::Nobody);
    }
}
