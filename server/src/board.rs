//! Who does what: a slot per worker with its counters, in memory that all processes see.
//!
//! Counters only grow and are added to with `fetch_add`, so any reader may look at any time; the
//! differences (open connections, held permits) can be off by those in flight.

use std::io;
use std::iter::Sum;
use std::ops::{Add, Deref, Sub};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use serde::Serialize;

use crate::config::Config;
use crate::per_ip::{Layout, PerIp};
use crate::sys::{SharedFile, SharedSlice};

/// Makes [`Count`], [`Counters`] and the cells behind them from one list.
macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $count:ident, $field:ident;)+) => {
        /// What is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Count {
            $($(#[doc = $doc])+ $count,)+
        }

        /// All that is counted, as plain numbers.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $field: u64,)+
        }

        impl Counters {
            /// Each with its name and its meaning, in the order in which they are declared.
            pub fn list(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($field), concat!($($doc),+), self.$field),)+].into_iter()
            }
        }

        #[derive(Debug, Default)]
        struct Cells {
            $($field: AtomicU64,)+
        }

        impl Cells {
            fn of(&self, count: Count) -> &AtomicU64 {
                match count {
                    $(Count::$count => &self.$field,)+
                }
            }

            fn read(&self) -> Counters {
                Counters {
                    $($field: self.$field.load(Relaxed),)+
                }
            }
        }

        impl Add for Counters {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self {
                    $($field: self.$field + other.$field,)+
                }
            }
        }

        impl Sub for Counters {
            type Output = Self;

            /// What was counted since `earlier`.
            fn sub(self, earlier: Self) -> Self {
                Self {
                    $($field: self.$field.saturating_sub(earlier.$field),)+
                }
            }
        }
    };
}

counts! {
    /// Connections accepted and admitted.
    Accepted, accepted;
    /// Connections closed.
    Closed, closed;
    /// Connections that got at least one byte.
    Served, served;
    /// Times that accepting stopped because every place was taken.
    Full, full;
    /// Connections closed at once because the server was full, or could not have them served.
    Rejected, rejected;
    /// Connections closed at once because their address had too many.
    PerIp, per_ip;
    /// Connections closed because they were silent for the idle limit.
    Idle, idle;
    /// Connections reset because their peers took no bytes for the write limit.
    Stalled, stalled;
    /// Connections closed because a message came at less than the minimum rate.
    Slow, slow;
    /// Connections broken by the peer or the network.
    Failed, failed;
    /// Connections closed unserved because the server ended while they were in the accept queue.
    Dismissed, dismissed;
    /// Connections ended by a panic.
    Panics, panics;
    /// Connections cut at the deadline of a drain.
    Cut, cut;
    /// Reads that brought bytes.
    Requests, requests;
    /// Bytes echoed.
    Bytes, bytes;
}

impl Counters {
    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.accepted.saturating_sub(self.closed)
    }
}

impl Sum for Counters {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}

/// What one worker did. Padded to cache lines, so that workers do not slow each other down.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct Slot {
    pid: AtomicU32,
    held: AtomicU32,
    beat: AtomicU32,
    cells: Cells,
}

impl Slot {
    /// Empties the slot for the process `pid`, keeping what it counted.
    pub(crate) fn take_over(&self, pid: u32) {
        self.pid.store(pid, Relaxed);
    }

    /// The process that owns the slot.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.load(Relaxed)
    }

    /// The process that owns the slot is well.
    pub(crate) fn beat(&self) {
        self.beat.fetch_add(1, Relaxed);
    }

    /// A value that changes as long as it is.
    pub(crate) fn beats(&self) -> u32 {
        self.beat.load(Relaxed)
    }

    /// Counts a permit *before* it is taken: a worker that dies in between gives one too many
    /// back, which admits one client more; the other order would lose a place for ever.
    pub(crate) fn hold(&self) {
        self.held.fetch_add(1, Relaxed);
    }

    pub(crate) fn release(&self) {
        self.held.fetch_sub(1, Relaxed);
    }

    /// How many permits it has: connections that are open, and those on their way to it.
    pub(crate) fn held(&self) -> u32 {
        self.held.load(Relaxed)
    }

    /// Takes the count of the permits that a dead worker held, and closes its connections in the
    /// books.
    fn bury(&self) -> u64 {
        let accepted = self.cells.accepted.load(Relaxed);
        self.cells.closed.store(accepted, Relaxed);
        u64::from(self.held.swap(0, Relaxed))
    }

    /// Counts one; returns how many that makes.
    pub(crate) fn count(&self, count: Count) -> u64 {
        self.add(count, 1)
    }

    /// Counts as many; returns how many that makes.
    pub(crate) fn add(&self, count: Count, many: u64) -> u64 {
        self.cells.of(count).fetch_add(many, Relaxed) + many
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.cells.read()
    }
}

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
        let used = self.used.load(Relaxed);
        let masters = self.get(used..).and_then(<[Slot]>::last);
        let used = self.iter().take(used).chain(masters);
        used.map(Slot::counters).sum()
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
    fn counters_are_listed_with_their_names_and_meanings() {
        let board = Board::new(1).unwrap();
        board[0].add(Count::PerIp, 7);
        let counters = board.totals();
        let listed: Vec<_> = counters.list().filter(|(.., value)| *value > 0).collect();
        let meaning = " Connections closed at once because their address had too many.";
        assert_eq!(listed, [("per_ip", meaning, 7)]);
        let json = serde_json::to_value(counters).unwrap();
        let names = counters.list().map(|(name, ..)| name);
        assert!(names.eq(json.as_object().unwrap().keys().map(String::as_str)));
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

    #[test]
    fn the_dead_return_their_permits_and_their_connections() {
        let board = Board::new(1).unwrap();
        let slot = &board[0];
        (0..3).for_each(|_| slot.hold());
        slot.release();
        slot.count(Count::Accepted);
        assert_eq!((slot.bury(), slot.bury()), (2, 0));
        assert_eq!(slot.counters().closed, 1);
    }
}
