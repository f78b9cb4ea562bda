//! A connection that never blocks: advanced whenever its socket may be ready, as far as it goes.
//!
//! For the modes that wait for readiness themselves and own no task and no thread per connection.
//! Bytes pass through a buffer of the caller; a connection keeps bytes of its own only while it
//! has to wait for a payment or for a peer that does not take them. It must not wait, and it does
//! not know who watches its socket.

use std::io;
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use socket2::Socket;

use super::course::Course;
use crate::conn::Ticket;
use crate::machine::{Ended, Next};
use crate::work::Cost;

/// The most bytes that one connection may have echoed before the others have their turn.
const BUDGET_BYTES: usize = 256 * 1024;

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    // Dropped in this order: the socket is closed, then its permit is returned.
    socket: Socket,
    /// Unanswered bytes, only across a wait.
    kept: Vec<u8>,
    course: Course,
}

/// Why a session does not go on by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Until the socket has bytes or its end.
    Readable,
    /// Until the socket takes bytes.
    Writable,
    /// It had its share: the others first.
    Yield,
    /// Until this is paid, and [`Session::paid`] called.
    Pay(Cost),
    /// It is over: [`Session::conclude`] it.
    Close(Ended),
}

/// What one turn of a session has used up.
struct Turn {
    budget_bytes: usize,
    /// The socket gave less than it was asked for, so that asking again would be in vain.
    drained: bool,
    /// The end of the peer's bytes was announced and must be read.
    at_end: bool,
}

impl Session {
    /// A connection that was just accepted, non-blocking.
    pub(crate) fn new(socket: Socket, ticket: Ticket, now: Instant) -> Self {
        Self {
            socket,
            kept: Vec::new(),
            course: Course::new(ticket, now),
        }
    }

    /// The socket, to be watched.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The number of the connection, which no other of this process ever has.
    pub(crate) fn id(&self) -> u64 {
        self.course.id()
    }

    /// Whether it waits with bytes that are to go back.
    pub(crate) fn has_unanswered(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Goes as far as it can. `ready` is what was reported of the socket, `scratch` a
    /// [buffer](super::scratch) of the caller, which nobody else uses meanwhile.
    /// A panic ends this connection only.
    pub(crate) fn advance(&mut self, scratch: &mut [u8], ready: EventFlags, now: Instant) -> Step {
        // Unwinding leaves nothing half-done behind: the session is closed and not touched again.
        let step = catch_unwind(AssertUnwindSafe(|| self.run(scratch, ready, now)));
        step.unwrap_or_else(|_| Step::Close(self.course.panicked()))
    }

    fn run(&mut self, scratch: &mut [u8], ready: EventFlags, now: Instant) -> Step {
        let ends = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        let mut turn = Turn {
            budget_bytes: BUDGET_BYTES,
            drained: false,
            at_end: ready.intersects(ends),
        };
        self.course.follow_stop();
        let step = loop {
            if self.course.is_paying() {
                // Whatever was reported is looked at once it is paid.
                return Step::Readable;
            }
            let before = self.course.machine.unanswered();
            if let Some(step) = self.go_on(scratch, &mut turn) {
                break step;
            }
            self.course.moved_on(&before, now);
        };
        self.course.watch(now);
        step
    }

    /// One step of the machine; none if the next one can follow at once.
    fn go_on(&mut self, scratch: &mut [u8], turn: &mut Turn) -> Option<Step> {
        let mut kept = std::mem::take(&mut self.kept);
        let is_kept = !kept.is_empty();
        let buffer = if is_kept {
            &mut kept[..]
        } else {
            &mut *scratch
        };
        let step = match self.course.next(buffer) {
            Next::Read => self.read(scratch, turn),
            Next::Pay(cost) => {
                self.course.pay();
                Some(Step::Pay(cost))
            }
            Next::Write(range) => self.write(&buffer[range]),
            Next::Finish => {
                // Fails only on a connection that is gone already, which the next read tells.
                let _ = self.socket.shutdown(Shutdown::Write);
                self.course.machine.finished();
                None
            }
            Next::Discard => self.discard(scratch),
            Next::Abandon => {
                super::abandon(&self.socket);
                self.course.machine.abandoned();
                None
            }
            Next::Close(ended) => Some(Step::Close(ended)),
        };
        let unanswered = self.course.machine.unanswered();
        if is_kept && !unanswered.is_empty() {
            self.kept = kept;
        } else if step.is_some() && !unanswered.is_empty() {
            self.kept = scratch[unanswered].to_vec();
            self.course.machine.moved_to_start();
        }
        step
    }

    fn read(&mut self, buffer: &mut [u8], turn: &mut Turn) -> Option<Step> {
        if turn.drained {
            return Some(Step::Readable);
        }
        if turn.budget_bytes == 0 {
            return Some(Step::Yield);
        }
        let buffer = &mut buffer[..super::room(self.course.machine.last_read_bytes())];
        match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => self.course.machine.ended(),
            Ok((count, _)) => {
                turn.drained = count < buffer.len() && !turn.at_end;
                turn.budget_bytes = turn.budget_bytes.saturating_sub(count);
                self.course.ticket.received(&buffer[..count]);
                self.course.machine.received(&buffer[..count]);
            }
            Err(Errno::AGAIN) => return Some(Step::Readable),
            Err(Errno::INTR) => {}
            Err(error) => self.course.machine.failed(io::Error::from(error).kind()),
        }
        None
    }

