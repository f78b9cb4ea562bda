//! A benchmark for people at a terminal.

use cli::Format;
use cli::units::{bytes, micros, number};
use serde_json::json;

use super::baseline::{Change, Trend};
use super::document::{Document, Row};
use super::goal::{self, Figure, Goal, Relation};
use super::judge::Verdict;
use crate::exhibit::{Cell, Table};
use crate::report::{captioned_text, pretty};
use crate::stats::{Interval, median};

/// The tables of a document, and how many goals are reached.
pub(super) fn text(document: &Document) -> String {
    let mut text = format!("\n{}\n", captioned_text(&goals(document)));
    for row in &document.rows {
        for remark in &row.remarks {
            text += &format!("  {}: {remark}\n", row.name);
        }
    }
    if let Some(changes) = &document.changes {
        text += &format!("\n{}", captioned_text(&moved(changes)));
        for change in changes {
            if let Some(why) = &change.why {
                text += &format!("  {}: {why}\n", change.name);
            }
        }
    }
    text + &format!("\n{}\n", tally(document))
}

/// The rows that there are, with what they want and against whom.
pub(super) fn list(format: Format) -> String {
    match format {
        Format::Json => pretty(&goal::ALL.iter().map(object).collect::<Vec<_>>()),
        Format::Text => {
            let line = |goal: &Goal| {
                let against = goal.trial.against.join(" or ");
                let beside = if against.is_empty() {
                    String::new()
                } else {
                    format!(" x {against}")
                };
                let wanted = threshold(goal.relation, goal.figure, !against.is_empty());
                format!("{:30} {wanted}{beside}\n", goal.name)
            };
            goal::ALL.iter().map(line).collect()
        }
    }
}

fn object(goal: &Goal) -> serde_json::Value {
    json!({
        "name": goal.name,
        "figure": goal.figure,
        "goal": goal.relation,
        "against": goal.trial.against,
    })
}

fn goals(document: &Document) -> Table {
    let heads = ["row", "ours", "reference", "found", "A/A", "goal", ""];
    let levels = document.rows.iter().filter_map(|row| row.judgement.found);
    let level = levels.map(|found| found.level).fold(1.0, f64::min);
    Table {
        title: "Goals".to_owned(),
        caption: format!(
            "Ours and the reference are medians. Found is the ratio to the reference within each round \
             (Hodges and Lehmann), or the figure itself (median), with its interval ({:.1} %); A/A is \
             the reference beside itself. Missed means that the whole interval lies on the wrong side. \
             Measured with {}.",
            level * 100.0,
            document.pinning
        ),
        header: heads.map(str::to_owned).to_vec(),
        rows: document.rows.iter().map(cells).collect(),
    }
}

fn cells(row: &Row) -> Vec<Cell> {
    let judgement = &row.judgement;
    let beside = row.settings.reference.as_ref();
    let of = |figures: Vec<f64>| median(&figures).map(|value| shown(row.figure, value));
    let own = row.rounds.iter().map(|round| round.own).collect();
    let references = row.rounds.iter().filter_map(|round| round.reference);
    let reference = of(references.flatten().collect());
    let reference = beside.map(|it| match reference {
        Some(figure) => format!("{} {figure}", it.name),
        None => it.name.clone(),
    });
    let found = judgement.found.map(|found| match beside {
        Some(_) => ratio(found),
        None => figures(row.figure, found),
    });
    vec![
        Cell::from(row.name.as_str()),
        Cell::or_dash(of(own)),
        Cell::or_dash(reference),
        Cell::or_dash(found),
        Cell::or_dash(judgement.control.map(ratio)),
        Cell::from(threshold(row.goal, row.figure, is_ratio(row))),
        Cell::from(judgement.verdict.words()),
    ]
}

/// Whether its goal is one, also where the reference was not there.
fn is_ratio(row: &Row) -> bool {
    let mut goals = goal::ALL.iter();
    let goal = goals.find(|goal| goal.name == row.name);
    row.settings.reference.is_some() || goal.is_some_and(|goal| !goal.trial.against.is_empty())
}

fn moved(changes: &[Change]) -> Table {
    let line = |change: &Change| {
        vec![
            Cell::from(change.name.as_str()),
            Cell::or_dash(change.ratio.map(ratio)),
            Cell::from(word(change)),
        ]
    };
    Table {
        title: "Beside the baseline".to_owned(),
        caption: "Now as a multiple of then, each beside its reference (Hodges and Lehmann; Mann and \
                  Whitney, 99 %). Slower and faster are at least 3 %, and the interval leaves out 1."
            .to_owned(),
        header: ["row", "now / then", ""].map(str::to_owned).to_vec(),
        rows: changes.iter().map(line).collect(),
    }
}

/// What a trend is called of what is no time.
fn word(change: &Change) -> &'static str {
    let counted = matches!(change.figure, Figure::Memory | Figure::Calls | Figure::Cpu);
    match (change.trend, counted) {
        (Trend::Slower, true) => "more",
        (Trend::Faster, true) => "less",
        (Trend::Slower, false) => "slower",
        (Trend::Faster, false) => "faster",
        (Trend::NoDifference, _) => "no difference",
        (Trend::Incomparable, _) => "cannot be compared",
    }
}

