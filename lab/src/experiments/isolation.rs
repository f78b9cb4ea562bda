//! Who sees it when a variable is changed: a copy of the process does not change the original's, a
//! thread does, and so does whoever has the same memory.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rustix::process::{WaitOptions, waitpid};
use serde::{Deserialize, Serialize};
use server::SharedFile;

use crate::bench::{Bench, Failure};
use crate::exhibit::{Cell, Exhibit, Table, Tone};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::part::{self, Part};
use crate::player::Player;
use crate::sys::forked;
use crate::verdict::Ruling;

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "isolation",
    chapter: Chapter::Processes,
    question: "Whose variable is it that a child process, or a thread, changes?",
    claim: "A child process changes its own, a thread changes everybody's, and so does a process \
            that has the same memory.",
    prediction: "The program begins with 1 in the variable, the parent makes it 100, the child sets \
                 it to 0 and ends, the parent reads. fork copies the memory as it is at that moment: \
                 the child sees 100, and its 0 goes into its own copy of the page, so the parent \
                 reads 100. A spawned child runs the program anew: it sees 1, the parent reads 100. \
                 A thread has no memory of its own: it sees 100, the parent reads 0, and both have \
                 one pid. Shared memory is the same page in both processes: 100 and 0. Nothing of \
                 this depends on time.",
    method: "A process with a single thread is started for each way. Its child (made by fork(2), by \
             executing the program again, by a thread, and by executing it again with a sealed memfd \
             as its standard input) tells what it sees, at which address, and its pid. The parent \
             reads after the child has ended.",
    lesson: "Processes are isolated unless they take pains to share; threads share unless they take \
             pains not to. After a fork the same address holds two values. The server's workers are \
             spawned, never forked, and see of their master only what it passes: the listener, the \
             gate, and the board, which is shared memory as here, so that a counter that a worker \
             moves is the one that /status shows.",
    fault: Fault {
        what: "The child that should be a copy of the process is a thread.",
        symptom: "parent's pid",
    },
    run,
};

/// The processes of this experiment.
pub(super) const PARTS: &[Part] = &[
    Part {
        name: "isolation.parent",
        play: parent,
    },
    Part {
        name: "isolation.child",
        play: child,
    },
];

/// What the program begins with, what the parent makes of it, and what the child makes of that.
const INITIAL: u64 = 1;
const MADE: u64 = 100;
const LEFT: u64 = 0;

/// The variable: each process has one, at most.
static VARIABLE: AtomicU64 = AtomicU64::new(INITIAL);

/// How the child comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    Fork,
    Spawn,
    Thread,
    SharedMemory,
}

impl Way {
    const ALL: [Self; 4] = [Self::Fork, Self::Spawn, Self::Thread, Self::SharedMemory];

    fn name(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Spawn => "spawn",
            Self::Thread => "thread",
            Self::SharedMemory => "shared memory",
        }
    }

    /// What the child is to see, and the parent to read after it.
    fn expected(self) -> (u64, u64) {
        match self {
            Self::Fork => (MADE, MADE),
            Self::Spawn => (INITIAL, MADE),
            Self::Thread | Self::SharedMemory => (MADE, LEFT),
        }
    }
}

/// What one side says of the variable. Address and pid are names, which no two runs have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    value: u64,
    address: String,
    pid: String,
}

impl Look {
    fn at(variable: &AtomicU64) -> Self {
        Self {
            value: variable.load(Ordering::SeqCst),
            address: format!("{variable:p}", variable = std::ptr::from_ref(variable)),
            pid: std::process::id().to_string(),
        }
    }
}

