//! Whom a worker serves that serves one client at a time, and since when.
//!
//! The worker writes it and anybody may read it, in other processes too. Nobody waits: a reader that
//! meets a writer knows nothing for now, and a writer that was killed half-way is one that nobody
//! meets any more once its slot was [cleared](Occupant::clear).

use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

use crate::clock::Moment;
use crate::conn::Peer;

/// A sequence lock: the version is odd while its words are being written. One thread at a time
/// writes.
#[derive(Debug, Default)]
pub(super) struct Occupant {
    version: AtomicU32,
    /// Whom, as [`Peer::to_words`] puts it.
    peer: [AtomicU64; 3],
    since: AtomicU64,
}

/// What there is to be written of it.
type Words = ([u64; 3], u64);

const NOBODY: Words = ([0; 3], 0);

impl Occupant {
    /// From `since` on it is `peer`.
    pub(super) fn begin(&self, peer: Peer, since: Moment) {
        self.write((peer.to_words(), since.ns()));
    }

    /// From now on it is nobody; whatever its writer was doing, who is gone or the caller.
    pub(super) fn clear(&self) {
        self.write(NOBODY);
    }

    /// Whom, and since when; none if nobody, or if that changes just now.
    pub(super) fn read(&self) -> Option<(Peer, Moment)> {
        let before = self.version.load(Acquire);
        let words = self.peer.each_ref().map(|word| word.load(Relaxed));
        let since = self.since.load(Relaxed);
        fence(Acquire);
        let is_whole = before.is_multiple_of(2) && before == self.version.load(Relaxed);
        let peer = Peer::from_words(words).filter(|_| is_whole)?;
        Some((peer, Moment::from_ns(since)))
    }

    fn write(&self, (peer, since): Words) {
        self.open();
        for (word, value) in self.peer.iter().zip(peer) {
            word.store(value, Relaxed);
        }
        self.since.store(since, Relaxed);
        self.close();
    }

    /// Makes the version odd, and another one if a writer that was killed left it so.
    fn open(&self) {
        let version = self.version.load(Relaxed);
        let next = version.wrapping_add(1 + version % 2) | 1;
        self.version.store(next, Relaxed);
        fence(Release);
    }

    fn close(&self) {
        let version = self.version.load(Relaxed);
        self.version.store(version.wrapping_add(1), Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    fn peer(number: u16) -> Peer {
        Peer::Inet(([10, 0, 0, 1], number).into())
    }

    #[test]
    fn it_tells_whom_until_it_is_nobody() {
        let (occupant, now) = (Occupant::default(), Moment::now());
        assert_eq!(occupant.read(), None);
        occupant.begin(peer(7), now);
        assert_eq!(occupant.read(), Some((peer(7), now)));
        occupant.clear();
        assert_eq!(occupant.read(), None);
    }

    #[test]
    fn a_writer_that_was_killed_half_way_tells_nothing_and_holds_up_nobody() {
        let (occupant, now) = (Occupant::default(), Moment::now());
        occupant.begin(peer(7), now);
        occupant.open();
        occupant.peer[0].store(99, Relaxed);
        assert_eq!(occupant.read(), None);
        occupant.clear();
        assert_eq!(occupant.read(), None);
        occupant.open();
        occupant.begin(peer(8), now);
        assert_eq!(occupant.read(), Some((peer(8), now)));
    }

    #[test]
    fn a_reader_never_sees_half_of_one_and_half_of_another() {
        let (occupant, over) = (Occupant::default(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in (0..=u16::MAX).chain(0..=u16::MAX) {
                    occupant.begin(peer(number), Moment::from_ns(number.into()));
                }
                over.store(true, Relaxed);
            });
            while !over.load(Relaxed) {
                let Some((peer, since)) = occupant.read() else {
                    continue;
                };
                let Peer::Inet(addr) = peer else {
                    panic!("{peer:?}");
                };
                assert_eq!(u64::from(addr.port()), since.ns());
            }
        });
    }
}