fn tally(document: &Document) -> String {
    let all = [
        Verdict::Met,
        Verdict::NotDistinguishable,
        Verdict::Missed,
        Verdict::ControlDiffers,
        Verdict::TooFewRounds,
        Verdict::NotMeasured,
        Verdict::Skipped,
    ];
    let count = |verdict: Verdict| {
        let rows = document.rows.iter();
        rows.filter(|row| row.judgement.verdict == verdict).count()
    };
    let told = all.into_iter().map(|verdict| (count(verdict), verdict));
    let told = told.filter(|(count, _)| *count > 0);
    let told: Vec<String> = told
        .map(|(count, verdict)| format!("{count} {}", verdict.words()))
        .collect();
    format!("of {} goals: {}", document.rows.len(), told.join(", "))
}

fn ratio(
    Interval {
        middle, low, high, ..
    }: Interval,
) -> String {
    format!("×{middle:.3} [{low:.3}–{high:.3}]")
}

fn figures(
    figure: Figure,
    Interval {
        middle, low, high, ..
    }: Interval,
) -> String {
    let of = |value| shown(figure, value);
    format!("{} [{}–{}]", of(middle), of(low), of(high))
}

fn threshold(relation: Relation, figure: Figure, is_ratio: bool) -> String {
    let sign = match relation {
        Relation::AtLeast(_) => "≥",
        Relation::AtMost(_) => "≤",
    };
    let threshold = relation.threshold();
    if is_ratio {
        format!("{sign} {threshold:.2}")
    } else {
        format!("{sign} {}", shown(figure, threshold))
    }
}

/// A figure with its unit.
fn shown(figure: Figure, value: f64) -> String {
    match figure {
        Figure::Rate | Figure::Connections | Figure::PerCpu => format!("{}/s", number(value)),
        Figure::Cpu | Figure::Tail => micros(value),
        Figure::Calls => format!("{value:.3}"),
        Figure::Bulk => format!("{:.2} GiB/s", value / f64::from(1 << 30)),
        Figure::Memory if value < 0.0 => format!("{value:.0} B"),
        Figure::Memory => bytes(whole(value)),
        Figure::Start => micros(value * 1e6),
    }
}

fn whole(value: f64) -> u64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes of a connection: not negative, and far below 2^53"
    )]
    let whole = value.round() as u64;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::baseline;
    use crate::suite::document::tests::document;
    use crate::suite::judge::Judgement;
    use crate::suite::simulation::rounds;

    #[test]
    fn goals_and_changes_are_tables() {
        let of = |ratio| document(&[rounds(1, 8, ratio, 0.001), rounds(2, 2, 1.0, 0.0)]);
        let mut now = of(0.9);
        now.rows[1].remarks.push("something was the matter".into());
        now.changes = Some(baseline::changes(&of(1.0), &now));
        insta::assert_snapshot!(text(&now).trim_start(), @"
        Goals
           row                 ours              reference                  found                    A/A     goal
         ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
           epoll-rate-50   170.8k/s   plain-epoll 189.8k/s   ×0.900 [0.899–0.900]   ×1.000 [0.999–1.001]   ≥ 0.98          missed
           epoll-cpu-50       160ms      plain-epoll 160ms   ×1.000 [1.000–1.000]   ×1.000 [1.000–1.000]   ≤ 1.03   too few pairs
          Ours and the reference are medians. Found is the ratio to the reference within each round
          (Hodges and Lehmann), or the figure itself (median), with its interval (50.0 %); A/A is the
          reference beside itself. Missed means that the whole interval lies on the wrong side. Measured
          with servers on processors 1, load on 0.

          epoll-cpu-50: something was the matter

        Beside the baseline
           row                       now / then
         ─────────────────────────────────────────────────────────────
           epoll-rate-50   ×0.900 [0.899–0.901]               slower
           epoll-cpu-50                       -   cannot be compared
          Now as a multiple of then, each beside its reference (Hodges and Lehmann; Mann and Whitney, 99
          %). Slower and faster are at least 3 %, and the interval leaves out 1.
          epoll-cpu-50: there were fewer than 5 pairs then

        of 2 goals: 1 missed, 1 too few pairs
        ");
    }

    #[test]
    fn the_goal_of_a_row_that_was_skipped_is_a_ratio_all_the_same() {
        let mut skipped = document(&[rounds(1, 8, 1.0, 0.01)]);
        skipped.rows[0].settings.reference = None;
        skipped.rows[0].judgement = Judgement::none(Verdict::Skipped);
        assert!(text(&skipped).contains("≥ 0.98 "), "{}", text(&skipped));
    }

    #[test]
    fn a_figure_has_its_unit() {
        let of = |figure, value| shown(figure, value);
        assert_eq!(of(Figure::Bulk, 1.5 * f64::from(1 << 30)), "1.50 GiB/s");
        assert_eq!(
            (of(Figure::Memory, 96.4), of(Figure::Memory, -8.0)),
            ("96 B".into(), "-8 B".into())
        );
        assert_eq!(
            (of(Figure::Start, 0.0041), of(Figure::Cpu, 5.2)),
            ("4.10ms".into(), "5.20us".into())
        );
        assert_eq!(of(Figure::PerCpu, 184_000.0), "184.0k/s");
        assert_eq!(
            threshold(Relation::AtMost(256.0), Figure::Memory, false),
            "≤ 256 B"
        );
    }
}
