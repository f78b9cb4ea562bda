//! Ten thousand clients at once: which modes serve them all, with what, and what stops the others.

use std::fs;
use std::num::NonZeroU32;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use server::Mode;

use super::{SETTLE, WORKERS};
use crate::bench::{Bench, Failure};
use crate::exhibit::{Cell, Exhibit, Table, Tone};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::load::Load;
use crate::modes::{self, Capacity, Holds, at_most};
use crate::process::ServerProcess;
use crate::subject::Subject;
use crate::usage::{self, Sample};
use crate::verdict::Ruling;

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "c10k",
    chapter: Chapter::Cost,
    question: "Which of these servers can have ten thousand clients at once, and what stops the rest?",
    claim: "Every mode in which a waiting client costs memory only serves 10,000 with the threads \
            that it has for one; a thread each does it with 10,000 threads; a pool serves W of \
            them, and a process each says that it could have as many as the system has processes \
            for, and not more.",
    prediction: "served(N) = min(N, capacity). Capacity is 1 or W where a worker owns a connection; \
                 elsewhere it is the least of the machine's limits: descriptors (one each), for a \
                 thread each also vm.max_map_count / 4 and the limits on threads, for a process \
                 each those on processes, four threads each. So with W = 4 of 10,000 clients 1 or 4 \
                 are served by whoever owns, and 10,000 by the others, with at least 10,000 threads \
                 in one and with no thread more than before in the rest.",
    method: "10,000 clients connect at once to each mode, say one thing and stay. Counted is who got \
             a byte, until all are served; where not all can be, until as many are as should, and \
             200 ms more. Threads and memory are read from outside before and then. A process for \
             each is not tried with 10,000: it is offered 64, and its own limit is what it says at \
             its start. That many processes, with the threads that the 64 had, must fit into what \
             the system allows: ulimit -u, kernel.threads-max and kernel.pid_max, read here.",
    lesson: "Ten thousand connections are no load: they are memory. What stops a server is a limit \
             that somebody set (descriptors, mappings, processes) or its own structure, and it \
             should say which: the server derives --max-connections from the limit that really \
             bounds its mode and logs it at the start (limited_by).",
    fault: Fault {
        what: "Servers are started with --max-connections 5000.",
        symptom: "5000",
    },
    run,
};

/// Clients.
const CLIENTS: NonZeroU32 = NonZeroU32::new(10_000).expect("10000 is not 0");
/// Clients where each costs a process.
const SAMPLE: NonZeroU32 = NonZeroU32::new(64).expect("64 is not 0");
/// How long it may take until everybody is served who can be: a client whose first packet found the
/// accept queue full tries again after 1, 3 and 7 seconds.
const LIMIT: Duration = Duration::from_secs(20);
/// Longer than any run: the clients stay silent.
const SILENCE: Duration = Duration::from_secs(3600);
/// Threads that a server may start for other reasons than clients.
const FEW_THREADS: u64 = 16;

/// One mode.
#[derive(Clone, Debug, Serialize)]
struct Row {
    mode: String,
    client_holds: Holds,
    capacity: Capacity,
    /// What keeps the capacity from being larger, by the server's own word.
    limited_by: Option<String>,
    offered: u32,
    connected: u32,
    served: u32,
    threads_before: Option<u64>,
    threads: Option<u64>,
    memory_before_bytes: Option<u64>,
    memory_bytes: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    workers: usize,
    clients: u32,
    /// Processes and threads that the system allows.
    tasks_allowed: Option<u64>,
    modes: Vec<Row>,
}

impl Row {
    /// How many of the clients have a place.
    fn places(&self) -> u32 {
        at_most(self.offered, self.capacity.places())
    }

