//! Pictures and tables as parts of the page. Every text is escaped by maud.

use maud::{Markup, html};

use crate::exhibit::{Bars, Curves, Exhibit, Offered, Staircase, Table, Tone};
use crate::svg;
use crate::verdict::Verdict;

/// One exhibit with its title and what to see in it.
pub(super) fn exhibit(exhibit: &Exhibit) -> Markup {
    match exhibit {
        Exhibit::Table(shown) => table(shown),
        Exhibit::Staircase(shown) => staircase(shown),
        Exhibit::Bars(Bars {
            title,
            caption,
            bars,
        }) => figure(title, caption, &svg::bars(bars), &key()),
        Exhibit::Offered(Offered {
            title,
            caption,
            lines,
        }) => {
            let (picture, names) = svg::offered(lines);
            figure(title, caption, &picture, &legend(&names))
        }
        Exhibit::Curves(Curves {
            title,
            caption,
            curves,
        }) => {
            let names: Vec<String> = curves.iter().map(|curve| curve.name.clone()).collect();
            figure(title, caption, &svg::curves(curves), &legend(&names))
        }
    }
}

/// A table that scrolls on its own where the page is narrow.
pub(super) fn table(table: &Table) -> Markup {
    html! {
        figure class="wide" {
            h3 { (table.title) }
            div class="scroll" tabindex="0" role="region" aria-label=(table.title) {
                table {
                    thead { tr { @for head in &table.header { th scope="col" { (head) } } } }
                    tbody {
                        @for row in &table.rows {
                            tr {
                                @for (column, cell) in row.iter().enumerate() {
                                    @if column == 0 {
                                        th scope="row" class=[tone(cell.tone)] { (cell.text) }
                                    } @else {
                                        td class=[tone(cell.tone)] { (cell.text) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            figcaption { (table.caption) }
        }
    }
}

/// The verdict as a badge; colour is never the only sign.
pub(super) fn badge(verdict: Verdict) -> Markup {
    let (class, sign) = match verdict {
        Verdict::Holds => ("badge good", "✓"),
        Verdict::Inconclusive => ("badge unclear", "?"),
        Verdict::DoesNotHold => ("badge bad", "✗"),
    };
    html! { span class=(class) { span aria-hidden="true" { (sign) } " " (verdict) } }
}

/// A picture, and beside it, or below where there is no room, how to read it.
fn figure(title: &str, caption: &str, picture: &Markup, legend: &Markup) -> Markup {
    html! {
        figure {
            h3 { (title) }
            div class="body" {
                div class="picture" { (picture) }
                div class="aside" {
                    (legend)
                    figcaption { (caption) }
                }
            }
        }
    }
}

/// The first server large, as stairs and as rows; then the rows of all others, side by side.
fn staircase(staircase: &Staircase) -> Markup {
    let Staircase {
        title,
        caption,
        hold_s,
        end_s,
        panels,
    } = staircase;
    html! {
        figure class="wide" {
            h3 { (title) }
            (key())
            @if let Some(first) = panels.first() {
                div class="panels large" {
                    div { h4 { (first.name) ": clients served over time" } (svg::steps(first, *hold_s, *end_s)) }
                    div { h4 { (first.name) ": client by client" } (svg::gantt(first, *end_s)) }
                }
            }
            figcaption { (caption) " The dashed line is the prediction." }
            div class="panels small" {
                @for panel in panels.iter().skip(1) {
                    div { h4 { (panel.name) } (svg::gantt(panel, *end_s)) }
                }
            }
        }
    }
}

fn key() -> Markup {
    html! {
        ul class="legend" {
            li { span class="key served" {} "served" }
            li { span class="key waiting" {} "connected and waiting" }
        }
    }
}

/// The names of series in their colours.
fn legend(names: &[String]) -> Markup {
    html! {
        ul class="legend" {
            @for (index, name) in names.iter().enumerate() {
                li { span class={ "key " (svg::series_class(index)) } {} (name) }
            }
        }
    }
}

fn tone(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Plain => None,
        Tone::Good => Some("good"),
        Tone::Bad => Some("bad"),
        Tone::Faint => Some("faint"),
    }
}
