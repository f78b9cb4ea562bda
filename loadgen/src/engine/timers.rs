//! When to look at a client again without an event from its socket.
//!
//! One entry a client is enough: it names the earliest moment that was ever asked for, and whoever
//! has put the matter off meanwhile is asked again then. So a time limit costs a request nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Moment;

/// The alarms of one thread, earliest first.
#[derive(Debug)]
pub(super) struct Timers {
    heap: BinaryHeap<Alarm>,
}

type Alarm = Reverse<(Moment, u32)>;

impl Timers {
    /// The memory that a client's alarm needs.
    pub(super) const CLIENT_BYTES: usize = size_of::<Alarm>();

    /// Room for an alarm for each of `clients`: memory that no alarm has touched is not used yet.
    pub(super) fn of(clients: usize) -> Self {
        Self {
            heap: BinaryHeap::with_capacity(clients),
        }
    }

    /// Sets an alarm for the client in `slot`.
    pub(super) fn set(&mut self, at: Moment, slot: u32) {
        self.heap.push(Reverse((at, slot)));
    }

    /// When the next alarm is due; [`Moment::NEVER`] without any.
    pub(super) fn next(&self) -> Moment {
        self.heap
            .peek()
            .map_or(Moment::NEVER, |Reverse((at, _))| *at)
    }

    /// Takes the next alarm that is due at `now`.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<(Moment, u32)> {
        if self.next() > now {
            return None;
        }
        self.heap.pop().map(|Reverse(alarm)| alarm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_ring_in_the_order_of_their_moments() {
        let mut timers = Timers::of(3);
        for (at, slot) in [(30, 1), (10, 2), (20, 3)] {
            timers.set(Moment::at(at), slot);
        }
        assert_eq!(timers.next(), Moment::at(10));
        assert_eq!(timers.pop_due(Moment::at(9)), None);
        assert_eq!(timers.pop_due(Moment::at(20)), Some((Moment::at(10), 2)));
        assert_eq!(timers.pop_due(Moment::at(20)), Some((Moment::at(20), 3)));
        assert_eq!(timers.pop_due(Moment::at(20)), None);
        assert_eq!(timers.next(), Moment::at(30));
    }
}
