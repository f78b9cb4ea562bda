//! A connection whose bytes are moved by somebody else, who reports what was done: it is told what
//! came in and what went out, and says what is to be done next.
//!
//! For the mode that waits for completions. Bytes go back from the buffer that they came in
//! with, if the peer takes them at once; a connection keeps bytes of its own only while it has to wait
//! for a payment or for such a peer, and what comes meanwhile, of which it wants no more before
//! it is answered. It does no input and no output but to close its side.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use rustix::io::Errno;
use socket2::Socket;

use super::course::Course;
use crate::conn::Ticket;
use crate::machine::{Ended, Next};
use crate::work::Cost;

/// Unanswered bytes, beside those that are being sent, from which on a connection wants no more.
/// What is received before that takes effect comes on top, once: from then on it is given a piece
/// at a time.
const BACKLOG_BYTES: usize = 16 * 1024;
/// Bytes that, alone in their socket, show that a flood is over: a message and no part of one.
const MESSAGE_BYTES: usize = 4 * 1024;

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    // Dropped in this order: the socket is closed, then its permit is returned.
    socket: Socket,
    /// Unanswered bytes of the machine, only across a payment or before they are sent.
    kept: Vec<u8>,
    /// What came in while those, or others, were on their way out.
    backlog: Vec<u8>,
    input: Input,
    receiving: Flight,
    sending: Flight,
    flow: Flow,
    /// Requests to cancel that were not reported yet.
    cancels: u8,
    /// It is over, as soon as nothing is in flight any more.
    ended: Option<Ended>,
    course: Course,
}

/// What may still come from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Open,
    Ended,
    Failed(ErrorKind),
}

/// How the peer's bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// In messages; so it is received from until that ends.
    Even,
    /// It says more than it takes back; so it is received from a large piece at a time.
    Flood,
    /// The same, and there was no large piece; so the next one is a small one.
    Pinched,
}

/// Whether an operation is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    No,
    /// It waits for nothing, and so it ends at once.
    Brief,
    Yes,
    /// Its end was asked for, and has not been reported yet.
    Ending,
}

/// Where a session stands after what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It waits for something that will be reported.
    Wait,
    /// Send this part of the bytes that it was given.
    Send(Range<usize>),
    /// Send this part of these bytes.
    SendKept(Vec<u8>, Range<usize>),
    /// Until this is paid, and [`Session::paid`] called.
    Pay(Cost),
}

/// What is to be done about a session beside its [`Step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Receive from its socket, until that ends.
    Receive,
    /// Receive one piece from its socket.
    ReceiveOnce,
    /// Receive one large piece from its socket.
    ReceiveLarge,
    /// Receive no more for now.
    Pause,
    /// End all that is in flight for it.
    Cancel,
    /// It is over, and nothing is in flight: [`Session::conclude`] it.
    Close,
}

impl Session {
    /// A connection that was just accepted.
    pub(crate) fn new(socket: Socket, ticket: Ticket, now: Instant) -> Self {
        Self {
            socket,
            kept: Vec::new(),
            backlog: Vec::new(),
            input: Input::Open,
            receiving: Flight::No,
            sending: Flight::No,
            flow: Flow::Even,
            cancels: 0,
            ended: None,
            course: Course::new(ticket, now),
        }
    }

    /// The socket, from which to receive and to which to send.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The number of the connection, which no other of this process ever has.
    pub(crate) fn id(&self) -> u64 {
        self.course.id()
    }

    /// These bytes came in; the socket has others already, or is empty.
    pub(crate) fn received(&mut self, bytes: &[u8], waiting: bool, now: Instant) -> Step {
        self.flow = match self.flow {
            Flow::Flood | Flow::Pinched if waiting || bytes.len() > MESSAGE_BYTES => Flow::Flood,
            _ => Flow::Even,
        };
        self.guarded(|session| {
            if session.course.is_lingering() {
                return Step::Wait;
            }
            session.course.ticket.received(bytes);
            if !session.is_resting() {
                session.backlog.extend_from_slice(bytes);
                return Step::Wait;
            }
            let before = session.course.machine.unanswered();
            session.course.machine.received(bytes);
            session.course.moved_on(&before, now);
            session.run(bytes, now)
        })
    }