    /// How many of the clients should be served, whatever the server says of its capacity: only a
    /// limit of the machine, which the server names, makes it fewer.
    fn expected(&self) -> u32 {
        match &self.limited_by {
            Some(_) => self.places(),
            None => self.capacity.serves(self.offered),
        }
    }
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let mut modes = Vec::new();
    for mode in modes::possible() {
        modes.push(one_mode(bench, mode)?);
    }
    let figures = Figures {
        workers: WORKERS,
        clients: CLIENTS.get(),
        tasks_allowed: tasks_allowed(),
        modes,
    };
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: vec![Exhibit::Table(table(&figures))],
        figures: figures_of(&figures),
    })
}

fn one_mode(bench: &mut Bench, mode: Mode) -> Result<Row, Failure> {
    let limit: &[&str] = if bench.faulted() {
        &["--max-connections", "5000"]
    } else {
        &[]
    };
    let server = bench.start(&Subject::own(mode.name(), WORKERS).with(limit))?;
    let client_holds = Holds::of(mode);
    let offered = match client_holds {
        Holds::Process => SAMPLE,
        _ => CLIENTS,
    };
    let before = usage::sample(server.pid());
    let mut row = Row {
        mode: mode.name().to_owned(),
        client_holds,
        capacity: Capacity::planned(mode, WORKERS).said_by(&server.ready),
        limited_by: limited_by(&server),
        offered: offered.get(),
        connected: 0,
        served: 0,
        threads_before: before.map(|sample| sample.threads),
        threads: None,
        memory_before_bytes: before.map(|sample| sample.memory_bytes),
        memory_bytes: None,
    };
    let load = Load::busy(offered, SILENCE).quiet(SILENCE).once();
    let places = row.places();
    let (report, after) = bench.while_loaded(&server, &load, |watch| {
        let _ = watch.until(LIMIT, |seen| seen.served >= places);
        if places < offered.get() {
            // One more than there are places for would be served now.
            watch.pass(SETTLE);
        }
        Ok::<Option<Sample>, Failure>(usage::sample(server.pid()))
    })?;
    drop(server.stop());
    row.connected = report.clients.connected;
    row.served = report.clients.served;
    row.threads = after.map(|sample| sample.threads);
    row.memory_bytes = after.map(|sample| sample.memory_bytes);
    Ok(row)
}

/// The least of the limits on processes and threads, which the kernel counts alike.
fn tasks_allowed() -> Option<u64> {
    let setting = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?;
        text.trim().parse().ok()
    };
    let of_user = getrlimit(Resource::Nproc).current;
    let limits = [of_user, setting("threads-max"), setting("pid_max")];
    limits.into_iter().flatten().min()
}

/// What the server says keeps it from having more connections, where that is the machine.
fn limited_by(server: &ServerProcess) -> Option<String> {
    let lines = server.log().lines(|line| line.contains(" limited_by="));
    let (_, rest) = lines.first()?.split_once(" limited_by=")?;
    let (name, _) = rest.split_once(" backlog=")?;
    Some(name.to_owned())
}

fn judge(figures: &Figures) -> Ruling {
    let rows = &figures.modes;
    let mut objections: Vec<Ruling> = rows.iter().filter_map(miscount).collect();
    objections.extend(rows.iter().filter_map(threads));
    let each = rows.iter().filter(|row| row.client_holds == Holds::Process);
    objections.extend(each.filter_map(|row| promised(row, figures.tasks_allowed)));
    let all: Vec<&Row> = rows
        .iter()
        .filter(|row| row.served >= figures.clients)
        .collect();
    if all.is_empty() {
        objections.push(Ruling::inconclusive(format!(
            "this machine lets no mode have {} clients",
            figures.clients
        )));
    }
    let pools = rows.iter().filter(|row| row.client_holds == Holds::Worker);
    let threads = all
        .iter()
        .filter(|row| row.client_holds == Holds::Memory)
        .filter_map(|row| row.threads);
    Ruling::unless(
        objections,
        format!(
            "{} modes served all {} clients, those that keep only memory for them with {} threads \
             at most; {} served 1 or {}",
            all.len(),
            figures.clients,
            threads.max().unwrap_or(0),
            pools.count(),
            figures.workers
        ),
    )
}

