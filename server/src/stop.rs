//! How a server is asked to end: first drain, then cut.
//!
//! Two descriptors, because one that stays readable cannot announce a second phase. Anything that
//! waits can wait on them too: `poll`, epoll, tokio, io_uring.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// How far the end has come; it only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Connections are accepted and served.
    Serving,
    /// No new ones; open connections are served on, quiet ones are closed.
    Draining,
    /// The deadline has come: everything that is still open is closed.
    Cutting,
}

/// The wish to end, shared by all who serve. Clones are the same wish.
#[derive(Clone, Debug)]
pub struct Stop {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    phase: AtomicU8,
    draining: OwnedFd,
    cutting: OwnedFd,
}

impl Stop {
    /// A server that serves.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let event = || eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC);
        let inner = Inner {
            phase: AtomicU8::new(0),
            draining: event()?,
            cutting: event()?,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Begins the drain; later calls change nothing.
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Ends the drain at once.
    pub fn cut(&self) {
        self.advance(Phase::Cutting);
    }

    /// What an impatient user means: the first time a drain, the second time its end.
    pub fn escalate(&self) {
        match self.phase() {
            Phase::Serving => self.drain(),
            Phase::Draining | Phase::Cutting => self.cut(),
        }
    }

    fn advance(&self, phase: Phase) {
        let before = self.inner.phase.fetch_max(phase as u8, Ordering::AcqRel);
        for (step, event) in [
            (Phase::Draining, self.draining()),
            (Phase::Cutting, self.cutting()),
        ] {
            if before < step as u8 && step <= phase {
                // The counter is 0 before, so the write can neither block nor fail.
                let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
            }
        }
    }

    /// How far the end has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.inner.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Cutting,
        }
    }

    /// Readable from the beginning of the drain on.
    #[must_use]
    pub fn draining(&self) -> BorrowedFd<'_> {
        self.inner.draining.as_fd()
    }

    /// Readable once the deadline has come.
    #[must_use]
    pub fn cutting(&self) -> BorrowedFd<'_> {
        self.inner.cutting.as_fd()
    }

    /// Waits until `fd` is readable, `event` (one of the two above) happened, or `limit` passed,
    /// and says whether `fd` is readable.
    ///
    /// # Errors
    ///
    /// When the descriptors cannot be polled.
    pub fn wait_readable(
        fd: BorrowedFd<'_>,
        event: BorrowedFd<'_>,
        limit: Option<Duration>,
    ) -> io::Result<bool> {
        let mut fds = [
            PollFd::new(&fd, PollFlags::IN),
            PollFd::new(&event, PollFlags::IN),
        ];
        wait(&mut fds, limit)?;
        Ok(!fds[0].revents().is_empty())
    }

    /// Sleeps for `time`, or until `event` (one of the two above) happened.
    pub fn sleep(event: BorrowedFd<'_>, time: Duration) {
        // Polling one valid descriptor only fails by a signal, and then the sleep is a bit short.
        let _ = wait(&mut [PollFd::new(&event, PollFlags::IN)], Some(time));
    }
}

/// `poll`, where a signal that interrupts it counts as "nothing yet".
fn wait(fds: &mut [PollFd<'_>], limit: Option<Duration>) -> io::Result<()> {
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    match poll(fds, limit.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raised(event: BorrowedFd<'_>) -> bool {
        Stop::wait_readable(event, event, Some(Duration::ZERO)).unwrap()
    }

    #[test]
    fn the_phases_come_in_order_and_are_announced_apart() {
        let stop = Stop::new().unwrap();
        assert_eq!(
            (raised(stop.draining()), raised(stop.cutting())),
            (false, false)
        );
        stop.escalate();
        assert_eq!(
            (
                stop.phase(),
                raised(stop.draining()),
                raised(stop.cutting())
            ),
            (Phase::Draining, true, false)
        );
        stop.drain();
        assert_eq!(stop.phase(), Phase::Draining);
        stop.clone().escalate();
        assert_eq!(
            (stop.phase(), raised(stop.cutting())),
            (Phase::Cutting, true)
        );
        stop.drain();
        assert_eq!(stop.phase(), Phase::Cutting);
    }

    #[test]
    fn cutting_a_server_that_never_drained_announces_both() {
        let stop = Stop::new().unwrap();
        stop.cut();
        assert!(raised(stop.draining()) && raised(stop.cutting()));
    }
}
