//! When to look at a client again without an event from its socket.
//!
//! A client has one entry at most: it names the earliest moment that was asked for, and whoever has
//! put the matter off meanwhile is asked again then. So a time limit costs a request nothing. An
//! earlier moment takes the place of a later one: left behind, those would be as many as there are
//! requests in a time limit, each between two pauses.

use std::collections::BTreeSet;

use crate::time::Moment;

/// The alarms of one thread, earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    alarms: BTreeSet<Alarm>,
}

type Alarm = (Moment, u32);

impl Timers {
    /// The memory that a client's alarm needs at most: a node of the tree is nearly half full.
    pub(super) const CLIENT_BYTES: usize = 3 * size_of::<Alarm>();

    /// Sets an alarm for the client in `slot`, in place of the one at `replaced`, if there is one.
    pub(super) fn set(&mut self, at: Moment, slot: u32, replaced: Moment) {
        if replaced.is_known() {
            self.alarms.remove(&(replaced, slot));
        }
        self.alarms.insert((at, slot));
    }

    /// When the next alarm is due; [`Moment::NEVER`] without any.
    pub(super) fn next(&self) -> Moment {
        self.alarms.first().map_or(Moment::NEVER, |(at, _)| *at)
    }

    /// Takes the next alarm that is due at `now`.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<Alarm> {
        if self.next() > now {
            return None;
        }
        self.alarms.pop_first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_ring_in_the_order_of_their_moments() {
        let mut timers = Timers::default();
        for (at, slot) in [(30, 1), (10, 2), (20, 3)] {
            timers.set(Moment::at(at), slot, Moment::NEVER);
        }
        assert_eq!(timers.next(), Moment::at(10));
        assert_eq!(timers.pop_due(Moment::at(9)), None);
        assert_eq!(timers.pop_due(Moment::at(20)), Some((Moment::at(10), 2)));
        assert_eq!(timers.pop_due(Moment::at(20)), Some((Moment::at(20), 3)));
        assert_eq!(timers.pop_due(Moment::at(20)), None);
        assert_eq!(timers.next(), Moment::at(30));
    }
    #[test]
    fn an_earlier_alarm_leaves_no_later_one_behind() {
        let mut timers = Timers::default();
        timers.set(Moment::at(30), 1, Moment::NEVER);
        timers.set(Moment::at(10), 1, Moment::at(30));
        assert_eq!(timers.pop_due(Moment::at(40)), Some((Moment::at(10), 1)));
        assert_eq!(timers.next(), Moment::NEVER);
    }
}
