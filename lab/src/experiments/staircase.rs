//! The picture of a pool: clients are admitted in steps as high as the pool and as wide as their
//! stay, so that the size of the pool can be read off from outside.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Serialize;

use super::WORKERS;
use crate::bench::{Bench, Failure};
use crate::exhibit::{Cell, Exhibit, Panel, Staircase, Table, Tone};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::load::Load;
use crate::modes::{self, Capacity};
use crate::subject::Subject;
use crate::verdict::Ruling;
use loadgen::staircase::{Deviation, Fit, deviation, expected_s, fit};
use loadgen::svg::Span;

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "staircase",
    chapter: Chapter::Serving,
    question: "When is it a client's turn?",
    claim: "On a pool of W workers client number i gets its first byte after floor(i / W) times as \
            long as a client stays.",
    prediction: "20 clients that each stay for 1 s on 4 workers: four are served at 0 s, and every \
                 second four leave and the next four come in, so the first bytes arrive at 0, 1, 2, \
                 3 and 4 s in groups of 4, each within 100 ms. One at a time for the sequential \
                 server; all at 0 s for a thread per connection and for async.",
    method: "All modes at the same time, each with 20 clients that connect at once, send one \
             request, stay silent for 1 s after the answer and leave for good. The first byte of \
             each client is timed from the start of the run and compared in the order of admission.",
    lesson: "Nothing in the figures of the served clients shows the wait of the others; the time \
             from the connection to the first byte does. It also gives away the size of the pool.",
    fault: Fault {
        what: "Clients leave after half of the time that they are said to stay.",
        symptom: "before its turn",
    },
    run,
};

/// Clients: five steps of the pool.
const CLIENTS: NonZeroU32 = NonZeroU32::new(20).expect("20 is not 0");
/// How long each stays.
const HOLD: Duration = Duration::from_secs(1);
/// How long is watched: five steps, until the last have left.
const WINDOW: Duration = Duration::from_millis(5_200);
/// How far a first byte may be from its predicted moment, in seconds.
const TOLERANCE_S: f64 = 0.1;
/// Beyond this, in seconds, a late step is no longer a busy machine but another staircase.
const ANOTHER_STEP_S: f64 = 0.5;

/// One mode.
#[derive(Clone, Debug, Serialize)]
struct Row {
    mode: String,
    capacity: Capacity,
    first_bytes_s: Vec<f64>,
    fit: Option<Fit>,
    deviation: Deviation,
    #[serde(skip)]
    invalid: Option<String>,
    #[serde(skip)]
    clients: Vec<Span>,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    workers: usize,
    clients: u32,
    hold_s: f64,
    watched_s: f64,
    modes: Vec<Row>,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let mut servers = Vec::new();
    for mode in modes::possible() {
        let capacity = Capacity::planned(mode, WORKERS);
        servers.push((capacity, bench.start(&Subject::own(mode.name(), WORKERS))?));
    }
    let stay = if bench.faulted() { HOLD / 2 } else { HOLD };
    let load = Load::busy(CLIENTS, WINDOW)
        .quiet(stay)
        .one_request_each()
        .once();
    let pairs: Vec<_> = servers.iter().map(|(_, server)| (server, &load)).collect();
    let measured = bench.load_each(&pairs)?;
    let mut rows = Vec::new();
    for ((capacity, server), measured) in servers.into_iter().zip(measured) {
        rows.push(row(
            server.name.clone(),
            capacity.said_by(&server.ready),
            measured.admissions(),
            measured.invalid(),
        ));
        drop(server.stop());
    }
    // The pools first, or the large picture would show something else.
    rows.sort_by_key(|row| row.capacity.planned != Some(WORKERS));
    let figures = Figures {
        workers: WORKERS,
        clients: CLIENTS.get(),
        hold_s: HOLD.as_secs_f64(),
        watched_s: WINDOW.as_secs_f64(),
        modes: rows,
    };
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: vec![
            Exhibit::Staircase(picture(&figures)),
            Exhibit::Table(table(&figures)),
        ],
        figures: figures_of(&figures),
    })
}

