//! The way of a request: when it may be sent, its bytes, its answer, and what comes after that.

use std::time::Duration;

use super::{Action, Answers, Client, Context, Phase};
use crate::behaviour::{Sends, Tempo};
use crate::failure::Failure;
use crate::protocol::{Answer, Fate, Wire};
use crate::quota::FirstRequest;
use crate::random::Key;
use crate::tally::Flight;
use crate::time::Moment;

/// How often a client that is slow on purpose moves a piece.
const TICK: Duration = Duration::from_millis(100);
const TICKS_PER_S: u32 = 10;
/// A connection that may send for ever.
pub(super) const NO_LIMIT: u32 = u32::MAX;

impl Client {
    /// Sends the next request if there may be one now. Nothing is being written.
    pub(super) fn fill(&mut self, cx: &mut Context<'_>) -> Action {
        let awaited = std::mem::replace(&mut self.until, Moment::NEVER);
        if self.left == 0 {
            return self.leave_when_idle(cx);
        }
        if self.in_flight >= self.room(cx) {
            return Action::Nothing;
        }
        let due = match self.schedule(cx.plan) {
            None => cx.now,
            Some(schedule) => schedule.due(self.place).after(cx.halt.shift),
        };
        if due > cx.now {
            self.until = due;
            return self.rest(Phase::Waiting, cx);
        }
        if cx.halt.paused || !self.has_ticket(cx) {
            return self.rest(Phase::Parked, cx);
        }
        // It was free if it was only waiting for this moment.
        self.send(due, awaited == due, cx)
    }

    /// How many requests may be in flight now.
    fn room(&self, cx: &Context<'_>) -> u16 {
        let behaviour = self.behaviour(cx.plan);
        let pipeline = behaviour.pipeline.get();
        // The silence after the first answer is kept by everything that would follow it.
        let is_first = self.answers == Answers::None && !behaviour.hold.is_zero();
        // With a pause in between a pipeline is a burst: it is sent as a whole, and the next one
        // follows when all of it is answered.
        let burst_is_sent = !behaviour.think.is_zero()
            && self.in_flight > 0
            && self.sequence.is_multiple_of(u64::from(pipeline));
        match (is_first, burst_is_sent) {
            (true, _) => 1,
            (_, true) => 0,
            _ => pipeline,
        }
    }

    fn has_ticket(&self, cx: &Context<'_>) -> bool {
        let first = if self.sequence == 0 {
            FirstRequest::Yes
        } else {
            FirstRequest::No
        };
        cx.quota.allows(self.number, first)
    }

    /// Waits in `phase`, unless answers are still to come.
    fn rest(&mut self, phase: Phase, cx: &Context<'_>) -> Action {
        if self.in_flight > 0 {
            return Action::Nothing;
        }
        if self.phase != Phase::Parked {
            self.since = cx.now;
        }
        self.phase = phase;
        if phase == Phase::Parked {
            Action::Park
        } else {
            Action::Nothing
        }
    }

    fn send(&mut self, due: Moment, was_free: bool, cx: &mut Context<'_>) -> Action {
        if self.phase == Phase::Parked {
            cx.tally.count_pause(self.since, cx.now);
        }
        if let Some(schedule) = self.schedule(cx.plan) {
            cx.tally.count_due(due, cx.now, was_free);
            self.place = schedule.after(self.number, self.place);
        }
        self.phase = Phase::Busy;
        self.sequence += 1;
        self.in_flight += 1;
        self.left -= u32::from(self.left != NO_LIMIT);
        (self.written, self.goal) = (0, self.bytes_to_write(cx));
        let place = self.ring_place(0, cx.flights);
        cx.flights[place] = Flight { due, sent: cx.now };
        cx.tally.count_sent();
        Action::Write
    }

    /// Its last request, of which nothing is written yet, is sent now and not when it was made: the
    /// answers to others were read first, and that time is none of the server's.
    pub(crate) fn send_only_now(&mut self, cx: &mut Context<'_>) {
        let place = self.ring_place(0, cx.flights);
        cx.tally.count_pause(cx.flights[place].sent, cx.now);
        cx.flights[place] = Flight {
            due: cx.now,
            sent: cx.now,
        };
    }

    /// How many bytes of its last request are to be written in all.
    fn bytes_to_write(&self, cx: &Context<'_>) -> u32 {
        let whole = cx.wire.request_bytes(self.request());
        small(match self.behaviour(cx.plan).sends {
            Sends::Half => whole / 2,
            Sends::Whole | Sends::Nothing => whole,
        })
    }

    /// The socket took `bytes` more bytes of the request.
    pub(super) fn progress(&mut self, bytes: usize, cx: &mut Context<'_>) -> Action {
        self.written += small(bytes);
        cx.tally.count_bytes_sent(bytes as u64);
        let behaviour = self.behaviour(cx.plan);
        if self.wants_write() {
            return match behaviour.writes {
                Tempo::Full => Action::Write,
                Tempo::Slow(_) => self.put_off(cx),
            };
        }
        if behaviour.sends == Sends::Half {
            return Action::Nothing;
        }
        self.fill(cx)
    }

    fn put_off(&mut self, cx: &Context<'_>) -> Action {
        self.until = cx.now.after(TICK);
        Action::Nothing
    }

    /// Goes on with what was put off while requests are in flight.
    pub(super) fn resume(&mut self, cx: &mut Context<'_>) -> Action {
        if self.wants_write() {
            self.until = Moment::NEVER;
            return Action::Write;
        }
        if self.behaviour(cx.plan).reads == Tempo::Full {
            return self.fill(cx);
        }
        self.until = Moment::NEVER;
        Action::Read
    }

