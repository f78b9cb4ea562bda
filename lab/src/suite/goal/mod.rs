//! What is to be reached, as data: a row of the table for each figure of each server.
//!
//! Thresholds of rows with a reference are ratios to it, measured side by side; the others are figures
//! by themselves. Values only.

mod table;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::generator;
use crate::launcher::Launcher;
use crate::plain::{self, Plain};
use crate::subject::{CLIENTS, Launch, PORT, SECONDS, Subject};

pub use table::ALL;

/// The shortest time in which a tail is measured.
const SHORTEST_TAIL: Duration = Duration::from_secs(2);

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

/// What a load generator and who answers it speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// What was sent comes back.
    Echo,
    /// HTTP/1.1, each answer the same few bytes.
    Http,
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
        /// What they speak.
        wire: Wire,
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

impl Wire {
    /// Who answers, with as little as it takes.
    pub(super) fn answerer(self) -> Plain {
        match self {
            Self::Echo => plain::EPOLL,
            Self::Http => plain::HTTP,
        }
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
            Self::Half { .. } => window.max(SHORTEST_TAIL),
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