fn row(mode: String, capacity: Capacity, clients: Vec<Span>, invalid: Option<String>) -> Row {
    let first_bytes_s: Vec<f64> = clients.iter().filter_map(|c| c.first_byte_s).collect();
    let hold_s = HOLD.as_secs_f64();
    Row {
        fit: fit(&first_bytes_s, hold_s),
        deviation: deviation(&first_bytes_s, capacity.places(), hold_s),
        mode,
        capacity,
        first_bytes_s,
        invalid,
        clients,
    }
}

/// How many of the clients are due up to `until_s`.
fn due(capacity: usize, until_s: f64, figures: &Figures) -> usize {
    (0..figures.clients as usize)
        .take_while(|index| expected_s(*index, capacity, figures.hold_s) <= until_s)
        .count()
}

fn judge(figures: &Figures) -> Ruling {
    let rows = figures.modes.iter();
    let word = |row: &Row| row.capacity.objection(&row.mode, figures.clients);
    let objections = rows
        .flat_map(|row| word(row).into_iter().chain(objection(row, figures)))
        .collect();
    let worst_s = figures
        .modes
        .iter()
        .map(|row| row.deviation.latest_s.max(row.deviation.earliest_s))
        .fold(0.0, f64::max);
    let pool = figures
        .modes
        .iter()
        .find(|row| row.capacity.planned == Some(figures.workers));
    let Some(fit) = pool.and_then(|row| row.fit.as_ref()) else {
        return Ruling::inconclusive("no pool was measured");
    };
    Ruling::unless(
        objections,
        format!(
            "groups of {}, inferred concurrent clients = {}, every first byte within {:.0} ms of \
             floor(i / capacity) s in {} modes",
            fit.concurrent,
            fit.concurrent,
            (worst_s * 1e3).ceil(),
            figures.modes.len()
        ),
    )
}

/// Why one mode does not bear the claim out, if so.
fn objection(row: &Row, figures: &Figures) -> Option<Ruling> {
    let mode = &row.mode;
    if let Some(why) = &row.invalid {
        return Some(Ruling::inconclusive(format!("{mode}: {why}")));
    }
    let served = row.first_bytes_s.len();
    let due_by = |until_s| due(row.capacity.places(), until_s, figures);
    // Who is due shortly before the end may come too late to be seen, which is only a doubt.
    let (least, most) = (
        due_by(figures.watched_s - ANOTHER_STEP_S),
        due_by(figures.watched_s),
    );
    let Deviation {
        earliest_s,
        latest_s,
    } = row.deviation;
    let wrong = if !(least..=most).contains(&served) {
        format!("{served} clients in {} s, not {most}", figures.watched_s)
    } else if earliest_s > TOLERANCE_S {
        format!("a client {:.0} ms before its turn", earliest_s * 1e3)
    } else if latest_s > ANOTHER_STEP_S {
        format!("a client {:.0} ms after its turn", latest_s * 1e3)
    } else {
        let missing = served < due_by(figures.watched_s - TOLERANCE_S);
        return (latest_s > TOLERANCE_S || missing).then(|| {
            Ruling::inconclusive(format!(
                "{mode}: the steps are right but at least {:.0} ms late; is the machine busy?",
                latest_s.max(TOLERANCE_S) * 1e3
            ))
        });
    };
    Some(Ruling::does_not_hold(format!("{mode} served {wrong}")))
}

fn headline(figures: &Figures) -> String {
    let inferred = figures.modes.first().and_then(|row| row.fit.as_ref());
    let inferred = inferred.map_or(0, |fit| fit.concurrent);
    format!(
        "Every second the next {inferred} come in: read from outside, the pool has {inferred} workers."
    )
}

fn picture(figures: &Figures) -> Staircase {
    let panel = |row: &Row| Panel {
        name: row.mode.clone(),
        capacity: row.capacity.places(),
        clients: row.clients.clone(),
    };
    Staircase {
        title: "Who was admitted when".into(),
        caption:
            "Each row is a client: hatched while it waits, blue while it is served. The steps \
                  are as high as the pool and as wide as a client's stay; without a pool there are \
                  no steps."
                .into(),
        hold_s: figures.hold_s,
        end_s: figures.watched_s,
        panels: figures.modes.iter().map(panel).collect(),
    }
}

