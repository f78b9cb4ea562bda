//! What the report shows of it.

use std::time::Duration;

use super::arm::{Arm, Policy};
use super::{Figures, PATIENCE, QUEUE};
use crate::exhibit::{Cell, Chart, Exhibit, Table, Tone};
use crate::stats;
use loadgen::svg::{Measure, Series};

/// So many points a line of the chart has.
const POINTS: u32 = 40;

/// One sentence for people.
pub(super) fn headline(figures: &Figures) -> String {
    let in_time = |policy| {
        let arm = figures.arm(policy);
        arm.map_or(0.0, |arm| arm.late_half_in_time() * 100.0)
    };
    format!(
        "Of those who come in the second half, {:.0} % are answered in time if all may wait, {:.0} % if \
         at most {QUEUE} may.",
        in_time(Policy::Wait),
        in_time(Policy::Bounded)
    )
}

/// Its table and its picture.
pub(super) fn exhibits(figures: &Figures, arrivals: Duration) -> Vec<Exhibit> {
    vec![
        Exhibit::Table(table(figures)),
        Exhibit::Chart(chart(figures, arrivals)),
    ]
}

fn table(figures: &Figures) -> Table {
    let header = [
        "if all are busy",
        "answered",
        "in time",
        "worked on",
        "by quarter of the run",
        "longest wait",
    ];
    let row = |arm: &Arm| {
        let quarters = arm.in_time_shares.iter();
        let quarters: Vec<String> = quarters
            .map(|share| format!("{:.0}", share * 100.0))
            .collect();
        let tone = if arm.late_half_in_time() > 0.0 {
            Tone::Plain
        } else {
            Tone::Bad
        };
        vec![
            arm.policy.name().into(),
            arm.answered.to_string().into(),
            arm.in_time.to_string().into(),
            arm.worked_on.to_string().into(),
            Cell::toned(format!("{} %", quarters.join(" ")), tone),
            Cell::or_dash(arm.longest_ms.map(|ms| format!("{ms:.0} ms"))),
        ]
    };
    let asked = figures.arms.first().map_or(0, |arm| arm.asked);
    Table {
        title: format!(
            "{asked} requests at {:.0} a second, where {:.0} a second can be answered",
            figures.offered_per_s, figures.capacity_per_s
        ),
        caption: format!(
            "In time is within {} ms. The server works on the requests of those who have left, too: it \
             cannot know.",
            PATIENCE.as_millis()
        ),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.arms.iter().map(row).collect(),
    }
}

fn chart(figures: &Figures, arrivals: Duration) -> Chart {
    let series = |arm: &Arm| Series {
        name: arm.policy.name().to_owned(),
        points: line(&arm.points, arrivals),
        ..Series::default()
    };
    Chart {
        title: "How long those waited who were answered".into(),
        caption:
            "By the moment when they came. Without an end the wait grows as long as the overload \
                  lasts; with one it stops where the queue ends."
                .into(),
        x: ("came after".into(), Measure::Seconds),
        y: ("wait for the answer, ms".into(), Measure::Amount),
        series: figures.arms.iter().map(series).collect(),
    }
}

/// The median wait of each moment.
fn line(points: &[(f64, f64)], arrivals: Duration) -> Vec<(f64, Option<f64>)> {
    let step_s = arrivals.as_secs_f64() / f64::from(POINTS);
    let at = |step: u32| {
        let from = f64::from(step) * step_s;
        let within = points
            .iter()
            .filter(|(s, _)| (from..from + step_s).contains(s));
        let waits: Vec<f64> = within.map(|(_, ms)| *ms).collect();
        (from + step_s / 2.0, stats::median(&waits))
    };
    (0..POINTS).map(at).collect()
}
