//! Like `ping`: messages on a schedule, a line for each answer, and a summary at the end, whatever
//! that end is.

mod flight;
mod message;
mod report;
mod stats;

use std::time::{Duration, Instant};

use cli::{Format, Interrupt};

use crate::config::PingPlan;
use crate::exchange::{BUFFER_BYTES, Exchange, Received};
use crate::failure::Failure;
use crate::link::Link;
use crate::output::{Reader, print};
use crate::ping::flight::Flight;
use crate::ping::report::Summary;
use crate::ping::stats::Stats;
use crate::wait::wait;

/// Sends what `plan` says and prints what became of it.
///
/// # Errors
///
/// [`Failure`] unless every message came back equal and in time; the summary is on stdout anyway.
pub(crate) fn run(link: Link, plan: &PingPlan, interrupt: &Interrupt) -> Result<(), Failure> {
    let mut ping = Ping {
        exchange: Exchange::new(link),
        plan: *plan,
        start: Instant::now(),
        flight: Flight::default(),
        stats: Stats::new(),
        next_due: Some(Duration::ZERO),
        reader: Reader::Present,
    };
    let outcome = ping.converse(interrupt);
    let summary = Summary {
        target: ping.exchange.peer().to_string(),
        plan: ping.plan,
        duration: ping.start.elapsed(),
        interrupted: matches!(outcome, Err(Failure::Interrupted { .. })),
        stats: &ping.stats,
    };
    if ping.reader == Reader::Present {
        print(&summary.render())?;
    }
    outcome
}

struct Ping {
    exchange: Exchange,
    plan: PingPlan,
    start: Instant,
    flight: Flight,
    stats: Stats,
    /// When the next message is to be sent, after the start; none when it waits for an answer or
    /// was the last.
    next_due: Option<Duration>,
    reader: Reader,
}

impl Ping {
    fn converse(&mut self, interrupt: &Interrupt) -> Result<(), Failure> {
        let mut buffer = vec![0; BUFFER_BYTES];
        while self.reader == Reader::Present {
            self.send_if_due();
            if self.next_due.is_none() && self.flight.pending() == 0 {
                return self.say_good_bye(interrupt);
            }
            let until = self.next_event().map(|event| self.start + event);
            wait(&mut [self.exchange.interest()], until, interrupt)?;
            self.exchange.send(Instant::now());
            self.receive(&mut buffer)?;
            self.give_up_on_the_late()?;
        }
        Ok(())
    }

    /// When to act although nothing has come back.
    fn next_event(&self) -> Option<Duration> {
        let due = self.next_due.filter(|_| self.has_room());
        let loss = self.flight.next_loss(self.plan.timeout);
        due.into_iter().chain(loss).min()
    }

    fn has_room(&self) -> bool {
        self.exchange.ledger().room() >= self.plan.size_bytes && self.flight.has_room()
    }

    fn send_if_due(&mut self) {
        let now = self.start.elapsed();
        if self.next_due.is_none_or(|due| due > now) || !self.has_room() {
            return;
        }
        let seq = self.stats.sent();
        let message = message::message(seq, self.plan.size_bytes);
        self.exchange.say(&message, Instant::now());
        let ledger = self.exchange.ledger();
        self.flight
            .sent(seq, ledger.answered() + ledger.unanswered(), now);
        self.stats.count_sent();
        self.schedule_next(now);
    }

    /// The next message is due an interval after this one was sent, or with no interval when the
    /// answer to this one is there or given up.
    fn schedule_next(&mut self, sent_at: Duration) {
        let last = self
            .plan
            .count
            .is_some_and(|n| self.stats.sent() >= n.get());
        let waits = self.plan.interval.is_zero() && self.flight.pending() > 0;
        self.next_due = (!last && !waits).then_some(sent_at + self.plan.interval);
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<(), Failure> {
        let received = self.exchange.receive(buffer, Instant::now());
        match received {
            Received::Nothing => Ok(()),
            Received::End(how) => self.exchange.ended(how),
            Received::Equal(_) => self.note_answers(),
            Received::Different(_, difference) => {
                self.note_answers()?;
                Err(difference.into())
            }
        }
    }

    fn note_answers(&mut self) -> Result<(), Failure> {
        let now = self.start.elapsed();
        while let Some(answer) = self.flight.answered(self.exchange.ledger().answered(), now) {
            self.stats.count_answer(&answer);
            self.tell(&report::answer_line(&answer, &self.plan))?;
        }
        self.go_on(now);
        Ok(())
    }

    fn give_up_on_the_late(&mut self) -> Result<(), Failure> {
        let now = self.start.elapsed();
        while let Some(seq) = self.flight.lost(now, self.plan.timeout) {
            self.stats.count_lost();
            self.tell(&report::lost_line(seq, &self.plan))?;
        }
        self.go_on(now);
        Ok(())
    }

    /// With no interval an answer, or the loss of one, is what makes the next message due.
    fn go_on(&mut self, now: Duration) {
        if self.plan.interval.is_zero() && self.next_due.is_none() {
            self.schedule_next(now);
        }
    }

    fn tell(&mut self, line: &str) -> Result<(), Failure> {
        if self.plan.format == Format::Text && self.reader == Reader::Present {
            self.reader = print(line)?;
        }
        Ok(())
    }

    fn say_good_bye(&mut self, interrupt: &Interrupt) -> Result<(), Failure> {
        let finished = self.exchange.finish(interrupt);
        match (self.stats.lost(), finished) {
            (0, finished) => finished,
            (_, Err(failure @ Failure::Differs(_))) => Err(failure),
            (lost, _) => Err(Failure::PingLost {
                lost,
                sent: self.stats.sent(),
                limit: self.plan.timeout,
            }),
        }
    }
}
