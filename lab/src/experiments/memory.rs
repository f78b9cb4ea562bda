//! What a quiet connection costs in memory: of the server, and of the kernel.

use std::fs;
use std::io;
use std::net::Shutdown;
use std::time::Duration;

use serde::Serialize;
use server::Mode;

use crate::bench::{Bench, Failure};
use crate::exhibit::{Cell, Exhibit, Table, Tone};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::modes::{self, Holds};
use crate::process::ServerProcess;
use crate::soak::client::Client;
use crate::stats::Line;
use crate::subject::Subject;
use crate::usage;
use crate::verdict::Ruling;

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "memory",
    chapter: Chapter::Cost,
    question: "What does a connection cost that is silent?",
    claim: "It costs a process most, then a thread, then a task, and least where it is a place in a \
            table; each grows in a straight line with the connections, and a thread costs the kernel \
            its stack on top.",
    prediction: "Memory comes in pages of 4 KiB. A thread touches at least two of its stack, where \
                 it begins and where its own variables are: 8 KiB or more. A process has threads, a \
                 heap and relocated data of its own: more than a thread. A task or a place in a table \
                 is a piece of the heap, and no buffer is kept for who is silent: less than one page, \
                 a task more than a place, since it holds its own state machine. In the kernel each \
                 connection has a socket at both ends, which are both on this machine, and a thread \
                 a stack of 16 KiB besides.",
    method: "Every mode that has no fixed number of clients, on 1 worker. Clients connect one by one, \
             say one thing and stay; after the first hundreds memory is read four times, 300 clients \
             apart (8 where each is a process), and a line is put through it. Of the server it is the \
             proportional size with all its children, of the kernel what the whole machine has in \
             stacks, page tables and unreclaimable slabs, so that others disturb it.",
    lesson: "Bytes per connection, times the connections, is the first line of every plan. In the \
             server that is why readiness comes first and the buffer belongs to the thread: whoever \
             is silent keeps no buffer in any mode.",
    fault: Fault {
        what: "Clients hang up as soon as they are answered.",
        symptom: "a connection",
    },
    run,
};

/// Times that memory is read after more clients have come.
const STEPS: u32 = 4;
/// Clients between two readings, and before the first.
const STEP: u32 = 300;
/// The same where each is a process.
const STEP_OF_PROCESSES: u32 = 8;
/// Round trips of the first client: more than a ring has buffers, each of which takes its memory when
/// it is used for the first time.
const WARM_UP: u32 = 600;
/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// The unit in which memory is given to processes.
const PAGE_BYTES: f64 = 4096.0;
/// The stack of a thread in the kernel.
const KERNEL_STACK_BYTES: f64 = 16_384.0;
/// A line that explains less of the growth is not straight.
const STRAIGHT: f64 = 0.95;
/// A line through the kernel's memory that explains less tells of others.
const UNDISTURBED: f64 = 0.9;

/// One mode.
#[derive(Clone, Debug, Serialize)]
struct Row {
    mode: String,
    client_holds: Holds,
    /// Clients, bytes of the server, bytes of the kernel.
    readings: Vec<Reading>,
    /// Bytes of the server for each connection.
    server: Line,
    /// Bytes of the kernel for each connection, both ends.
    kernel: Line,
}

/// The memory with so many clients.
#[derive(Clone, Copy, Debug, Serialize)]
struct Reading {
    clients: u32,
    server_bytes: u64,
    kernel_bytes: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    modes: Vec<Row>,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let mut rows = Vec::new();
    let growing = modes::possible().filter(|mode| Holds::of(*mode) != Holds::Worker);
    for mode in growing {
        let server = bench.start(&Subject::own(mode.name(), 1))?;
        bench.narrator.now(&server.name);
        let readings = readings(bench, &server, mode)?;
        drop(server.stop());
        rows.extend(row(mode, readings));
    }
    let figures = Figures { modes: rows };
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: vec![Exhibit::Table(table(&figures))],
        figures: figures_of(&figures),
    })
}

/// Reads the memory while more and more clients come.
fn readings(bench: &Bench, server: &ServerProcess, mode: Mode) -> Result<Vec<Reading>, Failure> {
    let step = match Holds::of(mode) {
        Holds::Process => STEP_OF_PROCESSES,
        _ => STEP,
    };
    let mut clients = vec![warm_up(server).map_err(Failure::system("talk to the server"))?];
    let mut readings = Vec::new();
    for number in (1..=STEPS + 1).map(|steps| steps * step) {
        bench.go_on()?;
        while clients.len() < number as usize {
            let client = come(server, clients.len() as u64, bench.faulted());
            clients.push(client.map_err(Failure::system("talk to the server"))?);
        }
        readings.push(reading(server, number).map_err(Failure::system("read the memory"))?);
    }
    Ok(readings)
}

/// A client after which all is in use that is there whoever comes.
fn warm_up(server: &ServerProcess) -> io::Result<Client> {
    let mut client = come(server, 0, false)?;
    (0..WARM_UP).try_for_each(|_| client.round_trip())?;
    Ok(client)
}

