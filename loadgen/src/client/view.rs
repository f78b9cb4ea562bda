//! What the rest of the engine may ask about a client. It changes nothing but [`Client::take_late`].

use std::time::Duration;

use super::flow::piece;
use super::{Bond, Client, Phase, Plan, RequestId};
use crate::ClientRecord;
use crate::behaviour::{Sends, Tempo};
use crate::protocol::{Answer, Fate, Parser, Wire};
use crate::quota::Quota;
use crate::schedule::Place;
use crate::tally::Flight;
use crate::time::Moment;

impl Client {
    /// Its number, from 0.
    pub(crate) const fn number(&self) -> u32 {
        self.number
    }

    /// Which of [`Plan::behaviours`] is its own.
    pub(crate) const fn kind(&self) -> u8 {
        self.kind
    }

    /// The request that is written, or was last.
    pub(crate) const fn request(&self) -> RequestId {
        (self.number, self.sequence)
    }

    /// Bytes of that request that are written.
    pub(crate) const fn written(&self) -> usize {
        self.written as usize
    }

    /// Whether part of its request is still to be written.
    pub(crate) fn wants_write(&self) -> bool {
        self.awaits_answer() && self.written < self.goal
    }

    /// The part of the request that it wants to write now, as a range of its bytes.
    pub(crate) fn next_piece(&self, plan: &Plan) -> std::ops::Range<usize> {
        let (from, goal) = (self.written(), self.goal as usize);
        let most = piece(self.behaviour(plan).writes);
        from..goal.min(from.saturating_add(most))
    }

    /// How many bytes it takes at once; none if it takes what there is.
    pub(crate) fn bite(&self, plan: &Plan) -> Option<usize> {
        let reads = self.behaviour(plan).reads;
        (reads != Tempo::Full).then(|| piece(reads))
    }

    /// Whether it has put off reading until its next alarm.
    pub(crate) fn has_put_off_reading(&self, plan: &Plan) -> bool {
        let waits = self.awaits_answer() && self.until.is_known();
        waits && self.bite(plan).is_some() && !self.wants_write()
    }

    /// How many connections in a row have failed or ended without an answer.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures as u32
    }

    /// Whether it waits for its connection.
    pub(crate) fn is_connecting(&self) -> bool {
        self.phase == Phase::Connecting
    }

    /// Whether an answer to it may still come.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.phase == Phase::Busy
    }

    /// Whether it is connected and has nothing in flight.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(
            self.phase,
            Phase::Pausing | Phase::Parked | Phase::Waiting | Phase::Silent
        )
    }

    /// How many of its requests have no end in the books.
    pub(crate) fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// Those requests, the oldest first.
    pub(crate) fn flights<'a>(&'a self, ring: &'a [Flight]) -> impl Iterator<Item = Flight> + 'a {
        let oldest_first = (0..u64::from(self.in_flight)).rev();
        oldest_first.map(|back| ring[self.ring_place(back, ring)])
    }

    /// When the connect that it waits for began.
    pub(crate) const fn connecting_since(&self) -> Moment {
        self.since
    }

    /// When a deliberate silence began, if it is silent now.
    pub(crate) fn pausing_since(&self) -> Option<Moment> {
        matches!(self.phase, Phase::Pausing | Phase::Parked).then_some(self.since)
    }

    /// Its next request in a schedule that is put off by `shift`, and whether it only waits for it
    /// to be due; none if it keeps no schedule.
    pub(crate) fn next_due(&self, plan: &Plan, shift: Duration) -> Option<(Place, bool)> {
        let waits = matches!(self.phase, Phase::Waiting | Phase::Busy);
        let due = self.schedule(plan)?.due(self.place).after(shift);
        Some((self.place, waits && self.until == due))
    }

    /// Whether what it has not sent is by plan: its last connection ended as it was meant to, or
    /// as many requests were made as were asked for.
    pub(crate) fn is_through(&self, plan: &Plan, quota: &Quota) -> bool {
        match self.phase {
            Phase::Busy => false,
            Phase::Parked => true,
            Phase::Done if self.behaviour(plan).once => {
                self.was_connected() && self.bond == Bond::Whole
            }
            _ => quota.is_over(),
        }
    }

    /// Whether it ever says anything.
    pub(crate) fn sends(&self, plan: &Plan) -> bool {
        self.behaviour(plan).sends != Sends::Nothing
    }

    /// Whether its round trips tell something about the server.
    pub(crate) fn is_prompt(&self, plan: &Plan) -> bool {
        self.behaviour(plan).is_prompt()
    }

    /// Whether it was ever connected.
    pub(crate) fn was_connected(&self) -> bool {
        self.connected_at.is_known()
    }

    /// When it was connected for the first time.
    pub(crate) const fn connected_at(&self) -> Moment {
        self.connected_at
    }

    /// Whether it got a byte.
    pub(crate) fn was_served(&self) -> bool {
        self.first_byte_at.is_known()
    }

    /// Whether it was connected, sent a request and got nothing. Who is still busy sending a
    /// request slowly, or never sends all of it, cannot complain.
    pub(crate) fn is_starved(&self, plan: &Plan) -> bool {
        let asked = self.sequence > 0 && !self.was_served();
        let behaviour = self.behaviour(plan);
        let in_full = behaviour.sends == Sends::Whole
            && (behaviour.writes == Tempo::Full || !self.wants_write());
        self.was_connected() && asked && in_full
    }

    /// Whether a connection of it ended other than by plan.
    pub(crate) fn is_lost(&self) -> bool {
        self.bond != Bond::Whole
    }

    /// Whether it lost the server, tried to connect again, and could not.
    pub(crate) fn is_stranded(&self) -> bool {
        self.bond == Bond::Stranded
    }

    /// Takes more bytes after the counters froze; tells how many answers they complete.
    pub(crate) fn take_late(
        &mut self,
        mut bytes: &[u8],
        wire: &Wire,
        mut parser: Option<&mut Parser>,
    ) -> u16 {
        let before = self.in_flight;
        while !bytes.is_empty() && self.in_flight > 0 && self.phase == Phase::Busy {
            let answer = Answer {
                read: &mut self.read,
                parser: parser.as_deref_mut(),
                written: u32::MAX,
                verify: false,
            };
            let oldest = self.sequence - u64::from(self.in_flight - 1);
            let (taken, fate) = wire.take((self.number, oldest), answer, bytes);
            bytes = &bytes[taken..];
            match fate {
                Fate::More => break,
                Fate::Wrong(_) => self.phase = Phase::TooLate,
                _ => (self.in_flight, self.read) = (self.in_flight - 1, 0),
            }
        }
        before - self.in_flight
    }

    /// What became of it.
    pub(crate) fn record(&self) -> ClientRecord {
        ClientRecord {
            connected_at: self.connected_at.elapsed(),
            first_byte_at: self.first_byte_at.elapsed(),
            ended_at: self.ended_at.elapsed(),
            answered: self.answered,
        }
    }
}
