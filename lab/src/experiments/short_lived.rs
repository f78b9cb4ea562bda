//! Where pools are right: the same pool under as many clients, whose connections are short.

use std::time::Duration;

use cli::units::{micros, number};
use serde::Serialize;

use super::{CLIENTS, WORKERS};
use crate::bench::{Bench, Failure};
use crate::exhibit::{Bars, Cell, Exhibit, Table};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::latency;
use crate::load::{Load, Measured};
use crate::modes;
use crate::subject::Subject;
use crate::verdict::{Ruling, Zones};
use loadgen::svg::Bar;

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "short-lived",
    chapter: Chapter::Serving,
    question: "Are pools always wrong, then?",
    claim: "With connections of one request each, the same pool of 4 serves all 50 clients, evenly.",
    prediction: "A connection that ends gives its worker back, and the accept queue is first come, \
                 first served: who comes back stands behind all who wait. So between two turns of a \
                 client everybody else has one, or two where several workers are free: all 50 are \
                 served, the least served of them at least half as often as the most served, and \
                 Jain's fairness index is at least 0.9 (on a pool whose clients stay it is 4 / 50 = \
                 0.08).",
    method: "50 clients connect, send one request that takes the server 2 ms, read the echo, leave \
             and connect again, against every mode.",
    lesson: "A pool fits when the unit of work is as long as the connection: short jobs, one \
             request per connection. There it bounds the load and shares it fairly.",
    fault: Fault {
        what: "Clients stay connected for good.",
        symptom: "of 50 clients",
    },
    run,
};

/// How long is watched, in the short form.
const WINDOW: Duration = Duration::from_millis(1_000);
/// What a request costs: it bounds the number of connections, which each take up a port for a while.
const WORK: [&str; 2] = ["--work", "io=2ms"];
/// Jain's index from which shares are even; between the two the run was too short to tell.
const FAIRNESS: Zones = Zones {
    enough: 0.9,
    wrong: 0.5,
};
/// The turns of whoever got the fewest, as a share of those of whoever got the most; the end of the
/// window may have cut off one.
const TURNS: Zones = Zones {
    enough: 0.5,
    wrong: 0.2,
};

/// One mode.
#[derive(Clone, Debug, Serialize)]
struct Row {
    mode: String,
    capacity: usize,
    served: u32,
    fairness: Option<f64>,
    /// Answers of whoever got the fewest, and of whoever got the most.
    fewest: u64,
    most: u64,
    rate_per_s: Option<f64>,
    longest_first_wait_us: Option<f64>,
    #[serde(skip)]
    invalid: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    clients: u32,
    workers: usize,
    modes: Vec<Row>,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let stay = Load::busy(CLIENTS, bench.window(WINDOW));
    let load = if bench.faulted() {
        stay
    } else {
        stay.one_request_each()
    };
    let mut rows = Vec::new();
    for mode in modes::all() {
        let server = bench.start(&Subject::own(mode, WORKERS).with(&WORK))?;
        let measured = bench.load(&server, &load)?;
        rows.push(row(mode, server.ready.capacity.unwrap_or(0), &measured));
        drop(server.stop());
    }
    let figures = Figures {
        clients: CLIENTS.get(),
        workers: WORKERS,
        modes: rows,
    };
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: vec![
            Exhibit::Bars(bars(&figures)),
            Exhibit::Table(table(&figures)),
        ],
        figures: figures_of(&figures),
    })
}

fn row(mode: &str, capacity: usize, measured: &Measured) -> Row {
    let report = &measured.report;
    let answered = || measured.clients.iter().map(|client| client.answered);
    Row {
        mode: mode.to_owned(),
        capacity,
        served: report.clients.served,
        fairness: report.clients.fairness,
        fewest: answered().min().unwrap_or(0),
        most: answered().max().unwrap_or(0),
        rate_per_s: report.rate_per_s,
        longest_first_wait_us: latency::of_the_answered_us(report.latency.admission.as_ref(), 1.0),
        invalid: measured.invalid(),
    }
}

