//! One connection from its first byte to its close: what to do next, and nothing of how.
//!
//! ```text
//!          received            paid               wrote
//! Read ─────────────▶ Pay ─────────────▶ Write ─────────────▶ Read …
//!   │ ended, timed_out, drain, cut           │ timed_out
//!   │                                        └─▶ Abandon ──abandoned──▶ Close
//!   └─▶ Finish ──finished──▶ Discard ──ended, timed_out──▶ Close
//! ```
//!
//! Every driver (blocking, tokio, and those to come) asks [`Machine::next`], does it, and reports
//! what happened. Half-close, idleness, draining and the order of closing are decided here, once.
//!
//! Invariant: no socket, no clock and no buffer. The driver owns the bytes; the machine knows
//! which of them are answered.

use std::io::ErrorKind;
use std::ops::Range;
use std::time::Instant;

use self::pace::Pace;
pub(crate) use self::watch::{Patience, Watch};
use crate::config::MinRate;
use crate::work::{Cost, Heard, Work};

/// What the driver does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Read into the buffer from its start; nothing in it is needed any more.
    Read,
    /// Pay before these bytes may go back.
    Pay(Cost),
    /// Write this part of the buffer.
    Write(Range<usize>),
    /// Tell the peer that nothing more will come: `shutdown(SHUT_WR)`.
    Finish,
    /// Read and drop, so that closing does not reset what the peer has not read yet.
    Discard,
    /// Let the close reset the connection, so that the kernel does not keep for a while what the
    /// peer does not take.
    Abandon,
    /// Close.
    Close(Ended),
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The peer closed its side and got every byte back.
    Done,
    /// The peer was silent for the idle limit.
    Idle,
    /// The peer took no bytes for the write limit.
    Stalled,
    /// A message that the peer had begun came at less than the minimum rate.
    Slow,
    /// It was quiet while the server drained.
    Drained,
    /// The drain's deadline came while it was busy.
    Cut,
    /// The peer, or the network, broke it.
    Failed(ErrorKind),
    /// A panic, which ends this one only.
    Panicked,
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Machine {
    /// What random costs follow from.
    heard: Heard,
    phase: Phase,
    draining: bool,
    /// Where there is a minimum rate; boxed, so that nobody else pays for it.
    pace: Option<Box<Pace>>,
    /// Bytes of the buffer: `..written` are echoed, `..payable` may be, `..filled` are there.
    written: u32,
    payable: u32,
    filled: u32,
    cost: Cost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// The peer closed its side; what is left goes back first.
    HalfClosed,
    Finishing(Ended),
    Abandoning(Ended),
    Discarding(Ended),
    Closed(Ended),
}

impl Machine {
    /// A fresh connection.
    #[must_use]
    pub(crate) fn new(min_rate: Option<MinRate>) -> Self {
        Self {
            heard: Heard::default(),
            phase: Phase::Open,
            draining: false,
            pace: min_rate.map(|rate| Box::new(Pace::new(rate))),
            written: 0,
            payable: 0,
            filled: 0,
            cost: Cost::Free,
        }
    }

    /// What to do next. `work` is the server's, and `buffer` the driver's, unchanged since it was last
    /// told.
    pub(crate) fn next(&mut self, work: Work, buffer: &[u8]) -> Next {
        match self.phase {
            Phase::Open | Phase::HalfClosed if self.written < self.filled => {
                self.answer(work, buffer)
            }
            Phase::Open => Next::Read,
            Phase::HalfClosed | Phase::Finishing(_) => Next::Finish,
            Phase::Abandoning(_) => Next::Abandon,
            Phase::Discarding(_) => Next::Discard,
            Phase::Closed(ended) => Next::Close(ended),
        }
    }

    fn answer(&mut self, work: Work, buffer: &[u8]) -> Next {
        if self.payable == self.written && self.cost == Cost::Free {
            let input = &buffer[self.unanswered()];
            let step = work.step(input, &mut self.heard);
            self.payable += length(step.take);
            self.cost = step.cost;
        }
        match self.cost {
            Cost::Free => Next::Write(range(self.written, self.payable)),
            cost => Next::Pay(cost),
        }
    }

