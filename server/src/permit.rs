//! The right to be inside together with the note of it on the board, so that it can be given back
//! for whoever dies with it.

use std::io;
use std::sync::Arc;

use crate::board::Count;
use crate::conn::{Peer, Shared};
use crate::gate::{Gate, Permit};
use crate::per_ip::Admission;
use crate::source::Handed;

/// A permit that the board knows of.
#[derive(Debug)]
pub(crate) struct HeldPermit {
    /// `None` only while it is being dropped.
    permit: Permit,
    /// The place within this process, where that has a limit of its own.
    seat: Permit,
    /// Where its address counts, if it does.
    column: Option<u32>,
    shared: Arc<Shared>,
}

impl HeldPermit {
    /// Takes a permit if one is left, and notes it on the board.
    ///
    /// # Errors
    ///
    /// When the descriptor is no gate.
    pub(crate) fn try_take(gate: &Gate, shared: &Arc<Shared>) -> io::Result<Option<Self>> {
        shared.home_slot().hold();
        let entered = gate.try_enter();
        if !matches!(entered, Ok(Some(_))) {
            shared.home_slot().release();
        }
        Ok(entered?.map(|permit| Self {
            permit,
            seat: Permit::default(),
            column: None,
            shared: Arc::clone(shared),
        }))
    }

    /// The one that another process took for this one, and noted in this one's slot.
    pub(crate) fn handed(gate: &Gate, handed: Handed, shared: &Arc<Shared>) -> Self {
        Self {
            permit: gate.assume(),
            seat: handed.seat.unwrap_or_default(),
            column: handed.column,
            shared: Arc::clone(shared),
        }
    }

    /// The same together with a place within this process.
    pub(crate) fn with(mut self, seat: Option<Permit>) -> Self {
        self.seat = seat.unwrap_or_default();
        self
    }

    /// Whether `peer` may use it, whose address then counts until it is dropped.
    pub(crate) fn is_for(&mut self, peer: Peer) -> bool {
        let Some((table, ip)) = self.shared.board.per_ip().zip(peer.ip()) else {
            return true;
        };
        let admission = table.enter(self.shared.home, ip);
        if let Admission::Counted(column) = admission {
            self.column = Some(column);
        }
        admission != Admission::Refused
    }

    /// Notes it in the slot of another process and lets `send` give it to that one, with the column
    /// of its address. The connection that uses it counts as accepted there.
    ///
    /// Noted before it is sent, so that it is given back if that process dies at any time after.
    ///
    /// # Errors
    ///
    /// That of `send`, and the permit, which is then this process's as before.
    pub(crate) fn pass_on<E>(
        mut self,
        slot: usize,
        send: impl FnOnce(Option<u32>) -> Result<(), E>,
    ) -> Result<(), (Self, E)> {
        let shared = Arc::clone(&self.shared);
        let shift = |from, to| {
            if let Some((table, column)) = shared.board.per_ip().zip(self.column) {
                table.shift(from, to, column);
            }
        };
        let board = &shared.board[slot];
        board.hold();
        shift(shared.home, slot);
        if let Err(error) = send(self.column) {
            shift(slot, shared.home);
            board.release();
            return Err((self, error));
        }
        board.count(Count::Accepted);
        self.column = None;
        std::mem::take(&mut self.permit).pass_on();
        Ok(())
    }
}

impl Drop for HeldPermit {
    fn drop(&mut self) {
        if let Some((table, column)) = self.shared.board.per_ip().zip(self.column) {
            table.leave(self.shared.home, column);
        }
        // First the permit, then the note of it: see `Slot::hold`.
        drop(std::mem::take(&mut self.permit));
        drop(std::mem::take(&mut self.seat));
        self.shared.home_slot().release();
    }
}
