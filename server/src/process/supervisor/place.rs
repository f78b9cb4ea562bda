//! A place of the pool: who serves in it, who comes next, and how often that went wrong.

use std::time::{Duration, Instant};

use super::Slot;

/// The first pause before a worker that died early is started again; it doubles with each.
pub(in super::super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
pub(in super::super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is remembered of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Who takes connections.
    pub(super) serving: Option<Slot>,
    /// Who was started and is not ready yet.
    pub(super) coming: Option<Slot>,
    /// In a row.
    pub(super) early_deaths: u32,
    /// Nobody is started before, since the last one died early.
    rest: Option<Instant>,
}

impl Place {
    /// Whether it is or will be the worker's.
    pub(super) fn is_of(&self, slot: Slot) -> bool {
        self.serving == Some(slot) || self.coming == Some(slot)
    }

    /// Somebody was started for it.
    pub(super) fn expect(&mut self, slot: Slot) {
        (self.coming, self.rest) = (Some(slot), None);
    }

    /// Who was expected is there; returns whom that replaces.
    pub(super) fn welcome(&mut self) -> Option<Slot> {
        self.rest = None;
        let before = self.serving.take();
        self.serving = self.coming.take();
        before
    }

    /// Its worker, of now or to come, is dead; `proven` when that had nothing to do with its youth.
    pub(super) fn lose(&mut self, slot: Slot, proven: bool, now: Instant) {
        for worker in [&mut self.serving, &mut self.coming] {
            if *worker == Some(slot) {
                *worker = None;
            }
        }
        if proven {
            (self.early_deaths, self.rest) = (0, None);
            return;
        }
        self.early_deaths += 1;
        let doublings = self.early_deaths - 1;
        let pause = FIRST_PAUSE
            .saturating_mul(1 << doublings.min(16))
            .min(LONGEST_PAUSE);
        self.rest = Some(now + pause);
    }

    /// When somebody may be started, where that is not now.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.rest
    }

    /// Ends a rest that has lasted until `now`.
    pub(super) fn wake(&mut self, now: Instant) {
        self.rest = self.rest.filter(|rest| now < *rest);
    }

    /// Whether nobody is there and nobody will come.
    pub(super) fn is_deserted(&self) -> bool {
        self.serving.is_none() && self.coming.is_none()
    }

    /// Whether somebody is to be started because nobody is there.
    pub(super) fn is_vacant(&self) -> bool {
        self.is_deserted() && self.rest.is_none()
    }

    /// Whether its worker is about to be replaced, or the last attempt at it has just failed.
    pub(super) fn is_changing(&self) -> bool {
        self.serving.is_some() && (self.coming.is_some() || self.rest.is_some())
    }
}
