//! One client as a state machine without I/O: events in, an action out, time as a value.
//!
//! ```text
//!              Start                Established               quota says no
//! Unstarted ──────────▶ Connecting ─────────────▶ InFlight ◀───────────────▶ Parked
//!                        ▲      │                  │    ▲
//!                  Alarm │      │ ConnectFailed    │    │ Alarm
//!                        │      ▼       ended      ▼    │
//!                        Offline ◀────────────── Pausing (think, hold)
//!                                                  │ --once
//!                                                  ▼
//!                                                 Done
//! ```
//!
//! It decides what happens and counts it; the worker does it. It knows no socket, no clock and no
//! thread, so the tests drive it under an invented time.

mod view;

use std::time::Duration;

use crate::config::Behaviour;
use crate::failure::Failure;
use crate::message::Messages;
use crate::quota::{FirstRequest, Quota};
use crate::tally::Tally;
use crate::time::Moment;

/// Wait after the first failure in a row; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
/// The longest such wait.
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// What all clients of a run have in common.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What a client does between and after its requests.
    pub(crate) behaviour: Behaviour,
    /// How long a request may take.
    pub(crate) timeout: Option<Duration>,
    /// Whether answers are compared with what was sent.
    pub(crate) verify: bool,
    /// How many addresses the target has, at least 1; all are tried before a client backs off.
    pub(crate) addresses: u32,
    /// Connects that may fail in a row before a client gives up; none if it never does.
    pub(crate) give_up_after: Option<u32>,
}

/// What a step of the machine may look at and count in.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// The present moment.
    pub(crate) now: Moment,
    /// What to do.
    pub(crate) plan: &'a Plan,
    /// What is sent.
    pub(crate) messages: &'a Messages,
    /// Whether there is something left to send.
    pub(crate) quota: &'a Quota,
    /// Where it is counted.
    pub(crate) tally: &'a mut Tally,
}

/// What happened to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// Its turn to connect for the first time.
    Start,
    /// Its connection stands.
    Established,
    /// Its connection could not be made.
    ConnectFailed(Failure),
    /// The socket took this many bytes of the message.
    Wrote(usize),
    /// These bytes came in.
    Read(&'a [u8]),
    /// The connection was ended from outside.
    Ended(Failure),
    /// The moment that [`Client::deadline`] named has come.
    Alarm,
    /// A parked client may ask for a ticket again.
    Ask,
}

/// What is to be done for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing, until the next event.
    Nothing,
    /// Open a connection.
    Connect,
    /// Write the message from byte [`Client::written`] on.
    Write,
    /// Remember it among those who wait for a ticket.
    Park,
    /// Close its connection, if there is one.
    Close,
    /// As [`Action::Close`], and it will never do anything again.
    Finish,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Unstarted,
    Connecting,
    InFlight,
    Pausing,
    Parked,
    Offline,
    /// Its request ended after the last one that counts: still in flight for the books.
    TooLate,
    Done,
}

/// One client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    number: u32,
    phase: Phase,
    /// Whether a connection of it ended other than by plan.
    lost: bool,
    /// Whether its last attempt to connect failed.
    refused: bool,
    /// Connections in a row that failed or ended without an answer.
    failures: u32,
    written: u32,
    read: u32,
    /// When the connect, the request or the pause began.
    since: Moment,
    /// When the pause or the back-off ends.
    until: Moment,
    connected_at: Moment,
    first_byte_at: Moment,
    ended_at: Moment,
    /// Requests sent; also the number of the current one.
    sequence: u64,
    /// Answers on the current connection.
    conn_answers: u64,
    /// Answers in the window.
    answered: u64,
}

impl Client {
    /// Client `number`, which has done nothing yet.
    pub(crate) const fn new(number: u32) -> Self {
        Self {
            number,
            phase: Phase::Unstarted,
            lost: false,
            refused: false,
            failures: 0,
            written: 0,
            read: 0,
            since: Moment::START,
            until: Moment::NEVER,
            connected_at: Moment::NEVER,
            first_byte_at: Moment::NEVER,
            ended_at: Moment::NEVER,
            sequence: 0,
            conn_answers: 0,
            answered: 0,
        }
    }

