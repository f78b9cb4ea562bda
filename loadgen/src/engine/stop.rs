//! Ends a run early: a flag that every epoll set sees, because it is a descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// Raised once, it wakes all workers and stays raised.
#[derive(Debug)]
pub(super) struct Stop(OwnedFd);

impl Stop {
    /// Not raised.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub(super) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(eventfd(0, flags)?))
    }

    /// Wakes all workers.
    pub(super) fn raise(&self) {
        // It can only fail when it was raised 2^64 times, and then it is raised.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
