//! The staircase in Unicode blocks: a line for each client, dots while it waits, blocks while it is
//! served.

use std::fmt::Write;

use crate::exhibit::{Panel, Staircase};
use loadgen::svg::Span;

/// Characters for the time that was watched.
const COLUMNS: u32 = 65;

/// The first server's clients in full, with the seconds below. The other servers are in the table.
#[must_use]
pub(super) fn draw(staircase: &Staircase) -> String {
    let Some(panel) = staircase.panels.first() else {
        return String::new();
    };
    let mut text = format!(
        "{}: {} (█ served, · waiting)\n",
        staircase.title, panel.name
    );
    for (index, client) in panel.clients.iter().enumerate() {
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "  {:>9}  {}",
            label(index, panel),
            bar(client, staircase.end_s)
        );
    }
    let _ = writeln!(text, "  {:>9}  {}", "seconds", ruler(staircase.end_s));
    text
}

fn label(index: usize, panel: &Panel) -> String {
    if index == 0 || index + 1 == panel.clients.len() {
        format!("client {}", index + 1)
    } else {
        (index + 1).to_string()
    }
}

fn bar(client: &Span, end_s: f64) -> String {
    let from_s = client.first_byte_s.unwrap_or(end_s);
    let to_s = client.ended_s.unwrap_or(end_s);
    let place = |column: u32| f64::from(column) * end_s / f64::from(COLUMNS);
    let half = end_s / f64::from(COLUMNS) / 2.0;
    let cells = (0..COLUMNS).map(|column| match place(column) + half {
        middle if middle < from_s => '·',
        middle if middle < to_s => '█',
        _ => ' ',
    });
    cells.collect::<String>().trim_end().to_owned()
}

/// The whole seconds below their places.
fn ruler(end_s: f64) -> String {
    let mut line = String::new();
    let mut second = 0_u32;
    for column in 0..COLUMNS {
        let begins_s = f64::from(column) * end_s / f64::from(COLUMNS);
        let ends_s = f64::from(column + 1) * end_s / f64::from(COLUMNS);
        let here = (begins_s..ends_s).contains(&f64::from(second));
        line.push(match here {
            true => char::from_digit(second % 10, 10).unwrap_or(' '),
            false => ' ',
        });
        second += u32::from(here);
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_at_a_time_make_a_stair() {
        let span = |at_s: f64| Span {
            first_byte_s: Some(at_s),
            ended_s: Some(at_s + 1.0),
            ..Span::default()
        };
        let never = Span::default();
        let staircase = Staircase {
            title: "Who was admitted when".into(),
            caption: String::new(),
            hold_s: 1.0,
            end_s: 2.6,
            panels: vec![Panel {
                name: "pool of 2".into(),
                capacity: 2,
                clients: vec![span(0.0), span(0.0), span(1.0), span(1.0), never],
            }],
        };
        insta::assert_snapshot!(draw(&staircase), @r##"
        Who was admitted when: pool of 2 (█ served, · waiting)
           client 1  █████████████████████████
                  2  █████████████████████████
                  3  ·························█████████████████████████
                  4  ·························█████████████████████████
           client 5  ·································································
            seconds  0                        1                        2
        "##);
    }
}
