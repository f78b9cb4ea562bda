//! The frame of a panel: its grid, its axes and their labels.

use maud::{Markup, html};

use super::{Scale, place};

/// Width of every panel: a telephone shows it without shrinking the text.
pub(super) const WIDTH: f64 = 360.0;
/// Height of a panel whose content does not ask for another.
pub(super) const HEIGHT: f64 = 230.0;
/// Room for the labels on the left.
pub(super) const LEFT: f64 = 62.0;
/// Room on the right, or the last label would be clipped.
pub(super) const RIGHT: f64 = 14.0;
/// About half the width of one character of a label.
const HALF_CHARACTER: f64 = 3.2;
/// Room above.
pub(super) const TOP: f64 = 12.0;
/// Room for the labels below.
pub(super) const BOTTOM: f64 = 38.0;
/// About how many labels an axis gets.
pub(super) const TICKS: usize = 6;

/// One side of a panel.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// What is measured, with its unit.
    pub(super) label: String,
    /// Where values are drawn.
    pub(super) scale: Scale,
    /// The values that get a line and their text.
    pub(super) ticks: Vec<(f64, String)>,
}

/// A panel without its content.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    /// The horizontal axis.
    pub(super) x: Axis,
    /// The vertical axis.
    pub(super) y: Axis,
    /// Total height.
    pub(super) height: f64,
}

/// The horizontal range inside the frame.
pub(super) const fn across() -> (f64, f64) {
    (LEFT, WIDTH - RIGHT)
}

/// The vertical range inside the frame, from the bottom up.
pub(super) const fn upwards(height: f64) -> (f64, f64) {
    (height - BOTTOM, TOP)
}

impl Axis {
    /// An axis whose round values are written by `text`.
    pub(super) fn new(label: &str, scale: Scale, text: impl Fn(f64) -> String) -> Self {
        let ticks = scale.ticks(TICKS);
        Self {
            label: label.to_owned(),
            scale,
            ticks: ticks
                .into_iter()
                .map(|value| (value, text(value)))
                .collect(),
        }
    }
}

impl Plot {
    /// The panel with `marks` in it; `summary` says in words what it shows.
    pub(super) fn draw(&self, summary: &str, marks: &Markup) -> Markup {
        let view = format!("0 0 {WIDTH} {}", self.height);
        html! {
            svg viewBox=(view) role="img" aria-label=(summary) {
                title { (summary) }
                (self.grid())
                (marks)
                (self.labels())
            }
        }
    }

    fn grid(&self) -> Markup {
        let ((left, right), (bottom, top)) = (across(), upwards(self.height));
        html! {
            g class="grid" {
                @for (value, _) in &self.x.ticks {
                    @let x = place(self.x.scale.at(*value));
                    line x1=(x) x2=(x) y1=(place(bottom)) y2=(place(top)) {}
                }
                @for (value, _) in &self.y.ticks {
                    @let y = place(self.y.scale.at(*value));
                    line x1=(place(left)) x2=(place(right)) y1=(y) y2=(y) {}
                }
            }
        }
    }

    fn labels(&self) -> Markup {
        let ((left, right), (bottom, top)) = (across(), upwards(self.height));
        let (middle, half_way) = ((left + right) / 2.0, (top + bottom) / 2.0);
        let turned = format!("rotate(-90 11 {})", place(half_way));
        html! {
            g class="labels" {
                @for (value, text) in &self.x.ticks {
                    @let x = self.x.scale.at(*value);
                    @let half = HALF_CHARACTER * text.chars().count() as f64;
                    // A long label in the corner would be cut off if it stood centred below its line.
                    @let (x, anchor) = if x + half > WIDTH { (WIDTH, "end") } else { (x, "middle") };
                    text x=(place(x)) y=(place(bottom + 14.0)) text-anchor=(anchor) { (text) }
                }
                @for (value, text) in &self.y.ticks {
                    text x=(place(left - 6.0)) y=(place(self.y.scale.at(*value) + 3.5)) text-anchor="end" { (text) }
                }
                text class="axis" x=(place(middle)) y=(place(self.height - 6.0)) text-anchor="middle" { (self.x.label) }
                text class="axis" x="11" y=(place(half_way)) text-anchor="middle" transform=(turned) { (self.y.label) }
            }
        }
    }
}

/// A number without needless decimals.
pub(super) fn plain(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

/// A wait as a label: a round number of microseconds in the largest unit that fits.
pub(super) fn wait(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{} µs", plain(us)),
        us if us < 1e6 => format!("{} ms", plain(us / 1e3)),
        us => format!("{} s", plain(us / 1e6)),
    }
}

/// The power of ten below or above; a picture without waits gets a decade of its own.
pub(super) fn decade(us: f64, round: fn(f64) -> f64) -> f64 {
    if us.is_finite() && us > 0.0 {
        10_f64.powf(round(us.log10()))
    } else {
        1.0
    }
}

/// Distinct values that lie far enough apart on their axis to be labelled.
pub(super) fn spaced(
    values: impl Iterator<Item = f64>,
    axis: Scale,
    text: impl Fn(f64) -> String,
) -> Vec<(f64, String)> {
    const APART: f64 = 16.0;
    let mut values: Vec<f64> = values.filter(|value| *value > 0.0).collect();
    values.sort_by(f64::total_cmp);
    let mut ticks: Vec<(f64, String)> = Vec::new();
    for value in values {
        let near = ticks
            .last()
            .is_some_and(|(last, _)| (axis.at(value) - axis.at(*last)).abs() < APART);
        if !near {
            ticks.push((value, text(value)));
        }
    }
    ticks
}

/// A path through `points`, given in places.
pub(super) fn path(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (x, y) in points {
        let command = if path.is_empty() { 'M' } else { 'L' };
        path.push_str(&format!("{command}{} {}", place(x), place(y)));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lose_their_zeros_only() {
        assert_eq!(
            [plain(5.0), plain(0.5), plain(10.0), plain(0.25)],
            ["5", "0.5", "10", "0.25"]
        );
    }

    #[test]
    fn waits_are_short() {
        assert_eq!(
            [0.5, 10.0, 1e3, 2e5, 1e6].map(wait),
            ["0.5 µs", "10 µs", "1 ms", "200 ms", "1 s"]
        );
    }

    #[test]
    fn labels_that_would_overlap_are_left_out() {
        let x = Scale::log((1.0, 50.0), (0.0, 200.0));
        let values = [50.0, 5.0, 1.0, 4.0, 20.0].into_iter();
        let texts: Vec<String> = spaced(values, x, plain).into_iter().map(|t| t.1).collect();
        assert_eq!(texts, ["1", "4", "20", "50"]);
    }

    #[test]
    fn texts_in_a_picture_are_escaped() {
        let scale = Scale::linear((0.0, 1.0), across());
        let axis = Axis::new("<b>&", scale, plain);
        let plot = Plot {
            x: axis.clone(),
            y: axis,
            height: HEIGHT,
        };
        let svg = plot.draw("\"><script>", &html! {}).into_string();
        assert!(!svg.contains("<script>") && !svg.contains("<b>"), "{svg}");
    }
}
