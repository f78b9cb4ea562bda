//! Two rings in shared memory, one for each direction. The kernel is asked only to put somebody to
//! sleep and to wake him.

use std::hint;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::Timespec;
use server::{SharedFile, SharedSlice};

use super::link::{Link, PAGE};
use crate::player::LIMIT;

/// Words of 8 bytes in one ring: four blocks, a power of two.
const WORDS: u32 = 1 << 17;
/// Counters are this many numbers apart, so that no two share a cache line.
const APART: usize = 16;
/// Counters: how many words were put, and taken, in each direction.
const COUNTERS: usize = 4;
/// Where the words begin, in bytes: behind a page of counters.
const BEGIN: u64 = 4096;
/// Looks before whoever spins lets others have the processor.
const SPINS: u32 = 2_000;

/// What whoever waits does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Sleeps until he is woken.
    Asleep,
    /// Looks again and again.
    Spinning,
}

/// One end.
pub(super) struct Ring {
    counters: SharedSlice<AtomicU32>,
    words: SharedSlice<AtomicU64>,
    rest: Rest,
    /// Whether this is the end of the process that was started.
    far: bool,
}

/// One direction.
struct Lane<'a> {
    put: &'a AtomicU32,
    taken: &'a AtomicU32,
    words: &'a [AtomicU64],
    rest: Rest,
}

impl Ring {
    /// The memory of both.
    pub(super) fn memory() -> io::Result<SharedFile> {
        SharedFile::create(BEGIN + 2 * u64::from(WORDS) * 8)
    }

    /// One end of it.
    pub(super) fn over(memory: &SharedFile, rest: Rest, far: bool) -> io::Result<Self> {
        Ok(Self {
            counters: memory.slice(0, COUNTERS * APART)?,
            words: memory.slice(BEGIN, 2 * WORDS as usize)?,
            rest,
            far,
        })
    }

    /// The lane that leaves here, or the one that comes.
    fn lane(&self, leaving: bool) -> Lane<'_> {
        let second = usize::from(self.far == leaving);
        let counter = |index: usize| &self.counters[(2 * second + index) * APART];
        let (first, other) = self.words.split_at(WORDS as usize);
        Lane {
            put: counter(0),
            taken: counter(1),
            words: [first, other][second],
            rest: self.rest,
        }
    }
}

impl Link for Ring {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let lane = self.lane(true);
        let mut left = message;
        while !left.is_empty() {
            let put = lane.put.load(Ordering::Relaxed);
            let full = |taken: u32| put.wrapping_sub(taken) == WORDS;
            let taken = lane.once_not(lane.taken, full)?;
            let room = (WORDS - put.wrapping_sub(taken)) as usize;
            let (now, later) = left.split_at(left.len().min(lane.stretch(put, room) * 8));
            let cells = lane.from(put).iter().zip(now.chunks_exact(8));
            cells.for_each(|(cell, bytes)| cell.store(word(bytes), Ordering::Relaxed));
            lane.advance(lane.put, words(now));
            left = later;
        }
        Ok(())
    }

    fn receive(&mut self, message: &mut [u8]) -> io::Result<()> {
        let lane = self.lane(false);
        let mut left = message;
        while !left.is_empty() {
            let taken = lane.taken.load(Ordering::Relaxed);
            let put = lane.once_not(lane.put, |put| put == taken)?;
            let there = put.wrapping_sub(taken) as usize;
            let bytes = left.len().min(lane.stretch(taken, there) * 8);
            let (now, later) = left.split_at_mut(bytes);
            let cells = lane.from(taken).iter().zip(now.chunks_exact_mut(8));
            cells.for_each(|(cell, bytes)| {
                bytes.copy_from_slice(&cell.load(Ordering::Relaxed).to_ne_bytes());
            });
            lane.advance(lane.taken, words(now));
            left = later;
        }
        Ok(())
    }
}

/// A ring whose blocks are not moved: what a sender changes in one is there when the receiver is told.
/// All other messages are copied.
pub(super) struct InPlace(pub(super) Ring);

impl Link for InPlace {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.0.send(message)
    }

    fn receive(&mut self, message: &mut [u8]) -> io::Result<()> {
        self.0.receive(message)
    }

    fn send_block(&mut self, block: &mut [u8], number: u32) -> io::Result<()> {
        let lane = self.0.lane(true);
        let put = lane.put.load(Ordering::Relaxed);
        let words = words(block);
        lane.once_not(lane.taken, |taken| WORDS - put.wrapping_sub(taken) < words)?;
        lane.marks(put, words)
            .for_each(|mark| mark.store(u64::from(number), Ordering::Relaxed));
        lane.advance(lane.put, words);
        Ok(())
    }

    fn receive_block(&mut self, block: &mut [u8], _: &mut [u8], number: u32) -> io::Result<bool> {
        let lane = self.0.lane(false);
        let taken = lane.taken.load(Ordering::Relaxed);
        let words = words(block);
        lane.once_not(lane.put, |put| put.wrapping_sub(taken) < words)?;
        let right = lane
            .marks(taken, words)
            .all(|mark| mark.load(Ordering::Relaxed) == u64::from(number));
        lane.advance(lane.taken, words);
        Ok(right)
    }
}

