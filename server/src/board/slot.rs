//! A worker's part of the books.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use super::counters::{Cells, Count, Counters};
use super::occupant::Occupant;
use super::waits::{self, Waits};
use crate::clock::{Moment, Stamp};
use crate::conn::Peer;
use crate::sandbox::SandboxLevel;

/// How far an open connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Nobody has begun to serve it.
    Queued,
    /// Somebody has; it has got no answer yet.
    Fresh,
    /// It has got an answer.
    Answered,
}

impl Stage {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 3] = [Self::Queued, Self::Fresh, Self::Answered];
}

/// What one worker did. Padded to cache lines, so that workers do not slow each other down.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct Slot {
    pid: AtomicU32,
    held: AtomicU32,
    beat: AtomicU32,
    sandbox: AtomicU32,
    /// Its connections that are [`Stage::Fresh`], and those that are [`Stage::Answered`]. All
    /// others are queued: so that nobody has to count those that are on their way between processes.
    fresh: AtomicU32,
    answered: AtomicU32,
    /// The number of the thread that has it, plus 1, if a single one does.
    thread: AtomicU32,
    cells: Cells,
    /// When bytes last came in.
    heard: Stamp,
    occupant: Occupant,
    waits: waits::Cells,
}

impl Slot {
    /// Empties the slot for the process `pid`, keeping what it counted.
    pub(crate) fn take_over(&self, pid: u32) {
        self.pid.store(pid, Relaxed);
        self.set_sandbox(SandboxLevel::default());
        self.heard.clear();
    }

    /// The process that owns the slot.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.load(Relaxed)
    }

    /// From now on the thread of that number has the slot.
    pub(crate) fn belong_to(&self, thread: u32) {
        self.thread.store(thread.saturating_add(1), Relaxed);
    }

    /// The number of the thread that has it, if a single one does.
    pub(crate) fn thread(&self) -> Option<u32> {
        self.thread.load(Relaxed).checked_sub(1)
    }

    /// The process that owns the slot is well.
    pub(crate) fn beat(&self) {
        self.beat.fetch_add(1, Relaxed);
    }

    /// A value that changes as long as it is.
    pub(crate) fn beats(&self) -> u32 {
        self.beat.load(Relaxed)
    }

    /// Says how far the process that owns the slot is locked in.
    pub(crate) fn set_sandbox(&self, level: SandboxLevel) {
        self.sandbox.store(level.bits(), Relaxed);
    }

    /// How far the process that owns the slot is locked in, by its own word.
    #[must_use]
    pub fn sandbox(&self) -> SandboxLevel {
        SandboxLevel::from_bits(self.sandbox.load(Relaxed))
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
    pub(super) fn bury(&self) -> u64 {
        self.occupant.clear();
        self.fresh.store(0, Relaxed);
        self.answered.store(0, Relaxed);
        let accepted = self.cells.of(Count::Accepted).load(Relaxed);
        self.cells.of(Count::Closed).store(accepted, Relaxed);
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

    /// Counts a connection that could not be served for want of something.
    pub(crate) fn count_short(&self) {
        self.count(Count::Rejected);
        self.count(Count::Short);
    }

    /// One of its connections has come further. None is where it was before it came, or is when it
    /// is gone.
    pub(crate) fn shift(&self, from: Option<Stage>, to: Option<Stage>) {
        // In this order none of them is ever less than 0.
        to.and_then(|stage| self.gauge(stage))
            .map(|gauge| gauge.fetch_add(1, Relaxed));
        from.and_then(|stage| self.gauge(stage))
            .map(|gauge| gauge.fetch_sub(1, Relaxed));
    }

    /// How many of its connections are fresh, and how many answered.
    pub(crate) fn begun(&self) -> [u64; 2] {
        [&self.fresh, &self.answered].map(|gauge| gauge.load(Relaxed).into())
    }

    fn gauge(&self, stage: Stage) -> Option<&AtomicU32> {
        match stage {
            Stage::Queued => None,
            Stage::Fresh => Some(&self.fresh),
            Stage::Answered => Some(&self.answered),
        }
    }

    /// Counts a read that brought `bytes`; returns how many that makes.
    pub(crate) fn received(&self, bytes: usize) -> u64 {
        self.heard.set(Moment::coarse());
        self.add(Count::Bytes, bytes as u64);
        self.count(Count::Requests)
    }

    /// When bytes last came in, if ever since somebody has it.
    pub(crate) fn heard(&self) -> Option<Moment> {
        self.heard.get()
    }

    /// Counts a client that got its first answer after this long.
    pub(crate) fn served(&self, wait: Duration) {
        self.count(Count::Served);
        self.waits.add(wait);
    }

    /// How long clients waited.
    pub(crate) fn waits(&self) -> Waits {
        self.waits.read()
    }

    /// From now on its worker serves `peer` and nobody else.
    pub(crate) fn occupy(&self, peer: Peer) {
        self.occupant.begin(peer, Moment::now());
    }

    /// From now on its worker serves nobody.
    pub(crate) fn vacate(&self) {
        self.occupant.clear();
    }

    /// Whom its worker serves, if it serves one client at a time, and since when.
    pub(crate) fn tenant(&self) -> Option<(Peer, Moment)> {
        self.occupant.read()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.cells.read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_return_their_permits_and_their_connections() {
        let slot = Slot::default();
        (0..3).for_each(|_| slot.hold());
        slot.release();
        slot.count(Count::Accepted);
        slot.shift(None, Some(Stage::Fresh));
        slot.occupy(Peer::Unknown);
        assert_eq!((slot.begun(), slot.tenant().is_some()), ([1, 0], true));
        assert_eq!((slot.bury(), slot.bury()), (2, 0));
        assert_eq!(slot.counters().closed, 1);
        assert_eq!((slot.begun(), slot.tenant()), ([0, 0], None));
    }

    #[test]
    fn a_successor_has_heard_nothing_yet() {
        let slot = Slot::default();
        assert_eq!(slot.received(7), 1);
        assert!(slot.heard().is_some());
        slot.take_over(1);
        assert_eq!((slot.heard(), slot.counters().bytes), (None, 7));
    }

    #[test]
    fn a_connection_is_in_one_stage_at_a_time() {
        let slot = Slot::default();
        let stages = [
            None,
            Some(Stage::Queued),
            Some(Stage::Fresh),
            Some(Stage::Answered),
            None,
        ];
        let begun = stages.windows(2).map(|pair| {
            slot.shift(pair[0], pair[1]);
            slot.begun()
        });
        assert_eq!(begun.collect::<Vec<_>>(), [[0, 0], [1, 0], [0, 1], [0, 0]]);
    }
}
