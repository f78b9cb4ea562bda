//! The open sockets of the blocking modes, so that a drain reaches threads that wait in a read.
//!
//! A thread that is blocked on a socket notices nothing but that socket. The drain therefore
//! closes our side from outside; the peer then closes its own, and the read returns. Only a peer
//! that does not is left to the second step: shutting the receiving side, which wakes the reader.
//!
//! Invariant: no duplicate of a descriptor. A kept duplicate would hold back the FIN.

use std::collections::HashMap;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::machine::Ended;
use crate::pulse::{Beat, is_due};
use crate::stop::{Phase, Stop};

/// The silence after which a drain closes a connection.
pub(crate) const QUIET: Duration = Duration::from_secs(1);
/// How long a closed side waits for the peer to close the other.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
/// How often a drain looks at the connections.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// An open connection.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The socket; the last owner closes it.
    pub(crate) socket: Socket,
    /// What its thread is doing. An answer is due from the read that brought bytes until all is
    /// answered.
    pub(crate) beat: Beat,
    /// How a drain ended it: 0 not at all, else one of those below.
    drained: AtomicU8,
}

const QUIETLY: u8 = 1;
const BY_CUTTING: u8 = 2;

impl Entry {
    /// How it ended if a drain closed our side of it, whatever the serving thread saw of that.
    pub(crate) fn ended_by_drain(&self) -> Option<Ended> {
        match self.drained.load(Relaxed) {
            QUIETLY => Some(Ended::Drained),
            BY_CUTTING => Some(Ended::Cut),
            _ => None,
        }
    }
}

/// The open connections of one process.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Who serves it owns the socket, so that closing it needs nobody here.
    open: HashMap<u64, Weak<Entry>>,
    /// Nothing is added any more.
    complete: bool,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panicking connection holds no lock; if it did, the map would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection under its number.
    pub(crate) fn add(&self, id: u64, socket: Socket) -> Arc<Entry> {
        let entry = Arc::new(Entry {
            socket,
            beat: Beat::new(),
            drained: AtomicU8::new(0),
        });
        self.lock().open.insert(id, Arc::downgrade(&entry));
        entry
    }

    /// Forgets a connection that is closed and out of the books.
    pub(crate) fn remove(&self, id: u64) {
        self.lock().open.remove(&id);
        self.changed.notify_all();
    }

    /// What those who serve the open connections are doing, each under its number.
    pub(crate) fn beats(&self) -> Vec<(u64, u32)> {
        let state = self.lock();
        let open = state.open.iter();
        let open = open.filter_map(|(id, entry)| Some((*id, entry.upgrade()?.beat.value())));
        open.collect()
    }

    /// Says that no connection will be added any more.
    pub(crate) fn complete(&self) {
        self.lock().complete = true;
        self.changed.notify_all();
    }

    /// Sees every connection to its end: quiet ones are closed, busy ones served on until
    /// `deadline` from now. Returns how many are left at last. `meanwhile` is done now and then.
    pub(crate) fn drain(
        &self,
        stop: &Stop,
        deadline: Duration,
        mut meanwhile: impl FnMut(),
    ) -> usize {
        let mut watch = Watch::new(deadline);
        let mut state = self.lock();
        while !(watch.is_over() || state.complete && state.open.is_empty()) {
            if watch.now >= watch.deadline {
                stop.cut();
            }
            watch.look(&state.open, stop.phase());
            meanwhile();
            state = self
                .changed
                .wait_timeout(state, LOOK_EVERY)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
            watch.now = Instant::now();
        }
        state.open.len()
    }
}

/// What a drain remembers of the connections from look to look.
struct Watch {
    now: Instant,
    deadline: Instant,
    seen: HashMap<u64, Seen>,
    /// When everything was cut.
    cut_at: Option<Instant>,
}

/// A connection as a drain last saw it change.
struct Seen {
    beat: u32,
    since: Instant,
    finished: bool,
}

impl Watch {
    fn new(limit: Duration) -> Self {
        let now = Instant::now();
        Self {
            now,
            deadline: now + limit,
            seen: HashMap::new(),
            cut_at: None,
        }
    }

    /// Whether even the connections that were cut had their time.
    fn is_over(&self) -> bool {
        // Twice: a reader that is woken after the first still discards what has arrived.
        self.cut_at
            .is_some_and(|cut_at| self.now >= cut_at + 2 * LINGER)
    }

    fn look(&mut self, open: &HashMap<u64, Weak<Entry>>, phase: Phase) {
        if phase == Phase::Cutting {
            self.cut_at.get_or_insert(self.now);
        }
        self.seen.retain(|id, _| open.contains_key(id));
        for (id, entry) in open {
            let Some(entry) = entry.upgrade() else {
                continue;
            };
            let beat = entry.beat.value();
            let fresh = Seen {
                beat,
                since: self.now,
                finished: false,
            };
            let seen = self.seen.entry(*id).or_insert(fresh);
            if seen.finished {
                if self.now >= seen.since + LINGER {
                    // Our side is closed already; this wakes a reader whose peer never closes.
                    let _ = entry.socket.shutdown(Shutdown::Both);
                }
                continue;
            }
            if seen.beat != beat {
                (seen.beat, seen.since) = (beat, self.now);
            }
            let quiet = !is_due(beat) && self.now >= seen.since + QUIET;
            let cut = phase == Phase::Cutting;
            if quiet || cut {
                let how = if cut { BY_CUTTING } else { QUIETLY };
                entry.drained.store(how, Relaxed);
                // Fails only on a connection that is gone already.
                let _ = entry.socket.shutdown(Shutdown::Write);
                (seen.since, seen.finished) = (self.now, true);
            }
        }
    }
}