/// Another number of clients than the capacity allows.
fn miscount(row: &Row) -> Option<Ruling> {
    let expected = row.expected();
    if let Some(word) = row.capacity.objection(&row.mode, expected) {
        return Some(word);
    }
    (row.served != expected).then(|| {
        Ruling::does_not_hold(format!(
            "{} served {} of {} clients, not {expected}",
            row.mode, row.served, row.offered
        ))
    })
}

/// Threads that a mode should not need, or that are missing.
fn threads(row: &Row) -> Option<Ruling> {
    let mode = &row.mode;
    let (Some(before), Some(after)) = (row.threads_before, row.threads) else {
        let text = format!("{mode}: the threads were not read");
        return Some(Ruling::inconclusive(text));
    };
    let more = after.saturating_sub(before);
    let expected = match row.client_holds {
        Holds::Memory | Holds::Worker => more <= FEW_THREADS,
        Holds::Thread | Holds::Process => more >= u64::from(row.served),
    };
    (!expected).then(|| {
        Ruling::does_not_hold(format!(
            "{mode} had {more} threads more with {} clients served",
            row.served
        ))
    })
}

/// A process for each that promises more of them than the system allows.
fn promised(row: &Row, allowed: Option<u64>) -> Option<Ruling> {
    let mode = &row.mode;
    let said = row.capacity.said.unwrap_or(0) as u64;
    let more = row.threads?.saturating_sub(row.threads_before?);
    let Some(allowed) = allowed else {
        let text = format!("{mode}: the limits on processes were not read");
        return Some(Ruling::inconclusive(text));
    };
    let needed = said.saturating_mul(more / u64::from(row.served.max(1)));
    (needed > allowed).then(|| {
        Ruling::does_not_hold(format!(
            "{mode} promises {said} clients, which takes {needed} processes and threads where \
             {allowed} are allowed"
        ))
    })
}

fn headline(figures: &Figures) -> String {
    let of = |holds| {
        let rows = figures.modes.iter();
        rows.filter(move |row| row.client_holds == holds && row.served >= figures.clients)
    };
    let names: Vec<&str> = of(Holds::Memory).map(|row| row.mode.as_str()).collect();
    let thread = of(Holds::Thread).find_map(|row| row.threads);
    format!(
        "{} serve {} clients on {} workers{}.",
        names.join(", "),
        figures.clients,
        figures.workers,
        thread.map_or_else(String::new, |threads| format!(
            "; a thread each takes {threads} threads"
        ))
    )
}

/// How many clients the mode can have, and by what.
fn limit(row: &Row) -> String {
    let by = match (row.client_holds, &row.limited_by) {
        (Holds::Worker, _) => "its workers",
        (_, None) => "its flags",
        // The name of the setting stands in brackets.
        (_, Some(by)) => by.split(['(', ')']).nth(1).unwrap_or(by),
    };
    format!("{}, {by}", row.capacity.said_words())
}

