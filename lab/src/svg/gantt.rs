//! One row for each client: grey while it waits, coloured while it is served.

use maud::{Markup, html};

use super::place;
use super::plot::{Axis, BOTTOM, Plot, TOP, across, plain, upwards};
use super::scale::Scale;
use crate::exhibit::Panel;

/// Height of one client's row.
const ROW: f64 = 9.0;
/// The shortest bar that can be seen.
const SLIVER: f64 = 1.5;

/// The clients of one server, in the order of their admission, watched for `end_s` seconds.
#[must_use]
pub fn gantt(panel: &Panel, end_s: f64) -> Markup {
    let rows = panel.clients.len();
    let height = TOP + BOTTOM + ROW * rows as f64;
    let x = Scale::linear((0.0, end_s), across());
    let (bottom, top) = upwards(height);
    // From the top down: the first to be admitted is the first to be read.
    let y = Scale::linear((0.0, rows as f64), (top, bottom));
    let mut clients = Axis::new("clients, by admission", y, plain);
    clients.ticks.retain(|(value, _)| *value > 0.0);
    let plot = Plot {
        x: Axis::new("seconds since the start", x, plain),
        y: clients,
        height,
    };
    let served = panel
        .clients
        .iter()
        .filter(|c| c.first_byte_s.is_some())
        .count();
    let summary = format!(
        "{}: when each of {rows} clients waited and was served ({served} were)",
        panel.name
    );
    let bar = |class: &str, row: usize, from_s: f64, to_s: f64| {
        let width = (x.at(to_s) - x.at(from_s)).max(SLIVER);
        html! {
            rect class=(class) x=(place(x.at(from_s))) y=(place(y.at(row as f64) + 1.0))
                width=(place(width)) height=(place(ROW - 2.0)) rx="1.5" {}
        }
    };
    let marks = html! {
        @for (row, client) in panel.clients.iter().enumerate() {
            @let admitted_s = client.first_byte_s.unwrap_or(end_s);
            @if admitted_s > 0.0 { (bar("waiting", row, 0.0, admitted_s)) }
            @if client.first_byte_s.is_some() {
                (bar("served", row, admitted_s, client.ended_s.unwrap_or(end_s).max(admitted_s)))
            }
        }
    };
    plot.draw(&summary, &marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exhibit::Span;

    #[test]
    fn a_client_that_was_never_served_has_no_coloured_bar() {
        let span = |first_byte_s| Span {
            first_byte_s,
            ended_s: None,
        };
        let panel = Panel {
            name: "pool".into(),
            capacity: 1,
            clients: vec![span(Some(0.0)), span(Some(1.0)), span(None)],
        };
        let svg = gantt(&panel, 2.0).into_string();
        assert_eq!(svg.matches(r#"class="served""#).count(), 2);
        assert_eq!(svg.matches(r#"class="waiting""#).count(), 2);
    }
}
