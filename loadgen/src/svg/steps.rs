//! The staircase: how many clients had been served by when, measured and predicted.

use maud::{Markup, html};

use super::place;
use super::plot::{Axis, HEIGHT, Plot, across, path, plain, upwards};
use super::scale::Scale;

/// The least height of an area that has a label in it.
const ROOM_FOR_LABEL: f64 = 16.0;

/// Beyond this many clients the line is enough, and dots would only hide it.
const MOST_DOTS: usize = 100;

/// When clients were served, in seconds and ascending.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments<'a> {
    /// What was measured.
    pub measured: &'a [f64],
    /// What should have been; empty where nothing is known.
    pub predicted: &'a [f64],
}

/// When how many of the `clients` clients of the server `name` had been served, watched for `end_s`
/// seconds.
#[must_use]
pub fn steps(name: &str, clients: usize, moments: Moments<'_>, end_s: f64) -> Markup {
    let Moments {
        measured,
        predicted,
    } = moments;
    let x = Scale::linear((0.0, end_s), across());
    let y = Scale::linear((0.0, clients as f64), upwards(HEIGHT));
    let plot = Plot {
        x: Axis::new("seconds since the start", x, plain),
        y: Axis::new("clients served so far", y, plain),
        height: HEIGHT,
    };
    let last = measured.iter().copied().fold(0.0, f64::max);
    let summary = format!(
        "{name}: {} of {clients} clients served, the last first byte after {last:.2} s",
        measured.len()
    );
    let dots = measured.len() <= MOST_DOTS;
    let never = clients.saturating_sub(measured.len());
    let marks = html! {
        @if never > 0 { (unserved(never, x, (y.at(measured.len() as f64), y.at(clients as f64)))) }
        @if !predicted.is_empty() { path class="predicted" d=(stairs(predicted, x, y, end_s)) {} }
        path class="line s0" d=(stairs(measured, x, y, end_s)) {}
        @for (index, at_s) in measured.iter().enumerate().filter(|_| dots) {
            circle class="dot s0" cx=(place(x.at(*at_s))) cy=(place(y.at(index as f64 + 1.0))) r="2.6" {}
        }
    };
    plot.draw(&summary, &marks)
}

/// Those who were never served, from `bottom` to `top`.
fn unserved(clients: usize, x: Scale, (bottom, top): (f64, f64)) -> Markup {
    let (left, right) = x.range();
    html! {
        rect class="waiting" x=(place(left)) y=(place(top)) width=(place(right - left)) height=(place(bottom - top)) {}
        @if bottom - top >= ROOM_FOR_LABEL {
            text class="on-waiting" x=(place((left + right) / 2.0)) y=(place((bottom + top) / 2.0 + 3.5)) text-anchor="middle" {
                (clients) " never served"
            }
        }
    }
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
    fn the_never_served_are_an_area_of_their_own() {
        let told = |measured: &[f64]| {
            let moments = Moments {
                measured,
                predicted: &[],
            };
            steps("pool", 2, moments, 1.0).into_string()
        };
        assert!(told(&[0.0]).contains("1 never served"));
        assert!(!told(&[0.0, 0.5]).contains("never served"));
    }

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