/// One more client, which says one thing and stays, unless it is to hang up.
fn come(server: &ServerProcess, name: u64, hangs_up: bool) -> io::Result<Client> {
    let mut client = Client::connect(server.ready.addr, name, ANSWER_LIMIT)?;
    client.round_trip()?;
    if hangs_up {
        client.stream().shutdown(Shutdown::Both)?;
    }
    Ok(client)
}

fn reading(server: &ServerProcess, clients: u32) -> io::Result<Reading> {
    let sample = usage::sample(server.pid());
    let sample = sample.ok_or_else(|| io::Error::other("the server is gone"))?;
    let machine = fs::read_to_string("/proc/meminfo")?;
    Ok(Reading {
        clients,
        server_bytes: sample.memory_bytes,
        kernel_bytes: kernel_bytes(&machine)
            .ok_or_else(|| io::Error::other("/proc/meminfo has another form"))?,
    })
}

/// What the kernel keeps for connections, threads and processes, of the whole machine. Reclaimable
/// slabs are left out: they are mostly a cache of files, whoever read them.
fn kernel_bytes(meminfo: &str) -> Option<u64> {
    let parts = ["SUnreclaim:", "KernelStack:", "PageTables:"];
    let kib: Option<u64> = parts.iter().map(|part| usage::field(meminfo, part)).sum();
    Some(kib? * 1024)
}

/// None where too few readings are there for a line.
fn row(mode: Mode, readings: Vec<Reading>) -> Option<Row> {
    let line = |of: fn(&Reading) -> u64| {
        let point = |reading: &Reading| (f64::from(reading.clients), of(reading) as f64);
        let points: Vec<(f64, f64)> = readings.iter().map(point).collect();
        Line::through(&points)
    };
    Some(Row {
        mode: mode.name().to_owned(),
        client_holds: Holds::of(mode),
        server: line(|reading| reading.server_bytes)?,
        kernel: line(|reading| reading.kernel_bytes)?,
        readings,
    })
}

impl Figures {
    /// The modes that are not a thread or a process each, from the most expensive on.
    fn cheap(&self) -> Vec<&Row> {
        let cheap = |row: &&Row| row.client_holds == Holds::Memory;
        let mut cheap: Vec<&Row> = self.modes.iter().filter(cheap).collect();
        cheap.sort_by(|a, b| b.server.slope.total_cmp(&a.server.slope));
        cheap
    }

    fn of(&self, holds: Holds) -> Option<&Row> {
        self.modes.iter().find(|row| row.client_holds == holds)
    }
}

fn judge(figures: &Figures) -> Ruling {
    let cheap = figures.cheap();
    let (Some(process), Some(thread), Some(task), Some(place)) = (
        figures.of(Holds::Process),
        figures.of(Holds::Thread),
        figures
            .modes
            .iter()
            .find(|row| row.mode == Mode::Async.name()),
        cheap.last(),
    ) else {
        return Ruling::inconclusive(
            "a process, a thread, a task and a place were not all measured",
        );
    };
    let mut objections = Vec::new();
    if thread.server.slope < 2.0 * PAGE_BYTES {
        objections.push(wrong(thread, "less than the two pages of a stack"));
    }
    if process.server.slope <= thread.server.slope {
        objections.push(wrong(process, "no more than a thread"));
    }
    for row in &cheap {
        if row.server.slope >= PAGE_BYTES {
            objections.push(wrong(row, "a page or more, though nothing is kept for it"));
        } else if row.server.slope <= 0.0 {
            objections.push(wrong(row, "nothing at all"));
        } else if row.server.slope > task.server.slope {
            objections.push(wrong(row, "more than a task"));
        }
    }
    objections.extend(figures.modes.iter().filter_map(crooked));
    objections.extend(stack(thread, place));
    let bytes = |row: &Row| bytes(row.server.slope);
    Ruling::unless(
        objections,
        format!(
            "a quiet connection costs {} as a process, {} as a thread, {} as a task, {} as a place \
             in {}; a thread costs the kernel {} more than that",
            bytes(process),
            bytes(thread),
            bytes(task),
            bytes(place),
            place.mode,
            self::bytes(thread.kernel.slope - place.kernel.slope)
        ),
    )
}

fn wrong(row: &Row, what: &str) -> Ruling {
    let bytes = bytes(row.server.slope);
    Ruling::does_not_hold(format!("{}: {bytes} a connection, {what}", row.mode))
}

/// A growth that is not proportional to the connections.
fn crooked(row: &Row) -> Option<Ruling> {
    let fit = row.server.fit;
    (fit < STRAIGHT).then(|| {
        let text = format!(
            "{}: the line explains {:.0} % of the growth",
            row.mode,
            fit * 100.0
        );
        Ruling::does_not_hold(text)
    })
}

