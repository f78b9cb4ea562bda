//! The modes of our server: a mode that is added there appears in every experiment unasked.

use std::num::NonZeroUsize;

use serde::Serialize;
use server::{Choice, Inner, Mode, RunError};

use crate::ready::Ready;
use crate::soak::matrix;
use crate::verdict::Ruling;

/// What a client that stays holds of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// A worker of a fixed number.
    Worker,
    /// A thread of its own.
    Thread,
    /// A process of its own.
    Process,
    /// Memory only.
    Memory,
}

impl Holds {
    /// As the mode's structure has it.
    #[must_use]
    pub fn of(mode: Mode) -> Self {
        let choice = Choice::of(mode);
        match matrix::plan(choice).inside {
            _ if !matrix::unbounded(choice) => Self::Worker,
            Inner::ThreadPerConnection => Self::Thread,
            Inner::ProcessPerConnection => Self::Process,
            _ => Self::Memory,
        }
    }

    /// In a table.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Worker => "a worker",
            Self::Thread => "a thread",
            Self::Process => "a process",
            Self::Memory => "memory",
        }
    }
}

/// How many clients that stay a server serves at once: what it is made of says so, and it must not
/// say otherwise itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Capacity {
    /// By the structure of the mode; none where only flags and the machine limit it.
    pub planned: Option<usize>,
    /// By its own word, once it is ready.
    pub said: Option<usize>,
}

impl Capacity {
    /// What is known before a server is started in `mode` with `workers` workers.
    #[must_use]
    pub fn planned(mode: Mode, workers: usize) -> Self {
        let workers = NonZeroUsize::new(workers).unwrap_or(NonZeroUsize::MIN);
        let planned = mode.plan(workers).capacity(u32::MAX);
        Self {
            planned: (planned < u32::MAX as usize).then_some(planned),
            said: None,
        }
    }

    /// The same once a server has said that it is ready.
    #[must_use]
    pub fn said_by(self, ready: &Ready) -> Self {
        let said = ready.capacity;
        Self { said, ..self }
    }

    /// The number itself: the server's word counts only where its structure sets none.
    #[must_use]
    pub fn places(self) -> usize {
        self.planned.or(self.said).unwrap_or(0)
    }

    /// How many of `offered` clients are to be served: min(N, capacity).
    #[must_use]
    pub fn serves(self, offered: u32) -> u32 {
        self.planned
            .map_or(offered, |places| at_most(offered, places))
    }

    /// What is wrong with the word of the server `name`, where `offered` clients are to be served.
    #[must_use]
    pub fn objection(self, name: &str, offered: u32) -> Option<Ruling> {
        let (right, expected) = match self.planned {
            Some(planned) => (self.said == Some(planned), planned.to_string()),
            None => (
                self.said.is_some_and(|said| said >= offered as usize),
                format!("at least {offered}"),
            ),
        };
        let said = self.said_words();
        (!right).then(|| {
            Ruling::does_not_hold(format!(
                "{name} says that its capacity is {said}, not {expected}"
            ))
        })
    }

    /// The server's own word, in a table.
    #[must_use]
    pub fn said_words(self) -> String {
        self.said
            .map_or_else(|| "unknown".to_owned(), |said| said.to_string())
    }
}

/// How many of `clients` get one of `places`.
#[must_use]
pub fn at_most(clients: u32, places: usize) -> u32 {
    u32::try_from(places).map_or(clients, |places| clients.min(places))
}

/// The names of all modes that this machine can run, from the simplest on.
pub fn all() -> impl DoubleEndedIterator<Item = &'static str> {
    possible().map(Mode::name)
}

/// The same modes, to be taken apart.
pub fn possible() -> impl DoubleEndedIterator<Item = Mode> {
    let modes = Mode::ALL.iter().copied();
    modes.filter(|mode| lack(*mode).is_none())
}

/// Why the other modes cannot run here.
pub fn lacks() -> impl Iterator<Item = RunError> {
    Mode::ALL.iter().filter_map(|mode| lack(*mode))
}

fn lack(mode: Mode) -> Option<RunError> {
    let probed = server::probe(Choice::of(mode)).err();
    probed.filter(|error| matches!(error, RunError::Unsupported { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(said: usize) -> Ready {
        let mut ready = Ready::at(([127, 0, 0, 1], 9).into());
        ready.capacity = Some(said);
        ready
    }

    #[test]
    fn the_capacity_is_that_of_the_structure_whatever_the_server_says() {
        let served = |mode, said| Capacity::planned(mode, 4).said_by(&ready(said)).serves(50);
        for said in [3, 4, 50] {
            assert_eq!(served(Mode::Sequential, said), 1);
            assert_eq!(served(Mode::ThreadPool, said), 4);
            assert_eq!(served(Mode::ProcessPool, said), 4);
            assert_eq!(served(Mode::Async, said), 50);
            assert_eq!(served(Mode::ThreadPerConnection, said), 50);
        }
    }

    #[test]
    fn a_server_that_says_another_capacity_is_objected_to() {
        let objection = |mode, said| {
            Capacity::planned(mode, 4)
                .said_by(&ready(said))
                .objection("it", 50)
        };
        assert_eq!(objection(Mode::ThreadPool, 4), None);
        assert_eq!(
            objection(Mode::ThreadPool, 3),
            Some(Ruling::does_not_hold(
                "it says that its capacity is 3, not 4"
            ))
        );
        assert!(objection(Mode::ThreadPool, 5).is_some());
        assert!(objection(Mode::Sequential, 4).is_some());
        assert_eq!(objection(Mode::Async, 16_000), None);
        assert_eq!(
            objection(Mode::Async, 4),
            Some(Ruling::does_not_hold(
                "it says that its capacity is 4, not at least 50"
            ))
        );
    }

    #[test]
    fn what_a_client_holds_follows_from_the_structure() {
        let held = [
            (Mode::Sequential, Holds::Worker),
            (Mode::ProcessPool, Holds::Worker),
            (Mode::ThreadPerConnection, Holds::Thread),
            (Mode::ProcessPerConnection, Holds::Process),
            (Mode::ReadyPool, Holds::Memory),
            (Mode::Async, Holds::Memory),
        ];
        for (mode, holds) in held {
            assert_eq!(Holds::of(mode), holds, "{mode}");
        }
    }
}
