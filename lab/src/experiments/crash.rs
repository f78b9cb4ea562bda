//! What one crash takes along: a panic in the work of one client, an abort in it, and a process that
//! is killed from outside.

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use server::{Choice, Inner};

use super::WORKERS;
use crate::bench::{Bench, Failure};
use crate::exhibit::{Cell, Exhibit, Table, Tone};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::modes;
use crate::process::ServerProcess;
use crate::soak::census::until;
use crate::soak::client::Client;
use crate::soak::sockets;
use crate::subject::Subject;
use crate::verdict::Ruling;

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "crash",
    chapter: Chapter::Trouble,
    question: "Who else goes down when the work of one client crashes?",
    claim: "A panic ends its own connection and nothing else, in every mode. The death of a process \
            ends all connections in it: everybody where one process serves all, one in P where P \
            processes share the clients; and whoever comes next is served as long as somebody is \
            left to replace the dead.",
    prediction: "n clients are spread evenly over the P processes that hold connections. A panic \
                 unwinds one thread, one task or one turn of a loop, and is caught there: 1 lost. A \
                 process that aborts or is killed gives back memory and sockets as a whole: n / P \
                 lost. P is 1 for every mode in one process (n lost, and nobody left to accept), W \
                 for a pool of W processes (n / W), n for a process each (1).",
    method: "Up to 8 clients, as many as the mode serves at once, are connected and answered. One of \
             them sends a line that makes its server panic, or abort; or the process that holds its \
             connection gets SIGKILL. Once its connection has ended each of the others asks once \
             more, and a new client comes. Counted is who gets its answer; no clock is involved.",
    lesson: "Threads and tasks share their fate with the process, so the number of processes is the \
             number of pieces that a server breaks into. Panics are caught per connection (the \
             driver's course), deaths per worker: the supervisor of process-pool reaps the dead, \
             gives their places back to the Gate and starts another.",
    fault: Fault {
        what: "What is killed is the server's first process and not the one that holds the connection.",
        symptom: "SIGKILL cost",
    },
    run,
};

/// Clients of the modes that serve so many at once: two for each process of a pool.
const CLIENTS: u32 = 8;
/// What a client says to crash its server; no other message contains it.
const WORD: &str = "crash-now";
/// How long an answer, or the end of a connection, may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// A way to go down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Crash {
    /// The code of one connection fails in a way that can be unwound.
    Panic,
    /// It ends its whole process.
    Abort,
    /// Its process is ended from outside.
    Kill,
}

/// What one crash did to one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Toll {
    crash: Crash,
    /// Connections that ended, that of the crash included.
    lost: u32,
    /// Whether a client that came afterwards got an answer.
    next_served: bool,
}

/// One mode.
#[derive(Clone, Debug, Serialize)]
struct Row {
    mode: String,
    /// Processes that hold connections.
    processes: u32,
    clients: u32,
    tolls: Vec<Toll>,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    workers: usize,
    modes: Vec<Row>,
}

impl Crash {
    const ALL: [Self; 3] = [Self::Panic, Self::Abort, Self::Kill];

    fn name(self) -> &'static str {
        match self {
            Self::Panic => "a panic",
            Self::Abort => "an abort",
            Self::Kill => "SIGKILL",
        }
    }

    /// What the server is told, so that the word has this effect.
    fn flags(self) -> Vec<String> {
        match self {
            Self::Panic => vec!["--fault".into(), format!("panic-on={WORD}")],
            Self::Abort => vec!["--fault".into(), format!("abort-on={WORD}")],
            Self::Kill => Vec::new(),
        }
    }
}

impl Row {
    /// A mode that nothing was done to yet; how its clients are spread follows from its structure.
    fn of(choice: Choice) -> Self {
        let plan = choice.plan(workers(), NonZeroUsize::MIN);
        let clients = u32::try_from(plan.capacity(CLIENTS)).unwrap_or(CLIENTS);
        let processes = match (plan.processes, plan.inside) {
            (Some(processes), _) => u32::try_from(processes.get()).unwrap_or(u32::MAX),
            (None, Inner::ProcessPerConnection) => clients,
            (None, _) => 1,
        };
        Self {
            mode: choice.to_string(),
            processes,
            clients,
            tolls: Vec::new(),
        }
    }

    /// What `crash` should do to it.
    fn expected(&self, crash: Crash) -> Toll {
        let (lost, next_served) = match crash {
            Crash::Panic => (1, true),
            Crash::Abort | Crash::Kill => (
                self.clients / self.processes.max(1),
                self.processes > 1 && self.clients > 1,
            ),
        };
        Toll {
            crash,
            lost,
            next_served,
        }
    }
}

fn workers() -> NonZeroUsize {
    NonZeroUsize::new(WORKERS).unwrap_or(NonZeroUsize::MIN)
}

/// Every mode, and the pool of processes that serves many clients in each.
fn choices() -> Vec<Choice> {
    let modes = modes::possible().map(Choice::of);
    modes.chain([Choice::pool_of(Inner::Epoll)]).collect()
}

