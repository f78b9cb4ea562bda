//! What the server's processes used between two looks at them. Pure arithmetic.
//!
//! Processes come and go. One that began in between counts whole. One that ended in between counts
//! as far as its parent waited for it, which is when the kernel adds its time to the parent's; what
//! nobody waited for is lost. So the sum is a lower bound, and never negative.

use super::Sample;
use super::process::{Switches, Vitals};

/// What was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Processor time in nanoseconds.
    pub(super) cpu_nanos: u64,
    /// Switches of the threads that were alive at the second look.
    pub(super) switches: Switches,
}

impl Usage {
    /// What was used from `first` to `last`.
    pub(super) fn between(first: &Sample, last: &Sample) -> Self {
        let mut sum = Self::default();
        for (pid, now) in &last.processes {
            let before = first.same(*pid, now);
            // Older than the first look, and yet not seen then: what it used since is not known.
            if before.is_some() || now.stat.started_ticks >= first.at_ticks {
                sum.add_own(before, now);
                sum.add_reaped(before, now, first.ended_children(*pid, last));
            }
        }
        sum
    }

    fn add_own(&mut self, before: Option<&Vitals>, now: &Vitals) {
        let cpu_nanos = before.map_or(0, |before| before.cpu_nanos);
        self.cpu_nanos = self
            .cpu_nanos
            .saturating_add(now.cpu_nanos.saturating_sub(cpu_nanos));
        for (thread, switches) in &now.switches {
            let earlier = before.and_then(|before| before.switches.get(thread));
            self.switches
                .add(switches.since(earlier.copied().unwrap_or_default()));
        }
    }

    /// Adds the time of children that ended. `known_nanos` of it had been used at the first look.
    fn add_reaped(&mut self, before: Option<&Vitals>, now: &Vitals, known_nanos: u64) {
        let earlier = before.map_or(0, |before| before.stat.reaped_nanos);
        let reaped = now.stat.reaped_nanos.saturating_sub(earlier);
        self.cpu_nanos = self
            .cpu_nanos
            .saturating_add(reaped.saturating_sub(known_nanos));
    }
}

impl Switches {
    fn since(self, earlier: Self) -> Self {
        Self {
            voluntary: self.voluntary.saturating_sub(earlier.voluntary),
            involuntary: self.involuntary.saturating_sub(earlier.involuntary),
        }
    }

    fn add(&mut self, other: Self) {
        self.voluntary = self.voluntary.saturating_add(other.voluntary);
        self.involuntary = self.involuntary.saturating_add(other.involuntary);
    }
}

impl Sample {
    /// The process `pid` as it was at this look, if it is the one that is there `now` and not an
    /// older one with the same number.
    fn same(&self, pid: u32, now: &Vitals) -> Option<&Vitals> {
        let before = self.processes.get(&pid)?;
        (before.stat.started_ticks == now.stat.started_ticks).then_some(before)
    }

    /// What the children of `parent` that were here and are no longer in `last` had used by now,
    /// in nanoseconds.
    fn ended_children(&self, parent: u32, last: &Self) -> u64 {
        let ended = self.processes.iter().filter(|(pid, before)| {
            let lives = last.processes.get(*pid);
            before.stat.parent == parent
                && lives.is_none_or(|now| now.stat.started_ticks != before.stat.started_ticks)
        });
        ended
            .map(|(_, vitals)| vitals.cpu_nanos.saturating_add(vitals.stat.reaped_nanos))
            .fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::super::process::Stat;
    use super::*;
    use proptest::prelude::*;

    /// A process with one thread: its number, its parent, when it began, its time, its children's.
    fn process(pid: u32, parent: u32, times: [u64; 3]) -> (u32, Vitals) {
        let [started_ticks, cpu_nanos, reaped_nanos] = times;
        let stat = Stat {
            parent,
            started_ticks,
            reaped_nanos,
            ..Stat::default()
        };
        let switches = Switches {
            voluntary: cpu_nanos,
            involuntary: 1,
        };
        let vitals = Vitals {
            stat,
            cpu_nanos,
            switches: [(pid, switches)].into(),
        };
        (pid, vitals)
    }

    fn sample(at_ticks: u64, processes: Vec<(u32, Vitals)>) -> Sample {
        Sample {
            at_ticks,
            processes: processes.into_iter().collect(),
            backlog: None,
        }
    }

    fn cpu(first: Vec<(u32, Vitals)>, last: Vec<(u32, Vitals)>) -> u64 {
        Usage::between(&sample(100, first), &sample(200, last)).cpu_nanos
    }

    #[test]
    fn a_process_that_stays_counts_its_difference() {
        let first = sample(100, vec![process(1, 0, [5, 70, 0])]);
        let last = sample(200, vec![process(1, 0, [5, 100, 0])]);
        let used = Usage::between(&first, &last);
        assert_eq!(used.cpu_nanos, 30);
        assert_eq!(used.switches.voluntary, 30);
        assert_eq!(used.switches.involuntary, 0);
    }

    #[test]
    fn a_newcomer_counts_whole_and_a_late_discovery_not_at_all() {
        assert_eq!(cpu(vec![], vec![process(2, 1, [150, 40, 2])]), 42);
        assert_eq!(cpu(vec![], vec![process(2, 1, [99, 40, 2])]), 0);
    }

    #[test]
    fn another_process_with_the_same_number_is_a_newcomer() {
        let used = cpu(
            vec![process(2, 1, [5, 70, 0])],
            vec![process(2, 1, [150, 40, 0])],
        );
        assert_eq!(used, 40);
    }

    #[test]
    fn a_child_that_ended_counts_from_the_first_look_on() {
        let first = vec![process(1, 0, [5, 10, 3]), process(2, 1, [6, 70, 0])];
        // It used 20 more before it ended, and a sister came and went with 7.
        let last = vec![process(1, 0, [5, 11, 3 + 90 + 7])];
        assert_eq!(cpu(first, last), 1 + 20 + 7);
    }

    #[test]
    fn a_child_that_nobody_waited_for_takes_nothing_away() {
        let first = vec![process(1, 0, [5, 10, 3]), process(2, 1, [6, 70, 0])];
        assert_eq!(cpu(first, vec![process(1, 0, [5, 30, 3])]), 20);
    }

    prop_compose! {
        fn processes()(rows in prop::collection::vec((1_u32..6, 0_u32..6, 0_u64..300, 0_u64..1000, 0_u64..1000), 0..6))
            -> Vec<(u32, Vitals)> {
            rows.into_iter().map(|(pid, parent, a, b, c)| process(pid, parent, [a, b, c])).collect()
        }
    }

    proptest! {
        /// Whatever comes and goes, nobody used more than is on the clocks at the end.
        #[test]
        fn the_sum_is_never_absurd(first in processes(), last in processes()) {
            let (first, last) = (sample(100, first), sample(200, last));
            let most: u64 = last.processes.values().map(|v| v.cpu_nanos + v.stat.reaped_nanos).sum();
            prop_assert!(Usage::between(&first, &last).cpu_nanos <= most);
            prop_assert_eq!(Usage::between(&last, &last), Usage::default());
        }
    }
}
