//! The course of a connection that never blocks: its machine, its time limits, and its place in the
//! books. What has a socket adds how bytes come and go.

use std::ops::Range;
use std::time::Instant;

use tracing::error;

use crate::conn::Ticket;
use crate::machine::{Ended, Machine, Next, Patience, Watch};
use crate::stop::Phase;

/// A connection without its socket.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) machine: Machine,
    watch: Watch,
    paying: bool,
    pub(super) ticket: Ticket,
}

impl Course {
    /// That of a connection which was just accepted.
    pub(super) fn new(ticket: Ticket, now: Instant) -> Self {
        Self {
            machine: ticket.begin(),
            watch: Watch::new(now),
            paying: false,
            ticket,
        }
    }

    /// What to do next; `buffer` has the unanswered bytes.
    pub(super) fn next(&mut self, buffer: &[u8]) -> Next {
        self.machine.next(self.ticket.work(), buffer)
    }

    /// The number of the connection, which no other of this process ever has.
    pub(super) fn id(&self) -> u64 {
        self.ticket.id
    }

    /// A panic was caught: how the connection ends.
    pub(super) fn panicked(&self) -> Ended {
        error!("a connection was ended by a panic");
        Ended::Panicked
    }

    /// Whether our side is closed, and nothing but the peer's close is waited for.
    pub(super) fn is_lingering(&self) -> bool {
        self.machine.patience() == Patience::Linger
    }

    /// Whether it waits for a payment.
    pub(super) fn is_paying(&self) -> bool {
        self.paying
    }

    /// From now on it waits for a payment.
    pub(super) fn pay(&mut self) {
        self.paying = true;
    }

    /// The cost is paid.
    pub(super) fn paid(&mut self, now: Instant) {
        if std::mem::take(&mut self.paying) {
            self.machine.paid();
            // A payment is the server's own time, not the peer's silence.
            self.watch.restart(now);
        }
    }

    /// Bytes moved, if other ones are unanswered than `before`: the limit counts anew.
    pub(super) fn moved_on(&mut self, before: &Range<usize>, now: Instant) {
        if self.machine.unanswered() != *before {
            self.watch.restart(now);
        }
    }

    /// Lets another limit count from now on, if another one holds.
    pub(super) fn watch(&mut self, now: Instant) {
        self.watch.follow(&self.machine, now);
    }

    /// Whether what it waits for has lasted too long; then the machine has been told. `has_input`
    /// says whether bytes of the peer are there already and only have to be read: they speak for a
    /// peer whom a server did not hear that stood still itself.
    pub(super) fn is_overdue(&mut self, now: Instant, has_input: impl FnOnce() -> bool) -> bool {
        self.watch(now);
        let limits = &self.ticket.shared.config.limits;
        let verdict = self.watch.verdict(&mut self.machine, limits, now);
        let verdict = verdict
            .filter(|_| !(self.paying || self.watch.patience().is_for_bytes() && has_input()));
        if let Some(verdict) = verdict {
            self.watch.give_up(&mut self.machine, verdict, now);
        }
        verdict.is_some()
    }

    /// Whether the deadline of the drain has come.
    pub(super) fn is_cut(&self) -> bool {
        self.ticket.shared.stop.phase() == Phase::Cutting
    }

    /// Tells the machine how far the stop has come.
    pub(super) fn follow_stop(&mut self) {
        match self.ticket.shared.stop.phase() {
            Phase::Serving => {}
            Phase::Draining => self.machine.drain(),
            Phase::Cutting => {
                self.paying = false;
                self.machine.cut();
            }
        }
    }

    /// Notes how it ended; it is closed by being dropped.
    pub(super) fn conclude(&self, ended: Ended) {
        let _span = self.ticket.span().entered();
        self.ticket.conclude(ended);
    }
}