    /// Nothing more came in: the peer closed its side, or receiving ended otherwise.
    pub(crate) fn input_ended(&mut self, outcome: io::Result<()>, now: Instant) -> Step {
        match outcome {
            Ok(()) => self.input = Input::Ended,
            // Then it begins anew, some time.
            Err(error) if is_for_now(&error) => {
                if self.flow == Flow::Flood && is(&error, Errno::NOBUFS) {
                    self.flow = Flow::Pinched;
                }
            }
            Err(error) => self.input = Input::Failed(error.kind()),
        }
        self.go_on(now)
    }

    /// The operation that received has ended.
    pub(crate) fn receiving_ended(&mut self) {
        self.receiving = Flight::No;
    }

    /// An operation that cancels has ended.
    pub(crate) fn cancelled(&mut self) {
        self.cancels = self.cancels.saturating_sub(1);
    }

    /// So many of the bytes that were to be sent were sent: of `fresh`, or of those that were
    /// [given back](Self::give_back) just now.
    pub(crate) fn sent(&mut self, outcome: io::Result<usize>, fresh: &[u8], now: Instant) -> Step {
        self.sending = Flight::No;
        self.guarded(|session| {
            let before = session.course.machine.unanswered();
            match outcome {
                Ok(count) => {
                    session.course.machine.wrote(count);
                    session.course.ticket.answered();
                }
                // The peer does not take them at once; they do not wait for it in this place.
                Err(error) if error.kind() == ErrorKind::WouldBlock => session.keep(fresh),
                Err(error) if is_for_now(&error) => {}
                Err(error) => session.course.machine.failed(error.kind()),
            }
            session.course.moved_on(&before, now);
            session.run(fresh, now)
        })
    }

    /// Takes bytes of its own back, before it is told how many of them were sent.
    pub(crate) fn give_back(&mut self, kept: Vec<u8>) {
        self.kept = kept;
    }

    /// The cost is paid.
    pub(crate) fn paid(&mut self, now: Instant) -> Step {
        self.course.paid(now);
        self.go_on(now)
    }

    /// Follows the stop, and gives up what has lasted too long by `now`.
    pub(crate) fn look(&mut self, now: Instant) -> Step {
        self.follow_stop();
        let is_overdue = self
            .course
            .is_overdue(now, || super::has_input(&self.socket));
        // At the deadline nobody is left out, whatever it was doing when it came.
        if is_overdue || self.course.is_cut() && self.sending == Flight::No {
            return self.guarded(|session| session.run(&[], now));
        }
        Step::Wait
    }

    /// What else is to be done for it now; to be asked until there is nothing.
    pub(crate) fn next_wish(&mut self) -> Option<Wish> {
        let is_over = self.ended.is_some();
        if is_over || self.course.is_cut() && self.sending == Flight::Yes {
            let flights = [&mut self.receiving, &mut self.sending];
            let before = flights.map(|flight| std::mem::replace(flight, flight.ended()));
            if before.contains(&Flight::Yes) {
                self.cancels += 1;
                return Some(Wish::Cancel);
            }
            let is_idle = before == [Flight::No; 2] && self.cancels == 0;
            return is_idle.then_some(Wish::Close);
        }
        match self.receiving {
            Flight::No if self.input == Input::Open && self.wants_more() => {
                self.receiving = Flight::Yes;
                Some(match self.flow {
                    Flow::Even => Wish::Receive,
                    Flow::Flood => Wish::ReceiveLarge,
                    Flow::Pinched => Wish::ReceiveOnce,
                })
            }
            Flight::Yes if self.backlog.len() >= BACKLOG_BYTES => {
                self.flow = Flow::Flood;
                self.receiving = Flight::Ending;
                self.cancels += 1;
                Some(Wish::Pause)
            }
            _ => None,
        }
    }

    /// Closes it and notes how it ended.
    pub(crate) fn conclude(self) {
        self.course.conclude(self.ended.unwrap_or(Ended::Done));
    }

    /// Whether all that came in went back; then nothing is being paid for or sent either.
    fn is_resting(&self) -> bool {
        self.course.machine.unanswered().is_empty() && self.backlog.is_empty()
    }

    /// A flood may be a piece ahead, since that is there when the one before has just been sent.
    fn wants_more(&self) -> bool {
        let is_flowing = self.flow != Flow::Even && self.sending == Flight::Brief;
        self.is_resting() || is_flowing && self.backlog.is_empty()
    }

