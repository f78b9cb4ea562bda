//! How many connections may be inside at once: a counting semaphore that the kernel keeps.
//!
//! An `eventfd` in semaphore mode can be waited on by `poll`, epoll, io_uring and tokio, *and by
//! other processes* that inherit it: reading enters, writing leaves. A worker that is killed
//! inside takes its permits along, so whoever supervises it gives them back ([`Gate::give_back`]).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

/// The entrance. Clones share the same permits.
#[derive(Clone, Debug)]
pub struct Gate {
    permits: Arc<OwnedFd>,
}

/// The right to be inside, until it is dropped.
#[derive(Debug, Default)]
pub struct Permit {
    /// Where it came from; none of one that another process has now, or that nobody ever had.
    permits: Option<Arc<OwnedFd>>,
}

impl Gate {
    /// A gate for `limit` connections at once.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub fn new(limit: u32) -> io::Result<Self> {
        let flags = EventfdFlags::SEMAPHORE | EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        Ok(Self {
            permits: Arc::new(eventfd(limit, flags)?),
        })
    }

    /// Takes a permit if one is left.
    ///
    /// # Errors
    ///
    /// When the descriptor is no gate.
    pub fn try_enter(&self) -> io::Result<Option<Permit>> {
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.permits, &mut [0_u8; 8])) {
            Ok(_) => Ok(Some(self.assume())),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether no permit is left just now.
    ///
    /// # Errors
    ///
    /// When the descriptor is no gate.
    pub(crate) fn is_empty(&self) -> io::Result<bool> {
        let mut permits = [PollFd::new(&self.permits, PollFlags::IN)];
        let at_once = Timespec::default();
        let left = rustix::io::retry_on_intr(|| poll(&mut permits, Some(&at_once)))?;
        Ok(left == 0)
    }

    /// A permit that another process took for this one.
    pub(crate) fn assume(&self) -> Permit {
        Permit {
            permits: Some(Arc::clone(&self.permits)),
        }
    }

    /// Returns the permits that a dead process held.
    pub fn give_back(&self, permits: u64) {
        if permits > 0 {
            leave(&self.permits, permits);
        }
    }
}

impl Permit {
    /// Another process has it from now on, and gives it back.
    pub(crate) fn pass_on(mut self) {
        self.permits = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(permits) = &self.permits {
            leave(permits, 1);
        }
    }
}

fn leave(permits: &OwnedFd, count: u64) {
    // The counter holds 2^64 - 2 and is far from it, so the write can neither block nor fail.
    let _ = rustix::io::retry_on_intr(|| rustix::io::write(permits, &count.to_ne_bytes()));
}

impl AsFd for Gate {
    /// Readable while a permit is left.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.permits.as_fd()
    }
}

impl From<OwnedFd> for Gate {
    /// A gate that another process made.
    fn from(permits: OwnedFd) -> Self {
        Self {
            permits: Arc::new(permits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn no_more_than_the_limit_are_inside_and_each_leaves_once() {
        let gate = Gate::new(2).unwrap();
        let first = gate.try_enter().unwrap();
        let second = gate.try_enter().unwrap();
        assert!(first.is_some() && second.is_some() && gate.try_enter().unwrap().is_none());
        assert!(gate.is_empty().unwrap());
        drop(first);
        assert!(!gate.is_empty().unwrap());
        let third = gate.try_enter().unwrap();
        assert!(third.is_some() && gate.try_enter().unwrap().is_none());
        third.into_iter().for_each(Permit::pass_on);
        assert!(gate.try_enter().unwrap().is_none(), "it is another's");
        drop(gate.assume());
        let third = gate.try_enter().unwrap();
        assert!(third.is_some() && gate.try_enter().unwrap().is_none());
        gate.give_back(2);
        let (fourth, fifth) = (gate.try_enter().unwrap(), gate.try_enter().unwrap());
        assert!(fourth.is_some() && fifth.is_some() && gate.try_enter().unwrap().is_none());
    }

    #[test]
    fn threads_that_race_never_exceed_it() {
        const LIMIT: usize = 5;
        let gate = Gate::new(5).unwrap();
        let (inside, most, start) = (AtomicUsize::new(0), AtomicUsize::new(0), Barrier::new(10));
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    start.wait();
                    let mut passed = 0;
                    while passed < 1000 {
                        let Some(permit) = gate.try_enter().unwrap() else {
                            continue;
                        };
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                        passed += 1;
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= LIMIT);
        let returned: Vec<_> = (0..10).map_while(|_| gate.try_enter().unwrap()).collect();
        assert_eq!(returned.len(), LIMIT, "every permit came back");
    }
}
