//! Who does what: a slot per worker with its counters, in memory that all processes see.
//!
//! Counters only grow and are added to with `fetch_add`, so any reader may look at any time; the
//! differences (open connections, held permits) can be off by those in flight.

mod counters;
mod occupant;
mod slot;
mod waits;

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub use self::counters::Counters;
pub(crate) use self::counters::{Count, info_counters};
pub use self::slot::Slot;
pub(crate) use self::slot::Stage;
pub(crate) use self::waits::Waits;
use crate::config::Config;
use crate::per_ip::{Layout, PerIp};
use crate::sys::{SharedFile, SharedSlice};

/// All slots of a server: one per worker process or pool thread, the first for everything else.
#[derive(Debug)]
pub struct Board {
    file: SharedFile,
    slots: SharedSlice<Slot>,
    /// Slots from here on have never had an owner, but for the last, which is the master's. Looking
    /// at them would cost their memory.
    used: AtomicUsize,
    per_ip: Option<PerIp>,
}

impl Board {
    /// An empty board.
    ///
    /// # Errors
    ///
    /// When memory or descriptors are short.
    pub fn new(slots: usize) -> io::Result<Self> {
        Self::map(SharedFile::create(slot_bytes(slots))?, slots)
    }

    fn map(file: SharedFile, slots: usize) -> io::Result<Self> {
        Ok(Self {
            slots: file.slice(0, slots)?,
            used: AtomicUsize::new(slots),
            per_ip: None,
            file,
        })
    }

    /// None of its slots has had an owner so far.
    pub(crate) fn without_owners(self) -> Self {
        let used = AtomicUsize::new(0);
        Self { used, ..self }
    }

    /// That one is about to have an owner.
    pub(crate) fn assign(&self, slot: usize) {
        self.used.fetch_max(slot + 1, Relaxed);
    }

    /// An empty board of a server that is to be as `config` says.
    ///
    /// # Errors
    ///
    /// When memory or descriptors are short.
    pub(crate) fn of(config: &Config, slots: usize) -> io::Result<Self> {
        let Some(layout) = Layout::of(config, slots) else {
            return Self::new(slots);
        };
        let offset = slot_bytes(slots);
        let file = SharedFile::create(offset + layout.bytes() as u64)?;
        let mut board = Self::map(file, slots)?;
        board.per_ip = Some(PerIp::create(&board.file, offset, layout)?);
        Ok(board)
    }

    /// The board of another process.
    ///
    /// # Errors
    ///
    /// When `file` is not a board of that many slots.
    pub(crate) fn open(file: OwnedFd, slots: usize) -> io::Result<Self> {
        Self::map(file.into(), slots)
    }

    /// The whole board of another process, whose server is as `config` says.
    ///
    /// # Errors
    ///
    /// When `file` is no such board.
    pub(crate) fn open_all(file: OwnedFd, slots: usize, config: &Config) -> io::Result<Self> {
        let mut board = Self::open(file, slots)?;
        if let Some(layout) = Layout::of(config, slots) {
            let table = PerIp::open(&board.file, slot_bytes(slots), layout)?;
            board.per_ip = Some(table);
        }
        Ok(board)
    }

    /// How many connections each address has, where that is limited.
    pub(crate) fn per_ip(&self) -> Option<&PerIp> {
        self.per_ip.as_ref()
    }

    /// Settles the books of a dead worker: its connections are closed, and their addresses have
    /// fewer. Returns how many permits it held.
    pub(crate) fn bury(&self, slot: usize) -> u64 {
        self.per_ip.iter().for_each(|table| table.bury(slot));
        self[slot].bury()
    }

    /// The sum over all workers.
    #[must_use]
    pub fn totals(&self) -> Counters {
        let sum: Counters = self.used().map(Slot::counters).sum();
        // Who came and went while it was added up may be in the one and not in the other.
        Counters {
            closed: sum.closed.min(sum.accepted),
            ..sum
        }
    }

    /// Those that have, or had, an owner.
    pub(crate) fn used(&self) -> impl Iterator<Item = &Slot> {
        let used = self.used.load(Relaxed);
        let masters = self.get(used..).and_then(<[Slot]>::last);
        self.iter().take(used).chain(masters)
    }

    /// The slots that threads have, by the numbers of those.
    pub(crate) fn crew(&self) -> Vec<(u32, &Slot)> {
        let crew = self.used().filter_map(|slot| Some((slot.thread()?, slot)));
        let mut crew: Vec<_> = crew.collect();
        crew.sort_by_key(|(number, _)| *number);
        crew
    }
}

impl Deref for Board {
    type Target = [Slot];

    fn deref(&self) -> &[Slot] {
        &self.slots
    }
}

impl AsFd for Board {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn slot_bytes(slots: usize) -> u64 {
    (slots * size_of::<Slot>()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_mappings_of_one_board_see_the_same_counts() {
        let board = Board::new(3).unwrap();
        let file = board.as_fd().try_clone_to_owned().unwrap();
        let other = Board::open(file, 3).unwrap();
        std::thread::scope(|scope| {
            for view in [&board, &other] {
                scope.spawn(move || (0..1000).all(|_| view[1].count(Count::Accepted) > 0));
            }
        });
        assert_eq!(
            (board[1].counters().accepted, other.totals().accepted),
            (2000, 2000)
        );
    }

    #[test]
    fn nobody_has_gone_who_has_not_come() {
        let board = Board::new(2).unwrap();
        board[1].add(Count::Closed, 2);
        board[0].count(Count::Accepted);
        let totals = board.totals();
        assert_eq!((totals.closed, totals.open()), (1, 0));
    }

    #[test]
    fn slots_that_never_had_an_owner_are_not_looked_at() {
        let board = Board::new(3).unwrap().without_owners();
        board.iter().for_each(|slot| {
            slot.count(Count::Accepted);
        });
        assert_eq!(board.totals().accepted, 1, "the last is the master's");
        board.assign(0);
        assert_eq!(board.totals().accepted, 2);
        board.assign(1);
        board.assign(0);
        assert_eq!(board.totals().accepted, 3);
    }

    #[test]
    fn a_file_that_is_no_board_is_refused() {
        let board = Board::new(1).unwrap();
        let file = board.as_fd().try_clone_to_owned().unwrap();
        assert!(Board::open(file, 1000).is_err());
    }
}