    /// Bytes of answers.
    pub(super) fn take(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Action {
        self.count_received(bytes, cx);
        let (mut rest, mut ended) = (bytes, false);
        loop {
            let (taken, fate) = self.parse(rest, cx);
            rest = &rest[taken..];
            // What follows the last answer that is due belongs to nobody, and spoils it.
            let surplus = !rest.is_empty() && self.in_flight == 1;
            match fate {
                Fate::More if ended => return self.go_on(cx),
                Fate::More => return self.pace_reading(cx),
                Fate::Wrong(kind) => return self.end(kind, cx),
                _ if surplus => return self.end(Failure::TooManyBytes, cx),
                // The rest of a request that is answered already would be taken for the next one.
                _ if self.is_half_written() => return self.end(Failure::BadAnswer, cx),
                Fate::Complete | Fate::CompleteAndLast => self.conclude(cx),
                Fate::Refused(kind) => self.fail_oldest(kind, cx),
            }
            ended = true;
            match (self.phase, fate) {
                (Phase::TooLate, _) => return Action::Nothing,
                (_, Fate::CompleteAndLast) => return self.leave_as_told(cx),
                _ if rest.is_empty() => return self.go_on(cx),
                _ => {}
            }
        }
    }

    fn count_received(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        cx.tally.count_bytes_received(bytes.len() as u64);
        if !self.first_byte_at.is_known() {
            self.first_byte_at = cx.now;
            let wait = cx.now.since(self.connected_at);
            cx.tally.count_admission(self.kind, wait);
        }
    }

    /// Bytes that no request asked for.
    pub(super) fn take_unasked(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Action {
        self.count_received(bytes, cx);
        // A server that greets says so to a silent client too.
        if self.phase == Phase::Silent && !matches!(cx.wire, Wire::Echo(_)) {
            return Action::Nothing;
        }
        if cx.wire.request_bytes(self.request()) == 0 {
            // A greeting before its time. It does not come twice, so that the next request needs
            // a connection of its own.
            self.left = 0;
            return Action::Nothing;
        }
        self.end(Failure::TooManyBytes, cx)
    }

    fn parse(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> (usize, Fate) {
        let answer = Answer {
            read: &mut self.read,
            parser: cx.parser.as_deref_mut(),
            // Of those behind each other all but the last are written.
            written: if self.in_flight > 1 {
                u32::MAX
            } else {
                self.written
            },
            verify: cx.plan.verify,
        };
        let oldest = self.sequence - u64::from(self.in_flight - 1);
        cx.wire.take((self.number, oldest), answer, bytes)
    }

    fn is_half_written(&self) -> bool {
        self.in_flight == 1 && self.wants_write()
    }

    fn pace_reading(&mut self, cx: &Context<'_>) -> Action {
        match self.behaviour(cx.plan).reads {
            Tempo::Full => Action::Nothing,
            Tempo::Slow(_) => self.put_off(cx),
        }
    }

    /// The whole answer to the oldest request is there.
    pub(super) fn conclude(&mut self, cx: &mut Context<'_>) {
        if !cx.quota.counts_end(cx.now) {
            // The run is over: for the books these requests are still in flight.
            cx.tally.requests.late_answers += 1;
            self.phase = Phase::TooLate;
            return;
        }
        let prompt = self.is_prompt(cx.plan);
        let flight = self.oldest(cx.flights);
        cx.tally.count_answer((self.kind, prompt), flight, cx.now);
        self.answered += 1;
        self.retire();
    }

    /// The oldest request ended without a usable answer, and the connection goes on.
    pub(super) fn fail_oldest(&mut self, kind: Failure, cx: &mut Context<'_>) {
        if !cx.quota.counts_end(cx.now) {
            self.phase = Phase::TooLate;
            return;
        }
        let oldest = self.sequence - u64::from(self.in_flight - 1);
        cx.tally.count_failure(kind, (self.number, oldest));
        let flight = self.oldest(cx.flights);
        let prompt = self.is_prompt(cx.plan);
        cx.tally
            .count_failed_request((kind, prompt), flight, cx.now);
        self.retire();
    }

    fn retire(&mut self) {
        self.in_flight -= 1;
        self.read = 0;
        self.failures = 0;
        self.answers = match self.answers {
            Answers::None => Answers::First,
            _ => Answers::More,
        };
    }

    /// After answers: the next request, a pause, or the planned end of the connection.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Action {
        let behaviour = self.behaviour(cx.plan);
        if self.in_flight > 0 {
            // A request that is half written goes out before the next one is begun.
            return if self.wants_write() {
                Action::Nothing
            } else {
                self.fill(cx)
            };
        }
        if self.answers == Answers::First && !behaviour.hold.is_zero() {
            self.pause(behaviour.hold, cx)
        } else if self.left > 0 && !behaviour.think.is_zero() {
            let key = Key::new(cx.plan.seed, self.number).with(!self.sequence);
            self.pause(behaviour.think.length(key), cx)
        } else {
            self.fill(cx)
        }
    }

    fn pause(&mut self, wait: Duration, cx: &Context<'_>) -> Action {
        self.phase = Phase::Pausing;
        self.since = cx.now;
        self.until = cx.now.after(wait);
        Action::Nothing
    }
}

/// How many bytes a client of this tempo moves at once.
pub(super) fn piece(tempo: Tempo) -> usize {
    match tempo {
        Tempo::Full => usize::MAX,
        Tempo::Slow(per_s) => (per_s.get() / TICKS_PER_S).max(1) as usize,
    }
}

/// A number of bytes of one request, which is at most [`crate::config::MAX_MESSAGE_BYTES`].
///
/// Longer ones do not occur; they would only make the answer look too long.
fn small(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
