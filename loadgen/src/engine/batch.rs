//! The events that the kernel has reported and nobody has handled yet.
//!
//! Edge-triggered: the kernel reports a change once, and does not look at the socket again the next
//! time, as it does when it is level-triggered. In exchange an event must not be dropped when
//! something more urgent turns up in the middle of a batch, so what is left is kept here.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::slots::Token;

/// Events taken from the kernel at once.
const EVENTS: usize = 512;

/// What a reported event belongs to, and what happened.
pub(super) type Happened = (Token, epoll::EventFlags);

/// Events in the order in which they were reported.
#[derive(Debug)]
pub(super) struct Batch {
    events: Vec<Happened>,
    next: usize,
}

impl Batch {
    /// No events yet.
    pub(super) fn new() -> Self {
        Self {
            events: Vec::with_capacity(EVENTS),
            next: 0,
        }
    }

    /// These events.
    #[cfg(test)]
    pub(super) fn of(events: Vec<Happened>) -> Self {
        Self { events, next: 0 }
    }

    /// Takes the next event that is to be handled.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Happened> {
        let event = self.events.get(self.next)?;
        self.next += 1;
        Some(*event)
    }

    /// The events that are to be handled.
    #[inline]
    pub(super) fn rest(&self) -> &[Happened] {
        self.events.get(self.next..).unwrap_or_default()
    }

    /// Leaves out the next `count` events, which were handled together.
    #[inline]
    pub(super) fn skip(&mut self, count: usize) {
        self.next += count;
    }

    /// Whether all have been handled.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.next >= self.events.len()
    }

    /// Waits for more events, for `limit` at most; not at all while there are some left.
    ///
    /// # Errors
    ///
    /// When the system refuses to wait.
    pub(super) fn fill(&mut self, epoll: &OwnedFd, limit: Option<&Timespec>) -> Result<(), Errno> {
        if !self.is_empty() {
            return Ok(());
        }
        self.events.clear();
        self.next = 0;
        let mut room = [MaybeUninit::uninit(); EVENTS];
        match epoll::wait(epoll, &mut room, limit) {
            Ok((reported, _)) => {
                let reported = reported.iter();
                let told = reported.map(|event| (Token::unpack(event.data), event.flags));
                self.events.extend(told);
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