/// What came of one way.
#[derive(Clone, Debug, Serialize)]
struct Row {
    way: Way,
    /// What the child saw before it set the variable to 0.
    child: Look,
    /// What the parent saw after the child had ended.
    parent: Look,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    initial: u64,
    parent_made: u64,
    child_left: u64,
    ways: Vec<Row>,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let mut ways = Vec::new();
    for way in Way::ALL {
        bench.go_on()?;
        bench
            .narrator
            .now(&format!("a variable and a {} child", way.name()));
        let really = match way {
            Way::Fork if bench.faulted() => Way::Thread,
            way => way,
        };
        let row = look(bench, way, really).map_err(Failure::system("change a variable"))?;
        ways.push(row);
    }
    let figures = Figures {
        initial: INITIAL,
        parent_made: MADE,
        child_left: LEFT,
        ways,
    };
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: vec![Exhibit::Table(table(&figures))],
        figures: figures_of(&figures),
    })
}

fn look(bench: &Bench, way: Way, really: Way) -> io::Result<Row> {
    let mut command = bench.launcher.part("isolation.parent");
    let mut parent = Player::start(command.arg(serde_json::to_string(&really)?))?;
    Ok(Row {
        way,
        child: parent.says()?,
        parent: parent.says()?,
    })
}

/// The part of whoever has the variable first.
fn parent(args: &[String]) -> io::Result<u8> {
    let way = args.first().map(|way| serde_json::from_str(way));
    let way: Way = way.ok_or(io::ErrorKind::InvalidInput)??;
    VARIABLE.store(MADE, Ordering::SeqCst);
    match way {
        Way::Fork => {
            let child = forked(|| match change(&VARIABLE) {
                Ok(()) => cli::exit::SUCCESS,
                Err(_) => cli::exit::FAILED,
            })?;
            waitpid(Some(child), WaitOptions::empty())?;
        }
        Way::Thread => thread::scope(|scope| {
            let changed = scope.spawn(|| change(&VARIABLE)).join();
            changed.unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
        })?,
        Way::Spawn => {
            part::another("isolation.child")?
                .stdin(Stdio::null())
                .status()?;
        }
        Way::SharedMemory => return share(),
    }
    part::say(&Look::at(&VARIABLE))?;
    Ok(cli::exit::SUCCESS)
}

/// The same with a variable in a page that both have.
fn share() -> io::Result<u8> {
    let memory = SharedFile::create(size_of::<AtomicU64>() as u64)?;
    let cells = memory.slice::<AtomicU64>(0, 1)?;
    let variable = cells.first().ok_or(io::ErrorKind::InvalidInput)?;
    variable.store(MADE, Ordering::SeqCst);
    let stdin = memory.as_fd().try_clone_to_owned()?;
    let mut command = part::another("isolation.child")?;
    command.arg("shared").stdin(stdin).status()?;
    part::say(&Look::at(variable))?;
    Ok(cli::exit::SUCCESS)
}

/// The part of a child that runs the program anew.
fn child(args: &[String]) -> io::Result<u8> {
    if args.is_empty() {
        change(&VARIABLE)?;
        return Ok(cli::exit::SUCCESS);
    }
    let memory: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    let cells = SharedFile::from(memory).slice::<AtomicU64>(0, 1)?;
    change(cells.first().ok_or(io::ErrorKind::InvalidInput)?)?;
    Ok(cli::exit::SUCCESS)
}

/// What a child does, however it came about.
fn change(variable: &AtomicU64) -> io::Result<()> {
    part::say(&Look::at(variable))?;
    variable.store(LEFT, Ordering::SeqCst);
    Ok(())
}

fn judge(figures: &Figures) -> Ruling {
    let objections = figures.ways.iter().filter_map(objection).collect();
    let read = |row: &Row| {
        format!(
            "{} {} → {}",
            row.way.name(),
            row.child.value,
            row.parent.value
        )
    };
    let told: Vec<String> = figures.ways.iter().map(read).collect();
    Ruling::unless(
        objections,
        format!(
            "what the child saw → what the parent reads: {}",
            told.join(", ")
        ),
    )
}

