//! What is to be reached, as data: a row of the table for each figure of each server.
//!
//! Thresholds of rows with a reference are ratios to it, measured side by side; the others are figures
//! by themselves. Values only.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::generator;
use crate::plain;
use crate::process::Launcher;
use crate::subject::{CLIENTS, Launch, PORT, SECONDS, Subject};

/// A row: one figure of one of our programs, and what it is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// As typed: the mode or the program, the figure, the number of clients, and whatever else tells it apart.
    pub name: &'static str,
    /// What is measured of whom; rows that have it in common are measured together.
    pub trial: Trial,
    /// Which figure of it.
    pub figure: Figure,
    /// What it is to be.
    pub relation: Relation,
}

/// A program of ours, what is done to it or by it, and beside whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Which program of ours.
    pub own: Own,
    /// What is done to it, or by it.
    pub task: Task,
    /// Names of references, of which the first is taken that is there; without any the figure
    /// stands by itself.
    pub against: &'static [&'static str],
}

/// A program of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// The server.
    Server(Server),
    /// The load generator, with these flags besides the usual ones.
    Generator(&'static [&'static str]),
}

/// Our server in one of its modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// The mode; none for the one that is usual.
    pub mode: Option<&'static str>,
    /// Its workers, where it has any.
    pub workers: usize,
}

/// What is done to a server, or by a load generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// So many clients ask as fast as they are answered.
    Busy {
        /// Clients.
        clients: u32,
        /// Bytes of a message.
        size: u32,
    },
    /// So many ask at random moments, half as often as the slower of the two could answer.
    Half {
        /// Clients.
        clients: u32,
    },
    /// So many connect, ask once, hang up, and connect again.
    ShortLived {
        /// Clients at the same time.
        clients: u32,
    },
    /// One client has long messages echoed.
    Bulk,
    /// As [`Task::Busy`] with short messages, while somebody counts system calls, which slows them.
    Calls {
        /// Clients.
        clients: u32,
    },
    /// So many connect, ask once and stay.
    Idle {
        /// Clients.
        clients: u32,
    },
    /// It is started.
    Start,
    /// So many clients of a generator ask a plain server as fast as they are answered.
    Generate {
        /// Clients.
        clients: u32,
    },
    /// A generator has some clients who ask once and stay, and then so many more.
    Hold {
        /// How many more.
        clients: u32,
    },
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// Answers per second.
    Rate,
    /// Processor time of the server for an answer, in microseconds.
    Cpu,
    /// System calls of the server for an answer.
    Calls,
    /// The 99th percentile of the wait from the due time, in microseconds.
    Tail,
    /// Connections per second.
    Connections,
    /// Bytes per second that come back.
    Bulk,
    /// Bytes of the program's own memory for a connection.
    Memory,
    /// Seconds from the start of the program until it says that it is ready.
    Start,
    /// Answers for a second of the generator's own processor time.
    PerCpu,
}

/// What a figure, or its ratio to that of the reference, is to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// More is better.
    AtLeast(f64),
    /// Less is better.
    AtMost(f64),
}

use Relation::{AtLeast, AtMost};

impl Figure {
    /// As typed and as columns are called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Cpu => "cpu",
            Self::Calls => "calls",
            Self::Tail => "tail",
            Self::Connections => "connections",
            Self::Bulk => "bulk",
            Self::Memory => "memory",
            Self::Start => "start",
            Self::PerCpu => "per-cpu",
        }
    }

    /// Whether more of it is better.
    #[must_use]
    pub fn more_is_better(self) -> bool {
        matches!(
            self,
            Self::Rate | Self::Connections | Self::Bulk | Self::PerCpu
        )
    }
}

impl Server {
    const fn of(mode: &'static str, workers: usize) -> Self {
        let mode = Some(mode);
        Self { mode, workers }
    }

    /// How it is started.
    #[must_use]
    pub fn subject(self) -> Subject {
        match self.mode {
            Some(mode) => Subject::own(mode, self.workers),
            None => Subject {
                name: "server".to_owned(),
                launch: Launch::Own(Vec::new()),
            },
        }
    }
}

