//! How waits are spread, moment by moment: the darker a cell, the more of them.

use maud::{Markup, html};

use super::data::Heat;
use super::place;
use super::plot::{Axis, HEIGHT, Plot, across, plain, upwards, wait};
use super::scale::Scale;

/// How many shades the style sheet has.
const SHADES: usize = 8;

/// The heat map.
#[must_use]
pub fn heat(heat: &Heat) -> Markup {
    let x = Scale::linear((0.0, heat.end_s), across());
    let y = Scale::log(heat.waits_us, upwards(HEIGHT));
    let most = heat.columns.iter().flatten().copied().max().unwrap_or(0);
    let mut shades = vec![String::new(); SHADES];
    let (bottom, top) = upwards(HEIGHT);
    for (index, column) in heat.columns.iter().enumerate() {
        let at = |edge: usize| x.at(heat.end_s * edge as f64 / heat.columns.len() as f64);
        let height = (bottom - top) / column.len().max(1) as f64;
        for (row, count) in column.iter().enumerate().filter(|(_, count)| **count > 0) {
            let cell = (at(index), bottom - height * (row + 1) as f64);
            let size = (at(index + 1) - at(index), height);
            shades[shade(*count, most)].push_str(&rectangle(cell, size));
        }
    }
    let plot = Plot {
        x: Axis::new("seconds since the start of the window", x, plain),
        y: Axis::new("time to the answer", y, wait),
        height: HEIGHT,
    };
    let marks = html! {
        @for (shade, cells) in shades.iter().enumerate().filter(|(_, cells)| !cells.is_empty()) {
            path class={ "heat h" (shade) } d=(cells) {}
        }
    };
    let summary = format!("how the answers are spread over time; at most {most} in one cell");
    plot.draw(&summary, &marks)
}

/// Which shade; steps are ratios, so that a few slow answers beside a million fast ones are seen.
fn shade(count: u64, most: u64) -> usize {
    let share = (count as f64).ln_1p() / (most.max(1) as f64).ln_1p();
    // The square keeps the shades for the upper ratios, where the bulk is.
    let share = share * share;
    (0..SHADES)
        .rev()
        .find(|shade| share * SHADES as f64 > *shade as f64)
        .unwrap_or(0)
}

fn rectangle((x, y): (f64, f64), (width, height): (f64, f64)) -> String {
    let (x, y, width, height) = (place(x), place(y), place(width), place(height));
    format!("M{x} {y}h{width}v{height}h-{width}z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_cell_is_the_darkest_and_one_answer_is_seen() {
        assert_eq!((shade(1_000, 1_000), shade(1, 1)), (SHADES - 1, SHADES - 1));
        assert_eq!(shade(1, 1_000_000), 0);
        assert!((1..1_000).all(|count| shade(count, 1_000) <= shade(count + 1, 1_000)));
    }

    #[test]
    fn an_empty_cell_is_not_drawn() {
        let map = Heat {
            end_s: 2.0,
            waits_us: (10.0, 1000.0),
            columns: vec![vec![0, 5], vec![1, 0]],
        };
        assert_eq!(heat(&map).into_string().matches('z').count(), 2);
        let empty = Heat {
            columns: vec![],
            ..map
        };
        assert!(!heat(&empty).into_string().contains("NaN"));
    }
}