/// What is wrong with the kernel's share of a thread, beside a place in a table.
fn stack(thread: &Row, place: &Row) -> Option<Ruling> {
    let more = thread.kernel.slope - place.kernel.slope;
    if more >= KERNEL_STACK_BYTES {
        return None;
    }
    let text = format!(
        "a thread costs the kernel only {} more than a place",
        bytes(more)
    );
    let disturbed = [thread, place]
        .iter()
        .any(|row| row.kernel.fit < UNDISTURBED);
    Some(if disturbed {
        Ruling::inconclusive(format!("{text}, but others disturbed that figure"))
    } else {
        Ruling::does_not_hold(text)
    })
}

/// Bytes with three digits or so.
fn bytes(bytes: f64) -> String {
    const KIB: f64 = 1024.0;
    if bytes.abs() < KIB {
        format!("{bytes:.0} B")
    } else if bytes.abs() < KIB * KIB {
        format!("{:.1} KiB", bytes / KIB)
    } else {
        format!("{:.1} MiB", bytes / (KIB * KIB))
    }
}

fn headline(figures: &Figures) -> String {
    let cheapest = figures.cheap().last().map(|row| row.server.slope);
    let thread = figures.of(Holds::Thread).map(|row| row.server.slope);
    let (Some(cheapest), Some(thread)) = (cheapest, thread) else {
        return String::new();
    };
    format!(
        "A silent client costs the server {} where it has a thread, and {} where it is only watched.",
        bytes(thread),
        bytes(cheapest)
    )
}

fn table(figures: &Figures) -> Table {
    let header = [
        "mode",
        "a client holds",
        "server",
        "straight",
        "kernel",
        "10,000 clients",
    ];
    let row = |row: &Row| {
        let tone = if row.kernel.fit < UNDISTURBED {
            Tone::Faint
        } else {
            Tone::Plain
        };
        let all = (row.server.slope + row.kernel.slope) * 10_000.0;
        vec![
            row.mode.as_str().into(),
            row.client_holds.words().into(),
            bytes(row.server.slope).into(),
            format!("{:.1} %", row.server.fit * 100.0).into(),
            Cell::toned(bytes(row.kernel.slope), tone),
            Cell::toned(bytes(all), tone),
        ]
    };
    Table {
        title: "Memory of one more quiet connection".into(),
        caption: "Of the server as read from outside, and of the kernel for both ends of the \
                  connection, with its threads and processes. Straight is how much of the growth of \
                  the server a line explains. The last column is both for 10,000 of them."
            .into(),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.modes.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn row(mode: Mode, server_bytes: f64, kernel_bytes: f64) -> Row {
        let line = |slope| Line { slope, fit: 0.999 };
        Row {
            mode: mode.name().into(),
            client_holds: Holds::of(mode),
            readings: Vec::new(),
            server: line(server_bytes),
            kernel: line(kernel_bytes),
        }
    }

    fn figures() -> Figures {
        Figures {
            modes: vec![
                row(Mode::ThreadPerConnection, 15_000.0, 36_000.0),
                row(Mode::ProcessPerConnection, 1_000_000.0, 200_000.0),
                row(Mode::ReadyPool, 300.0, 6_000.0),
                row(Mode::Async, 1_400.0, 6_100.0),
                row(Mode::Epoll, 280.0, 6_000.0),
            ],
        }
    }

    #[test]
    fn the_order_that_follows_from_the_structure_holds() {
        let ruling = judge(&figures());
        assert_eq!(ruling.verdict, Verdict::Holds, "{ruling:?}");
    }

    #[test]
    fn each_figure_that_is_out_of_order_contradicts_the_claim() {
        for (index, wrong) in [
            (0, 8_000.0),
            (1, 14_000.0),
            (2, 1_500.0),
            (3, 4_096.0),
            (4, 0.0),
        ] {
            let mut figures = figures();
            figures.modes[index].server.slope = wrong;
            assert_eq!(judge(&figures).verdict, Verdict::DoesNotHold, "{index}");
        }
    }

    #[test]
    fn a_growth_that_is_not_straight_contradicts_the_claim() {
        let mut steps = figures();
        steps.modes[2].server.fit = 0.9;
        assert_eq!(
            judge(&steps),
            Ruling::does_not_hold("ready-pool: the line explains 90 % of the growth")
        );
    }

    #[test]
    fn a_missing_kernel_stack_is_a_contradiction_only_if_nobody_disturbed() {
        let mut small = figures();
        small.modes[0].kernel.slope = 16_000.0;
        assert_eq!(judge(&small).verdict, Verdict::DoesNotHold);
        small.modes[0].kernel.fit = 0.5;
        assert_eq!(judge(&small).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn without_all_kinds_nothing_is_proved() {
        let mut few = figures();
        few.modes.remove(0);
        assert_eq!(judge(&few).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn the_kernels_part_is_the_sum_of_three() {
        let text = "SUnreclaim: 10 kB\nKernelStack: 3 kB\nPageTables: 2 kB\nSReclaimable: 9 kB\n";
        assert_eq!(kernel_bytes(text), Some(15 * 1024));
        assert_eq!(kernel_bytes("MemFree: 1 kB\n"), None);
    }
}
