//! One row for each client: grey while it waits, coloured while it is served.

use maud::{Markup, html};

use super::data::Span;
use super::place;
use super::plot::{Axis, BOTTOM, HEIGHT, Plot, TOP, across, plain, upwards};
use super::scale::Scale;

/// Height of one client's row.
const ROW: f64 = 9.0;
/// Height of all rows together, that of any other panel; where there are many, each is lower.
const TALLEST: f64 = HEIGHT - TOP - BOTTOM;
/// The shortest bar that can be seen.
const SLIVER: f64 = 1.5;

/// The `clients` of the server `name`, in the order of their admission, watched for `end_s` seconds.
#[must_use]
pub fn gantt(name: &str, clients: &[Span], end_s: f64) -> Markup {
    let rows = clients.len();
    let row = ROW.min(TALLEST / rows.max(1) as f64);
    let height = TOP + BOTTOM + row * rows as f64;
    let x = Scale::linear((0.0, end_s), across());
    let (bottom, top) = upwards(height);
    // From the top down: the first to be admitted is the first to be read.
    let y = Scale::linear((0.0, rows as f64), (top, bottom));
    let mut order = Axis::new("clients, by admission", y, plain);
    order.ticks.retain(|(value, _)| *value > 0.0);
    let plot = Plot {
        x: Axis::new("seconds since the start", x, plain),
        y: order,
        height,
    };
    let served = clients.iter().filter(|c| c.first_byte_s.is_some()).count();
    let summary =
        format!("{name}: when each of {rows} clients waited and was served ({served} were)");
    let marks = html! {
        @for (index, client) in clients.iter().enumerate() {
            (life(client, end_s, x, (y.at(index as f64), row)))
        }
    };
    plot.draw(&summary, &marks)
}

/// The wait and the service of one client, in a row with this top and height.
fn life(client: &Span, end_s: f64, x: Scale, (top, height): (f64, f64)) -> Markup {
    let gap = (height / ROW).min(1.0);
    let bar = |class: &str, from_s: f64, to_s: f64| {
        let width = (x.at(to_s) - x.at(from_s)).max(SLIVER);
        html! {
            rect class=(class) x=(place(x.at(from_s))) y=(place(top + gap))
                width=(place(width)) height=(place(height - 2.0 * gap)) rx=(place(1.5 * gap)) {}
        }
    };
    let ended_s = client.ended_s.unwrap_or(end_s);
    let admitted_s = client.first_byte_s.unwrap_or(ended_s);
    html! {
        @if admitted_s > client.since_s { (bar("waiting", client.since_s, admitted_s)) }
        @if client.first_byte_s.is_some() { (bar("served", admitted_s, ended_s.max(admitted_s))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_was_never_served_has_no_coloured_bar() {
        let span = |first_byte_s| Span {
            first_byte_s,
            ..Span::default()
        };
        let clients = [span(Some(0.0)), span(Some(1.0)), span(None)];
        let svg = gantt("pool", &clients, 2.0).into_string();
        assert_eq!(svg.matches(r#"class="served""#).count(), 2);
        assert_eq!(svg.matches(r#"class="waiting""#).count(), 2);
    }
}
