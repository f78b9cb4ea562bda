//! What the coordinator may see of a thread while it works: a few figures, written once per batch
//! of events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::tally::Tally;
use crate::time::Moment;
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
        self.answered
            .store(tally.requests.answered, Ordering::Relaxed);
        let failed = tally.requests.errors + tally.requests.timeouts;
        self.failed.store(failed, Ordering::Relaxed);
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

/// The answers of the last whole second, for a display.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastSecond {
    since: Duration,
    answered: u64,
    figures: Option<Recent>,
}

impl LastSecond {
    /// Looks at `sum`, and takes a new figure once a second.
    pub(super) fn note(&mut self, now: Moment, sum: Sum) {
        let now = now.elapsed().unwrap_or_default();
        let length = now.saturating_sub(self.since);
        if length < Duration::from_secs(1) {
            return;
        }
        // The counters begin again when the window does.
        let answered = sum.answered.saturating_sub(self.answered);
        self.figures = Some(Recent {
            rate_per_s: answered as f64 / length.as_secs_f64(),
            ..Recent::default()
        });
        (self.since, self.answered) = (now, sum.answered);
    }

    /// What was found last.
    pub(super) const fn figures(&self) -> Option<Recent> {
        self.figures
    }
}
