//! How connections come into a pool: at a listening socket that all workers share, at one of each
//! worker, or by the hand of the master.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::dispatcher::Dispatcher;
use crate::board::Board;
use crate::config::{Accept, Config, Offload, WorkerCommand};
use crate::conn::Shared;
use crate::executor::Context;
use crate::gate::Gate;
use crate::listener::{ListenEnd, Listener, Tenure};
use crate::source::Source;
use crate::stop::Stop;
use crate::work::Work;

/// How connections come into a pool.
#[derive(Debug)]
pub(crate) enum Intake {
    /// The workers accept, at one socket or each at its own.
    Listeners(Vec<Listener>),
    /// The master accepts.
    Dispatcher(Dispatcher),
    /// Nobody comes any more.
    Ended(ListenEnd),
}

/// What a worker gets at its start.
#[derive(Debug)]
pub(super) struct Invitation {
    /// Where its connections come from.
    pub(super) source: OwnedFd,
    /// Its own places, where the master takes them.
    pub(super) seats: Option<Gate>,
}

impl Intake {
    /// Begins as `config` says. In the last slot of the board is counted what no worker does.
    ///
    /// # Errors
    ///
    /// When threads or descriptors are short.
    pub(crate) fn begin(
        listener: Listener,
        gate: &Gate,
        board: &Arc<Board>,
        (config, stop, worker): (&Config, &Stop, &WorkerCommand),
    ) -> io::Result<Self> {
        if config.accept != Accept::Handoff {
            return Ok(Self::Listeners(listener.split()));
        }
        // It serves nobody, so it needs none of what that takes.
        let own = Config {
            offload: Offload::Inline,
            work: Work::None,
            // Its permits are for somebody who is there already.
            accept: Accept::Shared,
            ..config.clone()
        };
        let home = board.len() - 1;
        let shared = Shared::new(own, stop.clone(), Arc::clone(board), home)?;
        let end = listener.end()?;
        let cx = Context {
            sources: vec![Source::Listener(listener)],
            end: Some(end.clone()),
            gate: gate.clone(),
            seats: None,
            worker: worker.clone(),
            shared: Arc::new(shared.without_thread_slots()),
        };
        Dispatcher::start(cx, end, config.seats()).map(Self::Dispatcher)
    }

    /// Prepares for a worker that is about to be started in `slot`. Whoever comes in the `place` of
    /// another gets that one's socket, and who waits at it.
    ///
    /// # Errors
    ///
    /// When descriptors are short, or nobody comes any more.
    pub(super) fn invite(&self, slot: usize, place: usize) -> io::Result<Invitation> {
        match self {
            Self::Listeners(listeners) => Ok(Invitation {
                source: listeners[place % listeners.len()]
                    .as_fd()
                    .try_clone_to_owned()?,
                seats: None,
            }),
            Self::Dispatcher(dispatcher) => dispatcher.invite(slot),
            Self::Ended(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The worker is ready.
    ///
    /// # Errors
    ///
    /// When memory is short.
    pub(super) fn enlist(&self, slot: usize) -> io::Result<()> {
        match self {
            Self::Dispatcher(dispatcher) => dispatcher.enlist(slot),
            Self::Listeners(_) | Self::Ended(_) => Ok(()),
        }
    }

    /// The worker is to get no more. To be called before it is told to drain, and before its books
    /// are settled.
    pub(super) fn strike(&self, slot: usize) {
        if let Self::Dispatcher(dispatcher) = self {
            dispatcher.strike(slot);
        }
    }

    /// Ends the listening for all; returns how many were dismissed, who were connected already.
    ///
    /// # Errors
    ///
    /// When accepting had failed.
    pub(super) fn end(&mut self) -> io::Result<u64> {
        match std::mem::replace(
            self,
            Self::Ended(ListenEnd::of(Vec::new(), Tenure::foreign())),
        ) {
            Self::Listeners(listeners) => {
                // Busy workers hold them open, so they have to be ended for all. There is a queue
                // only if its workers are busy, so that nobody would serve those in it.
                let tenure = listeners.first().map(|listener| listener.tenure().clone());
                let sources = listeners.into_iter().map(Source::Listener).collect();
                let end = ListenEnd::of(sources, tenure.unwrap_or_else(Tenure::foreign));
                let dismissed = end.dismiss_all() + end.refuse();
                *self = Self::Ended(end);
                Ok(dismissed)
            }
            Self::Dispatcher(dispatcher) => {
                let (end, dismissed) = dispatcher.finish()?;
                *self = Self::Ended(end);
                Ok(dismissed)
            }
            Self::Ended(end) => {
                *self = Self::Ended(end);
                Ok(0)
            }
        }
    }

    /// Waits, for a bounded time, until those who were dismissed have gone.
    pub(super) fn see_off(&self) {
        if let Self::Ended(end) = self {
            end.see_off();
        }
    }
}
