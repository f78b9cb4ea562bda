//! What a thread works with besides its clients and their sockets: the protocol, the counters, the
//! requests in flight. It is apart from them so that a client can be stepped while its input is
//! still lent from the receive buffer.

use std::sync::atomic::Ordering;

use super::shared::Shared;
use crate::client::{Context, Halt, Plan};
use crate::protocol::{Parser, Wire};
use crate::quota::Quota;
use crate::tally::{Flight, Loop, Tally};
use crate::time::Moment;

/// The tools of one thread.
#[derive(Debug)]
pub(super) struct Desk {
    /// What is said and understood.
    pub(super) wire: Wire,
    /// Whether there is something left to send.
    pub(super) quota: Quota,
    /// Where everything is counted.
    pub(super) tally: Tally,
    /// Whether sending is held up by hand.
    pub(super) halt: Halt,
    /// The requests in flight: a ring of `depth` places for each client.
    flights: Vec<Flight>,
    depth: usize,
    /// A parser for each client; empty where the protocol needs none.
    pub(super) parsers: Vec<Parser>,
}

impl Desk {
    /// For `clients` clients of a run.
    pub(super) fn new(shared: &Shared, clients: usize) -> Self {
        let plan = &shared.plan;
        let deepest = plan.behaviours.iter().map(|one| one.pipeline.get()).max();
        let depth = usize::from(deepest.unwrap_or(1));
        let pace = match plan.schedule {
            Some(_) => Loop::Open,
            None => Loop::Closed,
        };
        let parsers = shared.wire.parser().map(|parser| vec![parser; clients]);
        Self {
            wire: shared.wire.clone(),
            quota: Quota::new(shared.tickets.clone()),
            tally: Tally::new(pace, plan.profiles),
            halt: Halt {
                paused: shared.paused.load(Ordering::Relaxed),
                ..Halt::default()
            },
            flights: vec![Flight::NONE; clients * depth],
            depth,
            parsers: parsers.unwrap_or_default(),
        }
    }

    /// How many requests a client may have in flight at most.
    pub(super) const fn depth(&self) -> usize {
        self.depth
    }

    /// What a step of the client in `slot` may look at and count in.
    #[inline]
    pub(super) fn context<'a>(
        &'a mut self,
        plan: &'a Plan,
        slot: usize,
        now: Moment,
    ) -> Context<'a> {
        Context {
            now,
            plan,
            wire: &self.wire,
            quota: &self.quota,
            halt: self.halt,
            tally: &mut self.tally,
            flights: &mut self.flights[slot * self.depth..][..self.depth],
            parser: self.parsers.get_mut(slot),
        }
    }

    /// The requests in flight of the client in `slot`.
    #[inline]
    pub(super) fn flights(&self, slot: usize) -> &[Flight] {
        &self.flights[slot * self.depth..][..self.depth]
    }
}
