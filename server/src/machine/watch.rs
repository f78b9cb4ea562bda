//! How long the present wait of a connection may last: which limit counts, since when, and whether
//! it is over. Pure: the driver says what time it is, as seldom as it likes.

use std::time::{Duration, Instant};

use super::Machine;
use crate::config::Limits;
use crate::registry::{LINGER, QUIET};

/// Which limit a wait has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The idle limit: nothing is begun, and the peer is silent.
    Idle,
    /// The write limit: the peer has to take bytes.
    Write,
    /// The silence after which a drain closes a connection.
    Quiet,
    /// The bounded wait for the peer's close after our own.
    Linger,
}

impl Patience {
    /// How long it lasts; none means for ever.
    #[must_use]
    pub(crate) fn limit(self, limits: &Limits) -> Option<Duration> {
        match self {
            Self::Idle => limits.idle_timeout,
            Self::Write => limits.write_timeout,
            Self::Quiet => Some(QUIET),
            Self::Linger => Some(LINGER),
        }
    }

    /// Whether bytes of the peer would end the wait.
    #[must_use]
    pub(crate) fn is_for_bytes(self) -> bool {
        matches!(self, Self::Idle | Self::Quiet)
    }
}

/// Watches over the waits of one connection.
#[derive(Debug)]
pub(crate) struct Watch {
    patience: Patience,
    since: Instant,
}

impl Watch {
    /// Over a connection that is new at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            patience: Patience::Idle,
            since: now,
        }
    }

    /// Which limit counts.
    #[must_use]
    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    /// Whether `machine` waits for something else by now, so that [`follow`](Self::follow) is due.
    #[must_use]
    pub(crate) fn is_outdated(&self, machine: &Machine) -> bool {
        self.patience != machine.patience()
    }

    /// Lets another limit count from `now` on, if another one holds.
    pub(crate) fn follow(&mut self, machine: &Machine, now: Instant) {
        if self.is_outdated(machine) {
            self.patience = machine.patience();
            self.since = now;
        }
    }

    /// Bytes moved, or the server itself made the connection wait: the limit counts anew.
    pub(crate) fn restart(&mut self, now: Instant) {
        // A peer that dribbles on must not prolong the bounded wait for its close.
        if self.patience != Patience::Linger {
            self.since = now;
        }
    }

    /// Whether the wait has lasted too long.
    #[must_use]
    pub(crate) fn is_over(&self, limits: &Limits, now: Instant) -> bool {
        let limit = self.patience.limit(limits);
        limit.is_some_and(|limit| now.saturating_duration_since(self.since) >= limit)
    }

    /// Tells `machine` that it was.
    pub(crate) fn give_up(&mut self, machine: &mut Machine, now: Instant) {
        machine.timed_out();
        self.follow(machine, now);
    }
}
