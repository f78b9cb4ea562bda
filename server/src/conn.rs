//! One accepted connection: its number, its peer, its permit, and its place in the books.

use std::cell::Cell;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket2::Socket;
use tracing::{debug, debug_span, error};

use crate::accept::Complaints;
use crate::board::{Board, Count, Slot};
use crate::config::Config;
use crate::driver::blocking;
use crate::lead::Lead;
use crate::listener::ListenEnd;
use crate::machine::{Ended, Machine};
use crate::offload::Payer;
use crate::permit::HeldPermit;
use crate::pulse::Pulse;
use crate::registry::{Entry, Registry};
use crate::stop::Stop;
use crate::wear::Wear;

/// What all connections of one process have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) stop: Stop,
    pub(crate) board: Arc<Board>,
    /// This process's slot on the board.
    pub(crate) home: usize,
    pub(crate) registry: Registry,
    pub(crate) payer: Payer,
    pub(crate) complaints: Complaints,
    pub(crate) pulse: Pulse,
    pub(crate) wear: Wear,
    next_id: AtomicU64,
    next_thread_slot: AtomicUsize,
}

thread_local! {
    /// The slot of a pool thread; other threads use that of their process.
    static THREAD_SLOT: Cell<Option<usize>> = const { Cell::new(None) };
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        stop: Stop,
        board: Arc<Board>,
        home: usize,
    ) -> std::io::Result<Self> {
        Ok(Self {
            payer: Payer::new(config.offload, stop.clone())?,
            config,
            stop,
            board,
            home,
            registry: Registry::default(),
            complaints: Complaints::default(),
            pulse: Pulse::new(None),
            wear: Wear::none(),
            next_id: AtomicU64::new(1),
            next_thread_slot: AtomicUsize::new(home + 1),
        })
    }

    /// Lets all threads count in the process's own slot: in a worker process the other slots
    /// belong to other workers, and the master looks at this one.
    pub(crate) fn without_thread_slots(self) -> Self {
        Self {
            next_thread_slot: AtomicUsize::new(self.board.len()),
            ..self
        }
    }

    /// Waits for the drain, ends the listening where this process is the one to do it, and sees
    /// every blocking connection to its end; returns how many are left at last. Whoever leads, where
    /// there is no master, does so meanwhile.
    pub(crate) fn drain(&self, end: Option<ListenEnd>, lead: Option<&Lead>) -> usize {
        match lead {
            Some(lead) => lead.until_drain(&self.stop),
            None => Stop::sleep(self.stop.draining(), Duration::MAX),
        }
        // At once, though whoever accepts may be busy.
        if let Some(end) = &end {
            self.home_slot().add(Count::Dismissed, end.refuse());
        }
        let limit = self.config.limits.drain_timeout;
        let meanwhile = || lead.iter().for_each(|lead| lead.obey());
        let left = self.registry.drain(&self.stop, limit, meanwhile);
        if let Some(end) = end {
            self.home_slot().add(Count::Dismissed, end.dismiss_all());
            end.see_off();
        }
        left
    }

    /// Gives the calling pool thread a slot of its own, once, as long as the board has one.
    pub(crate) fn claim_thread_slot(&self) {
        if THREAD_SLOT.get().is_none() {
            let claimed = self.next_thread_slot.fetch_add(1, Relaxed);
            THREAD_SLOT.set((claimed < self.board.len()).then_some(claimed));
        }
    }

    /// Where the calling thread counts.
    pub(crate) fn slot(&self) -> &Slot {
        &self.board[THREAD_SLOT
            .get()
            .filter(|slot| *slot < self.board.len())
            .unwrap_or(self.home)]
    }

    /// The process's own slot, where what has no thread yet is counted.
    pub(crate) fn home_slot(&self) -> &Slot {
        &self.board[self.home]
    }
}

/// The accounting of one connection, from its admission to its close.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) id: u64,
    peer: Peer,
    pub(crate) shared: Arc<Shared>,
    /// Whether the client got its first answer.
    served: AtomicBool,
    /// Returned last, when the descriptor is closed. None where another process accepted it, which
    /// then has the permit and counts when it opens and closes.
    permit: Option<HeldPermit>,
}

/// Whoever is on the other side, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Peer {
    /// On TCP.
    Inet(SocketAddr),
    /// On a Unix socket: the process that connected, where the kernel tells.
    Unix {
        /// Its number.
        pid: Option<i32>,
    },
    /// Gone before its address was asked for.
    Unknown,
}

