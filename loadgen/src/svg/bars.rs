//! How many of the clients were served and how many waited: one bar for each server.

use maud::{Markup, html};

use super::data::Bar;
use super::place;
use super::plot::WIDTH;
use super::scale::Scale;

/// Height of one bar with its name above.
const ROW: f64 = 38.0;
/// Height of the bar alone.
const THICK: f64 = 14.0;
/// The least width of a bar that has a label in it.
const ROOM_FOR_LABEL: f64 = 18.0;

/// One bar for each server, all to the same scale.
#[must_use]
pub fn bars(bars: &[Bar]) -> Markup {
    let most = bars.iter().map(|bar| bar.served + bar.waiting).max();
    let scale = Scale::linear((0.0, f64::from(most.unwrap_or(0))), (0.0, WIDTH));
    let view = format!("0 0 {WIDTH} {}", ROW * bars.len() as f64);
    let told: Vec<String> = bars.iter().map(tell).collect();
    let summary = told.join("; ");
    html! {
        svg viewBox=(view) role="img" aria-label=(summary) {
            title { (summary) }
            @for (row, bar) in bars.iter().enumerate() { (one(bar, ROW * row as f64, scale)) }
        }
    }
}

fn tell(bar: &Bar) -> String {
    format!(
        "{}: {} served, {} waiting",
        bar.name, bar.served, bar.waiting
    )
}

fn one(bar: &Bar, top: f64, scale: Scale) -> Markup {
    let split = scale.at(f64::from(bar.served));
    let end = scale.at(f64::from(bar.served + bar.waiting));
    let (y, text_y) = (top + 17.0, top + 17.0 + THICK - 3.5);
    html! {
        g class="labels" {
            text class="name" x="0" y=(place(top + 11.0)) { (bar.name) }
            text x=(place(WIDTH)) y=(place(top + 11.0)) text-anchor="end" { (bar.note) }
        }
        @if bar.served > 0 {
            rect class="served" x="0" y=(place(y)) width=(place(split)) height=(place(THICK)) rx="2" {}
        }
        @if bar.waiting > 0 {
            rect class="waiting" x=(place(split)) y=(place(y)) width=(place(end - split)) height=(place(THICK)) rx="2" {}
        }
        @if split >= ROOM_FOR_LABEL {
            text class="on-served" x="5" y=(place(text_y)) { (bar.served) }
        }
        @if end - split >= ROOM_FOR_LABEL {
            text class="on-waiting" x=(place(end - 5.0)) y=(place(text_y)) text-anchor="end" { (bar.waiting) " waiting" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_bar_add_up_to_its_clients() {
        let pool = Bar {
            name: "pool".into(),
            served: 10,
            waiting: 30,
            note: String::new(),
        };
        let svg = bars(&[pool]).into_string();
        assert!(
            svg.contains(r#"class="served" x="0" y="17.0" width="90.0""#),
            "{svg}"
        );
        assert!(
            svg.contains(r#"class="waiting" x="90.0" y="17.0" width="270.0""#),
            "{svg}"
        );
    }
}