    fn go_on(&mut self, now: Instant) -> Step {
        if self.sending == Flight::No {
            return self.guarded(|session| session.run(&[], now));
        }
        Step::Wait
    }

    /// A panic ends this connection only.
    fn guarded(&mut self, act: impl FnOnce(&mut Self) -> Step) -> Step {
        if self.ended.is_some() {
            return Step::Wait;
        }
        // Unwinding leaves nothing half-done behind: the session is over and not asked again.
        let step = catch_unwind(AssertUnwindSafe(|| act(self)));
        step.unwrap_or_else(|_| {
            self.ended = Some(self.course.panicked());
            Step::Wait
        })
    }

    /// Goes as far as it can; `fresh` are the bytes that it was given, unless it keeps its own.
    fn run(&mut self, fresh: &[u8], now: Instant) -> Step {
        self.follow_stop();
        let step = loop {
            if self.course.is_paying() {
                return Step::Wait;
            }
            let before = self.course.machine.unanswered();
            if let Some(step) = self.advance(fresh) {
                break step;
            }
            self.course.moved_on(&before, now);
        };
        self.course.watch(now);
        step
    }

    /// A deadline waits until it is known how much was sent.
    fn follow_stop(&mut self) {
        if self.sending == Flight::No {
            self.course.follow_stop();
        }
    }

    /// One step of the machine; none if the next one can follow at once.
    fn advance(&mut self, fresh: &[u8]) -> Option<Step> {
        let is_kept = !self.kept.is_empty();
        let buffer = if is_kept { &self.kept } else { fresh };
        let step = match self.course.next(buffer) {
            Next::Read => self.read(),
            Next::Pay(cost) => {
                self.course.pay();
                Some(Step::Pay(cost))
            }
            Next::Write(range) => {
                if is_kept {
                    self.sending = Flight::Yes;
                    return Some(Step::SendKept(std::mem::take(&mut self.kept), range));
                }
                self.sending = Flight::Brief;
                return Some(Step::Send(range));
            }
            Next::Finish => {
                // Fails only on a connection that is gone already, which receiving tells.
                let _ = self.socket.shutdown(Shutdown::Write);
                self.course.machine.finished();
                None
            }
            Next::Discard => self.discard(),
            Next::Abandon => {
                super::abandon(&self.socket);
                self.course.machine.abandoned();
                None
            }
            Next::Close(ended) => {
                self.ended = Some(ended);
                Some(Step::Wait)
            }
        };
        if is_kept && self.course.machine.unanswered().is_empty() {
            self.kept = Vec::new();
        } else if !is_kept && step.is_some() {
            self.keep(fresh);
        }
        step
    }

    fn read(&mut self) -> Option<Step> {
        if self.backlog.is_empty() {
            match self.input {
                Input::Open => return Some(Step::Wait),
                Input::Ended => self.course.machine.ended(),
                Input::Failed(kind) => self.course.machine.failed(kind),
            }
        } else {
            self.kept = std::mem::take(&mut self.backlog);
            self.course.machine.received(&self.kept);
        }
        None
    }

    fn discard(&mut self) -> Option<Step> {
        self.backlog = Vec::new();
        if self.input == Input::Open {
            return Some(Step::Wait);
        }
        self.course.machine.ended();
        None
    }

    /// Keeps what is unanswered of bytes that are somebody else's.
    fn keep(&mut self, fresh: &[u8]) {
        let unanswered = fresh.get(self.course.machine.unanswered());
        if let Some(bytes) = unanswered.filter(|bytes| !bytes.is_empty()) {
            self.kept = bytes.to_vec();
            self.course.machine.moved_to_start();
        }
    }
}

impl Flight {
    /// What it is once its end was asked for.
    fn ended(self) -> Self {
        match self {
            Self::No | Self::Brief => self,
            Self::Yes | Self::Ending => Self::Ending,
        }
    }
}

fn is(error: &io::Error, expected: Errno) -> bool {
    error.raw_os_error() == Some(expected.raw_os_error())
}

/// Whether only this operation failed, for want of a buffer or by our own wish, and not the
/// connection.
fn is_for_now(error: &io::Error) -> bool {
    let error = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        error,
        Some(Errno::NOBUFS | Errno::CANCELED | Errno::INTR | Errno::AGAIN)
    )
}

#[cfg(test)]
mod tests;