impl Peer {
    /// Its address, where it has one.
    pub(crate) fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Inet(addr) => Some(addr.ip()),
            Self::Unix { .. } | Self::Unknown => None,
        }
    }

    /// That of a socket, as the kernel knows it; it may be gone already.
    pub(crate) fn of(socket: &impl AsFd) -> Self {
        let peer = rustix::net::getpeername(socket).ok().flatten();
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        peer.map_or(Self::Unknown, Self::Inet)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(addr) => addr.fmt(f),
            Self::Unix { pid: Some(pid) } => write!(f, "process {pid}"),
            Self::Unix { pid: None } => f.write_str("a process"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl Ticket {
    pub(crate) fn new(peer: Peer, permit: HeldPermit, shared: Arc<Shared>) -> Self {
        shared.home_slot().count(Count::Accepted);
        Self::counted(peer, permit, shared)
    }

    /// That of a connection which whoever handed it out counted as accepted here.
    pub(crate) fn counted(peer: Peer, permit: HeldPermit, shared: Arc<Shared>) -> Self {
        let id = shared.next_id.fetch_add(1, Relaxed);
        let mut ticket = Self::handed_over(id, peer, shared);
        ticket.permit = Some(permit);
        ticket
    }

    /// That of a connection which another process accepted under this number.
    pub(crate) fn handed_over(id: u64, peer: Peer, shared: Arc<Shared>) -> Self {
        Self {
            id,
            peer,
            shared,
            served: AtomicBool::new(false),
            permit: None,
        }
    }

    /// Whether it came over a Unix socket.
    pub(crate) fn is_unix(&self) -> bool {
        matches!(self.peer, Peer::Unix { .. })
    }

    /// The state machine of this connection.
    pub(crate) fn machine(&self) -> Machine {
        let config = &self.shared.config;
        Machine::new(config.work, self.id, config.limits.min_rate)
    }

    /// The span of this connection; free of cost while its level is off.
    pub(crate) fn span(&self) -> tracing::Span {
        debug_span!("conn", id = self.id, peer = %self.peer)
    }

    /// Counts a read that brought `bytes`, and lets the fault happen that was asked for.
    pub(crate) fn received(&self, bytes: &[u8]) {
        if let Some(fault) = &self.shared.config.fault {
            fault.strike(bytes);
        }
        let slot = self.shared.slot();
        self.shared.wear.note(slot.count(Count::Requests));
        slot.add(Count::Bytes, bytes.len() as u64);
    }

    /// Counts the client once it has got bytes.
    pub(crate) fn answered(&self) {
        // Only whoever serves the connection writes it, so no exchange is needed.
        if !self.served.load(Relaxed) {
            self.served.store(true, Relaxed);
            self.shared.slot().count(Count::Served);
        }
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
            self.shared.home_slot().count(Count::Closed);
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
            let ended = blocking::serve(&self.entry, ticket);
            ticket.conclude(self.entry.ended_by_drain().unwrap_or(ended));
        }));
        if served.is_err() {
            error!("a connection was ended by a panic");
        }
    }
}

impl Place {
    /// The number of the connection and whose it is.
    pub(crate) fn holder(&self) -> (u64, Peer) {
        (self.ticket.id, self.ticket.peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::Mode;
    use std::num::NonZeroUsize;

    /// The slot where a thread of a process counts whose own is `home`, of three.
    fn counts_in(home: usize, change: fn(Shared) -> Shared) -> usize {
        let config = Config::new(Mode::ThreadPool, NonZeroUsize::MIN);
        let board = Arc::new(Board::new(3).unwrap());
        let shared = Shared::new(config, Stop::new().unwrap(), Arc::clone(&board), home).unwrap();
        let shared = change(shared);
        let thread = std::thread::spawn(move || {
            shared.claim_thread_slot();
            shared.slot().count(Count::Served);
        });
        thread.join().unwrap();
        let counted = board.iter().position(|slot| slot.counters().served == 1);
        counted.unwrap()
    }

    #[test]
    fn a_thread_of_a_worker_process_counts_in_no_other_workers_slot() {
        assert_eq!(counts_in(0, |shared| shared), 1);
        assert_eq!(counts_in(2, |shared| shared), 2, "the board has no more");
        assert_eq!(counts_in(0, Shared::without_thread_slots), 0);
    }
}
