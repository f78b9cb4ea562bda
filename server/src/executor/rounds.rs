//! The rounds of a reactor: when it looks at time limits, and when the end has come.

use std::time::{Duration, Instant};

use crate::registry::LINGER;

/// How often the time limits are looked at: silence ends this much later at the most.
const TICK: Duration = Duration::from_millis(250);

/// What a reactor remembers of them.
#[derive(Debug)]
pub(super) struct Rounds {
    /// When the time limits were last looked at.
    looked: Instant,
    draining: bool,
    cut_at: Option<Instant>,
}

impl Rounds {
    /// They begin now.
    pub(super) fn new() -> Self {
        Self {
            looked: Instant::now(),
            draining: false,
            cut_at: None,
        }
    }

    /// The drain began, and nobody will come any more.
    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    /// Its deadline has come.
    pub(super) fn cut(&mut self, now: Instant) {
        self.cut_at = Some(now);
    }

    /// When the time limits are to be looked at next.
    pub(super) fn next_look(&self) -> Instant {
        self.looked + TICK
    }

    /// Whether they are to be looked at now; then that counts as done.
    pub(super) fn is_time_to_look(&mut self, now: Instant) -> bool {
        let is_time = now >= self.next_look();
        if is_time {
            self.looked = now;
        }
        is_time
    }

    /// Whether the drain is over, when `open` connections are left.
    pub(super) fn is_over(&self, open: usize) -> bool {
        // Twice: half of it is the time that each connection lingers.
        let patience = self.cut_at.map(|cut_at| cut_at + 2 * LINGER);
        let is_late = patience.is_some_and(|patience| Instant::now() >= patience);
        self.draining && (open == 0 || is_late)
    }
}
