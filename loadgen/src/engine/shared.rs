//! What all threads of a run read and none writes.

use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::stop::Stop;
use super::target::Targets;
use crate::client::Plan;
use crate::config::{Config, StopRule};
use crate::message::Messages;
use crate::quota::Tickets;
use crate::time::Moment;

/// Connects in a row that may fail before a client of a run without a time limit gives up: about
/// three seconds.
const GIVE_UP_AFTER: u32 = 10;

/// The values of a run, derived from its [`Config`].
#[derive(Debug)]
pub(super) struct Shared {
    /// How many clients.
    pub(super) connections: u32,
    /// How many threads.
    pub(super) threads: usize,
    /// Where they connect.
    pub(super) targets: Targets,
    /// When they connect.
    pub(super) starts: Starts,
    /// What they do.
    pub(super) plan: Plan,
    /// What they send.
    pub(super) messages: Messages,
    /// How much of it.
    pub(super) tickets: Option<Arc<Tickets>>,
    /// How long the run lasts.
    pub(super) span: Span,
    /// Ends it early.
    pub(super) stop: Stop,
}

/// When the first connection of each client is due. Pure arithmetic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Starts {
    /// Over all clients; without it all begin at once.
    rate_per_s: Option<f64>,
}

/// The window on the clock of the run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// When it opens.
    pub(super) warmup: Duration,
    /// How long it is; without it a number of requests ends the run.
    pub(super) length: Option<Duration>,
}

impl Shared {
    /// Derives everything from `config`.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub(super) fn new(config: &Config, targets: Targets) -> io::Result<Self> {
        let (length, total) = match config.stop {
            StopRule::After(length) => (Some(length), None),
            StopRule::Requests(total) => (None, Some(total)),
            StopRule::Either(length, total) => (Some(length), Some(total)),
        };
        let connections = config.connections.get();
        // What is sent in the warm-up takes no tickets, so that there is no first request to keep
        // one for.
        let first_requests = if config.warmup.is_zero() {
            connections
        } else {
            0
        };
        let tickets = |total: NonZeroU64| Arc::new(Tickets::reserving(total, first_requests));
        Ok(Self {
            connections,
            threads: config.threads.get(),
            starts: Starts {
                rate_per_s: config.connect_rate_per_s,
            },
            plan: Plan {
                behaviour: config.behaviour,
                timeout: config.timeout,
                verify: config.verify,
                addresses: targets.count(),
                give_up_after: length.is_none().then(|| GIVE_UP_AFTER * targets.count()),
            },
            targets,
            messages: Messages::new(config.message_bytes, config.seed),
            tickets: total.map(tickets),
            span: Span {
                warmup: config.warmup,
                length,
            },
            stop: Stop::new()?,
        })
    }
}

impl Starts {
    /// When client `number` connects for the first time.
    pub(super) fn due(self, number: u32) -> Moment {
        let wait = self
            .rate_per_s
            .map(|rate| Duration::try_from_secs_f64(f64::from(number) / rate));
        match wait {
            None => Moment::START,
            Some(Ok(wait)) => Moment::START.after(wait),
            Some(Err(_)) => Moment::NEVER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connects_are_spread_evenly() {
        let starts = Starts {
            rate_per_s: Some(200.0),
        };
        assert_eq!(starts.due(0), Moment::START);
        assert_eq!(starts.due(3), Moment::at(15_000_000));
        let at_once = Starts { rate_per_s: None };
        assert_eq!(at_once.due(1_000_000), Moment::START);
    }
}