/// How the server is started: a master that deals connections out evenly makes the share of each
/// process exact.
fn subject(choice: Choice, crash: Crash) -> Subject {
    let inside = choice.args();
    let dealt = choice.plan(workers(), NonZeroUsize::MIN).processes;
    let dealt: &[&str] = dealt.map_or(&[], |_| &["--accept", "handoff"]);
    let fault = crash.flags();
    let fault: Vec<&str> = fault.iter().map(String::as_str).collect();
    Subject::own(choice.mode.name(), WORKERS)
        .named(choice.to_string())
        .with(inside.get(2..).unwrap_or_default())
        .with(dealt)
        .with(&fault)
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let mut modes = Vec::new();
    for choice in choices() {
        let mut row = Row::of(choice);
        for crash in Crash::ALL {
            let server = bench.start(&subject(choice, crash))?;
            bench
                .narrator
                .now(&format!("{}, {}", row.mode, crash.name()));
            let toll = toll(&server, crash, row.clients, bench.faulted());
            row.tolls.push(toll.map_err(Failure::system(&format!(
                "see what {} does to {}",
                crash.name(),
                row.mode
            )))?);
            drop(server.stop());
        }
        modes.push(row);
    }
    let figures = Figures {
        workers: WORKERS,
        modes,
    };
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: vec![Exhibit::Table(table(&figures))],
        figures: figures_of(&figures),
    })
}

/// Connects `clients`, crashes the first one's server and counts who is left.
fn toll(server: &ServerProcess, crash: Crash, clients: u32, astray: bool) -> io::Result<Toll> {
    let addr = server.ready.addr;
    let meet = |name: u32| {
        let mut client = Client::connect(addr, u64::from(name), ANSWER_LIMIT)?;
        client.round_trip()?;
        Ok::<Client, io::Error>(client)
    };
    let mut victim = meet(0)?;
    let mut others = (1..clients).map(meet).collect::<io::Result<Vec<_>>>()?;
    match crash {
        Crash::Panic | Crash::Abort => {
            let line = format!("{WORD}\n");
            victim.stream().write_all(line.as_bytes())?;
        }
        Crash::Kill => {
            let process = holder(server, &victim, astray)?;
            kill_process(process, Signal::KILL)?;
        }
    }
    let mut lost = u32::from(has_ended(&mut victim));
    for other in &mut others {
        lost += u32::from(other.round_trip().is_err());
    }
    Ok(Toll {
        crash,
        lost,
        next_served: meet(clients).is_ok(),
    })
}

/// The process that holds the connection of `client`; `astray` takes the server's first one for it.
fn holder(server: &ServerProcess, client: &Client, astray: bool) -> io::Result<Pid> {
    let port = client.port()?;
    let mut holder = None;
    // The kernel's table may be read while it changes: then somebody seems to be served by nobody.
    let _ = until(server, ANSWER_LIMIT, || {
        let owners = sockets::owners(server.pid(), server.ready.addr);
        let owner = owners.iter().find(|(_, ports)| ports.contains(&port));
        holder = owner.map(|(process, _)| *process);
        holder.is_some() || owners.is_empty()
    });
    // Where no child holds connections the server does so itself.
    let process = holder.filter(|_| !astray).unwrap_or(server.pid());
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    process.ok_or_else(|| io::Error::other("the process has no number"))
}

/// Whether the server ends the connection, in whatever way, before patience does.
fn has_ended(client: &mut Client) -> bool {
    let mut rest = [0; 256];
    loop {
        match client.stream().read(&mut rest) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                let kind = error.kind();
                return !matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
            }
        }
    }
}

