//! The ways from one process to another: what a message costs, how many bytes get through, and what a
//! manager process does and does not do for its clients.

mod letterbox;
mod link;
mod manager;
mod ring;
mod talk;

use std::io;

use cli::units::{micros, number};
use serde::Serialize;
use tempfile::TempDir;

use crate::bench::{Bench, Failure};
use crate::exhibit::{Cell, Exhibit, Table, Tone};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::part::Part;
use crate::stats::Spread;
use crate::verdict::Ruling;
use letterbox::LOOK_EVERY;
use link::{BLOCK, Way};
use manager::Managed;
use talk::{Amount, Talk};

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "ipc",
    chapter: Chapter::Passing,
    question: "What does it cost to hand something to another process, and who must be careful?",
    claim: "A short message costs about the same whatever carries it, if whoever waits for it sleeps; a \
            file that is looked at costs the \
            pause between two looks. Many bytes are fastest where they need not be carried: in shared \
            memory, in place. A manager process is shared, but does not lock for its clients.",
    prediction: "Who waits asleep is woken twice in a round trip, on the same processor or on another, \
                 which costs more: pipes, sockets and shared memory are within a factor of 20. A side that \
                 looks every millisecond notices a letter a pause late: at least 10 times as long, and at \
                 most about one block of 256 KiB for each look, 262 MB/s, less than a third of what pipes \
                 and sockets carry. These copy every byte into the kernel and out again; in place a sender \
                 marks the 64 pages of a block and the receiver looks at the marks: at least twice their \
                 MB/s. Every message and block arrives equal. Two clients of a manager that read a \
                 number, add 1 and write it back in step lose every second addition: 100 of 200; the \
                 manager itself, asked to add, loses none.",
    method: "A process at the other end of each way, by turns, several times. It sends messages of 64 B \
             back and then compares a stream of blocks with what they should be. Others on the machine \
             only ever make a way slower, so the fastest batch of round trips and the fastest stream \
             count. Spinning is shown but not judged: it needs a processor for each side.",
    lesson: "Send words through a socket and leave bulk where it is. The server does both: master and \
             worker exchange single bytes and descriptors over a socket pair, and the Board, which every \
             request writes to, is shared memory with one slot per worker. What several change needs an \
             operation that is one: its counters are added to, never read and written back.",
    fault: Fault {
        what: "The shared memory drops a block and repeats the one before it.",
        symptom: "arrived otherwise",
    },
    run,
};

/// The other process, and the manager.
pub(super) const PARTS: &[Part] = &[
    Part {
        name: PEER,
        play: talk::play,
    },
    Part {
        name: manager::PART,
        play: manager::play,
    },
];

const PEER: &str = "ipc.peer";
/// How often each way is measured, by turns.
const REPEATS: usize = 3;

/// One way.
#[derive(Clone, Debug, Serialize)]
struct Row {
    way: Way,
    /// The fastest batch of each repeat.
    round_trip_ns: Vec<f64>,
    mb_per_s: Vec<f64>,
    messages: u32,
    wrong_messages: u32,
    blocks: u32,
    wrong_blocks: u32,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    block_bytes: usize,
    look_every_ns: f64,
    ways: Vec<Row>,
    manager: Managed,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let folder = TempDir::with_prefix("lab-ipc-").map_err(Failure::system("make a folder"))?;
    let mut ways: Vec<Row> = Way::ALL.into_iter().map(Row::new).collect();
    for _ in 0..bench.repeats(REPEATS) {
        for row in &mut ways {
            bench.go_on()?;
            bench.narrator.now(row.way.name());
            row.measure(bench, &folder)
                .map_err(Failure::system("talk to a process"))?;
        }
    }
    let path = folder.path().join("manager.sock");
    let manager = manager::observe(&bench.launcher, &path);
    let figures = Figures {
        block_bytes: BLOCK,
        look_every_ns: LOOK_EVERY.as_secs_f64() * 1e9,
        ways,
        manager: manager.map_err(Failure::system("ask a manager"))?,
    };
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: vec![
            Exhibit::Table(table(&figures)),
            Exhibit::Table(manager_table(&figures)),
        ],
        figures: figures_of(&figures),
    })
}

