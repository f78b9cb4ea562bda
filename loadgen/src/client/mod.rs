//! One client as a state machine without I/O: events in, an action out, time as a value.
//!
//! ```text
//!              Start                Established                 nothing in flight
//! Unstarted ──────────▶ Connecting ─────────────▶ Busy ◀──────────────────────▶ Pausing (think, hold)
//!                        ▲      │                  │                            Waiting (next due time)
//!                  Alarm │      │ ConnectFailed    │ ended                      Parked (no ticket)
//!                        │      ▼                  ▼
//!                        Offline ◀──────────────── or Done, with --once
//! ```
//!
//! It decides what happens and counts it; the worker does it. It knows no socket, no clock and no
//! thread, so the tests drive it under an invented time. [`flow`] has the way of a request,
//! [`ending`] that of a connection.

mod ending;
mod flow;
mod view;

use std::time::Duration;

use crate::behaviour::Behaviour;
use crate::failure::Failure;
use crate::protocol::{Parser, RequestId, Wire};
use crate::quota::Quota;
use crate::schedule::{Place, Schedule};
use crate::tally::{Flight, Tally};
use crate::time::Moment;

/// What all clients of a run have in common.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What clients do, by kind; at least one kind.
    pub(crate) behaviours: Vec<Behaviour>,
    /// How many kinds the report tells apart; 0 where all clients do the same.
    pub(crate) profiles: usize,
    /// When requests are due; none in a closed loop.
    pub(crate) schedule: Option<Schedule>,
    /// Where all random choices come from.
    pub(crate) seed: u64,
    /// How long a request may take.
    pub(crate) timeout: Option<Duration>,
    /// How long a connection may take to be established.
    pub(crate) connect_timeout: Option<Duration>,
    /// Whether answers are compared with what was sent.
    pub(crate) verify: bool,
    /// How many addresses a target has, at least 1; all are tried before a client backs off.
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
    /// What is said and understood.
    pub(crate) wire: &'a Wire,
    /// Whether there is something left to send.
    pub(crate) quota: &'a Quota,
    /// Whether and for how long sending was held up by hand.
    pub(crate) halt: Halt,
    /// Where it is counted.
    pub(crate) tally: &'a mut Tally,
    /// The client's requests in flight, a ring of as many places as it may have.
    pub(crate) flights: &'a mut [Flight],
    /// What its connection has to remember of the answer under way, if the protocol wants that.
    pub(crate) parser: Option<&'a mut Parser>,
}

/// Sending as a person at the keys steers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Halt {
    /// Nothing is sent now.
    pub(crate) paused: bool,
    /// How long pauses have lasted so far; due times are later by that.
    pub(crate) shift: Duration,
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
    /// The socket took this many bytes of the request.
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
    /// Write the request from byte [`Client::written`] on.
    Write,
    /// Read again after a pause of a slow reader.
    Read,
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
    /// At least one request is in flight.
    Busy,
    /// Silent between two requests.
    Pausing,
    /// Without a ticket, or held up by hand.
    Parked,
    /// Its next request is not due yet.
    Waiting,
    /// Connected and never going to say anything.
    Silent,
    Offline,
    /// Its requests ended after the last one that counts: still in flight for the books.
    TooLate,
    Done,
}

/// What became of its bond with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bond {
    /// No connection of it ended other than by plan.
    Whole,
    /// One did.
    Lost,
    /// One did, and its last attempt to connect again failed.
    Stranded,
}

/// Answers on the current connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    None,
    First,
    More,
}

/// One client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    number: u32,
    /// Which of [`Plan::behaviours`] is its own.
    kind: u8,
    phase: Phase,
    bond: Bond,
    answers: Answers,
    /// Connections in a row that failed or ended without an answer.
    failures: u16,
    in_flight: u16,
    /// Bytes of the last request that are written.
    written: u32,
    /// How many of them are to be written in all.
    goal: u32,
    /// Bytes of the oldest answer that have come, or as the protocol counts them.
    read: u32,
    /// Requests that the connection may still send.
    left: u32,
    /// When the connect or the pause began.
    since: Moment,
    /// When the pause or the back-off ends, or the next piece or request is due.
    until: Moment,
    connected_at: Moment,
    first_byte_at: Moment,
    ended_at: Moment,
    /// Its place in the schedule of an open loop.
    place: Place,
    /// Requests sent; also the number of the last one.
    sequence: u64,
    /// Answers in the window.
    answered: u64,
}

