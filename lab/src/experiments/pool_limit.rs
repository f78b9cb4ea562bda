//! The headline: a mode serves as many clients that stay as it has capacity, and not one more.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Serialize;
use server::Mode;

use super::WORKERS;
use crate::bench::{Bench, Failure};
use crate::exhibit::{Cell, Exhibit, Offered, Table, Tone};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::load::Load;
use crate::modes::{self, Capacity};
use crate::subject::Subject;
use crate::verdict::Ruling;
use loadgen::svg::OfferedLine;

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "pool-limit",
    chapter: Chapter::Serving,
    question: "How many clients can talk to a server at the same time?",
    claim: "served(N) = min(N, capacity) for every mode: 1 for the sequential server, W for a pool \
            of W workers, all for a thread per connection and for async.",
    prediction: "A worker that owns a connection serves nobody else until the connection closes. \
                 These clients never close theirs, so with W = 4 exactly 1, 4, 4, 4 and 4 of 1, 4, \
                 5, 20 and 50 clients are served by a pool.",
    method: "For every mode and every number of clients a server is started afresh. All clients \
             connect at once and talk without a pause; counted are those that got at least one \
             byte back before the window ended. A window in which somebody was missing is repeated \
             four times as long before it counts.",
    lesson: "The size of a pool that owns connections is the largest number of clients that can \
             be served. Everybody else is connected and waits, which looks like a slow network.",
    fault: Fault {
        what: "Every pool has one worker more than it is said to have.",
        symptom: "not 4",
    },
    run,
};

/// The numbers of clients: one, as many as workers, one more, and many.
const OFFERS: [u32; 5] = [1, 4, 5, 20, 50];
/// How long each number of clients is watched at first, in the short form.
const WINDOW: Duration = Duration::from_millis(250);
/// How much longer a window is watched again in which somebody was missing.
const PATIENCE_FACTOR: u32 = 4;

/// One mode.
#[derive(Clone, Debug, Serialize)]
struct Row {
    mode: String,
    capacity: Capacity,
    points: Vec<Point>,
}

/// One number of clients.
#[derive(Clone, Debug, Serialize)]
struct Point {
    offered: u32,
    served: u32,
    #[serde(skip)]
    invalid: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    workers: usize,
    modes: Vec<Row>,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let mut modes = Vec::new();
    for mode in modes::possible() {
        modes.push(one_mode(bench, mode)?);
    }
    let figures = Figures {
        workers: WORKERS,
        modes,
    };
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: vec![
            Exhibit::Offered(lines(&figures)),
            Exhibit::Table(table(&figures)),
        ],
        figures: figures_of(&figures),
    })
}

fn one_mode(bench: &mut Bench, mode: Mode) -> Result<Row, Failure> {
    let started = WORKERS + usize::from(bench.faulted());
    let subject = Subject::own(mode.name(), started);
    let mut row = Row {
        mode: mode.name().to_owned(),
        capacity: Capacity::planned(mode, WORKERS),
        points: Vec::new(),
    };
    for offered in OFFERS.into_iter().filter_map(NonZeroU32::new) {
        let mut window = bench.window(WINDOW);
        let mut last_try = false;
        let point = loop {
            let server = bench.start(&subject)?;
            row.capacity = row.capacity.said_by(&server.ready);
            let measured = bench.load(&server, &Load::busy(offered, window))?;
            drop(server.stop());
            let served = measured.report.clients.served;
            if last_try || served >= row.capacity.serves(offered.get()) {
                break Point {
                    offered: offered.get(),
                    served,
                    invalid: measured.invalid(),
                };
            }
            window *= PATIENCE_FACTOR;
            last_try = true;
        };
        row.points.push(point);
    }
    Ok(row)
}

fn judge(figures: &Figures) -> Ruling {
    let mut objections = Vec::new();
    for row in &figures.modes {
        objections.extend(row.capacity.objection(&row.mode, at_most(row).0));
        for point in &row.points {
            let expected = row.capacity.serves(point.offered);
            if let Some(why) = &point.invalid {
                let text = format!("{}, {} clients: {why}", row.mode, point.offered);
                objections.push(Ruling::inconclusive(text));
            } else if point.served != expected {
                objections.push(Ruling::does_not_hold(format!(
                    "{} served {} of {} clients, not {expected}",
                    row.mode, point.served, point.offered
                )));
            }
        }
    }
    let runs: usize = figures.modes.iter().map(|row| row.points.len()).sum();
    if runs == 0 {
        objections.push(Ruling::inconclusive("nothing was measured"));
    }
    let modes = figures.modes.len();
    Ruling::unless(
        objections,
        format!("served(N) = min(N, capacity) in all {runs} runs of {modes} modes"),
    )
}

