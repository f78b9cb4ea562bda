//! The conversation itself: bytes go out, and what comes back is compared at once.
//!
//! The three forms differ in where the bytes come from and where the echo goes. Sending, comparing
//! and ending are written here, once.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use cli::{Addr, Interrupt};
use rustix::event::{PollFd, PollFlags};

use crate::failure::{Ending, Failure};
use crate::ledger::{Difference, Ledger};
use crate::link::Link;
use crate::silence::Silence;
use crate::wait::wait;

/// How much is read at once.
pub(crate) const BUFFER_BYTES: usize = 64 * 1024;
/// How long a server may take to close after us when nothing is missing any more.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// A connection with the record of what is under way.
#[derive(Debug)]
pub(crate) struct Exchange {
    link: Link,
    ledger: Ledger,
    silence: Silence,
    half_closed: bool,
    /// Sending failed, so the connection will never take a byte again.
    broken: bool,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Nothing, for the time being.
    Nothing,
    /// So many bytes, all equal.
    Equal(usize),
    /// So many equal bytes, and then one that is not.
    Different(usize, Difference),
    /// The end, after a regular close or a reset.
    End(Ending),
}

impl Exchange {
    /// A conversation in which nothing has been said.
    pub(crate) fn new(link: Link) -> Self {
        Self {
            link,
            ledger: Ledger::default(),
            silence: Silence::default(),
            half_closed: false,
            broken: false,
        }
    }

    /// What has been said and what has come back.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How long nothing has come back.
    pub(crate) fn silence(&self) -> Silence {
        self.silence
    }

    /// The wait up to `now` was not the server's; see [`Silence::forgive`].
    pub(crate) fn forgive(&mut self, now: Instant) {
        self.silence.forgive(now);
    }

    /// Whom it is held with.
    pub(crate) fn peer(&self) -> &Addr {
        self.link.peer()
    }

    /// Queues bytes and sends as many as the connection takes now.
    pub(crate) fn say(&mut self, bytes: &[u8], now: Instant) {
        self.ledger.queue(bytes);
        self.send(now);
    }

    /// Sends as many of the queued bytes as the connection takes now.
    ///
    /// A connection that broke is reported by the next [`Exchange::receive`], after what the
    /// server sent before it broke.
    pub(crate) fn send(&mut self, now: Instant) {
        if self.ledger.unanswered() > 0 {
            self.silence.asked(now);
        }
        while self.has_unsent() {
            match self.link.send(self.ledger.unsent()) {
                Ok(Some(count)) => self.ledger.mark_sent(count),
                Ok(None) => break,
                Err(_) => self.broken = true,
            }
        }
    }

    /// Reads what came back into `buffer` and compares it.
    pub(crate) fn receive(&mut self, buffer: &mut [u8], now: Instant) -> Received {
        let count = match self.link.receive(buffer) {
            Ok(None) => return Received::Nothing,
            Ok(Some(0)) => return Received::End(Ending::Close),
            Ok(Some(count)) => count,
            Err(_) => return Received::End(Ending::Reset),
        };
        let verified = self.ledger.verify(&buffer[..count]);
        self.silence.heard(now, self.ledger.unanswered());
        match verified.difference {
            None => Received::Equal(verified.equal),
            Some(difference) => Received::Different(verified.equal, difference),
        }
    }

    /// Tells the server that nothing more will come, once all that is queued is sent.
    pub(crate) fn half_close(&mut self) {
        if !self.half_closed && self.ledger.unsent().is_empty() {
            self.half_closed = true;
            self.link.half_close();
        }
    }

    /// What to wait for when an echo is welcome.
    pub(crate) fn interest(&self) -> PollFd<'_> {
        let sending = if self.has_unsent() {
            PollFlags::OUT
        } else {
            PollFlags::empty()
        };
        PollFd::from_borrowed_fd(self.link.as_fd(), PollFlags::IN | sending)
    }

    /// What to wait for when there is no room for an echo; none if there is nothing to send, for
    /// a connection that ended would be reported again and again.
    pub(crate) fn interest_in_sending(&self) -> Option<PollFd<'_>> {
        let interest = PollFd::from_borrowed_fd(self.link.as_fd(), PollFlags::OUT);
        self.has_unsent().then_some(interest)
    }

    /// What it means that the server ended the conversation: nothing, if we had ended it as well
    /// and nothing is missing.
    ///
    /// # Errors
    ///
    /// [`Failure::Closed`] otherwise.
    pub(crate) fn ended(&self, how: Ending) -> Result<(), Failure> {
        let missing = self.ledger.unanswered();
        if self.half_closed && missing == 0 {
            return Ok(());
        }
        let peer = self.peer().clone();
        Err(Failure::Closed { peer, how, missing })
    }

    /// Whether nothing has come back for longer than `limit`.
    ///
    /// # Errors
    ///
    /// [`Failure::NoAnswer`] then.
    pub(crate) fn overdue(&self, now: Instant, limit: Option<Duration>) -> Result<(), Failure> {
        let missing = self.ledger.unanswered();
        match limit.filter(|&limit| self.silence.lasts(now, limit)) {
            Some(limit) => Err(Failure::NoAnswer { limit, missing }),
            None => Ok(()),
        }
    }

    /// Says good-bye: half-closes and waits a little for the server to do the same, so that a byte
    /// too many is still found. A server that stays open is no failure.
    ///
    /// # Errors
    ///
    /// [`Failure::Differs`], or [`Failure::Closed`] with bytes missing.
    pub(crate) fn finish(&mut self, interrupt: &Interrupt) -> Result<(), Failure> {
        self.half_close();
        let until = Instant::now() + CLOSE_GRACE;
        let mut buffer = vec![0; BUFFER_BYTES];
        while Instant::now() < until {
            match self.receive(&mut buffer, Instant::now()) {
                Received::Equal(_) => {}
                Received::Different(_, difference) => return Err(difference.into()),
                Received::End(how) => return self.ended(how),
                Received::Nothing => {
                    wait(&mut [self.interest()], Some(until), interrupt)?;
                }
            }
        }
        Ok(())
    }

    fn has_unsent(&self) -> bool {
        !self.broken && !self.ledger.unsent().is_empty()
    }
}
