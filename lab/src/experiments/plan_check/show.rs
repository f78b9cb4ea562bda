//! The figures for people.

use cli::units::micros;
use loadgen::svg::{Measure, Series};

use super::judge::error;
use super::{Figures, Row, WINDOWS};
use crate::exhibit::{Cell, Chart, Exhibit, Table};

pub(super) fn headline(figures: &Figures) -> String {
    let wait = |row: Option<&Row>| {
        let wait_ms = row.and_then(|row| row.measured_wait_ms);
        wait_ms.map_or_else(|| "-".to_owned(), |ms| micros(ms * 1e3))
    };
    format!(
        "Half loaded, {} workers let a client wait {}; at 90 % it is {}: both were known before.",
        figures.workers,
        wait(figures.loads.first()),
        wait(figures.loads.last()),
    )
}

pub(super) fn exhibits(figures: &Figures) -> Vec<Exhibit> {
    vec![
        Exhibit::Table(table(figures)),
        Exhibit::Chart(chart(figures)),
    ]
}

fn table(figures: &Figures) -> Table {
    let header = [
        "load",
        "requests/s",
        "answers",
        "wait, measured",
        "simulated",
        "off by",
        "Erlang C",
        "by chance",
    ];
    let ms = |ms: f64| micros(ms * 1e3);
    let row = |row: &Row| {
        let interval = row
            .interval
            .map(|it| format!("{} to {}", micros(it.low_s * 1e6), micros(it.high_s * 1e6)));
        vec![
            format!("{:.0} %", row.load * 100.0).into(),
            format!("{:.0}", row.rate_per_s).into(),
            row.answers.to_string().into(),
            Cell::or_dash(row.measured_wait_ms.map(ms)),
            ms(row.simulated_wait_ms).into(),
            error(row).into(),
            ms(row.erlang_wait_ms).into(),
            Cell::or_dash(interval),
        ]
    };
    Table {
        title: "Mean waits, foreseen and measured".into(),
        caption: format!(
            "{} workers, exponential services of {} ms and {:.0} us that a request costs besides; \
             {} s each. The simulation has the arrivals and the services of the measurement; by \
             chance is where the means of {WINDOWS} such windows with other seeds lie.",
            figures.workers, figures.service_ms, figures.hold_us[0], figures.window_s
        ),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.loads.iter().map(row).collect(),
    }
}

fn chart(figures: &Figures) -> Chart {
    let line = |name: &str, of: &dyn Fn(&Row) -> Option<f64>| Series {
        name: name.to_owned(),
        points: figures
            .loads
            .iter()
            .map(|row| (row.load * 100.0, of(row)))
            .collect(),
        ..Series::default()
    };
    Chart {
        title: "The wait against the load".into(),
        caption: "The last ten percent of a server cost more than all before.".into(),
        x: ("load in percent".into(), Measure::Amount),
        y: ("mean wait in ms".into(), Measure::Amount),
        series: vec![
            line("measured", &|row| row.measured_wait_ms),
            line("simulated", &|row| Some(row.simulated_wait_ms)),
            line("Erlang C", &|row| Some(row.erlang_wait_ms)),
        ],
    }
}
