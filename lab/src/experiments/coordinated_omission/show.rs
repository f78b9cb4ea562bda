//! What the report shows of it.

use cli::units::micros;
use loadgen::svg::{Curve, Stroke};

use super::{Figures, JUDGED, Way};
use crate::exhibit::{Cell, Curves, Exhibit, Table, Tone};

/// One sentence for people.
pub(super) fn headline(figures: &Figures) -> String {
    let p99 = |way: &Way| way.p99_us.map_or_else(|| "-".to_owned(), micros);
    format!(
        "The same stall of {} has a p99 of {}, of {} or of {}, by where the clock starts.",
        micros(figures.open_stall_s * 1e6),
        p99(&figures.closed),
        p99(&figures.uncorrected),
        p99(&figures.corrected)
    )
}

/// Its table and its picture.
pub(super) fn exhibits(figures: &Figures) -> Vec<Exhibit> {
    vec![
        Exhibit::Table(table(figures)),
        Exhibit::Curves(curves(figures)),
    ]
}

fn table(figures: &Figures) -> Table {
    let header = [
        "measured in a",
        "requests",
        "p50",
        "p90",
        "p99",
        "max",
        "long",
    ];
    let shown = |us: Option<f64>| Cell::or_dash(us.map(micros));
    let predicted = |share| Cell::toned(micros(figures.predicted_us(share)), Tone::Faint);
    let row = |way: &Way| {
        vec![
            way.name.into(),
            way.count.to_string().into(),
            shown(way.p50_us),
            shown(way.p90_us),
            shown(way.p99_us),
            shown(way.max_us),
            way.long.to_string().into(),
        ]
    };
    let ways = [&figures.closed, &figures.uncorrected, &figures.corrected];
    let mut rows = ways.map(row).to_vec();
    rows.push(vec![
        Cell::toned("predicted of the last", Tone::Faint),
        Cell::toned(
            format!("{:.0}", figures.rate_per_s * figures.window_s),
            Tone::Faint,
        ),
        Cell::toned("-", Tone::Faint),
        predicted(0.9),
        predicted(JUDGED),
        predicted(1.0),
        Cell::toned(
            format!("{:.0}", figures.rate_per_s * figures.open_stall_s / 2.0),
            Tone::Faint,
        ),
    ]);
    Table {
        title: format!(
            "A stall of {} in a window of {}, {} clients",
            micros(figures.open_stall_s * 1e6),
            micros(figures.window_s * 1e6),
            figures.clients
        ),
        caption:
            "Long are the waits of more than half of the stall: one for each client, unless the \
                  clock starts when a request is due."
                .into(),
        header: header.map(str::to_owned).to_vec(),
        rows,
    }
}

fn curves(figures: &Figures) -> Curves {
    let curve = |way: &Way, stroke| Curve {
        name: way.name.to_owned(),
        points: way.curve.clone(),
        stroke,
        ..Curve::default()
    };
    Curves {
        title: "The same stall, three clocks".into(),
        caption: format!(
            "{:.0} % of all requests were due during the stall. Two of the curves know of one request \
             for each client.",
            figures.open_stall_s / figures.window_s * 100.0
        ),
        curves: vec![
            curve(&figures.closed, Stroke::Dashed),
            curve(&figures.uncorrected, Stroke::Dashed),
            curve(&figures.corrected, Stroke::Solid),
        ],
    }
}