fn judge(figures: &Figures) -> Ruling {
    let asked = figures.clients;
    let objections = figures.modes.iter().filter_map(|row| {
        let mode = &row.mode;
        if let Some(why) = &row.invalid {
            return Some(Ruling::inconclusive(format!("{mode}: {why}")));
        }
        if row.served != asked {
            let text = format!("{mode} served {} of {asked} clients", row.served);
            return Some(Ruling::does_not_hold(text));
        }
        let Some(fairness) = row.fairness else {
            let text = format!("{mode}: no answers in the window");
            return Some(Ruling::inconclusive(text));
        };
        let found = format!("{mode} served its clients unevenly: fairness {fairness:.2}");
        let (fewest, most) = (row.fewest, row.most);
        let turns = || {
            let found = format!("{mode} gave one client {fewest} turns while another had {most}");
            TURNS.objection((fewest + 1) as f64 / most as f64, found)
        };
        FAIRNESS.objection(fairness, found).or_else(turns)
    });
    let objections = objections.collect();
    let worst = figures
        .modes
        .iter()
        .filter_map(|row| row.fairness)
        .fold(1.0, f64::min);
    if figures.modes.is_empty() {
        return Ruling::inconclusive("nothing was measured");
    }
    let modes = figures.modes.len();
    Ruling::unless(
        objections,
        format!("all {asked} clients served in all {modes} modes, fairness {worst:.3} or better"),
    )
}

fn headline(figures: &Figures) -> String {
    let pool = figures
        .modes
        .iter()
        .find(|row| row.capacity == figures.workers);
    pool.map_or_else(String::new, |row| {
        let fairness = row.fairness.map_or_else(|| "-".to_owned(), |even| format!("{even:.2}"));
        format!(
            "With short connections the same pool of {} serves {} of {} clients, fairness {fairness}.",
            figures.workers, row.served, figures.clients
        )
    })
}

fn bars(figures: &Figures) -> Bars {
    let bar = |row: &Row| Bar {
        name: row.mode.clone(),
        served: row.served,
        waiting: figures.clients - row.served,
        note: row
            .fairness
            .map_or_else(String::new, |even| format!("fairness {even:.2}")),
    };
    Bars {
        title: "50 clients, one request per connection".into(),
        caption: "The same modes and the same number of clients as above, and nobody is left out: \
                  a worker is free again after each request."
            .into(),
        bars: figures.modes.iter().map(bar).collect(),
    }
}

fn table(figures: &Figures) -> Table {
    let header = [
        "mode",
        "served",
        "fairness",
        "turns each",
        "answers/s",
        "longest first wait",
    ];
    let row = |row: &Row| {
        vec![
            row.mode.as_str().into(),
            Cell::served(row.served, figures.clients),
            Cell::or_dash(row.fairness.map(|even| format!("{even:.3}"))),
            format!("{} to {}", row.fewest, row.most).into(),
            Cell::or_dash(row.rate_per_s.map(number)),
            Cell::or_dash(row.longest_first_wait_us.map(micros)),
        ]
    };
    Table {
        title: "Short connections in figures".into(),
        caption: "Every request costs the server 2 ms of waiting, so W workers answer at most \
                  500 W requests a second. The wait counts from the connection."
            .into(),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.modes.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn figures(served: u32, fairness: Option<f64>) -> Figures {
        let row = Row {
            mode: "thread-pool".into(),
            capacity: 4,
            served,
            fairness,
            fewest: 60,
            most: 70,
            rate_per_s: Some(3_500.0),
            longest_first_wait_us: Some(14_000.0),
            invalid: None,
        };
        Figures {
            clients: 50,
            workers: 4,
            modes: vec![row],
        }
    }

    #[test]
    fn everybody_evenly_holds() {
        assert_eq!(judge(&figures(50, Some(0.99))).verdict, Verdict::Holds);
        assert!(headline(&figures(50, Some(0.99))).contains("serves 50 of 50"));
    }

    #[test]
    fn somebody_left_out_or_uneven_shares_do_not_hold() {
        assert_eq!(
            judge(&figures(49, Some(0.98))),
            Ruling::does_not_hold("thread-pool served 49 of 50 clients")
        );
        assert_eq!(
            judge(&figures(50, Some(0.08))).verdict,
            Verdict::DoesNotHold
        );
        let mut passed_over = figures(50, Some(0.98));
        passed_over.modes[0].fewest = 12;
        assert_eq!(
            judge(&passed_over),
            Ruling::does_not_hold("thread-pool gave one client 12 turns while another had 70")
        );
        passed_over.modes[0].fewest = 33;
        assert_eq!(judge(&passed_over).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn half_even_shares_and_invalid_runs_prove_nothing() {
        assert_eq!(
            judge(&figures(50, Some(0.7))).verdict,
            Verdict::Inconclusive
        );
        assert_eq!(judge(&figures(50, None)).verdict, Verdict::Inconclusive);
        let mut invalid = figures(50, Some(0.99));
        invalid.modes[0].invalid = Some("bytes differ".into());
        assert_eq!(judge(&invalid).verdict, Verdict::Inconclusive);
    }
}