/// How much is said over a way: it takes some hundredths of a second on a quiet machine.
fn amount(way: Way) -> Amount {
    let (batches, rounds) = match way {
        Way::PolledFile => (5, 8),
        _ => (40, 25),
    };
    let blocks = match way {
        Way::Pipes | Way::Sockets => 600,
        Way::Ring | Way::SpinningRing => 100,
        Way::InPlace => 5_000,
        Way::WatchedFile => 200,
        Way::PolledFile => 40,
    };
    Amount {
        batches,
        rounds,
        blocks,
    }
}

impl Row {
    fn new(way: Way) -> Self {
        Self {
            way,
            round_trip_ns: Vec::new(),
            mb_per_s: Vec::new(),
            messages: 0,
            wrong_messages: 0,
            blocks: 0,
            wrong_blocks: 0,
        }
    }

    fn measure(&mut self, bench: &Bench, folder: &TempDir) -> io::Result<()> {
        let amount = amount(self.way);
        let in_memory = matches!(self.way, Way::Ring | Way::SpinningRing | Way::InPlace);
        let repeated = (bench.faulted() && in_memory).then_some(amount.blocks / 2);
        let args = amount.args();
        let args = [&*args[0], &*args[1], &*args[2]];
        let file = folder.path().join("letters");
        let mut peer = self.way.to(&bench.launcher, PEER, &args, &file)?;
        let Talk {
            round_trip,
            stream,
            wrong_messages,
            wrong_blocks,
        } = talk::lead(peer.link.as_mut(), amount, repeated)?;
        self.round_trip_ns.push(round_trip.as_secs_f64() * 1e9);
        self.mb_per_s
            .push(amount.bytes() / 1e6 / stream.as_secs_f64());
        self.messages += amount.batches * amount.rounds;
        self.wrong_messages += wrong_messages;
        self.blocks += amount.blocks;
        self.wrong_blocks += wrong_blocks;
        Ok(())
    }
}

/// What must be so many times something else.
struct Ratio {
    value: f64,
    /// From here on it is as claimed.
    enough: f64,
    /// Below this it is no busy machine any more.
    wrong: f64,
}

impl Ratio {
    fn objection(&self, text: &str) -> Option<Ruling> {
        if self.value >= self.enough {
            None
        } else if self.value >= self.wrong {
            let text = format!("{text}, which is not clear; is the machine busy?");
            Some(Ruling::inconclusive(text))
        } else {
            Some(Ruling::does_not_hold(text))
        }
    }
}

/// The best figures of a way: its shortest round trip in ns, and its MB/s.
fn best(figures: &Figures, way: Way) -> Option<(f64, f64)> {
    let row = figures.ways.iter().find(|row| row.way == way)?;
    let trip = Spread::of(row.round_trip_ns.iter().copied())?;
    let rate = Spread::of(row.mb_per_s.iter().copied())?;
    Some((trip.min, rate.max))
}

