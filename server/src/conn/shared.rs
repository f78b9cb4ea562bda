//! What all connections of one process have in common.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::accept::Complaints;
use crate::board::{Board, Count, Slot};
use crate::config::Config;
use crate::lead::Lead;
use crate::listener::ListenEnd;
use crate::mode::Inner;
use crate::offload::Payer;
use crate::process::Channel;
use crate::pulse::Pulse;
use crate::registry::Registry;
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
    /// Who is told of the first answer, where another process has the connection in its books.
    pub(crate) parent: Option<Arc<Channel>>,
    pub(super) next_id: AtomicU64,
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
            parent: None,
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
            Some(lead) => lead.until_drain(&self.config.limits),
            None => Stop::sleep(self.stop.draining(), Duration::MAX),
        }
        // At once, though whoever accepts may be busy.
        if let Some(end) = &end {
            self.home_slot().add(Count::Dismissed, end.refuse());
        }
        let limit = self.config.limits.drain_timeout;
        let meanwhile = || lead.iter().for_each(|lead| lead.look());
        let left = self.registry.drain(&self.stop, limit, meanwhile);
        if let Some(end) = end {
            self.home_slot().add(Count::Dismissed, end.dismiss_all());
            end.see_off();
        }
        left
    }

    /// Gives the calling thread, which has that number among those of its kind, a slot of its own,
    /// once, as long as the board has one. Takes no memory: where that is short, a thread has
    /// nobody to tell.
    pub(crate) fn claim_thread_slot(&self, number: usize) {
        if THREAD_SLOT.get().is_none() {
            let claimed = self.next_thread_slot.fetch_add(1, Relaxed);
            THREAD_SLOT.set(Some(claimed));
            if let Some((slot, number)) = self.thread_slot().zip(number.try_into().ok()) {
                slot.belong_to(number);
            }
        }
    }

    /// Where the calling thread counts.
    pub(crate) fn slot(&self) -> &Slot {
        self.thread_slot().unwrap_or_else(|| self.home_slot())
    }

    /// The same, if nobody else serves there meanwhile.
    pub(crate) fn own_slot(&self) -> Option<&Slot> {
        let is_alone = self.config.plan().inside == Inner::Sequential;
        self.thread_slot()
            .or_else(|| is_alone.then(|| self.home_slot()))
    }

    fn thread_slot(&self) -> Option<&Slot> {
        THREAD_SLOT.get().and_then(|slot| self.board.get(slot))
    }

    /// The process's own slot, where what has no thread yet is counted.
    pub(crate) fn home_slot(&self) -> &Slot {
        &self.board[self.home]
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
            shared.claim_thread_slot(0);
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
