//! What `benches/` may see of the insides, with the feature `bench` alone: the hot functions, called as
//! a driver calls them. Nothing of the server uses this, and nobody else shall.

use std::io;

use crate::board::Board;
use crate::machine::{Machine, Next};
use crate::work::Work;

/// The state machine of a connection that never ends.
#[derive(Debug)]
pub struct Conversation {
    machine: Machine,
    work: Work,
}

impl Conversation {
    /// A fresh one, which pays `work` for each line, and is always told at once that it has paid.
    #[must_use]
    pub fn new(work: Work) -> Self {
        Self {
            machine: Machine::new(None),
            work,
        }
    }

    /// A read that brought `bytes`, and the writes that echo them; returns how many bytes went back.
    pub fn echo(&mut self, bytes: &[u8]) -> usize {
        let mut echoed = 0;
        self.machine.received(bytes);
        loop {
            match self.machine.next(self.work, bytes) {
                Next::Write(range) => {
                    echoed += range.len();
                    self.machine.wrote(range.len());
                }
                Next::Pay(_) => self.machine.paid(),
                _ => return echoed,
            }
        }
    }
}

/// The books of a worker in shared memory.
#[derive(Debug)]
pub struct Books(Board);

impl Books {
    /// Empty ones.
    ///
    /// # Errors
    ///
    /// When memory or descriptors are short.
    pub fn new() -> io::Result<Self> {
        Board::new(1).map(Self)
    }

    /// Counts a request of so many bytes; returns how many requests that makes.
    #[must_use]
    pub fn received(&self, bytes: usize) -> u64 {
        self.0.first().map_or(0, |slot| slot.received(bytes))
    }
}
