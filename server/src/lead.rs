//! Leading a server without a master: a process that serves alone carries out its orders itself, and
//! tells the service manager's watchdog that those who serve still move.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tracing::info;

use crate::board::Board;
use crate::config::Limits;
use crate::herald::Feeding;
use crate::orders::Control;
use crate::status::{self, Observer, State};
use crate::stop::{Phase, Stop};

/// Whoever leads a process that serves alone.
#[derive(Debug)]
pub(crate) struct Lead {
    control: Control,
    observer: Observer,
    board: Arc<Board>,
    watchdog: Mutex<Watchdog>,
}

#[derive(Debug)]
struct Watchdog {
    feeding: Feeding,
    /// The pulse of the process when the watchdog was last told.
    beats: Option<u32>,
}

impl Lead {
    /// Of a server that counts on `board`.
    pub(crate) fn new(control: &Control, observer: Observer, board: Arc<Board>) -> Self {
        let watchdog = Watchdog {
            feeding: Feeding::new(control.herald.clone(), Instant::now()),
            beats: None,
        };
        Self {
            control: control.clone(),
            observer,
            board,
            watchdog: Mutex::new(watchdog),
        }
    }

    /// Carries out what is asked for until the drain begins.
    pub(crate) fn until_drain(&self, limits: &Limits) {
        let Control {
            stop,
            orders,
            herald,
        } = &self.control;
        while stop.phase() == Phase::Serving {
            let due = self.watch();
            let limit = due.map(|due| due.saturating_duration_since(Instant::now()));
            // Polling two valid descriptors does not fail.
            let _ = Stop::wait_readable(orders.as_fd(), stop.draining(), limit);
            self.obey();
        }
        herald.stopping(limits.drain_timeout);
        self.enter(State::Draining);
        self.observer.forget_listeners();
    }

    /// Tells the watchdog that those who serve move, if that is due and they do; returns when it is
    /// due again.
    fn watch(&self) -> Option<Instant> {
        let mut watchdog = self.watchdog.lock().unwrap_or_else(PoisonError::into_inner);
        let Watchdog { feeding, beats } = &mut *watchdog;
        let now = self.board[0].beats();
        // A pulse that stands still is all that the watchdog is for.
        feeding.feed(Instant::now(), || beats.replace(now) != Some(now));
        feeding.due()
    }

    /// Looks at all of it once.
    pub(crate) fn look(&self) {
        self.obey();
        self.watch();
    }

    /// Carries out what is asked for: all that needs workers is none of it.
    fn obey(&self) {
        let wanted = self.control.orders.take();
        if wanted.status {
            status::log(&self.observer.status());
        }
        if wanted.restart || wanted.more != 0 {
            let mode = self.observer.mode();
            info!(%mode, "ignored: only process-pool has worker processes");
        }
        if wanted.restart {
            // A manager that reloads waits for both.
            self.control.herald.reloading();
            self.control.herald.ready("there are no workers to restart");
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