fn table(figures: &Figures) -> Table {
    let header = [
        "mode",
        "capacity",
        "inferred concurrent clients",
        "groups",
        "worst deviation",
    ];
    let row = |row: &Row| {
        let worst_s = row.deviation.latest_s.max(row.deviation.earliest_s);
        let tone = if worst_s <= TOLERANCE_S {
            Tone::Plain
        } else {
            Tone::Bad
        };
        let (inferred, groups) = row.fit.as_ref().map_or_else(Default::default, |fit| {
            let least = if fit.stepped { "" } else { "≥ " };
            let groups: Vec<String> = fit.groups.iter().map(ToString::to_string).collect();
            (format!("{least}{}", fit.concurrent), groups.join(" "))
        });
        vec![
            row.mode.as_str().into(),
            row.capacity.said_words().into(),
            inferred.into(),
            groups.into(),
            Cell::toned(format!("{:.0} ms", worst_s * 1e3), tone),
        ]
    };
    Table {
        title: "The staircase in figures".into(),
        caption:
            "Inferred from the moments of the first bytes alone. Where nobody had to wait the \
                  capacity is at least the number of clients."
                .into(),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.modes.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    /// A server that says what its structure has.
    fn of(places: usize) -> Capacity {
        Capacity {
            planned: Some(places),
            said: Some(places),
        }
    }

    fn figures(capacity: usize, first_bytes_s: impl IntoIterator<Item = f64>) -> Figures {
        let span = |at_s| Span {
            first_byte_s: Some(at_s),
            ..Span::default()
        };
        let clients = first_bytes_s.into_iter().map(span).collect();
        Figures {
            workers: 4,
            clients: 20,
            hold_s: 1.0,
            watched_s: 5.2,
            modes: vec![row("pool".into(), of(capacity), clients, None)],
        }
    }

    fn steps(capacity: usize, late_s: f64) -> impl Iterator<Item = f64> {
        (0..20).map(move |i| expected_s(i, capacity, 1.0) + late_s)
    }

    #[test]
    fn the_predicted_staircase_holds() {
        let ruling = judge(&figures(4, steps(4, 0.03)));
        assert_eq!(ruling.verdict, Verdict::Holds);
        assert!(
            ruling.reason.contains("inferred concurrent clients = 4"),
            "{ruling:?}"
        );
    }

    #[test]
    fn another_staircase_does_not_hold() {
        assert_eq!(
            judge(&figures(4, steps(5, 0.0))).verdict,
            Verdict::DoesNotHold
        );
        assert_eq!(
            judge(&figures(4, steps(2, 0.0))).verdict,
            Verdict::DoesNotHold
        );
        let mut modest = figures(4, steps(3, 0.0));
        modest.modes[0].capacity.said = Some(3);
        assert_eq!(judge(&modest).verdict, Verdict::DoesNotHold);
        let mut wrong_word = figures(4, steps(4, 0.0));
        wrong_word.modes[0].capacity.said = Some(3);
        assert_eq!(
            judge(&wrong_word),
            Ruling::does_not_hold("pool says that its capacity is 3, not 4")
        );
        let missing = judge(&figures(4, steps(4, 0.0).take(19)));
        assert_eq!(
            missing,
            Ruling::does_not_hold("pool served 19 clients in 5.2 s, not 20")
        );
    }

    #[test]
    fn right_steps_that_are_late_or_invalid_prove_nothing() {
        assert_eq!(
            judge(&figures(4, steps(4, 0.101))).verdict,
            Verdict::Inconclusive
        );
        let mut invalid = figures(4, steps(4, 0.0));
        invalid.modes[0].invalid = Some("bytes differ".into());
        assert_eq!(judge(&invalid).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_sequential_server_is_due_six_clients() {
        let with = |served: usize| {
            let mut figures = figures(4, steps(4, 0.0));
            let span = |at_s| Span {
                first_byte_s: Some(at_s),
                ..Span::default()
            };
            let clients = steps(1, 0.05).take(served).map(span).collect();
            figures
                .modes
                .push(row("sequential".into(), of(1), clients, None));
            judge(&figures)
        };
        assert_eq!(with(6).verdict, Verdict::Holds);
        assert_eq!(
            with(5).verdict,
            Verdict::Inconclusive,
            "the sixth may have been late"
        );
        assert_eq!(
            with(4).reason,
            "sequential served 4 clients in 5.2 s, not 6"
        );
        assert_eq!(with(7).verdict, Verdict::DoesNotHold);
    }
}