fn judge(figures: &Figures) -> Ruling {
    let objections: Vec<Ruling> = figures.modes.iter().filter_map(objection).collect();
    let modes = figures.modes.len();
    let Some(pieces) = figures.modes.iter().map(|row| row.processes).max() else {
        return Ruling::inconclusive("no mode was crashed");
    };
    if pieces < 2 {
        return Ruling::inconclusive("no mode has more than one process");
    }
    let survivors = figures.modes.iter().filter(|row| row.processes > 1);
    Ruling::unless(
        objections,
        format!(
            "a panic cost 1 connection in each of {modes}; a dead process cost n / P, all of them \
             and the server in {} with one process, {} in those with several",
            figures
                .modes
                .iter()
                .filter(|row| row.processes == 1)
                .count(),
            survivors
                .map(|row| format!("{} of {}", row.expected(Crash::Kill).lost, row.clients))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    )
}

/// The first thing that is not as predicted.
fn objection(row: &Row) -> Option<Ruling> {
    let wrong = row
        .tolls
        .iter()
        .find(|toll| **toll != row.expected(toll.crash))?;
    let expected = row.expected(wrong.crash);
    let (mode, crash, clients) = (&row.mode, wrong.crash.name(), row.clients);
    let text = if wrong.lost != expected.lost {
        let (lost, expected) = (wrong.lost, expected.lost);
        format!("{mode}: {crash} cost {lost} of {clients} connections, not {expected}")
    } else if wrong.next_served {
        format!("{mode}: after {crash} a new client was served, though nobody should be left")
    } else {
        format!("{mode}: after {crash} a new client was not served")
    };
    Some(Ruling::does_not_hold(text))
}

fn headline(figures: &Figures) -> String {
    let pool = figures.modes.iter().find(|row| {
        let shares = row.processes > 1 && row.processes < row.clients;
        shares && row.tolls.iter().any(|toll| toll.crash == Crash::Kill)
    });
    pool.map_or_else(String::new, |row| {
        let lost = row.tolls.iter().find(|toll| toll.crash == Crash::Kill);
        format!(
            "A panic costs one client everywhere; a dead process costs all clients in it: {} of {} \
             with {} processes, everybody with one.",
            lost.map_or(0, |toll| toll.lost),
            row.clients,
            row.processes
        )
    })
}

fn table(figures: &Figures) -> Table {
    let header = ["mode", "clients", "processes", "panic", "abort", "SIGKILL"];
    let cell = |row: &Row, crash: Crash| {
        let toll = row.tolls.iter().find(|toll| toll.crash == crash);
        toll.map_or_else(Cell::default, |toll| {
            let tone = if toll.next_served {
                Tone::Good
            } else {
                Tone::Bad
            };
            let gone = if toll.next_served {
                ""
            } else {
                " and the server"
            };
            Cell::toned(format!("{}{gone}", toll.lost), tone)
        })
    };
    let row = |row: &Row| {
        let crashes = Crash::ALL.map(|crash| cell(row, crash));
        let head = [
            row.mode.as_str().into(),
            row.clients.to_string().into(),
            row.processes.to_string().into(),
        ];
        head.into_iter().chain(crashes).collect()
    };
    Table {
        title: "Connections that one crash takes along".into(),
        caption: "That of the crash is included. Processes are those that hold connections; where \
                  the server is not gone a new client was served afterwards."
            .into(),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.modes.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;
    use server::Mode;

    /// Modes of which all went as predicted.
    fn figures() -> Figures {
        let row = |choice| {
            let row = Row::of(choice);
            let tolls = Crash::ALL.map(|crash| row.expected(crash)).to_vec();
            Row { tolls, ..row }
        };
        let choices = [
            Choice::of(Mode::Sequential),
            Choice::of(Mode::Async),
            Choice::of(Mode::ProcessPerConnection),
            Choice::of(Mode::ProcessPool),
            Choice::pool_of(Inner::Epoll),
        ];
        Figures {
            workers: WORKERS,
            modes: choices.map(row).to_vec(),
        }
    }

    #[test]
    fn what_is_lost_follows_from_the_number_of_processes() {
        let lost = |row: &Row| (row.clients, row.processes, row.tolls[2].lost);
        let modes = figures().modes;
        let lost: Vec<(u32, u32, u32)> = modes.iter().map(lost).collect();
        assert_eq!(
            lost,
            [(1, 1, 1), (8, 1, 8), (8, 8, 1), (4, 4, 1), (8, 4, 2)]
        );
        let lives = |row: &Row| row.tolls[1].next_served;
        assert_eq!(modes.iter().filter(|row| lives(row)).count(), 3);
        assert_eq!(judge(&figures()).verdict, Verdict::Holds);
    }

    #[test]
    fn one_connection_more_or_less_contradicts_the_claim() {
        let mut panicked = figures();
        panicked.modes[1].tolls[0].lost = 2;
        assert_eq!(
            judge(&panicked),
            Ruling::does_not_hold("async: a panic cost 2 of 8 connections, not 1")
        );
        let mut survived = figures();
        survived.modes[1].tolls[1].lost = 7;
        assert_eq!(judge(&survived).verdict, Verdict::DoesNotHold);
        let mut spread = figures();
        spread.modes[4].tolls[2].lost = 8;
        assert_eq!(judge(&spread).verdict, Verdict::DoesNotHold);
    }

    #[test]
    fn who_comes_next_is_part_of_the_claim() {
        let mut gone = figures();
        gone.modes[3].tolls[2].next_served = false;
        let text = "process-pool: after SIGKILL a new client was not served";
        assert_eq!(judge(&gone), Ruling::does_not_hold(text));
        let mut undead = figures();
        undead.modes[1].tolls[1].next_served = true;
        assert_eq!(judge(&undead).verdict, Verdict::DoesNotHold);
    }

    #[test]
    fn without_a_contrast_nothing_is_proved() {
        let mut alone = figures();
        alone.modes.truncate(2);
        assert_eq!(judge(&alone).verdict, Verdict::Inconclusive);
        alone.modes.clear();
        assert_eq!(judge(&alone).verdict, Verdict::Inconclusive);
    }
}
