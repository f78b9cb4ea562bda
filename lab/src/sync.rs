//! What those who share memory need to keep apart and to come together: a mutex and a meeting point,
//! each one word, and a wait for whatever else they tell there. Threads and processes use them alike.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::futex;

/// Nobody has the mutex.
const FREE: u32 = 0;
/// Somebody has it.
const TAKEN: u32 = 1;
/// Somebody has it and somebody may wait for it.
const WANTED: u32 = 2;
/// How often one looks before one lets others have the processor.
const LOOKS: u32 = 10_000;
/// How often one looks who can sleep.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A lock on a word, which is 0 while nobody has it. It is not given back when its holder is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mutex<'a>(pub(crate) &'a AtomicU32);

/// The right to be inside; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Guard<'a>(&'a AtomicU32);

impl<'a> Mutex<'a> {
    /// Waits until it is free and takes it: without the kernel if nobody has it.
    pub(crate) fn lock(self) -> Guard<'a> {
        let Self(word) = self;
        let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
        if word
            .compare_exchange(FREE, TAKEN, success, failure)
            .is_err()
        {
            // Whoever waited once leaves the word at WANTED: there may be others.
            while word.swap(WANTED, Ordering::Acquire) != FREE {
                // Not private: the word is known by its place in the file, whoever maps it. When it
                // is not WANTED any more, or a signal came, it is looked at again.
                let _ = futex::wait(word, futex::Flags::empty(), WANTED, None);
            }
        }
        Guard(word)
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.0.swap(FREE, Ordering::Release) == WANTED {
            let _ = futex::wake(self.0, futex::Flags::empty(), 1);
        }
    }
}

/// Waits at `word`, without going to sleep, until `count` are there. The word begins at 0 and is used
/// once.
pub(crate) fn meet(word: &AtomicU32, count: u32) {
    word.fetch_add(1, Ordering::AcqRel);
    let mut looks = 0;
    while word.load(Ordering::Acquire) < count {
        looks += 1;
        if looks < LOOKS {
            std::hint::spin_loop();
        } else {
            thread::yield_now();
        }
    }
}

/// Waits until `come` says so.
///
/// # Errors
///
/// When it does not within `limit`.
pub(crate) fn until(limit: Duration, mut come: impl FnMut() -> bool) -> io::Result<()> {
    let give_up_at = Instant::now() + limit;
    while !come() {
        if Instant::now() >= give_up_at {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_is_inside_and_everybody_gets_there() {
        let [lock, inside, most, begun] = [const { AtomicU32::new(0) }; 4];
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    meet(&begun, 4);
                    for _ in 0..1_000 {
                        let _guard = Mutex(&lock).lock();
                        let there = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(there, Ordering::SeqCst);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
        assert_eq!(lock.into_inner(), FREE);
    }
}