fn judge(figures: &Figures) -> Ruling {
    let best = |way| best(figures, way);
    let (Some(pipes), Some(sockets), Some(ring), Some(in_place), Some(polled)) = (
        best(Way::Pipes),
        best(Way::Sockets),
        best(Way::Ring),
        best(Way::InPlace),
        best(Way::PolledFile),
    ) else {
        return Ruling::inconclusive("not every way was measured");
    };
    let asleep = [pipes.0, sockets.0, ring.0];
    let shortest = asleep.into_iter().fold(f64::INFINITY, f64::min);
    let longest = asleep.into_iter().fold(0.0, f64::max);
    let (slower, faster) = (pipes.1.min(sockets.1), pipes.1.max(sockets.1));
    let time = |ns: f64| micros(ns / 1e3);
    let said = format!(
        "round trips of {} to {} asleep and {} with a polled file",
        time(shortest),
        time(longest),
        time(polled.0)
    );
    let carried = format!(
        "{} MB/s in place, {} to {} carried, {} with a polled file",
        number(in_place.1),
        number(slower),
        number(faster),
        number(polled.1)
    );
    let ratio = |value, enough, wrong| Ratio {
        value,
        enough,
        wrong,
    };
    let objections = [
        ratio(shortest / longest, 0.05, 0.01).objection(&said),
        ratio(polled.0 / longest, 10.0, 2.0).objection(&said),
        ratio(in_place.1 / faster, 2.0, 0.5).objection(&carried),
        ratio(slower / polled.1, 3.0, 1.0).objection(&carried),
    ];
    let exact = figures.ways.iter().filter_map(objection);
    let managed = objection_to_manager(&figures.manager);
    Ruling::unless(
        exact
            .chain(managed)
            .chain(objections.into_iter().flatten())
            .collect(),
        format!(
            "{said}; {carried}; all equal; a manager's clients lost {} of {} additions, and none that it \
             made itself",
            figures.manager.additions - figures.manager.read_and_written,
            figures.manager.additions,
        ),
    )
}

/// What a way changed on the way, if anything.
fn objection(row: &Row) -> Option<Ruling> {
    let (messages, blocks) = (row.wrong_messages, row.wrong_blocks);
    (messages + blocks > 0).then(|| {
        Ruling::does_not_hold(format!(
            "{}: {messages} of {} messages and {blocks} of {} blocks arrived otherwise than they were sent",
            row.way.name(),
            row.messages,
            row.blocks
        ))
    })
}

/// Additions that were kept or lost otherwise than predicted, if so.
fn objection_to_manager(managed: &Managed) -> Option<Ruling> {
    let Managed {
        additions,
        read_and_written,
        added,
        ..
    } = *managed;
    let wrong = managed.wrong_texts;
    if wrong > 0 {
        return Some(Ruling::does_not_hold(format!(
            "a manager gave {wrong} texts back otherwise than it got them"
        )));
    }
    (2 * read_and_written != additions || added != additions).then(|| {
        Ruling::does_not_hold(format!(
            "of {additions} additions a manager kept {read_and_written} of clients that read and write \
             in step, and {added} of its own"
        ))
    })
}

fn headline(figures: &Figures) -> String {
    let of = |way| best(figures, way).unwrap_or_default();
    format!(
        "A message through a socket and back takes {}, through a file that is looked at {}; shared \
         memory hands on {} MB/s in place, a socket {}.",
        micros(of(Way::Sockets).0 / 1e3),
        micros(of(Way::PolledFile).0 / 1e3),
        number(of(Way::InPlace).1),
        number(of(Way::Sockets).1),
    )
}

fn table(figures: &Figures) -> Table {
    let header = ["way", "round trip of 64 B", "MB/s", "arrived otherwise"];
    let row = |row: &Row| {
        let best = best(figures, row.way);
        let wrong = row.wrong_messages + row.wrong_blocks;
        let tone = if wrong == 0 { Tone::Good } else { Tone::Bad };
        vec![
            row.way.name().into(),
            Cell::or_dash(best.map(|(trip_ns, _)| micros(trip_ns / 1e3))),
            Cell::or_dash(best.map(|(_, mb_per_s)| number(mb_per_s))),
            Cell::toned(wrong.to_string(), tone),
        ]
    };
    let manager = vec![
        "manager process".into(),
        micros(figures.manager.round_trip_ns / 1e3).into(),
        number(figures.manager.mb_per_s).into(),
        figures.manager.wrong_texts.to_string().into(),
    ];
    Table {
        title: "From one process to another, and back".into(),
        caption:
            "The fastest batch of round trips, and the fastest stream of blocks. A polled file is \
                  looked at every millisecond. In place nothing is carried but the news of it. A \
                  manager's texts go to it and come back."
                .into(),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.ways.iter().map(row).chain([manager]).collect(),
    }
}

