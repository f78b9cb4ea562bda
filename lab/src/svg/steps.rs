//! The staircase: how many clients had been served by when, measured and predicted.

use maud::{Markup, html};

use super::place;
use super::plot::{Axis, HEIGHT, Plot, across, path, plain, upwards};
use super::scale::Scale;
use crate::exhibit::Panel;
use crate::staircase;

/// The staircase of one server whose clients stay for `hold_s`, watched for `end_s` seconds.
#[must_use]
pub fn steps(panel: &Panel, hold_s: f64, end_s: f64) -> Markup {
    let clients = panel.clients.len();
    let x = Scale::linear((0.0, end_s), across());
    let y = Scale::linear((0.0, clients as f64), upwards(HEIGHT));
    let measured: Vec<f64> = panel
        .clients
        .iter()
        .filter_map(|c| c.first_byte_s)
        .collect();
    let predicted: Vec<f64> = (0..clients)
        .map(|index| staircase::expected_s(index, panel.capacity, hold_s))
        .filter(|at_s| *at_s <= end_s)
        .collect();
    let plot = Plot {
        x: Axis::new("seconds since the start", x, plain),
        y: Axis::new("clients served so far", y, plain),
        height: HEIGHT,
    };
    let last = measured.iter().copied().fold(0.0, f64::max);
    let summary = format!(
        "{}: {} of {clients} clients served, the last first byte after {last:.2} s",
        panel.name,
        measured.len()
    );
    let marks = html! {
        path class="predicted" d=(stairs(&predicted, x, y, end_s)) {}
        path class="line s0" d=(stairs(&measured, x, y, end_s)) {}
        @for (index, at_s) in measured.iter().enumerate() {
            circle class="dot s0" cx=(place(x.at(*at_s))) cy=(place(y.at(index as f64 + 1.0))) r="2.6" {}
        }
    };
    plot.draw(&summary, &marks)
}

/// A line that rises by one at each of `moments_s` (ascending) and ends at `end_s`.
fn stairs(moments_s: &[f64], x: Scale, y: Scale, end_s: f64) -> String {
    let mut points = vec![(x.at(0.0), y.at(0.0))];
    for (index, at_s) in moments_s.iter().enumerate() {
        points.push((x.at(*at_s), y.at(index as f64)));
        points.push((x.at(*at_s), y.at(index as f64 + 1.0)));
    }
    points.push((x.at(end_s), y.at(moments_s.len() as f64)));
    path(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_moment_is_one_riser() {
        let x = Scale::linear((0.0, 2.0), (0.0, 200.0));
        let y = Scale::linear((0.0, 2.0), (100.0, 0.0));
        insta::assert_snapshot!(
            stairs(&[0.0, 1.0], x, y, 2.0),
            @"M0.0 100.0L0.0 100.0L0.0 50.0L100.0 50.0L100.0 0.0L200.0 0.0"
        );
    }
}