impl Own {
    /// What its rows have in common, as typed; none for the server in the mode that is usual.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Server(server) => server.mode,
            Self::Generator(_) => Some(generator::NAME),
        }
    }

    /// How it is started.
    #[must_use]
    pub fn subject(self, launcher: &Launcher) -> Subject {
        match self {
            Self::Server(server) => server.subject(),
            Self::Generator(flags) => generator::own(launcher, flags),
        }
    }

    /// Our own idea of a reference of that name.
    fn plain(self, name: &str) -> Option<Subject> {
        match self {
            Self::Server(server) => Some(plain::find(name)?.subject(server.workers)),
            Self::Generator(_) => (name == plain::client::NAME).then(plain::client::subject),
        }
    }

    /// What the command of a reference has to contain, and what is not in `command`.
    #[must_use]
    pub fn lacks(self, command: &str) -> Vec<&'static str> {
        let places = match self {
            Self::Server(_) => &[PORT][..],
            Self::Generator(_) => &[PORT, CLIENTS, SECONDS],
        };
        let lacking = places.iter().filter(|place| !command.contains(**place));
        lacking.copied().collect()
    }
}

impl Task {
    /// How long a run of it is measured where others are for `window`.
    #[must_use]
    pub fn window(self, window: Duration) -> Duration {
        match self {
            Self::Generate { .. } => window.max(generator::SHORTEST),
            _ => window,
        }
    }
}

impl Trial {
    /// The reference: the first name for which a program was given, or that is one of the plain programs.
    /// None where none is wanted.
    ///
    /// # Errors
    ///
    /// What has to be given.
    pub fn reference(&self, given: &[Subject]) -> Result<Option<Subject>, String> {
        let named = |name: &&str| {
            let program = given.iter().find(|subject| subject.name == *name).cloned();
            program.or_else(|| self.own.plain(name))
        };
        match (self.against.iter().find_map(named), self.against.first()) {
            (None, Some(name)) => {
                let places = self.own.lacks("").join(" ");
                Err(format!("needs --subject '{name}=COMMAND with {places}'"))
            }
            (found, _) => Ok(found),
        }
    }
}

impl Goal {
    /// Whether it is meant by `word`: its name, that of its mode or program, or that of its figure.
    #[must_use]
    pub fn is_meant_by(&self, word: &str) -> bool {
        [
            Some(self.name),
            self.trial.own.name(),
            Some(self.figure.name()),
        ]
        .contains(&Some(word))
    }
}

const EPOLL: Server = Server::of("epoll", 1);
const IO_URING: Server = Server::of("io-uring", 1);
const ASYNC: Server = Server::of("async", 2);
const READY_POOL: Server = Server::of("ready-pool", 2);
const THREADS: Server = Server::of("thread-per-connection", 1);
/// Who owns a connection must have a worker for each of them.
const CLIENTS_OF_POOLS: usize = 50;

/// The limit of the machine: C where it is there, and Rust without anything everywhere else.
const FLOOR: &[&str] = &["c-epoll", "plain-epoll"];
const RING_FLOOR: &[&str] = &["c-io-uring", "plain-epoll"];
const MONOIO: &[&str] = &["monoio"];
const STD: &[&str] = &["plain-threads"];
const CLIENT: &[&str] = &["c-client", plain::client::NAME];
const RING_CLIENT: &[&str] = &["c-io-uring-client"];
/// What the load generator may have for a connection: 256 bytes, and the message.
const HELD_BYTES: f64 = 256.0 + plain::client::MESSAGE_BYTES as f64;

const fn busy(server: Server, clients: u32, against: &'static [&'static str]) -> Trial {
    trial(server, Task::Busy { clients, size: 64 }, against)
}

/// Messages of 16 KiB.
const fn large(server: Server, against: &'static [&'static str]) -> Trial {
    let (clients, size) = (50, 16 << 10);
    trial(server, Task::Busy { clients, size }, against)
}

const fn trial(server: Server, task: Task, against: &'static [&'static str]) -> Trial {
    let own = Own::Server(server);
    Trial { own, task, against }
}

const fn generate(clients: u32, against: &'static [&'static str]) -> Trial {
    Trial {
        own: Own::Generator(&[]),
        task: Task::Generate { clients },
        against,
    }
}

const fn hold(clients: u32) -> Trial {
    Trial {
        own: Own::Generator(&["--hold", generator::HOLD]),
        task: Task::Hold { clients },
        against: &[],
    }
}

const fn half(server: Server) -> Trial {
    trial(server, Task::Half { clients: 500 }, FLOOR)
}

const fn pool(mode: &'static str, against: &'static [&'static str]) -> Trial {
    busy(Server::of(mode, CLIENTS_OF_POOLS), 50, against)
}

const fn idle(server: Server, clients: u32, against: &'static [&'static str]) -> Trial {
    trial(server, Task::Idle { clients }, against)
}

const fn goal(name: &'static str, trial: Trial, figure: Figure, relation: Relation) -> Goal {
    Goal {
        name,
        trial,
        figure,
        relation,
    }
}