fn manager_table(figures: &Figures) -> Table {
    let managed = &figures.manager;
    let row = |name: &str, kept: i64| {
        let lost = managed.additions - kept;
        let tone = if lost == 0 { Tone::Good } else { Tone::Bad };
        vec![
            name.into(),
            managed.additions.to_string().into(),
            kept.to_string().into(),
            Cell::toned(lost.to_string(), tone),
        ]
    };
    let header = ["two clients of a manager", "additions", "kept", "lost"];
    Table {
        title: "Shared, and locked for nobody".into(),
        caption: "Both read before either writes, in each round: the worst order, on purpose."
            .into(),
        header: header.map(str::to_owned).to_vec(),
        rows: vec![
            row("read, add 1, write back", managed.read_and_written),
            row("ask the manager to add 1", managed.added),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn figures() -> Figures {
        let row = |way, round_trip_ns, mb_per_s| Row {
            round_trip_ns: vec![round_trip_ns, 9e9],
            mb_per_s: vec![1.0, mb_per_s],
            messages: 10,
            blocks: 10,
            ..Row::new(way)
        };
        Figures {
            block_bytes: BLOCK,
            look_every_ns: 1e6,
            ways: vec![
                row(Way::Pipes, 5e3, 4e3),
                row(Way::Sockets, 9e3, 6e3),
                row(Way::Ring, 6e3, 5e3),
                row(Way::InPlace, 6e3, 30e3),
                row(Way::PolledFile, 1.1e6, 200.0),
            ],
            manager: Managed {
                additions: 200,
                read_and_written: 100,
                added: 200,
                round_trip_ns: 1e4,
                mb_per_s: 90.0,
                wrong_texts: 0,
            },
        }
    }

    fn with(change: impl FnOnce(&mut Figures)) -> Verdict {
        let mut figures = figures();
        change(&mut figures);
        judge(&figures).verdict
    }

    #[test]
    fn the_predicted_orders_hold_though_some_repeats_were_slow() {
        assert_eq!(with(|_| ()), Verdict::Holds);
        assert_eq!(with(|it| it.ways.truncate(4)), Verdict::Inconclusive);
    }

    #[test]
    fn bytes_that_differ_do_not_hold_whatever_the_figures_are() {
        assert_eq!(with(|it| it.ways[2].wrong_blocks = 1), Verdict::DoesNotHold);
        assert_eq!(
            with(|it| it.ways[0].wrong_messages = 1),
            Verdict::DoesNotHold
        );
        assert_eq!(with(|it| it.manager.wrong_texts = 1), Verdict::DoesNotHold);
    }

    #[test]
    fn another_order_does_not_hold_and_an_unclear_one_proves_nothing() {
        let trip = |way: usize, ns| with(|it| it.ways[way].round_trip_ns = vec![ns]);
        assert_eq!(trip(2, 60e3), Verdict::Holds);
        assert_eq!(trip(2, 105e3), Verdict::Inconclusive);
        assert_eq!(trip(2, 600e3), Verdict::DoesNotHold);
        assert_eq!(trip(4, 80e3), Verdict::Inconclusive);
        assert_eq!(trip(4, 9e3), Verdict::DoesNotHold);
        let rate = |way: usize, mb_per_s| with(|it| it.ways[way].mb_per_s = vec![mb_per_s]);
        assert_eq!(rate(3, 9e3), Verdict::Inconclusive);
        assert_eq!(rate(3, 2e3), Verdict::DoesNotHold);
        assert_eq!(rate(4, 2e3), Verdict::Inconclusive);
        assert_eq!(rate(4, 5e3), Verdict::DoesNotHold);
    }

    #[test]
    fn a_manager_that_locks_for_its_clients_or_loses_its_own_does_not_hold() {
        assert_eq!(
            with(|it| it.manager.read_and_written = 200),
            Verdict::DoesNotHold
        );
        assert_eq!(with(|it| it.manager.added = 199), Verdict::DoesNotHold);
    }
}