fn table(figures: &Figures) -> Table {
    let header = [
        "mode",
        "a client holds",
        "its limit",
        "served",
        "threads",
        "memory",
    ];
    let row = |row: &Row| {
        let tone = if row.served == row.offered {
            Tone::Good
        } else {
            Tone::Bad
        };
        let served = if row.offered == figures.clients {
            row.served.to_string()
        } else {
            format!("{} of {}", row.served, row.offered)
        };
        vec![
            row.mode.as_str().into(),
            row.client_holds.words().into(),
            limit(row).into(),
            Cell::toned(served, tone),
            Cell::or_dash(row.threads.map(|threads| threads.to_string())),
            Cell::or_dash(row.memory_bytes.map(cli::units::bytes)),
        ]
    };
    Table {
        title: format!("{} clients that stay, and what they take", figures.clients),
        caption: "Threads and memory of the server with all its children, while the clients are \
                  there; what the kernel keeps for a connection is not in it. A process for each \
                  was offered fewer clients."
            .into(),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.modes.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn of(planned: Option<usize>, said: usize) -> Capacity {
        let said = Some(said);
        Capacity { planned, said }
    }

    fn row(mode: &str, client_holds: Holds, served: u32, threads: u64) -> Row {
        Row {
            mode: mode.into(),
            client_holds,
            capacity: of(None, 19_936),
            limited_by: Some("descriptors (ulimit -Hn)".into()),
            offered: 10_000,
            connected: 10_000,
            served,
            threads_before: Some(6),
            threads: Some(threads),
            memory_before_bytes: Some(1 << 20),
            memory_bytes: Some(1 << 24),
        }
    }

    fn figures() -> Figures {
        let pool = Row {
            capacity: of(Some(4), 4),
            ..row("thread-pool", Holds::Worker, 4, 6)
        };
        let process = Row {
            capacity: of(None, 8_176),
            offered: 64,
            ..row("process-per-connection", Holds::Process, 64, 262)
        };
        Figures {
            workers: 4,
            clients: 10_000,
            tasks_allowed: Some(32_768),
            modes: vec![
                row("thread-per-connection", Holds::Thread, 10_000, 10_006),
                process,
                pool,
                row("async", Holds::Memory, 10_000, 6),
            ],
        }
    }

    #[test]
    fn capacity_and_threads_as_the_structure_has_them_hold() {
        let ruling = judge(&figures());
        assert_eq!(ruling.verdict, Verdict::Holds, "{ruling:?}");
    }

    #[test]
    fn another_number_of_clients_does_not_hold() {
        let mut fewer = figures();
        fewer.modes[3].served = 9_999;
        assert_eq!(
            judge(&fewer),
            Ruling::does_not_hold("async served 9999 of 10000 clients, not 10000")
        );
        let mut more = figures();
        more.modes[2].served = 5;
        assert_eq!(judge(&more).verdict, Verdict::DoesNotHold);
    }

    #[test]
    fn a_limit_excuses_only_if_it_is_the_machines() {
        let mut limited = figures();
        (limited.modes[3].capacity, limited.modes[3].served) = (of(None, 5_000), 5_000);
        assert_eq!(judge(&limited).verdict, Verdict::Holds);
        limited.modes[3].limited_by = None;
        assert_eq!(judge(&limited).verdict, Verdict::DoesNotHold);
    }

    #[test]
    fn threads_are_part_of_the_claim() {
        let mut many = figures();
        many.modes[3].threads = Some(1_000);
        assert_eq!(judge(&many).verdict, Verdict::DoesNotHold);
        let mut few = figures();
        few.modes[0].threads = Some(1_000);
        assert_eq!(judge(&few).verdict, Verdict::DoesNotHold);
        few.modes[0].threads = None;
        assert_eq!(judge(&few).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_process_each_may_not_promise_more_than_the_system_has() {
        let mut many = figures();
        many.tasks_allowed = Some(32_703);
        assert_eq!(
            judge(&many),
            Ruling::does_not_hold(
                "process-per-connection promises 8176 clients, which takes 32704 processes and \
                 threads where 32703 are allowed"
            )
        );
        many.tasks_allowed = None;
        assert_eq!(judge(&many).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_machine_for_fewer_clients_proves_nothing() {
        let mut small = figures();
        for row in &mut small.modes {
            row.capacity.said = row.capacity.said.map(|said| said.min(900));
            row.served = row.expected();
            row.threads = row
                .threads
                .map(|threads| threads.min(u64::from(row.served) + 6));
        }
        small.modes[1].threads = Some(262);
        assert_eq!(judge(&small).verdict, Verdict::Inconclusive);
    }
}