/// How many words a message has; it is far smaller than the ring.
fn words(message: &[u8]) -> u32 {
    u32::try_from(message.len() / 8).unwrap_or(0)
}

impl<'a> Lane<'a> {
    /// The first word of each page of a block.
    fn marks(&self, begin: u32, words: u32) -> impl Iterator<Item = &'a AtomicU64> {
        let (all, pages) = (self.words, (0..words).step_by(PAGE / 8));
        pages.map(move |page| &all[(begin.wrapping_add(page) % WORDS) as usize])
    }

    /// The words from that of a counter on, up to the end of the ring.
    fn from(&self, counter: u32) -> &'a [AtomicU64] {
        &self.words[(counter % WORDS) as usize..]
    }

    /// How many of so many words lie in one piece.
    fn stretch(&self, counter: u32, words: usize) -> usize {
        words.min(self.from(counter).len())
    }

    /// Lets the other side see so many words more.
    fn advance(&self, counter: &AtomicU32, words: u32) {
        counter.fetch_add(words, Ordering::Release);
        if self.rest == Rest::Asleep {
            // Nobody may be asleep.
            let _ = futex::wake(counter, futex::Flags::empty(), 1);
        }
    }

    /// The value of the other side's counter once it is no longer an obstacle.
    fn once_not(&self, counter: &AtomicU32, obstacle: impl Fn(u32) -> bool) -> io::Result<u32> {
        let begun = Instant::now();
        let limit = Timespec::try_from(LIMIT).ok();
        loop {
            let value = match self.rest {
                Rest::Asleep => counter.load(Ordering::Acquire),
                Rest::Spinning => spin(counter, &obstacle),
            };
            if !obstacle(value) {
                return Ok(value);
            }
            // No end of file tells that the other side is gone: memory has no ends.
            if begun.elapsed() > LIMIT {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match self.rest {
                Rest::Asleep => {
                    let slept = futex::wait(counter, futex::Flags::empty(), value, limit.as_ref());
                    slept.or_else(again)?;
                }
                Rest::Spinning => thread::yield_now(),
            }
        }
    }
}

/// Too late to sleep, or interrupted: it is looked at again. Who slept for too long was not woken.
fn again(error: Errno) -> Result<(), Errno> {
    match error {
        Errno::AGAIN | Errno::INTR => Ok(()),
        error => Err(error),
    }
}

/// Looks at the counter until it is no obstacle, though not for ever.
fn spin(counter: &AtomicU32, obstacle: impl Fn(u32) -> bool) -> u32 {
    let mut value = counter.load(Ordering::Acquire);
    for _ in 0..SPINS {
        if !obstacle(value) {
            break;
        }
        hint::spin_loop();
        value = counter.load(Ordering::Acquire);
    }
    value
}

fn word(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ends, whose counters are about to run over.
    fn ends(rest: Rest) -> [Ring; 2] {
        let memory = Ring::memory().unwrap();
        let ends = [false, true].map(|far| Ring::over(&memory, rest, far).unwrap());
        for index in 0..COUNTERS {
            ends[0].counters[index * APART].store(u32::MAX - 5, Ordering::Relaxed);
        }
        ends
    }

    #[test]
    fn bytes_arrive_equal_in_both_directions_and_over_the_end() {
        for rest in [Rest::Asleep, Rest::Spinning] {
            let [mut near, mut far] = ends(rest);
            let sent: Vec<u8> = (0..1_000_u32).flat_map(u32::to_ne_bytes).collect();
            let mut received = vec![0; sent.len()];
            near.send(&sent).unwrap();
            far.receive(&mut received).unwrap();
            assert!(received == sent);
            received.fill(0);
            far.send(&sent).unwrap();
            near.receive(&mut received).unwrap();
            assert!(received == sent);
        }
    }

    #[test]
    fn a_block_in_place_is_told_from_the_one_before_it() {
        let [near, far] = ends(Rest::Asleep);
        let (mut near, mut far) = (InPlace(near), InPlace(far));
        let (mut block, mut like) = (vec![0; 4 * PAGE], vec![]);
        for (sent, expected, right) in [(1, 1, true), (2, 2, true), (2, 3, false), (4, 4, true)] {
            near.send_block(&mut block, sent).unwrap();
            let received = far.receive_block(&mut block, &mut like, expected).unwrap();
            assert_eq!(received, right, "{sent}");
        }
    }

    #[test]
    fn who_sends_more_than_there_is_room_for_waits() {
        for rest in [Rest::Asleep, Rest::Spinning] {
            let [mut near, mut far] = ends(rest);
            let sent: Vec<u8> = (0..300_000_u32).flat_map(u32::to_ne_bytes).collect();
            let mut received = vec![0; sent.len()];
            thread::scope(|scope| {
                scope.spawn(|| near.send(&sent).unwrap());
                far.receive(&mut received).unwrap();
            });
            assert!(received == sent);
        }
    }
}
