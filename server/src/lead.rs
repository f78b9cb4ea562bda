//! Leading a server without a master: a process that serves alone carries out its orders itself.

use std::os::fd::AsFd;

use tracing::info;

use crate::orders::Orders;
use crate::status::{self, Observer, State};
use crate::stop::{Phase, Stop};

/// Whoever leads a process that serves alone.
#[derive(Debug)]
pub(crate) struct Lead {
    pub(crate) orders: Orders,
    pub(crate) observer: Observer,
}

impl Lead {
    /// Carries out what is asked for until the drain begins.
    pub(crate) fn until_drain(&self, stop: &Stop) {
        while stop.phase() == Phase::Serving {
            // Polling two valid descriptors does not fail.
            let _ = Stop::wait_readable(self.orders.as_fd(), stop.draining(), None);
            self.obey();
        }
        self.enter(State::Draining);
        self.observer.forget_listeners();
    }

    /// Carries out what is asked for: all that needs workers is none of it.
    pub(crate) fn obey(&self) {
        let wanted = self.orders.take();
        if wanted.status {
            status::log(&self.observer.status());
        }
        if wanted.restart || wanted.more != 0 {
            let mode = self.observer.mode();
            info!(%mode, "ignored: only process-pool has worker processes");
        }
    }

    /// Notes how far the server is.
    pub(crate) fn enter(&self, state: State) {
        let mut roster = self.observer.roster();
        // A server that drains does not become ready any more.
        if roster.state != State::Draining {
            roster.state = state;
            roster.members.iter_mut().for_each(|one| one.state = state);
        }
    }
}
