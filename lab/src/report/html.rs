//! Pictures and tables as parts of the page. Every text is escaped by maud.

use loadgen::page::{figure, legend, who_waits};
use loadgen::staircase::expected_s;
use loadgen::svg::{self, Moments};
use maud::{Markup, html};

use crate::exhibit::{Bars, Chart, Curves, Exhibit, Offered, Panel, Staircase, Table, Tone};

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
        }) => figure(title, caption, &svg::bars(bars), &who_waits()),
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
        Exhibit::Chart(Chart {
            title,
            caption,
            x,
            y,
            series,
        }) => {
            let names: Vec<String> = series.iter().map(|line| line.name.clone()).collect();
            let picture = svg::chart((&x.0, x.1), (&y.0, y.1), series);
            figure(title, caption, &picture, &legend(&names))
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
            (who_waits())
            @if let Some(first) = panels.first() {
                div class="panels large" {
                    div { h4 { (first.name) ": clients served over time" } (steps(first, *hold_s, *end_s)) }
                    div { h4 { (first.name) ": client by client" } (svg::gantt(&first.name, &first.clients, *end_s)) }
                }
            }
            figcaption { (caption) " The dashed line is the prediction." }
            div class="panels small" {
                @for panel in panels.iter().skip(1) {
                    div { h4 { (panel.name) } (svg::gantt(&panel.name, &panel.clients, *end_s)) }
                }
            }
        }
    }
}

/// The stairs of a server whose clients stay for `hold_s`, and those that its capacity predicts.
fn steps(panel: &Panel, hold_s: f64, end_s: f64) -> Markup {
    let clients = panel.clients.len();
    let measured: Vec<f64> = panel
        .clients
        .iter()
        .filter_map(|client| client.first_byte_s)
        .collect();
    let predicted: Vec<f64> = (0..clients)
        .map(|index| expected_s(index, panel.capacity, hold_s))
        .filter(|at_s| *at_s <= end_s)
        .collect();
    let moments = Moments {
        measured: &measured,
        predicted: &predicted,
    };
    svg::steps(&panel.name, clients, moments, end_s)
}

fn tone(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Plain => None,
        Tone::Good => Some("good"),
        Tone::Bad => Some("bad"),
        Tone::Faint => Some("faint"),
    }
}
