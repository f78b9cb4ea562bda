//! Pictures as inline SVG, drawn by hand so that a report needs no script, no font and no network.
//!
//! ```text
//! scale (values → places, ticks) ──▶ plot (frame, grid, labels) ──▶ steps, gantt, bars, offered, curves, chart, heat
//! ```
//!
//! Colours are class names only: the page's style sheet knows light from dark. A panel is narrow
//! enough for a telephone, and pages set several of them side by side.

mod bars;
mod chart;
mod curves;
mod data;
mod gantt;
mod heat;
mod offered;
mod plot;
mod scale;
mod steps;

pub use bars::bars;
pub use chart::chart;
pub use curves::curves;
pub use data::{Bar, Curve, Heat, Measure, OfferedLine, Series, Span, Stroke};
pub use gantt::gantt;
pub use heat::heat;
pub use offered::offered;
pub use scale::{Scale, nice_ticks};
pub use steps::{Moments, steps};

/// How many colours the style sheet has for series; further series begin again.
pub const SERIES_COLOURS: usize = 6;

/// A place in a picture, with the one decimal that an eye can see.
fn place(value: f64) -> String {
    format!("{value:.1}")
}

/// The class of series number `index`.
#[must_use]
pub fn series_class(index: usize) -> String {
    format!("s{}", index % SERIES_COLOURS)
}

/// What a stroke adds to the classes of a line.
fn dashes(stroke: Stroke) -> &'static str {
    match stroke {
        Stroke::Solid => "",
        Stroke::Dashed => " dashed",
    }
}
