//! What the rest of the engine may ask about a client. It changes nothing but [`Client::take_late`].

use super::{Client, Phase, small};
use crate::ClientRecord;
use crate::message::Messages;
use crate::time::Moment;

impl Client {
    /// Its number, from 0.
    pub(crate) const fn number(&self) -> u32 {
        self.number
    }

    /// Who and which request: what the message in flight follows from.
    pub(crate) const fn message(&self) -> (u32, u64) {
        (self.number, self.sequence)
    }

    /// Bytes of the message that are written.
    pub(crate) const fn written(&self) -> usize {
        self.written as usize
    }

    /// Whether part of its message is still to be written.
    pub(crate) fn wants_write(&self, messages: &Messages) -> bool {
        self.awaits_answer() && self.written() < messages.bytes()
    }

    /// How many connections in a row have failed or ended without an answer.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether it waits for its connection.
    pub(crate) fn is_connecting(&self) -> bool {
        self.phase == Phase::Connecting
    }

    /// Whether an answer to it may still come.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.phase == Phase::InFlight
    }

    /// Whether its request has no end in the books.
    pub(crate) fn is_in_flight(&self) -> bool {
        matches!(self.phase, Phase::InFlight | Phase::TooLate)
    }

    /// When the connect or the request that it waits for began.
    pub(crate) const fn waiting_since(&self) -> Moment {
        self.since
    }

    /// When a deliberate silence began, if it is silent now.
    pub(crate) fn pausing_since(&self) -> Option<Moment> {
        matches!(self.phase, Phase::Pausing | Phase::Parked).then_some(self.since)
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

    /// Whether it was connected, sent something and got nothing.
    pub(crate) fn is_starved(&self) -> bool {
        self.was_connected() && self.sequence > 0 && !self.was_served()
    }

    /// Whether a connection of it ended other than by plan.
    pub(crate) const fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whether it lost the server, tried to connect again, and could not.
    pub(crate) const fn is_stranded(&self) -> bool {
        self.lost && self.refused
    }

    /// Takes `bytes` more bytes after the counters froze; true when they complete the answer.
    pub(crate) fn take_late(&mut self, bytes: usize, messages: &Messages) -> bool {
        self.read = self.read.saturating_add(small(bytes));
        self.awaits_answer() && self.read as usize >= messages.bytes()
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