    fn write(&mut self, bytes: &[u8]) -> Option<Step> {
        match rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL) {
            Ok(count) => {
                self.course.machine.wrote(count);
                self.course.ticket.answered();
            }
            Err(Errno::AGAIN) => return Some(Step::Writable),
            Err(Errno::INTR) => {}
            Err(error) => self.course.machine.failed(io::Error::from(error).kind()),
        }
        None
    }

    fn discard(&mut self, buffer: &mut [u8]) -> Option<Step> {
        match rustix::net::recv(&self.socket, buffer, RecvFlags::empty()) {
            Ok((count, _)) if count > 0 => {}
            Err(Errno::AGAIN) => return Some(Step::Readable),
            Err(Errno::INTR) => {}
            _ => self.course.machine.ended(),
        }
        None
    }

    /// The cost is paid.
    pub(crate) fn paid(&mut self, now: Instant) {
        self.course.paid(now);
    }

    /// Follows the stop, and gives up what has lasted too long by `now`; tells whether there is
    /// something to do then.
    pub(crate) fn look(&mut self, now: Instant) -> bool {
        self.course.follow_stop();
        // At the deadline nobody is left out, whatever it was doing when it came.
        self.course
            .is_overdue(now, || super::has_input(&self.socket))
            || self.course.is_cut()
    }

    /// Closes it and notes how it ended.
    pub(crate) fn conclude(self, ended: Ended) {
        self.course.conclude(ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{BUFFER_BYTES, LARGE_BYTES, fixture, scratch};
    use crate::mode::Mode;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    const READY: EventFlags = EventFlags::IN;

    /// The goal of 256 bytes of memory leaves a reserve for what is around it.
    #[test]
    fn a_quiet_connection_takes_208_bytes_at_most() {
        assert!(size_of::<Session>() <= 208, "{}", size_of::<Session>());
    }

    fn session() -> (Session, UnixStream) {
        let (socket, ticket, peer) = fixture::connection(Mode::Epoll);
        socket.set_nonblocking(true).unwrap();
        peer.set_nonblocking(true).unwrap();
        (Session::new(socket, ticket, Instant::now()), peer)
    }

    /// Writes until the other side takes no more.
    fn fill(mut end: &UnixStream) -> usize {
        let mut written = 0;
        while let Ok(count) = end.write(&[7; 16 * 1024]) {
            written += count;
        }
        written
    }

    /// Reads what there is.
    fn empty(mut end: &UnixStream) -> usize {
        let (mut read, mut buffer) = (0, vec![0; BUFFER_BYTES]);
        while let Ok(count) = end.read(&mut buffer) {
            read += count;
        }
        read
    }

    #[test]
    fn who_has_more_to_say_than_a_share_lets_the_others_go_first() {
        let (mut session, peer) = session();
        let written = fill(&peer);
        if written <= BUDGET_BYTES {
            println!("SKIPPED: the kernel holds {written} bytes only (net.core.wmem_max)");
            return;
        }
        let mut scratch = scratch();
        let (mut turns, mut read) = (Vec::new(), 0);
        while turns.last() != Some(&Step::Readable) {
            turns.push(session.advance(&mut scratch, READY, Instant::now()));
            read += empty(&peer);
        }
        assert_eq!(
            turns[0],
            Step::Yield,
            "{written} bytes were there: {turns:?}"
        );
        assert_eq!(read, written);
    }

    #[test]
    fn who_says_much_is_read_in_large_pieces() {
        let (mut session, mut peer) = session();
        let written = BUFFER_BYTES + 2 * LARGE_BYTES;
        if peer.write_all(&vec![7; written]).is_err() {
            println!("SKIPPED: the kernel holds less than {written} bytes (net.core.wmem_max)");
            return;
        }
        let shared = std::sync::Arc::clone(&session.course.ticket.shared);
        let (mut scratch, mut read) = (scratch(), 0);
        while session.advance(&mut scratch, READY, Instant::now()) != Step::Readable {
            read += empty(&peer);
        }
        read += empty(&peer);
        let requests = shared.slot().counters().requests;
        assert_eq!((read, requests), (written, 3));
    }

    #[test]
    fn bytes_that_nobody_has_read_yet_speak_for_a_peer_that_seems_silent() {
        let (mut session, mut peer) = session();
        let limit = session.course.ticket.shared.config.limits.idle_timeout;
        let (limit, mut scratch) = (limit.unwrap(), scratch());
        // As if the server had stood still for twice the limit.
        let late = Instant::now() + 2 * limit;
        peer.write_all(b"x").unwrap();
        assert!(!session.look(late), "it is given up");
        let step = session.advance(&mut scratch, READY, late);
        assert_eq!((step, empty(&peer)), (Step::Readable, 1));
        assert!(!session.look(late + limit / 2) && session.look(late + limit));
    }

    #[test]
    fn bytes_are_kept_only_for_a_peer_that_does_not_take_them() {
        let (mut session, peer) = session();
        let mut scratch = scratch();
        let mut step = Step::Readable;
        while step != Step::Writable {
            assert!(fill(&peer) > 0 && !session.has_unanswered(), "{step:?}");
            step = session.advance(&mut scratch, READY, Instant::now());
        }
        assert!(session.has_unanswered());
        while session.has_unanswered() {
            empty(&peer);
            session.advance(&mut scratch, READY | EventFlags::OUT, Instant::now());
        }
        assert_eq!(session.kept.capacity(), 0);
    }
}
