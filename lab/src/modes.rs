//! The modes of our server: a mode that is added there appears in every experiment unasked.

use serde::Serialize;
use server::{Choice, Inner, Mode, RunError};

use crate::soak::matrix;

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
