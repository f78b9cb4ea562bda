//! The way of a connection: how it begins, how it ends, and when the next one is tried.

use std::time::Duration;

use super::flow::NO_LIMIT;
use super::{Action, Answers, Bond, Client, Context, Phase};
use crate::behaviour::Sends;
use crate::failure::Failure;
use crate::protocol::{Answer, Fate};
use crate::random::Key;
use crate::time::Moment;

/// Wait after the first failure in a row; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
/// The longest such wait.
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

impl Client {
    pub(super) fn connect(&mut self, cx: &Context<'_>) -> Action {
        self.phase = Phase::Connecting;
        self.since = cx.now;
        Action::Connect
    }

    /// The connection stands.
    pub(super) fn greet(&mut self, cx: &mut Context<'_>) -> Action {
        cx.tally.count_connect(cx.now.since(self.since));
        if !self.connected_at.is_known() {
            self.connected_at = cx.now;
            let was_refused = u32::from(self.failures) >= cx.plan.addresses;
            cx.tally.count_connected(self.kind, was_refused);
        }
        if self.bond == Bond::Stranded {
            self.bond = Bond::Lost;
        }
        self.ended_at = Moment::NEVER;
        self.answers = Answers::None;
        (self.written, self.goal, self.read) = (0, 0, 0);
        if let Some(parser) = cx.parser.as_deref_mut() {
            *parser = Default::default();
        }
        let behaviour = self.behaviour(cx.plan);
        self.left = behaviour.requests_per_conn.map_or(NO_LIMIT, |reuse| {
            reuse.answers(Key::new(cx.plan.seed, self.number).with(self.sequence.rotate_left(32)))
        });
        if behaviour.sends == Sends::Nothing {
            self.phase = Phase::Silent;
            self.since = cx.now;
            return Action::Nothing;
        }
        self.fill(cx)
    }

    /// The connection ended from outside while requests were in flight.
    pub(super) fn break_off(&mut self, kind: Failure, cx: &mut Context<'_>) -> Action {
        let fate = if kind == Failure::Closed {
            let answer = Answer {
                read: &mut self.read,
                parser: cx.parser.as_deref_mut(),
                written: self.written,
                verify: cx.plan.verify,
            };
            cx.wire.at_end(answer)
        } else {
            Fate::Wrong(kind)
        };
        match fate {
            Fate::Complete | Fate::CompleteAndLast => self.conclude(cx),
            Fate::Refused(kind) => self.fail_oldest(kind, cx),
            Fate::Wrong(kind) => return self.end(kind, cx),
            Fate::More => return self.end(Failure::Closed, cx),
        }
        if self.phase == Phase::TooLate {
            return Action::Close;
        }
        self.leave_as_told(cx)
    }

    /// The server announced that this answer was the connection's last: what is in flight behind
    /// it is lost, and the client is not.
    pub(super) fn leave_as_told(&mut self, cx: &mut Context<'_>) -> Action {
        if self.in_flight > 0 {
            return self.end(Failure::Abandoned, cx);
        }
        self.leave(cx.now, cx)
    }

    /// The planned end of a connection, when nothing is in flight any more.
    pub(super) fn leave_when_idle(&mut self, cx: &mut Context<'_>) -> Action {
        if self.in_flight > 0 {
            return Action::Nothing;
        }
        self.leave(cx.now, cx)
    }

    /// The connection ends other than by plan, and with it the requests in flight.
    pub(super) fn end(&mut self, kind: Failure, cx: &mut Context<'_>) -> Action {
        let had_answers = self.answers != Answers::None;
        let failures = self.failures;
        if self.in_flight == 0 {
            cx.tally
                .count_failure(kind.while_idle(), (self.number, self.sequence));
        }
        let mut cause = kind;
        while self.in_flight > 0 {
            self.fail_oldest(cause, cx);
            cause = Failure::Abandoned;
            if self.phase == Phase::TooLate {
                return Action::Close;
            }
        }
        if matches!(self.phase, Phase::Pausing | Phase::Parked) {
            cx.tally.count_pause(self.since, cx.now);
        }
        self.bond = Bond::Lost;
        // A server that only ever resets must not be called in a tight loop; a time limit has
        // passed already.
        if had_answers || kind == Failure::Timeout {
            return self.leave(cx.now, cx);
        }
        self.failures = failures.saturating_add(1);
        let wait = backoff(u32::from(self.failures));
        self.leave(cx.now.after(wait), cx)
    }

    /// Without a connection from now on, until `until` or for good.
    fn leave(&mut self, until: Moment, cx: &Context<'_>) -> Action {
        self.ended_at = cx.now;
        self.until = until;
        if self.behaviour(cx.plan).once {
            self.phase = Phase::Done;
            Action::Finish
        } else {
            self.phase = Phase::Offline;
            Action::Close
        }
    }

    /// After a connect that failed.
    pub(super) fn retreat(&mut self, kind: Failure, cx: &mut Context<'_>) -> Action {
        cx.tally.count_failure(kind, (self.number, self.sequence));
        if self.bond == Bond::Lost {
            self.bond = Bond::Stranded;
        }
        self.failures = self.failures.saturating_add(1);
        let failures = u32::from(self.failures);
        if !self.was_connected() && failures == cx.plan.addresses {
            cx.tally.refused += 1;
        }
        if cx.plan.give_up_after.is_some_and(|n| failures >= n) {
            self.phase = Phase::Done;
            return Action::Finish;
        }
        self.phase = Phase::Offline;
        let addresses = cx.plan.addresses;
        self.until = if failures.is_multiple_of(addresses) {
            cx.now.after(backoff(failures / addresses))
        } else {
            cx.now
        };
        Action::Close
    }
}

/// The wait after `failures` failures in a row.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    (FIRST_BACKOFF * (1 << doublings)).min(LONGEST_BACKOFF)
}
