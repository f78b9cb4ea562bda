//! What only the leader of the server knows of those who serve.

use std::time::Instant;

use serde::Serialize;

use super::State;
use crate::board::Counters;

/// Who serves, and how those ended who do not any more.
#[derive(Debug)]
pub(crate) struct Roster {
    pub(crate) state: State,
    /// How many workers there shall be.
    pub(crate) wanted: usize,
    pub(crate) members: Vec<Member>,
    pub(crate) ended: Endings,
}

impl Roster {
    /// That of a server which shall have so many workers, and has none so far.
    pub(super) fn of(wanted: usize) -> Self {
        Self {
            state: State::Starting,
            wanted,
            members: Vec::new(),
            ended: Endings::default(),
        }
    }
}

/// One process that serves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) slot: usize,
    pub(crate) pid: u32,
    pub(crate) state: State,
    /// When it was started.
    pub(crate) since: Instant,
    /// What its slot had counted before it came.
    pub(crate) before: Counters,
}

impl Member {
    /// One that was started just now.
    pub(crate) fn new(slot: usize, pid: u32, before: Counters) -> Self {
        Self {
            slot,
            pid,
            state: State::Starting,
            since: Instant::now(),
            before,
        }
    }
}

/// Worker processes that ended while the server went on, by reason. Each but those of `asked` was replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Endings {
    /// Fewer workers were asked for.
    pub asked: u64,
    /// All workers were restarted.
    pub restarted: u64,
    /// It had served its share.
    pub recycled: u64,
    /// It hung.
    pub hung: u64,
    /// It did not end in time.
    pub late: u64,
    /// A signal that nobody here sent.
    pub signal: u64,
    /// It exited by itself.
    pub exit: u64,
    /// It could not be started.
    pub unstarted: u64,
}
