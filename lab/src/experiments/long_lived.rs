//! A few quiet clients hold a pool hostage while its processors idle; what cures it and what does
//! not.

use std::time::Duration;

use serde::Serialize;
use server::Mode;

use super::{CLIENTS, POOL, SETTLE, WORKERS};
use crate::bench::{Bench, Failure};
use crate::exhibit::{Bars, Cell, Exhibit, Table};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::load::{Load, Measured};
use crate::modes::{self, Capacity};
use crate::subject::Subject;
use crate::verdict::Ruling;
use loadgen::svg::Bar;

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "long-lived",
    chapter: Chapter::Serving,
    question: "Is a pool that serves nobody at least busy?",
    claim: "Quiet clients hold the whole pool while its processors idle; more workers only move \
            the limit; async and a thread per connection do not care.",
    prediction: "50 clients say one thing and then stay silent. Each of the first W keeps a worker \
                 that waits for its next word, so a pool of 4, 8 and 16 serves 4, 8 and 16 clients \
                 at almost 0 % CPU, with 46, 42 and 34 requests unanswered. Where a silent client \
                 costs no worker of a fixed number all 50 are served.",
    method: "50 clients send one request and are silent from its answer to the end of the run. CPU \
             time is read from outside for the server and all its children, over the window that \
             begins when everybody has connected.",
    lesson: "A worker is idle only when the code that it runs has ended. Pool the work, not the \
             connection: let a waiting client cost memory, and a worker only while there is work.",
    fault: Fault {
        what: "Clients are silent for 50 us only, so that they keep the workers busy.",
        symptom: "unanswered",
    },
    run,
};

/// How long is watched, in the short form.
const WINDOW: Duration = Duration::from_millis(1_000);
/// Longer than any run: the clients stay silent.
const SILENCE: Duration = Duration::from_secs(60);
/// The silence of clients that do not keep to it.
const WHISPER: Duration = Duration::from_micros(50);
/// The larger pools.
const MORE_WORKERS: [usize; 2] = [8, 16];
/// A server that uses less than this share of one processor is idle.
const IDLE_CORES: f64 = 0.05;