/// All rows, in the order in which they are measured.
#[rustfmt::skip]
pub const ALL: &[Goal] = &[
    goal("epoll-rate-50", busy(EPOLL, 50, FLOOR), Figure::Rate, AtLeast(0.98)),
    goal("epoll-cpu-50", busy(EPOLL, 50, FLOOR), Figure::Cpu, AtMost(1.03)),
    goal("epoll-rate-500", busy(EPOLL, 500, FLOOR), Figure::Rate, AtLeast(0.98)),
    goal("epoll-cpu-500", busy(EPOLL, 500, FLOOR), Figure::Cpu, AtMost(1.03)),
    goal("io-uring-rate-50", busy(IO_URING, 50, RING_FLOOR), Figure::Rate, AtLeast(0.98)),
    goal("io-uring-rate-500", busy(IO_URING, 500, RING_FLOOR), Figure::Rate, AtLeast(0.98)),
    goal("io-uring-cpu-50", busy(IO_URING, 50, MONOIO), Figure::Cpu, AtMost(1.0)),
    goal("io-uring-cpu-500", busy(IO_URING, 500, MONOIO), Figure::Cpu, AtMost(1.0)),
    goal("io-uring-calls-50", trial(IO_URING, Task::Calls { clients: 50 }, &[]), Figure::Calls, AtMost(0.1)),
    goal("async-rate-50", busy(ASYNC, 50, FLOOR), Figure::Rate, AtLeast(0.96)),
    goal("async-cpu-50", busy(ASYNC, 50, FLOOR), Figure::Cpu, AtMost(1.06)),
    goal("async-rate-500", busy(ASYNC, 500, FLOOR), Figure::Rate, AtLeast(0.93)),
    goal("async-cpu-500", busy(ASYNC, 500, FLOOR), Figure::Cpu, AtMost(1.1)),
    goal("ready-pool-rate-50", busy(READY_POOL, 50, STD), Figure::Rate, AtLeast(1.1)),
    goal("ready-pool-rate-500", busy(READY_POOL, 500, STD), Figure::Rate, AtLeast(1.3)),
    goal("thread-per-connection-rate-50", busy(THREADS, 50, STD), Figure::Rate, AtLeast(1.0)),
    goal("thread-pool-rate-50", pool("thread-pool", &["plain-threadpool"]), Figure::Rate, AtLeast(1.0)),
    goal("rayon-rate-50", pool("rayon", &["plain-rayon"]), Figure::Rate, AtLeast(1.0)),
    goal("process-pool-rate-50", pool("process-pool", STD), Figure::Rate, AtLeast(1.0)),
    goal("epoll-rate-50-16k", large(EPOLL, FLOOR), Figure::Rate, AtLeast(0.98)),
    goal("io-uring-rate-50-16k", large(IO_URING, FLOOR), Figure::Rate, AtLeast(0.98)),
    goal("io-uring-rate-50-16k-monoio", large(IO_URING, MONOIO), Figure::Rate, AtLeast(0.98)),
    goal("async-rate-50-16k", large(ASYNC, FLOOR), Figure::Rate, AtLeast(0.9)),
    goal("epoll-bulk", trial(EPOLL, Task::Bulk, STD), Figure::Bulk, AtLeast(1.1)),
    goal("async-bulk", trial(ASYNC, Task::Bulk, STD), Figure::Bulk, AtLeast(1.1)),
    goal("epoll-memory", idle(EPOLL, 4000, &[]), Figure::Memory, AtMost(256.0)),
    goal("io-uring-memory", idle(IO_URING, 4000, &[]), Figure::Memory, AtMost(256.0)),
    goal("async-memory", idle(ASYNC, 4000, &[]), Figure::Memory, AtMost(1024.0)),
    goal("ready-pool-memory", idle(READY_POOL, 4000, &[]), Figure::Memory, AtMost(512.0)),
    goal("thread-per-connection-memory", idle(THREADS, 1000, STD), Figure::Memory, AtMost(0.6)),
    goal("epoll-tail-500", half(EPOLL), Figure::Tail, AtMost(1.3)),
    goal("io-uring-tail-500", half(IO_URING), Figure::Tail, AtMost(1.3)),
    goal("async-tail-500", half(ASYNC), Figure::Tail, AtMost(1.3)),
    goal("ready-pool-tail-500", half(READY_POOL), Figure::Tail, AtMost(1.3)),
    goal("epoll-connections", trial(EPOLL, Task::ShortLived { clients: 50 }, FLOOR), Figure::Connections, AtLeast(0.95)),
    goal("async-connections", trial(ASYNC, Task::ShortLived { clients: 50 }, FLOOR), Figure::Connections, AtLeast(0.95)),
    goal("server-start", trial(Server { mode: None, workers: 1 }, Task::Start, &[]), Figure::Start, AtMost(0.005)),
    goal("process-pool-start-64", trial(Server::of("process-pool", 64), Task::Start, &[]), Figure::Start, AtMost(0.1)),
    goal("loadgen-per-cpu-50", generate(50, CLIENT), Figure::PerCpu, AtLeast(1.0)),
    goal("loadgen-per-cpu-500", generate(500, CLIENT), Figure::PerCpu, AtLeast(1.0)),
    goal("loadgen-per-cpu-50-ring", generate(50, RING_CLIENT), Figure::PerCpu, AtLeast(0.95)),
    goal("loadgen-per-cpu-500-ring", generate(500, RING_CLIENT), Figure::PerCpu, AtLeast(0.95)),
    goal("loadgen-memory", hold(4000), Figure::Memory, AtMost(HELD_BYTES)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modes;
    use std::collections::HashSet;

    #[test]
    fn every_row_has_a_name_of_its_own_that_no_mode_and_no_figure_has() {
        let names: HashSet<&str> = ALL.iter().map(|goal| goal.name).collect();
        assert_eq!(names.len(), ALL.len());
        for goal in ALL {
            assert!(modes::all().all(|mode| mode != goal.name));
            assert!(goal.name.contains(goal.figure.name()), "{}", goal.name);
        }
    }

    #[test]
    fn modes_exist_and_thresholds_go_the_way_of_their_figures() {
        for goal in ALL {
            let known = match goal.trial.own {
                Own::Server(Server { mode, .. }) => {
                    mode.is_none_or(|mode| modes::all().any(|known| known == mode))
                }
                Own::Generator(_) => goal.name.starts_with(generator::NAME),
            };
            assert!(known, "{}", goal.name);
            let wants_more = matches!(goal.relation, AtLeast(_));
            assert_eq!(wants_more, goal.figure.more_is_better(), "{}", goal.name);
        }
    }

    #[test]
    fn the_chapter_has_a_line_for_every_row() {
        let chapter = include_str!("../../../docs/performance.md");
        for Goal { name, .. } in ALL {
            let lines = chapter
                .lines()
                .filter(|line| line.starts_with(&format!("| `{name}` |")));
            assert_eq!(lines.count(), 1, "{name}");
        }
    }

    #[test]
    fn a_word_means_a_row_a_mode_or_a_figure() {
        let meant = |word: &str| ALL.iter().filter(|goal| goal.is_meant_by(word)).count();
        assert_eq!((meant("epoll-rate-50"), meant("epolls")), (1, 0));
        assert!(meant("epoll") > 4);
        assert_eq!((meant("memory"), meant("loadgen")), (6, 5));
    }

    #[test]
    fn a_program_that_was_given_takes_the_place_of_a_plain_server() {
        let trial = busy(EPOLL, 50, FLOOR);
        let name = |given: &[Subject]| trial.reference(given).unwrap().map(|it| it.name);
        assert_eq!(name(&[]).as_deref(), Some("plain-epoll"));
        let c: Subject = "c-epoll=./epoll {port}".parse().unwrap();
        assert_eq!(name(&[c]).as_deref(), Some("c-epoll"));
        let monoio = busy(IO_URING, 50, MONOIO);
        assert_eq!(
            monoio.reference(&[]).unwrap_err(),
            "needs --subject 'monoio=COMMAND with {port}'"
        );
        assert_eq!(idle(EPOLL, 1, &[]).reference(&[]), Ok(None));
    }

    #[test]
    fn a_generator_is_measured_beside_a_client_and_not_beside_a_server() {
        let name = |given: &[Subject]| generate(50, CLIENT).reference(given).unwrap();
        let name = |given: &[Subject]| name(given).map(|it| it.name);
        assert_eq!(name(&[]).as_deref(), Some("plain-client"));
        let c: Subject = "c-client=./client {port} {clients} {seconds}"
            .parse()
            .unwrap();
        assert_eq!(name(&[c]).as_deref(), Some("c-client"));
        assert_eq!(
            generate(50, RING_CLIENT).reference(&[]).unwrap_err(),
            "needs --subject 'c-io-uring-client=COMMAND with {port} {clients} {seconds}'"
        );
        let own = Own::Generator(&[]);
        assert_eq!(own.lacks("./x -p {port} -d {seconds}"), ["{clients}"]);
    }
}
