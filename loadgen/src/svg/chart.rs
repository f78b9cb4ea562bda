//! Lines over a quantity: time, clients, load.

use maud::{Markup, html};

use super::data::{Measure, Series};
use super::plot::{Axis, HEIGHT, Plot, across, decade, path, plain, spaced, upwards, wait};
use super::scale::Scale;
use super::{dashes, place, series_class};

/// Up to this many points of a line are marked, so that a lonely one can be seen too.
const MOST_DOTS: usize = 60;

/// The `series` over `x`; a point without a value is a gap.
#[must_use]
pub fn chart(x: (&str, Measure), y: (&str, Measure), series: &[Series]) -> Markup {
    let points = || series.iter().flat_map(|line| &line.points);
    let across = axis(x, points().map(|(x, _)| *x), across());
    let upwards = axis(y, points().filter_map(|(_, y)| *y), upwards(HEIGHT));
    let at = |x: f64, y: f64| (across.scale.at(x), upwards.scale.at(y));
    let marks = html! {
        @for (index, line) in series.iter().enumerate() {
            @let class = series_class(index);
            path class={ "line " (class) (dashes(line.stroke)) } d=(pieces(&line.points, at)) {}
            @if line.points.len() <= MOST_DOTS {
                @for (index, (x, y)) in line.points.iter().enumerate() {
                    @if let Some(y) = y { (dot(&class, line.hollow.contains(&index), at(*x, *y))) }
                }
            }
        }
    };
    let summary: Vec<String> = series.iter().map(|line| tell(line, x.0, y)).collect();
    let plot = Plot {
        x: across,
        y: upwards,
        height: HEIGHT,
    };
    plot.draw(&summary.join("; "), &marks)
}

fn dot(class: &str, hollow: bool, (x, y): (f64, f64)) -> Markup {
    let (kind, radius) = if hollow {
        ("hollow", "3")
    } else {
        ("dot", "2.2")
    };
    html! { circle class={ (kind) " " (class) } cx=(place(x)) cy=(place(y)) r=(radius) {} }
}

fn axis(
    (label, measure): (&str, Measure),
    values: impl Iterator<Item = f64>,
    range: (f64, f64),
) -> Axis {
    let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    match measure {
        Measure::Seconds => Axis::new(label, Scale::linear((0.0, high), range), plain),
        // A little air, or the highest point sits on the frame.
        Measure::Amount => {
            let scale = Scale::linear((0.0, high * 1.08), range);
            Axis::new(label, scale, amount)
        }
        Measure::Wait => {
            let decades = (decade(low, f64::floor), decade(high, f64::ceil));
            Axis::new(label, Scale::log(decades, range), wait)
        }
        Measure::Count => {
            let scale = Scale::log((if low.is_finite() { low } else { 1.0 }, high), range);
            let mut axis = Axis::new(label, scale, plain);
            axis.ticks = spaced(values.into_iter(), scale, amount);
            axis
        }
    }
}

/// A round number as a label: `30k`.
fn amount(value: f64) -> String {
    cli::units::number(value).replace(".0", "")
}

/// A path that is interrupted where a value is missing.
fn pieces(points: &[(f64, Option<f64>)], at: impl Fn(f64, f64) -> (f64, f64)) -> String {
    let pieces = points.split(|(_, y)| y.is_none());
    pieces
        .map(|piece| path(piece.iter().filter_map(|(x, y)| y.map(|y| at(*x, y)))))
        .collect()
}

fn tell(line: &Series, x: &str, (y, measure): (&str, Measure)) -> String {
    let text = |value: f64| match measure {
        Measure::Wait => cli::units::micros(value),
        _ => cli::units::number(value),
    };
    let values = || line.points.iter().filter_map(|(_, y)| *y);
    let least = values().reduce(f64::min);
    match (least, values().reduce(f64::max)) {
        (Some(least), Some(most)) => format!(
            "{}: {y} over {x}, from {} to {}",
            line.name,
            text(least),
            text(most)
        ),
        _ => format!("{}: nothing measured", line.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_value_is_a_gap() {
        let points = [
            (0.0, Some(1.0)),
            (1.0, None),
            (2.0, Some(3.0)),
            (3.0, Some(4.0)),
        ];
        insta::assert_snapshot!(pieces(&points, |x, y| (x, y)), @"M0.0 1.0M2.0 3.0L3.0 4.0");
    }

    #[test]
    fn amounts_are_short() {
        assert_eq!(
            [0.0, 10.0, 30_000.0, 2_500.0, 1e6].map(amount),
            ["0", "10", "30k", "2.5k", "1M"]
        );
    }

    #[test]
    fn nothing_measured_is_no_nonsense() {
        let line = Series {
            name: "none".into(),
            points: vec![(1.0, None)],
            ..Series::default()
        };
        for (x, y) in [
            (Measure::Count, Measure::Wait),
            (Measure::Seconds, Measure::Amount),
        ] {
            for series in [vec![], vec![line.clone()]] {
                let svg = chart(("x", x), ("y", y), &series).into_string();
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }
}