    /// Takes in one event. Events that make no sense in the present state change nothing.
    #[inline]
    pub(crate) fn step(&mut self, event: Event<'_>, cx: &mut Context<'_>) -> Action {
        match (event, self.phase) {
            (Event::Read(bytes), Phase::InFlight) => self.take(bytes, cx),
            (Event::Wrote(bytes), Phase::InFlight) => self.progress(bytes, cx),
            (Event::Start, Phase::Unstarted) => self.connect(cx),
            (Event::Established, Phase::Connecting) => self.greet(cx),
            (Event::ConnectFailed(kind), Phase::Connecting) => {
                cx.tally.count_failure(kind);
                self.retreat(cx)
            }
            (Event::Read(_), Phase::Pausing | Phase::Parked) => self.end(Failure::TooManyBytes, cx),
            (Event::Ended(kind), Phase::InFlight | Phase::Pausing | Phase::Parked) => {
                self.end(kind, cx)
            }
            (Event::Alarm, _) if cx.now < self.deadline(cx.plan) => Action::Nothing,
            (Event::Alarm, Phase::InFlight) => self.end(Failure::Timeout, cx),
            (Event::Alarm, Phase::Offline) => self.connect(cx),
            (Event::Alarm, Phase::Pausing) => {
                cx.tally.count_pause(self.since, cx.now);
                self.go_on(cx)
            }
            (Event::Ask, Phase::Parked) => self.request(cx),
            _ => Action::Nothing,
        }
    }

    /// When this client wants an [`Event::Alarm`].
    #[inline]
    pub(crate) fn deadline(&self, plan: &Plan) -> Moment {
        match self.phase {
            Phase::InFlight => plan
                .timeout
                .map_or(Moment::NEVER, |limit| self.since.after(limit)),
            Phase::Pausing | Phase::Offline => self.until,
            _ => Moment::NEVER,
        }
    }

    fn connect(&mut self, cx: &Context<'_>) -> Action {
        self.phase = Phase::Connecting;
        self.since = cx.now;
        Action::Connect
    }

    fn greet(&mut self, cx: &mut Context<'_>) -> Action {
        cx.tally.count_connect(cx.now.since(self.since));
        if !self.connected_at.is_known() {
            self.connected_at = cx.now;
            cx.tally.connected += 1;
            cx.tally.refused -= u32::from(self.failures >= cx.plan.addresses);
        }
        self.refused = false;
        self.ended_at = Moment::NEVER;
        self.conn_answers = 0;
        self.request(cx)
    }

    fn request(&mut self, cx: &mut Context<'_>) -> Action {
        let first = if self.sequence == 0 {
            FirstRequest::Yes
        } else {
            FirstRequest::No
        };
        let was_parked = self.phase == Phase::Parked;
        if !cx.quota.allows(self.number, first) {
            if !was_parked {
                self.since = cx.now;
            }
            self.phase = Phase::Parked;
            return Action::Park;
        }
        if was_parked {
            cx.tally.count_pause(self.since, cx.now);
        }
        self.phase = Phase::InFlight;
        self.sequence += 1;
        self.since = cx.now;
        (self.written, self.read) = (0, 0);
        cx.tally.count_sent();
        Action::Write
    }

    fn progress(&mut self, bytes: usize, cx: &mut Context<'_>) -> Action {
        self.written += small(bytes);
        cx.tally.count_bytes_sent(bytes as u64);
        if self.wants_write(cx.messages) {
            Action::Write
        } else {
            Action::Nothing
        }
    }

