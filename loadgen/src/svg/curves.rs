//! Latency by percentile: the rarer a wait, the further right.

use maud::{Markup, html};

use super::data::Curve;
use super::plot::{Axis, HEIGHT, Plot, across, path, upwards};
use super::scale::Scale;
use super::{dashes, series_class};

/// The percentiles that get a label, if the curves reach them.
const LABELS: [(f64, &str); 6] = [
    (0.0, "0"),
    (0.5, "50%"),
    (0.9, "90%"),
    (0.99, "99%"),
    (0.999, "99.9%"),
    (0.9999, "99.99%"),
];

/// The curves; x is the share of the waits on a logarithmic scale of `1 / (1 - share)`, y the wait
/// on a logarithmic scale.
#[must_use]
pub fn curves(curves: &[Curve]) -> Markup {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let low = points().map(|(_, us)| *us).fold(f64::INFINITY, f64::min);
    let high = points().map(|(_, us)| *us).fold(0.0, f64::max);
    let rarest = points()
        .map(|(share, _)| rarity(*share))
        .fold(2.0, f64::max);
    let x = Scale::log((1.0, rarest), across());
    let y = Scale::log(
        (decade(low, f64::floor), decade(high, f64::ceil)),
        upwards(HEIGHT),
    );
    let mut shares = Axis::new("share of the answers that were at least as fast", x, |_| {
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
        y: Axis::new("round trip", y, short),
        height: HEIGHT,
    };
    let told: Vec<String> = curves.iter().map(tell).collect();
    let at = |(share, us): &(f64, f64)| (x.at(rarity(*share)), y.at(*us));
    let marks = html! {
        @for (index, curve) in curves.iter().enumerate() {
            path class={ "line " (series_class(index)) (dashes(curve.stroke)) } d=(path(curve.points.iter().map(at))) {}
        }
    };
    plot.draw(&told.join("; "), &marks)
}

/// One wait in how many is longer than this share of them.
fn rarity(share: f64) -> f64 {
    1.0 / (1.0 - share).max(1e-7)
}

/// The power of ten below or above; a picture without waits gets a decade of its own.
fn decade(us: f64, round: fn(f64) -> f64) -> f64 {
    if us.is_finite() && us > 0.0 {
        10_f64.powf(round(us.log10()))
    } else {
        1.0
    }
}

/// A power of ten of microseconds as a label.
fn short(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.0} s", us / 1e6),
    }
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
    fn no_answers_make_an_empty_picture_and_no_nonsense() {
        let empty = Curve {
            name: "none".into(),
            ..Curve::default()
        };
        let svg = curves(&[empty]).into_string();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn labels_are_short() {
        assert_eq!(
            [short(10.0), short(1e3), short(1e5), short(1e6)],
            ["10 µs", "1 ms", "100 ms", "1 s"]
        );
    }
}