/// The most clients offered to a mode and how many of them were served.
fn at_most(row: &Row) -> (u32, u32) {
    row.points
        .iter()
        .map(|point| (point.offered, point.served))
        .max()
        .unwrap_or((0, 0))
}

fn headline(figures: &Figures) -> String {
    let mut limited = Vec::new();
    let mut open = Vec::new();
    for row in &figures.modes {
        let (offered, served) = at_most(row);
        if served < offered {
            limited.push(format!("{} {served}", row.mode));
        } else {
            open.push(row.mode.clone());
        }
    }
    let offered = OFFERS.into_iter().max().unwrap_or(0);
    format!(
        "Of {offered} clients that stay are served: {}; all {offered}: {}.",
        limited.join(", "),
        open.join(", ")
    )
}

fn lines(figures: &Figures) -> Offered {
    let line = |row: &Row| OfferedLine {
        name: row.mode.clone(),
        points: row
            .points
            .iter()
            .map(|point| (point.offered, point.served))
            .collect(),
    };
    Offered {
        title: "Clients served against clients offered".into(),
        caption: "A mode whose workers own connections turns flat at its capacity. The straight \
                  line serves everybody who comes."
            .into(),
        lines: figures.modes.iter().map(line).collect(),
    }
}

fn table(figures: &Figures) -> Table {
    let mut header = vec!["mode".to_owned(), "capacity".to_owned()];
    header.extend(OFFERS.map(|offered| format!("N = {offered}")));
    let row = |row: &Row| {
        let mut cells = vec![
            Cell::from(row.mode.as_str()),
            row.capacity.said_words().into(),
        ];
        cells.extend(row.points.iter().map(|point| {
            let all = point.served == point.offered;
            Cell::toned(
                point.served.to_string(),
                if all { Tone::Good } else { Tone::Bad },
            )
        }));
        cells
    };
    Table {
        title: "Clients served".into(),
        caption: "Capacity is what the server itself says before anybody comes.".into(),
        header,
        rows: figures.modes.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn figures(served: [u32; 5]) -> Figures {
        let points = OFFERS.into_iter().zip(served);
        let points = points.map(|(offered, served)| Point {
            offered,
            served,
            invalid: None,
        });
        Figures {
            workers: 4,
            modes: vec![Row {
                mode: "pool".into(),
                capacity: Capacity {
                    planned: Some(4),
                    said: Some(4),
                },
                points: points.collect(),
            }],
        }
    }

    #[test]
    fn exactly_the_capacity_holds() {
        let ruling = judge(&figures([1, 4, 4, 4, 4]));
        assert_eq!(
            ruling,
            Ruling::holds("served(N) = min(N, capacity) in all 5 runs of 1 modes")
        );
    }

    #[test]
    fn one_more_or_one_less_does_not_hold() {
        assert_eq!(
            judge(&figures([1, 4, 5, 4, 4])),
            Ruling::does_not_hold("pool served 5 of 5 clients, not 4")
        );
        assert_eq!(
            judge(&figures([1, 4, 4, 4, 3])).verdict,
            Verdict::DoesNotHold
        );
    }

    #[test]
    fn an_invalid_run_or_none_proves_nothing() {
        let mut invalid = figures([1, 4, 4, 4, 4]);
        invalid.modes[0].points[2].invalid = Some("bytes differ".into());
        assert_eq!(judge(&invalid).verdict, Verdict::Inconclusive);
        let empty = Figures {
            workers: 4,
            modes: vec![],
        };
        assert_eq!(judge(&empty).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_server_that_serves_fewer_and_says_so_does_not_hold() {
        let mut modest = figures([1, 3, 3, 3, 3]);
        modest.modes[0].capacity.said = Some(3);
        assert_eq!(judge(&modest).verdict, Verdict::DoesNotHold);
        let mut wrong_word = figures([1, 4, 4, 4, 4]);
        wrong_word.modes[0].capacity.said = Some(3);
        assert_eq!(
            judge(&wrong_word),
            Ruling::does_not_hold("pool says that its capacity is 3, not 4")
        );
    }
}
