//! One accepted connection: its number, its peer, its permit, and its place in the books.

mod peer;
mod shared;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use socket2::Socket;
use tracing::{debug, debug_span, error};

pub(crate) use self::peer::Peer;
pub(crate) use self::shared::Shared;
use crate::board::{Count, Slot, Stage};
use crate::clock::Moment;
use crate::driver::blocking;
use crate::machine::{Ended, Machine};
use crate::permit::HeldPermit;
use crate::process::Word;
use crate::registry::Entry;
use crate::work::Work;

/// The accounting of one connection, from its admission to its close.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) id: u64,
    /// Packed: each connection has one, and hardly anybody asks for it.
    peer: [u64; 3],
    pub(crate) shared: Arc<Shared>,
    /// When it was accepted, by whichever process.
    accepted: Moment,
    /// How far it has come. Only whoever serves it changes that, so no exchange is needed.
    stage: AtomicU8,
    /// Returned last, when the descriptor is closed. None where another process accepted it, which
    /// then has the permit and counts when it opens and closes.
    permit: Option<HeldPermit>,
}

impl Ticket {
    pub(crate) fn new(
        peer: Peer,
        accepted: Moment,
        permit: HeldPermit,
        shared: Arc<Shared>,
    ) -> Self {
        shared.slot().count(Count::Accepted);
        Self::counted(peer, accepted, permit, shared)
    }

    /// That of a connection which whoever handed it out counted as accepted here.
    pub(crate) fn counted(
        peer: Peer,
        accepted: Moment,
        permit: HeldPermit,
        shared: Arc<Shared>,
    ) -> Self {
        let id = shared.next_id.fetch_add(1, Relaxed);
        let mut ticket = Self::handed_over(id, peer, accepted, shared);
        ticket.permit = Some(permit);
        ticket
    }

    /// That of a connection which another process accepted under this number.
    pub(crate) fn handed_over(id: u64, peer: Peer, accepted: Moment, shared: Arc<Shared>) -> Self {
        Self {
            id,
            peer: peer.to_words(),
            shared,
            accepted,
            stage: AtomicU8::new(Stage::Queued as u8),
            permit: None,
        }
    }

    /// Whether it came over a Unix socket.
    pub(crate) fn is_unix(&self) -> bool {
        matches!(self.peer(), Peer::Unix { .. })
    }

    /// Whose it is.
    fn peer(&self) -> Peer {
        Peer::from_words(self.peer).unwrap_or(Peer::Unknown)
    }

    /// Somebody begins to serve it: its state machine.
    pub(crate) fn begin(&self) -> Machine {
        self.advance(Stage::Fresh);
        Machine::new(self.shared.config.limits.min_rate)
    }

    /// What its messages cost.
    pub(crate) fn work(&self) -> Work {
        self.shared.config.work
    }

    /// The span of this connection; free of cost while its level is off.
    pub(crate) fn span(&self) -> tracing::Span {
        debug_span!("conn", id = self.id, peer = %self.peer())
    }

    /// Counts a read that brought `bytes`, and lets the fault happen that was asked for.
    pub(crate) fn received(&self, bytes: &[u8]) {
        if let Some(fault) = &self.shared.config.fault {
            fault.strike(bytes);
        }
        let requests = self.shared.slot().received(bytes.len());
        self.shared.wear.note(requests);
    }

    /// Counts the client once it has got bytes.
    pub(crate) fn answered(&self) {
        if self.stage() == Some(Stage::Answered) {
            return;
        }
        self.advance(Stage::Answered);
        let wait = Moment::now().since(self.accepted);
        self.shared.slot().served(wait);
        if let Some(parent) = &self.shared.parent {
            // One that is gone has ended this process by other means.
            let _ = parent.say(Word::Answered);
        }
    }

    /// Notes how far it has come. Where another process has it in its books, that one does.
    fn advance(&self, stage: Stage) {
        let before = self.stage();
        self.stage.store(stage as u8, Relaxed);
        if self.permit.is_some() {
            self.shared.home_slot().shift(before, Some(stage));
        }
    }