impl Client {
    /// Client `number` of a kind, which has done nothing yet and whose first request is at `place`
    /// of the schedule, if there is one.
    pub(crate) const fn new(number: u32, kind: u8, place: Place) -> Self {
        Self {
            number,
            kind,
            phase: Phase::Unstarted,
            bond: Bond::Whole,
            answers: Answers::None,
            failures: 0,
            in_flight: 0,
            written: 0,
            goal: 0,
            read: 0,
            left: 0,
            since: Moment::START,
            until: Moment::NEVER,
            connected_at: Moment::NEVER,
            first_byte_at: Moment::NEVER,
            ended_at: Moment::NEVER,
            place,
            sequence: 0,
            answered: 0,
        }
    }

    /// Takes in one event. Events that make no sense in the present state change nothing.
    #[inline]
    pub(crate) fn step(&mut self, event: Event<'_>, cx: &mut Context<'_>) -> Action {
        match (event, self.phase) {
            (Event::Read(bytes), Phase::Busy) => self.take(bytes, cx),
            (Event::Wrote(bytes), Phase::Busy) => self.progress(bytes, cx),
            (Event::Alarm, _) if cx.now < self.deadline(cx.plan, cx.flights) => Action::Nothing,
            (Event::Alarm, _) => self.wake(cx),
            (Event::Start, Phase::Unstarted) => self.connect(cx),
            (Event::Established, Phase::Connecting) => self.greet(cx),
            (Event::ConnectFailed(kind), Phase::Connecting) => self.retreat(kind, cx),
            (Event::Read(bytes), _) if self.is_quiet() => self.take_unasked(bytes, cx),
            (Event::Ended(kind), Phase::Busy) => self.break_off(kind, cx),
            (Event::Ended(kind), _) if self.is_quiet() => self.end(kind, cx),
            (Event::Ask, Phase::Parked) => self.fill(cx),
            _ => Action::Nothing,
        }
    }

    /// When this client, with its requests in flight, wants an [`Event::Alarm`].
    #[inline]
    pub(crate) fn deadline(&self, plan: &Plan, flights: &[Flight]) -> Moment {
        match self.phase {
            Phase::Busy => match plan.timeout {
                None => self.until,
                Some(limit) => self.until.min(self.oldest(flights).sent.after(limit)),
            },
            Phase::Connecting => match plan.connect_timeout {
                None => Moment::NEVER,
                Some(limit) => self.since.after(limit),
            },
            Phase::Pausing | Phase::Offline | Phase::Waiting => self.until,
            _ => Moment::NEVER,
        }
    }

    /// Does what it had put off until now.
    fn wake(&mut self, cx: &mut Context<'_>) -> Action {
        match self.phase {
            Phase::Busy if self.until > cx.now => self.end(Failure::Timeout, cx),
            Phase::Busy => self.resume(cx),
            Phase::Connecting => self.retreat(Failure::ConnectTimeout, cx),
            Phase::Offline => self.connect(cx),
            Phase::Pausing => {
                cx.tally.count_pause(self.since, cx.now);
                self.fill(cx)
            }
            Phase::Waiting => self.fill(cx),
            _ => Action::Nothing,
        }
    }

    fn behaviour<'a>(&self, plan: &'a Plan) -> &'a Behaviour {
        &plan.behaviours[usize::from(self.kind)]
    }

    /// The schedule that it keeps, if it does.
    fn schedule<'a>(&self, plan: &'a Plan) -> Option<&'a Schedule> {
        let schedule = plan.schedule.as_ref()?;
        self.behaviour(plan).keeps_schedule().then_some(schedule)
    }

    /// The request that was sent first among those in flight.
    fn oldest(&self, flights: &[Flight]) -> Flight {
        flights[self.ring_place(u64::from(self.in_flight) - 1, flights)]
    }

    /// Where the ring has the request that was sent `back` requests before the last one.
    fn ring_place(&self, back: u64, flights: &[Flight]) -> usize {
        // A ring of one place, the common case, needs no division.
        if flights.len() == 1 {
            return 0;
        }
        let places = flights.len() as u64;
        usize::try_from(self.sequence.wrapping_sub(back) % places).unwrap_or(0)
    }

    /// Forgets the answers of the warm-up.
    pub(crate) fn open_window(&mut self) {
        self.answered = 0;
    }
}

#[cfg(test)]
mod tests;