/// Why one way does not bear the claim out, if so.
fn objection(row: &Row) -> Option<Ruling> {
    let (way, (saw, reads)) = (row.way.name(), row.way.expected());
    let same_process = row.child.pid == row.parent.pid;
    let wrong = if same_process != (row.way == Way::Thread) {
        let whose = if same_process {
            "the parent's"
        } else {
            "another"
        };
        format!("has {whose} pid")
    } else if row.child.value != saw {
        format!("saw {}, not {saw}", row.child.value)
    } else if row.parent.value != reads {
        format!(
            "set 0 and its parent reads {}, not {reads}",
            row.parent.value
        )
    } else if row.way == Way::Fork && row.child.address != row.parent.address {
        "has the variable at another address, so it is no copy".to_owned()
    } else {
        return None;
    };
    Some(Ruling::does_not_hold(format!("{way}: the child {wrong}")))
}

fn headline(figures: &Figures) -> String {
    let row = |way| figures.ways.iter().find(|row| row.way == way);
    let reads = |way| row(way).map_or(MADE, |row| row.parent.value);
    format!(
        "The child sets 0: its parent reads {} if it is a copy, {} if it is a thread, {} if both have \
         the same memory.",
        reads(Way::Fork),
        reads(Way::Thread),
        reads(Way::SharedMemory)
    )
}

fn table(figures: &Figures) -> Table {
    let header = [
        "child by",
        "it sees",
        "it sets",
        "parent reads",
        "pid",
        "address",
    ];
    let same = |same: bool, word: &str| -> Cell { if same { "same" } else { word }.into() };
    let row = |row: &Row| {
        let tone = if row.parent.value == LEFT {
            Tone::Good
        } else {
            Tone::Plain
        };
        vec![
            row.way.name().into(),
            row.child.value.to_string().into(),
            LEFT.to_string().into(),
            Cell::toned(row.parent.value.to_string(), tone),
            same(row.child.pid == row.parent.pid, "own"),
            same(row.child.address == row.parent.address, "another"),
        ]
    };
    Table {
        title: "A variable that begins as 1, is made 100 by the parent and 0 by the child".into(),
        caption:
            "The copy has its variable at the same address as the original, with another value."
                .into(),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.ways.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    /// What is predicted.
    fn figures() -> Figures {
        let row = |way: Way| {
            let (saw, reads) = way.expected();
            let pid = if way == Way::Thread { 7 } else { 8 };
            let look = |value, pid: u32| Look {
                value,
                address: "0x1000".into(),
                pid: pid.to_string(),
            };
            Row {
                way,
                child: look(saw, pid),
                parent: look(reads, 7),
            }
        };
        Figures {
            initial: INITIAL,
            parent_made: MADE,
            child_left: LEFT,
            ways: Way::ALL.map(row).to_vec(),
        }
    }

    /// The parent's where the child should have one of its own, and the other way round.
    fn pid_of_other(row: &Row) -> String {
        let same = row.child.pid == row.parent.pid;
        if same { "9" } else { &row.parent.pid }.to_owned()
    }

    fn verdict(change: impl FnOnce(&mut Vec<Row>)) -> Verdict {
        let mut figures = figures();
        change(&mut figures.ways);
        judge(&figures).verdict
    }

    #[test]
    fn what_is_predicted_holds() {
        assert_eq!(
            judge(&figures()),
            Ruling::holds(
                "what the child saw → what the parent reads: fork 100 → 100, spawn 1 → 100, \
                 thread 100 → 0, shared memory 100 → 0"
            )
        );
    }

    #[test]
    fn each_way_can_fail() {
        for index in 0..Way::ALL.len() {
            let saw = verdict(|ways| ways[index].child.value = 55);
            let read = verdict(|ways| ways[index].parent.value = 55);
            let pid = verdict(|ways| ways[index].child.pid = pid_of_other(&ways[index]));
            assert_eq!([saw, read, pid], [Verdict::DoesNotHold; 3], "{index}");
        }
        let address = verdict(|ways| ways[0].child.address = "0x2000".into());
        assert_eq!(address, Verdict::DoesNotHold);
    }
}