    fn stage(&self) -> Option<Stage> {
        Stage::ALL
            .get(usize::from(self.stage.load(Relaxed)))
            .copied()
    }

    /// Notes how it ended. A peer's failure is nobody's error but the peer's.
    pub(crate) fn conclude(&self, ended: Ended) {
        let count = match ended {
            Ended::Done | Ended::Drained => None,
            Ended::Idle => Some(Count::Idle),
            Ended::Stalled => Some(Count::Stalled),
            Ended::Slow => Some(Count::Slow),
            Ended::Cut => Some(Count::Cut),
            Ended::Failed(_) => Some(Count::Failed),
            Ended::Panicked => Some(Count::Panics),
        };
        if let Some(count) = count {
            self.shared.home_slot().count(count);
        }
        debug!(?ended, "closed");
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.home_slot().count(Count::Panics);
        }
        if self.permit.is_some() {
            self.shared.home_slot().shift(self.stage(), None);
            self.shared.slot().count(Count::Closed);
        }
    }
}

/// A connection for a blocking mode. Dropping it closes it and returns its permit.
#[derive(Debug)]
pub(crate) struct Conn {
    // Dropped in this order: the socket is closed, then its permit is returned and its close
    // counted, and only then does a drain no longer wait for it.
    entry: Arc<Entry>,
    place: Place,
}

/// All that a connection holds but its socket: the books and the drain wait until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    ticket: Ticket,
    _registered: Registered,
}

/// A place in the registry, where a drain finds the socket.
#[derive(Debug)]
struct Registered {
    id: u64,
    shared: Arc<Shared>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.registry.remove(self.id);
    }
}

impl Conn {
    pub(crate) fn new(socket: Socket, ticket: Ticket) -> Self {
        let shared = Arc::clone(&ticket.shared);
        let entry = shared.registry.add(ticket.id, socket);
        Self {
            entry,
            place: Place {
                _registered: Registered {
                    id: ticket.id,
                    shared,
                },
                ticket,
            },
        }
    }

    /// The socket, to be given to another process, and the place, to be kept until that is done
    /// with it.
    pub(crate) fn into_parts(self) -> (Place, Arc<Entry>) {
        (self.place, self.entry)
    }

    /// Serves the connection to its end on the calling thread. A panic ends this one only.
    pub(crate) fn serve(self) {
        let _span = self.place.ticket.span().entered();
        // Unwinding leaves nothing half-done behind: the connection is dropped, the machine with it.
        let served = catch_unwind(AssertUnwindSafe(move || {
            let ticket = &self.place.ticket;
            let _occupied = Occupied::by(ticket);
            let ended = blocking::serve(&self.entry, ticket);
            ticket.conclude(self.entry.ended_by_drain().unwrap_or(ended));
        }));
        if served.is_err() {
            error!("a connection was ended by a panic");
        }
    }
}

impl Place {
    /// The number of the connection, whose it is, and when it was accepted.
    pub(crate) fn holder(&self) -> (u64, Peer, Moment) {
        (self.ticket.id, self.ticket.peer(), self.ticket.accepted)
    }

    /// Another process has begun to serve it.
    pub(crate) fn begun(&self) {
        self.ticket.advance(Stage::Fresh);
    }

    /// Another process has given the client its first answer, and counted that.
    pub(crate) fn answered(&self) {
        self.ticket.advance(Stage::Answered);
    }
}

/// A worker that serves nobody else meanwhile.
struct Occupied<'a>(&'a Slot);

impl<'a> Occupied<'a> {
    /// The calling one, if it is such a worker.
    fn by(ticket: &'a Ticket) -> Option<Self> {
        let slot = ticket.shared.own_slot()?;
        slot.occupy(ticket.peer());
        Some(Self(slot))
    }
}

impl Drop for Occupied<'_> {
    fn drop(&mut self) {
        self.0.vacate();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_of_a_connection_take_88_bytes_at_most() {
        // Each idle client of a reactor costs them: what is to come in must be paid for by something.
        assert!(size_of::<Ticket>() <= 88, "{}", size_of::<Ticket>());
    }
}
