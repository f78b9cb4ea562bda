//! The same queue in memory that processes share: two semaphores, a lock and a ring, as Dijkstra wrote it
//! down in 1965. No process but those that wait is ever asked.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::Timespec;
use server::{SharedFile, SharedSlice};

use crate::bounded::Wait;
use crate::sync::Mutex;

/// The words of the memory before the items: the lock, the semaphores, and where the ring begins and ends.
const WORDS: usize = 5;

/// See the module.
#[derive(Debug)]
pub(super) struct SharedQueue {
    file: SharedFile,
    words: SharedSlice<AtomicU32>,
}

/// A counting semaphore that lies in shared memory.
struct Semaphore<'a>(&'a AtomicU32);

impl SharedQueue {
    /// A queue with room for `capacity` items.
    pub(super) fn new(capacity: u32) -> io::Result<Self> {
        let bytes = (WORDS + capacity as usize) * size_of::<AtomicU32>();
        let queue = Self::open(SharedFile::create(bytes as u64)?, capacity)?;
        queue.room().give(capacity);
        Ok(queue)
    }

    /// The one that another process made.
    pub(super) fn of(file: OwnedFd, capacity: u32) -> io::Result<Self> {
        Self::open(SharedFile::from(file), capacity)
    }

    fn open(file: SharedFile, capacity: u32) -> io::Result<Self> {
        let words = file.slice(0, WORDS + capacity as usize)?;
        Ok(Self { file, words })
    }

    /// Puts `item` at the end; false when there was no room for so long.
    pub(super) fn put(&self, item: u32, wait: Wait) -> bool {
        let had_room = self.room().take(wait);
        if had_room {
            let turn = self.turn().lock();
            self.next(&self.words[4]).store(item, Ordering::Relaxed);
            drop(turn);
            self.items().give(1);
        }
        had_room
    }

    /// Takes the item at the front; none when there was none for so long.
    pub(super) fn get(&self, wait: Wait) -> Option<u32> {
        self.items().take(wait).then(|| {
            let turn = self.turn().lock();
            let item = self.next(&self.words[3]).load(Ordering::Relaxed);
            drop(turn);
            self.room().give(1);
            item
        })
    }

    /// The cell whose turn it is, for the one who has the turn.
    fn next(&self, counter: &AtomicU32) -> &AtomicU32 {
        let cells = &self.words[WORDS..];
        &cells[counter.fetch_add(1, Ordering::Relaxed) as usize % cells.len()]
    }

    /// Who may touch the ring: one at a time.
    fn turn(&self) -> Mutex<'_> {
        Mutex(&self.words[0])
    }

    /// How many items there is room for.
    fn room(&self) -> Semaphore<'_> {
        Semaphore(&self.words[1])
    }

    /// How many items there are.
    fn items(&self) -> Semaphore<'_> {
        Semaphore(&self.words[2])
    }
}

impl AsFd for SharedQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Semaphore<'_> {
    fn give(&self, count: u32) {
        self.0.fetch_add(count, Ordering::Release);
        // Nobody may be waiting, and nothing else can go wrong with a word that is mapped.
        let _ = futex::wake(self.0, futex::Flags::empty(), count);
    }

    /// Takes 1; false when there was none for so long.
    fn take(&self, wait: Wait) -> bool {
        let begun = Instant::now();
        loop {
            let less = |count: u32| count.checked_sub(1);
            let taken = self
                .0
                .fetch_update(Ordering::Acquire, Ordering::Relaxed, less);
            if taken.is_ok() {
                return true;
            }
            let limit = match wait {
                Wait::Never => return false,
                Wait::Within(limit) => Some(limit.saturating_sub(begun.elapsed())),
                Wait::Ever => None,
            };
            if limit.is_some_and(|left| left.is_zero()) {
                return false;
            }
            let timeout = limit.and_then(|left| Timespec::try_from(left).ok());
            // Woken, too late to sleep, interrupted: each time it looks again.
            let slept = futex::wait(self.0, futex::Flags::empty(), 0, timeout.as_ref());
            if slept == Err(Errno::INVAL) {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn it_is_full_and_empty_when_it_should_be() {
        let queue = SharedQueue::new(2).unwrap();
        assert_eq!(queue.get(Wait::Never), None);
        assert!(queue.put(1, Wait::Never) && queue.put(2, Wait::Ever));
        assert!(!queue.put(3, Wait::Never));
        assert!(!queue.put(3, Wait::Within(Duration::from_millis(1))));
        assert_eq!(queue.get(Wait::Ever), Some(1));
        assert!(queue.put(3, Wait::Never));
        let rest = [queue.get(Wait::Ever), queue.get(Wait::Ever)];
        assert_eq!((rest, queue.get(Wait::Never)), ([Some(2), Some(3)], None));
    }

    #[test]
    fn the_counters_may_run_over() {
        let queue = SharedQueue::new(4).unwrap();
        for word in [3, 4] {
            queue.words[word].store(u32::MAX - 1, Ordering::Relaxed);
        }
        for item in 0..8 {
            assert!(queue.put(item, Wait::Never));
            assert_eq!(queue.get(Wait::Never), Some(item));
        }
    }
}
