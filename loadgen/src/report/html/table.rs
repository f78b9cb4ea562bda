//! Tables and lists of the page.

use maud::{Markup, html};

use crate::report::Verdict;

/// How a cell is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    /// As any other.
    #[default]
    Plain,
    /// A warning: starved or invalid; never to be ranked.
    Bad,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell that is a warning if `tone` says so.
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }

    /// A figure, or a dash where there is none.
    pub(super) fn or_dash(figure: Option<String>) -> Self {
        figure.unwrap_or_else(|| "-".to_owned()).into()
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// A table that scrolls on its own where the page is narrow; the first cell of each row names it.
pub(super) fn table(title: &str, heads: &[&str], rows: &[Vec<Cell>]) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label=(title) {
            table {
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody { @for row in rows { (line(row)) } }
            }
        }
    }
}

fn line(row: &[Cell]) -> Markup {
    let class = |cell: &Cell| (cell.tone == Tone::Bad).then_some("bad");
    html! {
        tr {
            @for (column, cell) in row.iter().enumerate() {
                @if column == 0 {
                    th scope="row" class=[class(cell)] { (cell.text) }
                } @else {
                    td class=[class(cell)] { (cell.text) }
                }
            }
        }
    }
}

/// Names and what belongs to them.
pub(super) fn list(entries: &[(&str, String)]) -> Markup {
    html! {
        dl { @for (name, value) in entries { dt { (name) } dd { (value) } } }
    }
}

/// A verdict as a badge; colour is never the only sign.
pub(super) fn badge(verdict: Verdict, what: &str) -> Markup {
    let (class, sign, word) = match verdict {
        Verdict::Pass => ("badge good", "✓", "pass"),
        Verdict::Warn => ("badge unclear", "!", "warn"),
        Verdict::Fail => ("badge bad", "✗", "fail"),
    };
    html! { span class=(class) { span aria-hidden="true" { (sign) } " " (what) (word) } }
}