/// One server.
#[derive(Clone, Debug, Serialize)]
struct Row {
    name: String,
    capacity: Capacity,
    served: u32,
    unanswered: u64,
    cpu_percent_of_a_core: Option<f64>,
    threads: Option<u64>,
    memory_bytes: Option<u64>,
    #[serde(skip)]
    invalid: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    clients: u32,
    servers: Vec<Row>,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let load = Load::busy(CLIENTS, bench.window(WINDOW))
        .after(SETTLE)
        .quiet(if bench.faulted() { WHISPER } else { SILENCE });
    let mut servers = Vec::new();
    for (subject, capacity) in subjects() {
        let server = bench.start(&subject)?;
        let measured = bench.load(&server, &load)?;
        servers.push(row(
            &subject.name,
            capacity.said_by(&server.ready),
            &measured,
        ));
        drop(server.stop());
    }
    let figures = Figures {
        clients: CLIENTS.get(),
        servers,
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

/// The pool in three sizes, then every other mode.
fn subjects() -> Vec<(Subject, Capacity)> {
    let of = |mode: Mode, size| {
        let subject = Subject::own(mode.name(), size);
        (subject, Capacity::planned(mode, size))
    };
    let (pool, others): (Vec<Mode>, Vec<Mode>) =
        modes::possible().partition(|mode| mode.name() == POOL);
    let sizes = std::iter::once(WORKERS).chain(MORE_WORKERS);
    let pools = sizes.flat_map(|size| pool.iter().map(move |mode| (*mode, size)));
    let pools = pools.map(|(mode, size)| {
        let (subject, capacity) = of(mode, size);
        (subject.named(format!("{POOL} of {size}")), capacity)
    });
    let others = others.into_iter().map(|mode| of(mode, WORKERS));
    pools.chain(others).collect()
}

fn row(name: &str, capacity: Capacity, measured: &Measured) -> Row {
    let usage = measured.usage.as_ref();
    Row {
        name: name.to_owned(),
        capacity,
        served: measured.report.clients.served,
        unanswered: measured.report.requests.pending,
        cpu_percent_of_a_core: usage.map(|usage| usage.cpu_cores * 100.0),
        threads: usage.map(|usage| usage.threads),
        memory_bytes: usage.map(|usage| usage.memory_bytes),
        invalid: measured.invalid(),
    }
}

fn judge(figures: &Figures) -> Ruling {
    let asked = figures.clients;
    let rows = figures.servers.iter();
    let mut objections: Vec<Ruling> = rows.flat_map(|row| objections(row, asked)).collect();
    let starved: Vec<&Row> = figures
        .servers
        .iter()
        .filter(|row| row.served < asked)
        .collect();
    if starved.is_empty() || starved.len() == figures.servers.len() {
        objections.push(Ruling::inconclusive(
            "there is no contrast between pools and the others",
        ));
    }
    let busiest = figures
        .servers
        .iter()
        .filter_map(|row| row.cpu_percent_of_a_core);
    let pools = figures
        .servers
        .iter()
        .filter(|row| row.name.starts_with(POOL));
    let served: Vec<String> = pools.map(|row| row.served.to_string()).collect();
    Ruling::unless(
        objections,
        format!(
            "{POOL}s of {WORKERS}, {} and {} served {} of {asked} at {} CPU; {} other modes served all",
            MORE_WORKERS[0],
            MORE_WORKERS[1],
            served.join(", "),
            percent(busiest.reduce(f64::max)),
            figures.servers.len() - starved.len()
        ),
    )
}

/// What is not as predicted of one server.
fn objections(row: &Row, asked: u32) -> Vec<Ruling> {
    let (name, expected) = (&row.name, row.capacity.serves(asked));
    let Row {
        served, unanswered, ..
    } = row;
    let mut objections = Vec::from_iter(row.capacity.objection(name, asked));
    if let Some(why) = &row.invalid {
        objections.push(Ruling::inconclusive(format!("{name}: {why}")));
    } else if *served != expected {
        objections.push(Ruling::does_not_hold(format!(
            "{name} served {served} of {asked} clients, not {expected}"
        )));
    } else if *unanswered != u64::from(asked - expected) {
        let rest = asked - expected;
        objections.push(Ruling::does_not_hold(format!(
            "{name} left {unanswered} requests unanswered, not {rest}"
        )));
    }
    match row.cpu_percent_of_a_core {
        None => objections.push(Ruling::inconclusive(format!(
            "{name}: no CPU time was read"
        ))),
        Some(percent) if percent > IDLE_CORES * 100.0 => {
            objections.push(Ruling::does_not_hold(format!(
                "{name} used {percent:.0} % of a processor on silent clients"
            )));
        }
        Some(_) => {}
    }
    objections
}

fn headline(figures: &Figures) -> String {
    let Some(pool) = figures.servers.first() else {
        return String::new();
    };
    let cpu = percent(pool.cpu_percent_of_a_core);
    let cures = figures
        .servers
        .iter()
        .filter(|row| row.served == figures.clients);
    let cures: Vec<&str> = cures.map(|row| row.name.as_str()).collect();
    format!(
        "{} silent clients keep {} requests waiting at {cpu} CPU. What cures it: {}.",
        pool.served,
        pool.unanswered,
        cures.join(", ")
    )
}

/// The system counts CPU time in hundredths of a second: a short window knows no finer figure.
fn percent(cpu: Option<f64>) -> String {
    match cpu {
        None => "-".to_owned(),
        Some(cpu) if cpu < 1.0 => "<1 %".to_owned(),
        Some(cpu) => format!("{cpu:.0} %"),
    }
}

fn bars(figures: &Figures) -> Bars {
    let bar = |row: &Row| Bar {
        name: row.name.clone(),
        served: row.served,
        waiting: figures.clients - row.served,
        note: format!("CPU {}", percent(row.cpu_percent_of_a_core)),
    };
    Bars {
        title: "50 clients that say one thing and stay".into(),
        caption: "Every hatched client has a request that nobody reads, on a server that does \
                  nothing: the CPU on the right is the share of one processor. Doubling the pool \
                  moves the border and cures nothing."
            .into(),
        bars: figures.servers.iter().map(bar).collect(),
    }
}

fn table(figures: &Figures) -> Table {
    let header = [
        "server",
        "served",
        "requests unanswered",
        "CPU of one core",
        "threads",
        "memory",
    ];
    let row = |row: &Row| {
        vec![
            row.name.as_str().into(),
            Cell::served(row.served, figures.clients),
            row.unanswered.to_string().into(),
            percent(row.cpu_percent_of_a_core).into(),
            Cell::or_dash(row.threads.map(|threads| threads.to_string())),
            Cell::or_dash(row.memory_bytes.map(cli::units::bytes)),
        ]
    };
    Table {
        title: "What waiting costs".into(),
        caption:
            "CPU, threads and memory of the server and its children, read from outside at the \
                  end of the window; memory that processes share is divided among them."
                .into(),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.servers.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn row(name: &str, planned: Option<usize>, served: u32, cpu: f64) -> Row {
        Row {
            name: name.into(),
            capacity: Capacity {
                planned,
                said: planned.or(Some(16_000)),
            },
            served,
            unanswered: u64::from(50 - served),
            cpu_percent_of_a_core: Some(cpu),
            threads: Some(5),
            memory_bytes: Some(1 << 20),
            invalid: None,
        }
    }

    fn figures() -> Figures {
        Figures {
            clients: 50,
            servers: vec![
                row("thread-pool of 4", Some(4), 4, 0.1),
                row("thread-pool of 8", Some(8), 8, 0.0),
                row("async", None, 50, 0.2),
            ],
        }
    }

    #[test]
    fn idle_hostages_and_a_cure_hold() {
        let ruling = judge(&figures());
        assert_eq!(ruling.verdict, Verdict::Holds, "{ruling:?}");
    }

    #[test]
    fn another_number_of_clients_or_a_busy_pool_does_not_hold() {
        let mut more = figures();
        more.servers[0].served = 6;
        assert_eq!(
            judge(&more),
            Ruling::does_not_hold("thread-pool of 4 served 6 of 50 clients, not 4")
        );
        let mut answered = figures();
        answered.servers[1].unanswered = 41;
        assert_eq!(
            judge(&answered),
            Ruling::does_not_hold("thread-pool of 8 left 41 requests unanswered, not 42")
        );
        let mut wrong_word = figures();
        wrong_word.servers[0].capacity.said = Some(3);
        assert_eq!(judge(&wrong_word).verdict, Verdict::DoesNotHold);
        let mut busy = figures();
        busy.servers[1].cpu_percent_of_a_core = Some(90.0);
        assert_eq!(judge(&busy).verdict, Verdict::DoesNotHold);
        let mut starving = figures();
        starving.servers[2].served = 49;
        assert_eq!(judge(&starving).verdict, Verdict::DoesNotHold);
    }

    #[test]
    fn without_cpu_time_contrast_or_validity_nothing_is_proved() {
        let mut blind = figures();
        blind.servers[0].cpu_percent_of_a_core = None;
        assert_eq!(judge(&blind).verdict, Verdict::Inconclusive);
        let mut alone = figures();
        alone.servers.pop();
        assert_eq!(judge(&alone).verdict, Verdict::Inconclusive);
        let mut invalid = figures();
        invalid.servers[2].invalid = Some("bytes differ".into());
        assert_eq!(judge(&invalid).verdict, Verdict::Inconclusive);
    }
}
