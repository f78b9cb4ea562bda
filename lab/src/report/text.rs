//! Results for people at a terminal: no colour, at most about 100 columns.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table as Grid, TableStyle};

use super::{Document, staircase_text};
use crate::compare::{self, Comparison};
use crate::exhibit::{Bars, Exhibit, Table};
use crate::experiment::{Entry, Experiment};

/// Columns that running text is broken at.
const COLUMNS: usize = 96;
/// Characters of the longest bar.
const BAR: usize = 50;

/// One line below the heads and none elsewhere.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::new('─', '─', '─', '─'));

/// What is said before an experiment begins: the prediction, so that nobody can adjust it later.
#[must_use]
pub fn opening(experiment: &Experiment) -> String {
    format!(
        "\n── {} ──\n{}\n{}\n{}\n",
        experiment.name,
        wrap(experiment.question, ""),
        wrap(&format!("Claim: {}", experiment.claim), "  "),
        wrap(&format!("Prediction: {}", experiment.prediction), "  "),
    )
}

/// What came of an experiment; its last line is the verdict.
#[must_use]
pub fn entry(entry: &Entry) -> String {
    let mut text = String::from("\n");
    if !entry.headline.is_empty() {
        text += &format!("{}\n\n", wrap(&entry.headline, ""));
    }
    for exhibit in &entry.exhibits {
        if let Some(shown) = shown(exhibit) {
            text += &shown;
            text.push('\n');
        }
    }
    if entry.verdict == crate::verdict::Verdict::Holds {
        text += &format!("{}\n\n", wrap(&format!("So: {}", entry.lesson), "  "));
    }
    text += &entry.verdict_line();
    text.push('\n');
    text
}

/// Everything that a document says, experiment by experiment.
#[must_use]
pub fn document(document: &Document) -> String {
    let comparison = document.comparison.iter().map(comparison);
    let experiments = document.experiments.iter().map(|shown| {
        let question = wrap(&shown.question, "");
        format!("\n── {} ──\n{question}\n{}", shown.name, entry(shown))
    });
    comparison.chain(experiments).collect()
}

/// A comparison.
#[must_use]
pub fn comparison(comparison: &Comparison) -> String {
    let mut text = format!("\n{}\n\n", wrap(&compare::headline(comparison), ""));
    for table in compare::tables(comparison) {
        text += &captioned(&table);
        text.push('\n');
    }
    text
}

/// The exhibit as text; a curve has no useful form here.
fn shown(exhibit: &Exhibit) -> Option<String> {
    match exhibit {
        Exhibit::Table(table) => Some(captioned(table)),
        Exhibit::Staircase(staircase) => Some(staircase_text::draw(staircase)),
        Exhibit::Bars(bars) => Some(bar_chart(bars)),
        // The table says the same in fewer lines.
        Exhibit::Offered(_) | Exhibit::Curves(_) | Exhibit::Chart(_) => None,
    }
}

/// A table with its title above and its caption, which says what its columns are, below.
#[must_use]
pub fn captioned(table: &Table) -> String {
    let mut text = grid(table);
    if !table.caption.is_empty() {
        text += &format!("  {}\n", wrap(&table.caption, "  "));
    }
    text
}

/// A table with its title above; figures are set to the right.
#[must_use]
pub fn grid(table: &Table) -> String {
    let mut grid = Grid::new();
    grid.load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(&table.header);
    for row in &table.rows {
        grid.add_row(row.iter().map(|cell| &cell.text));
    }
    for column in grid.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let lines = grid.to_string();
    let lines = lines.lines().map(|line| format!(" {}\n", line.trim_end()));
    format!("{}\n{}", table.title, lines.collect::<String>())
}

/// Served clients as full blocks, waiting ones as dots.
fn bar_chart(bars: &Bars) -> String {
    let most = bars
        .bars
        .iter()
        .map(|bar| bar.served + bar.waiting)
        .max()
        .unwrap_or(0);
    let blocks = |clients: u32| -> usize {
        let share = f64::from(clients) / f64::from(most.max(1));
        // At most `BAR`: no more than the longest bar.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to BAR"
        )]
        let blocks = (share * BAR as f64).round() as usize;
        blocks
    };
    let name = bars
        .bars
        .iter()
        .map(|bar| bar.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = format!("{} (█ served, · waiting)\n", bars.title);
    for bar in &bars.bars {
        let served = blocks(bar.served);
        let waiting = blocks(bar.served + bar.waiting) - served;
        let line = format!(
            "  {:name$}  {}{}{}  {:>2}/{}  {}",
            bar.name,
            "█".repeat(served),
            "·".repeat(waiting),
            " ".repeat(BAR - served - waiting),
            bar.served,
            bar.served + bar.waiting,
            bar.note
        );
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Breaks `text` at [`COLUMNS`]; further lines begin with `indent`.
fn wrap(text: &str, indent: &str) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > COLUMNS {
            lines.push('\n');
            lines.push_str(indent);
            column = indent.chars().count();
        } else if column > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exhibit::{Cell, Tone};
    use loadgen::svg::Bar;

    #[test]
    fn tables_are_plain_text() {
        let table = Table {
            title: "Clients served".into(),
            caption: String::new(),
            header: vec!["mode".into(), "N = 50".into()],
            rows: vec![
                vec!["thread-pool".into(), Cell::toned("4", Tone::Bad)],
                vec!["async".into(), Cell::toned("50", Tone::Good)],
            ],
        };
        insta::assert_snapshot!(grid(&table), @r##"
        Clients served
           mode          N = 50
         ────────────────────────
           thread-pool        4
           async             50
        "##);
    }

    #[test]
    fn what_the_columns_are_stands_below_them() {
        let table = Table {
            title: "Clients served".into(),
            caption: "Served is who got at least one byte. ".repeat(4),
            header: vec!["mode".into(), "served".into()],
            rows: vec![vec!["async".into(), "50".into()]],
        };
        insta::assert_snapshot!(shown(&Exhibit::Table(table)).unwrap(), @r##"
        Clients served
           mode    served
         ──────────────────
           async       50
          Served is who got at least one byte. Served is who got at least one byte. Served is who got at
          least one byte. Served is who got at least one byte.
        "##);
    }

    #[test]
    fn bars_show_who_waits() {
        let bar = |name: &str, served, waiting| Bar {
            name: name.into(),
            served,
            waiting,
            note: "CPU 0 %".into(),
        };
        let bars = Bars {
            title: "Who got an answer".into(),
            caption: String::new(),
            bars: vec![bar("pool", 4, 46), bar("async", 50, 0)],
        };
        insta::assert_snapshot!(bar_chart(&bars), @r##"
        Who got an answer (█ served, · waiting)
          pool   ████··············································   4/50  CPU 0 %
          async  ██████████████████████████████████████████████████  50/50  CPU 0 %
        "##);
    }

    #[test]
    fn long_texts_are_broken_between_words() {
        let wrapped = wrap(&"word ".repeat(60), "  ");
        assert!(wrapped.lines().all(|line| line.chars().count() <= COLUMNS));
        assert_eq!(wrapped.split_whitespace().count(), 60);
    }
}
