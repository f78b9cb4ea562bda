//! Latency by percentile: the rarer a wait, the further right.

use maud::{Markup, html};

use super::data::Curve;
use super::plot::{Axis, HEIGHT, Plot, across, decade, path, upwards, wait};
use super::scale::Scale;
use super::{dashes, place, series_class};

/// The percentiles that get a label, if the curves reach them.
const LABELS: [(f64, &str); 6] = [
    (0.0, "0"),
    (0.5, "50%"),
    (0.9, "90%"),
    (0.99, "99%"),
    (0.999, "99.9%"),
    (0.9999, "99.99%"),
];

/// How far the axis goes on beyond the last answer, so that those without one can be seen.
const ROOM_BEYOND: f64 = 3.0;

/// The curves; x is the share of the waits on a logarithmic scale of `1 / (1 - share)`, y the wait
/// on a logarithmic scale.
#[must_use]
pub fn curves(curves: &[Curve]) -> Markup {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let low = points().map(|(_, us)| *us).fold(f64::INFINITY, f64::min);
    let high = points().map(|(_, us)| *us).fold(0.0, f64::max);
    let ended = curves
        .iter()
        .filter_map(|curve| curve.ended)
        .reduce(f64::min);
    let rarest = points()
        .map(|(share, _)| rarity(*share))
        .chain(ended.map(|share| rarity(share) * ROOM_BEYOND))
        .fold(2.0, f64::max);
    let x = Scale::log((1.0, rarest), across());
    let y = Scale::log(
        (decade(low, f64::floor), decade(high, f64::ceil)),
        upwards(HEIGHT),
    );
    let mut shares = Axis::new("share of the requests answered at least as fast", x, |_| {
        String::new()
    });
    let reached = |(share, _): &&(f64, &str)| rarity(*share) <= rarest;
    shares.ticks = LABELS
        .iter()
        .filter(reached)
        .map(|(share, text)| (rarity(*share), (*text).to_owned()))
        .collect();
    let plot = Plot {
        x: shares,
        y: Axis::new("time to the answer", y, wait),
        height: HEIGHT,
    };
    let told: Vec<String> = curves.iter().map(tell).collect();
    let at = |(share, us): &(f64, f64)| (x.at(rarity(*share)), y.at(*us));
    let marks = html! {
        @if let Some(share) = ended { (beyond(x.at(rarity(share)))) }
        @for (index, curve) in curves.iter().enumerate() {
            path class={ "line " (series_class(index)) (dashes(curve.stroke)) } d=(path(curve.points.iter().map(at))) {}
        }
    };
    plot.draw(&told.join("; "), &marks)
}

/// Those who got no answer: nothing is known of them but that they belong to the right.
fn beyond(from: f64) -> Markup {
    let ((_, right), (bottom, top)) = (across(), upwards(HEIGHT));
    let middle = format!(
        "{} {}",
        place((from + right) / 2.0),
        place((top + bottom) / 2.0)
    );
    html! {
        rect class="waiting" x=(place(from)) y=(place(top)) width=(place(right - from)) height=(place(bottom - top)) {}
        g transform={ "translate(" (middle) ") rotate(-90)" } {
            text class="on-waiting" y="3.5" text-anchor="middle" { "not answered" }
        }
    }
}

/// One wait in how many is longer than this share of them.
fn rarity(share: f64) -> f64 {
    1.0 / (1.0 - share).max(1e-7)
}

fn tell(curve: &Curve) -> String {
    let last = curve.points.last();
    let worst = last.map_or_else(
        || "no answers".to_owned(),
        |(_, us)| cli::units::micros(*us),
    );
    format!("{}: up to {worst}", curve.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_without_an_answer_are_seen() {
        let mut curve = Curve {
            points: vec![(0.0, 10.0), (0.9, 20.0)],
            ..Curve::default()
        };
        let told = |curve: &Curve| {
            curves(std::slice::from_ref(curve))
                .into_string()
                .contains("not answered")
        };
        assert!(!told(&curve));
        curve.ended = Some(0.08);
        assert!(told(&curve));
    }

    #[test]
    fn no_answers_make_an_empty_picture_and_no_nonsense() {
        let empty = Curve {
            name: "none".into(),
            ..Curve::default()
        };
        let svg = curves(&[empty]).into_string();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