    /// These bytes were read to the start of the buffer.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.written, self.filled, "read before all was answered");
        (self.written, self.payable, self.filled) = (0, 0, length(bytes.len()));
        if let Some(pace) = &mut self.pace {
            pace.received(bytes);
        }
    }

    /// How much the last read brought, in bytes.
    #[must_use]
    pub(crate) fn last_read_bytes(&self) -> usize {
        self.filled as usize
    }

    /// The peer closed its side.
    pub(crate) fn ended(&mut self) {
        self.phase = match self.phase {
            Phase::Open => Phase::HalfClosed,
            Phase::Discarding(ended) => Phase::Closed(ended),
            other => other,
        }
    }

    /// The cost of the next bytes is paid.
    pub(crate) fn paid(&mut self) {
        self.cost = Cost::Free;
    }

    /// `count` bytes of the range to write are written.
    pub(crate) fn wrote(&mut self, count: usize) {
        self.written += length(count);
        debug_assert!(self.written <= self.payable, "wrote more than was asked");
    }

    /// Our side is closed.
    pub(crate) fn finished(&mut self) {
        self.phase = match self.phase {
            Phase::Finishing(ended) => Phase::Discarding(ended),
            _ => Phase::Closed(Ended::Done),
        }
    }

    /// The close will be a reset.
    pub(crate) fn abandoned(&mut self) {
        if let Phase::Abandoning(ended) = self.phase {
            self.phase = Phase::Closed(ended);
        }
    }

    /// The wait outlasted [`Machine::patience`].
    pub(crate) fn timed_out(&mut self) {
        self.phase = match (self.phase, self.written < self.filled) {
            (Phase::Discarding(ended), _) => Phase::Closed(ended),
            // A peer that takes no bytes would not take a farewell either.
            (_, true) => Phase::Abandoning(Ended::Stalled),
            _ if self.draining => Phase::Finishing(Ended::Drained),
            _ => Phase::Finishing(Ended::Idle),
        }
    }

    /// A message that has begun has come too slowly.
    pub(crate) fn too_slow(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Finishing(Ended::Slow);
        }
    }

    /// When the rest must be there of a message that the peer has begun, and that is waited for at
    /// `now`; none if there is no minimum rate or something else is waited for.
    pub(crate) fn rest_due(&mut self, now: Instant) -> Option<Instant> {
        let waits = self.phase == Phase::Open && self.written == self.filled;
        self.pace.as_mut().filter(|_| waits)?.due(now)
    }

    /// Reading or writing failed.
    pub(crate) fn failed(&mut self, kind: ErrorKind) {
        self.phase = match (self.phase, kind) {
            (Phase::Discarding(ended) | Phase::Finishing(ended), _) => Phase::Closed(ended),
            // Our side may have been closed from outside, by a drain, while the peer is sending.
            (_, ErrorKind::BrokenPipe) => Phase::Discarding(Ended::Failed(kind)),
            _ => Phase::Closed(Ended::Failed(kind)),
        }
    }

    /// From now on a quiet connection is closed.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
    }

    /// The deadline has come: close now, in order, whatever is still unanswered.
    pub(crate) fn cut(&mut self) {
        if matches!(self.phase, Phase::Open | Phase::HalfClosed) {
            let busy = self.written < self.filled;
            (self.written, self.payable, self.cost) = (self.filled, self.filled, Cost::Free);
            self.phase = match (self.phase, busy) {
                (Phase::HalfClosed, false) => Phase::HalfClosed,
                _ => Phase::Finishing(Ended::Cut),
            }
        }
    }

    /// Which limit the present wait has.
    #[must_use]
    pub(crate) fn patience(&self) -> Patience {
        match self.phase {
            Phase::Discarding(_) => Patience::Linger,
            _ if self.written < self.filled => Patience::Write,
            Phase::Open if self.draining => Patience::Quiet,
            Phase::Open if self.pace.as_ref().is_some_and(|pace| pace.is_amid()) => Patience::Rest,
            _ => Patience::Idle,
        }
    }

    /// The bytes that are still to be answered; a driver that must wait keeps only these.
    #[must_use]
    pub(crate) fn unanswered(&self) -> Range<usize> {
        range(self.written, self.filled)
    }

    /// The driver moved the unanswered bytes to the start of another buffer.
    pub(crate) fn moved_to_start(&mut self) {
        self.payable -= self.written;
        self.filled -= self.written;
        self.written = 0;
    }
}

/// A part of a buffer.
fn range(from: u32, to: u32) -> Range<usize> {
    from as usize..to as usize
}

/// A length in a buffer, of which none is longer than 4 GiB: each idle connection has three.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

mod pace;
mod watch;

#[cfg(test)]
mod tests;