    fn take(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Action {
        cx.tally.count_bytes_received(bytes.len() as u64);
        if !self.first_byte_at.is_known() {
            self.first_byte_at = cx.now;
            cx.tally.count_admission(cx.now.since(self.connected_at));
        }
        let (at, message) = (self.read as usize, self.message());
        if at + bytes.len() > self.written as usize {
            return self.end(Failure::TooManyBytes, cx);
        }
        if cx.plan.verify && !cx.messages.matches(message, at, bytes) {
            return self.end(Failure::Mismatch, cx);
        }
        self.read += small(bytes.len());
        if (self.read as usize) < cx.messages.bytes() {
            return Action::Nothing;
        }
        self.conclude(cx)
    }

    /// The whole answer is there.
    fn conclude(&mut self, cx: &mut Context<'_>) -> Action {
        if !cx.quota.counts_end(cx.now) {
            // The run is over: for the books this request is still in flight.
            cx.tally.requests.late_answers += 1;
            self.phase = Phase::TooLate;
            return Action::Nothing;
        }
        cx.tally.count_answer(self.since, cx.now);
        self.answered += 1;
        self.conn_answers += 1;
        self.failures = 0;
        let Behaviour { think, hold, .. } = cx.plan.behaviour;
        if self.conn_answers == 1 && hold > Duration::ZERO {
            self.pause(hold, cx)
        } else if think > Duration::ZERO && !self.is_through(cx.plan) {
            self.pause(think, cx)
        } else {
            self.go_on(cx)
        }
    }

    fn pause(&mut self, wait: Duration, cx: &Context<'_>) -> Action {
        self.phase = Phase::Pausing;
        self.since = cx.now;
        self.until = cx.now.after(wait);
        Action::Nothing
    }

    fn is_through(&self, plan: &Plan) -> bool {
        let limit = plan.behaviour.requests_per_conn;
        limit.is_some_and(|limit| self.conn_answers >= limit.get())
    }

    /// The next request, or the planned end of the connection.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Action {
        if self.is_through(cx.plan) {
            self.leave(cx.now, cx)
        } else {
            self.request(cx)
        }
    }

    /// The connection ends other than by plan, and with it the request in flight.
    fn end(&mut self, kind: Failure, cx: &mut Context<'_>) -> Action {
        if self.phase == Phase::InFlight {
            if !cx.quota.counts_end(cx.now) {
                self.phase = Phase::TooLate;
                return Action::Close;
            }
            cx.tally.count_failure(kind);
            cx.tally.count_failed_request(kind, self.since, cx.now);
        } else {
            cx.tally.count_failure(kind.while_idle());
        }
        if matches!(self.phase, Phase::Pausing | Phase::Parked) {
            cx.tally.count_pause(self.since, cx.now);
        }
        self.lost = true;
        // A server that only ever resets must not be called in a tight loop; a time limit has
        // passed already.
        if self.conn_answers > 0 || kind == Failure::Timeout {
            self.leave(cx.now, cx)
        } else {
            self.failures = self.failures.saturating_add(1);
            let wait = backoff(self.failures);
            self.leave(cx.now.after(wait), cx)
        }
    }

    /// Without a connection from now on, until `until` or for good.
    fn leave(&mut self, until: Moment, cx: &Context<'_>) -> Action {
        self.ended_at = cx.now;
        self.until = until;
        if cx.plan.behaviour.once {
            self.phase = Phase::Done;
            Action::Finish
        } else {
            self.phase = Phase::Offline;
            Action::Close
        }
    }

    /// After a connect that failed.
    fn retreat(&mut self, cx: &mut Context<'_>) -> Action {
        self.refused = true;
        self.failures = self.failures.saturating_add(1);
        if !self.was_connected() && self.failures == cx.plan.addresses {
            cx.tally.refused += 1;
        }
        if cx.plan.give_up_after.is_some_and(|n| self.failures >= n) {
            self.phase = Phase::Done;
            return Action::Finish;
        }
        self.phase = Phase::Offline;
        let addresses = cx.plan.addresses;
        self.until = if self.failures.is_multiple_of(addresses) {
            cx.now.after(backoff(self.failures / addresses))
        } else {
            cx.now
        };
        Action::Close
    }

    /// Forgets the answers of the warm-up.
    pub(crate) fn open_window(&mut self) {
        self.answered = 0;
    }
}

/// The wait after `failures` failures in a row.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    (FIRST_BACKOFF * (1 << doublings)).min(LONGEST_BACKOFF)
}

/// A number of bytes of one message, which is at most [`crate::config::MAX_MESSAGE_BYTES`].
///
/// Longer ones do not occur; they would only make the answer look too long.
fn small(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
