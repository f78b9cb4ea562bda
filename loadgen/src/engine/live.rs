//! What the coordinator may see of a thread while it works: a few figures, written once per batch
//! of events.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::samples::{P50, P99, Samples};
use crate::tally::{SLICE_NANOS, Slice, Tally};
use crate::time::{Moment, micros, seconds};
use crate::{Progress, Recent};

/// The figures of one thread, alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Live {
    started: AtomicU32,
    connected: AtomicU32,
    refused: AtomicU32,
    served: AtomicU32,
    answered: AtomicU64,
    failed: AtomicU64,
    /// The last second of the window that is over; touched once a second.
    slice: Mutex<Option<Slice>>,
}

/// The figures of all threads.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    started: u32,
    connected: u32,
    refused: u32,
    served: u32,
    answered: u64,
    failed: u64,
}

impl Live {
    /// Shows `tally`, when `started` clients have begun.
    pub(super) fn publish(&self, started: u32, tally: &Tally) {
        // Each figure stands for itself, so no ordering is needed.
        self.started.store(started, Ordering::Relaxed);
        self.connected.store(tally.connected, Ordering::Relaxed);
        self.refused.store(tally.refused, Ordering::Relaxed);
        self.served.store(tally.served, Ordering::Relaxed);
        let requests = &tally.requests;
        let failed = requests.errors + requests.timeouts;
        self.answered.store(requests.answered, Ordering::Relaxed);
        self.failed.store(failed, Ordering::Relaxed);
    }

    /// Shows a second of the window that is over.
    pub(super) fn show(&self, slice: Slice) {
        *self.slice() = Some(slice);
    }

    fn slice(&self) -> MutexGuard<'_, Option<Slice>> {
        self.slice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds up all threads.
    pub(super) fn sum(lives: &[Arc<Self>]) -> Sum {
        lives.iter().fold(Sum::default(), |sum, live| Sum {
            started: sum.started + live.started.load(Ordering::Relaxed),
            connected: sum.connected + live.connected.load(Ordering::Relaxed),
            refused: sum.refused + live.refused.load(Ordering::Relaxed),
            served: sum.served + live.served.load(Ordering::Relaxed),
            answered: sum.answered + live.answered.load(Ordering::Relaxed),
            failed: sum.failed + live.failed.load(Ordering::Relaxed),
        })
    }

    /// The last second that all threads have ended, after second number `known`.
    pub(super) fn second(lives: &[Arc<Self>], known: Option<u64>) -> Option<(u64, Recent)> {
        let ended = |live: &Arc<Self>| live.slice().as_ref().map(|slice| slice.index);
        let index = lives.first().and_then(ended)?;
        if Some(index) == known || lives.iter().any(|live| ended(live) != Some(index)) {
            return None;
        }
        let (mut all, mut answered) = (Samples::new(), 0);
        for live in lives {
            let slice = live.slice();
            let slice = slice.as_ref()?;
            answered += slice.answered;
            let waits = if slice.response.is_empty() {
                &slice.rtt
            } else {
                &slice.response
            };
            waits
                .iter()
                .for_each(|(nanos, count)| all.record_n(*nanos, *count));
        }
        let recent = Recent {
            rate_per_s: answered as f64 / seconds(SLICE_NANOS),
            p50_us: all.quantile_us(P50, 0),
            p99_us: all.quantile_us(P99, 0),
            max_us: all.max_nanos().map(micros),
        };
        Some((index, recent))
    }
}

impl Sum {
    /// Whether everybody who tried was refused: going on would only waste time.
    pub(super) fn nobody_is_there(&self) -> bool {
        self.started > 0 && self.connected == 0 && self.refused == self.started
    }

    /// The same for a display.
    pub(super) fn progress(&self, now: Moment) -> Progress {
        Progress {
            elapsed: now.elapsed().unwrap_or_default(),
            connected: self.connected,
            served: self.served,
            answered: self.answered,
            failed: self.failed,
            ..Progress::default()
        }
    }
}
