//! Which number of occupants to try next. Pure: it is told verdicts and knows no socket and no
//! clock.
//!
//! A trial that succeeds costs one answer, a trial that fails costs a long wait and a crowded
//! server. So the number grows one by one at first and by an eighth later, and a leap that went too
//! far is taken back and repeated one by one: however large the limit is, it is named exactly, and
//! fails about twice.

use super::findings::{Hindrance, Room};
use super::judge::Verdict;

/// The number grows by its own fraction of one in so many, and by one at least.
const FRACTION: u32 = 8;
/// So many trials in a row that decide nothing end the search.
const MOST_DOUBTS: u32 = 5;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Try this many occupants.
    Try(u32, Care),
    /// It is found.
    Done(Room),
}

/// How much a trial has to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// A suspicion is enough: whatever it says is tried again one by one.
    Leap,
    /// One occupant more than is known to be harmless: a verdict must be certain.
    Single,
}

/// A search for the fewest occupants that hinder a further client.
#[derive(Clone, Debug)]
pub(super) struct Search {
    most: u32,
    /// The most occupants beside which a further client was served.
    harmless: u32,
    /// The fewest beside which it was not, and how that was confirmed.
    over: Option<(u32, Option<Hindrance>)>,
    /// Trials since the last success that decided nothing, and those in which occupants vanished.
    doubts: u32,
    vanished: u32,
}

impl Search {
    /// A search among 1 to `most` occupants.
    pub(super) fn new(most: u32) -> Self {
        Self {
            most,
            harmless: 0,
            over: None,
            doubts: 0,
            vanished: 0,
        }
    }

    /// What to do next.
    pub(super) fn step(&self) -> Step {
        let next = self.harmless + 1;
        match self.over {
            Some((at, Some(further))) if at == next => Step::Done(Room::Limit {
                clients: at,
                further,
            }),
            _ if self.doubts == MOST_DOUBTS => Step::Done(self.give_up(next)),
            Some(_) => Step::Try(next, Care::Single),
            None if self.harmless == self.most => Step::Done(Room::NoLimit { tried: self.most }),
            None => {
                let leap = (self.harmless / FRACTION).max(1);
                match self.harmless.saturating_add(leap).min(self.most) {
                    to if to == next => Step::Try(to, Care::Single),
                    to => Step::Try(to, Care::Leap),
                }
            }
        }
    }

    fn give_up(&self, next: u32) -> Room {
        match (self.vanished == self.doubts, next) {
            (true, 1) => Room::Closes,
            (true, clients) => Room::MakesRoom { clients },
            (false, clients) => Room::Unclear { clients },
        }
    }

    /// Takes the verdict of the trial that [`Search::step`] asked for.
    pub(super) fn observe(&mut self, occupants: u32, verdict: Verdict) {
        let leapt = occupants > self.harmless + 1;
        match verdict {
            Verdict::Served => {
                self.harmless = occupants;
                (self.doubts, self.vanished) = (0, 0);
                // It was a false alarm.
                self.over = self.over.filter(|(at, _)| *at > occupants);
            }
            Verdict::Hindered(further) => self.over = Some((occupants, Some(further))),
            _ if leapt => self.over = Some((occupants, None)),
            Verdict::Vanished => {
                self.doubts += 1;
                self.vanished += 1;
            }
            Verdict::Doubtful => self.doubts += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Searches with the verdicts of `oracle`; the finding, the trials and how many were not served.
    fn search(most: u32, mut oracle: impl FnMut(u32, Care) -> Verdict) -> (Room, u32, u32) {
        let mut search = Search::new(most);
        let (mut trials, mut failures) = (0, 0);
        loop {
            match search.step() {
                Step::Done(room) => return (room, trials, failures),
                Step::Try(occupants, care) => {
                    assert!((1..=most).contains(&occupants));
                    let verdict = oracle(occupants, care);
                    trials += 1;
                    failures += u32::from(verdict != Verdict::Served);
                    search.observe(occupants, verdict);
                }
            }
        }
    }

    fn pool(workers: u32) -> impl FnMut(u32, Care) -> Verdict {
        move |occupants, care| match (occupants < workers, care) {
            (true, _) => Verdict::Served,
            (false, Care::Leap) => Verdict::Doubtful,
            (false, Care::Single) => Verdict::Hindered(Hindrance::Waits),
        }
    }

    fn limit(clients: u32) -> Room {
        Room::Limit {
            clients,
            further: Hindrance::Waits,
        }
    }

    #[test]
    fn small_pools_fail_once_and_large_ones_twice() {
        for workers in [1, 2, 4, 8, 16] {
            assert_eq!(search(64, pool(workers)), (limit(workers), workers, 1));
        }
        let (room, trials, failures) = search(10_000, pool(5_000));
        assert_eq!((room, failures), (limit(5_000), 2));
        assert!(trials < 16 + 60 + 625, "{trials}");
    }

    #[test]
    fn occupants_that_vanish_are_a_finding_of_their_own() {
        assert_eq!(search(64, |_, _| Verdict::Vanished).0, Room::Closes);
        let lru = |occupants, _| {
            if occupants < 20 {
                Verdict::Served
            } else {
                Verdict::Vanished
            }
        };
        assert_eq!(search(64, lru).0, Room::MakesRoom { clients: 20 });
    }

    #[test]
    fn a_false_alarm_is_taken_back() {
        let mut alarms = 0;
        let oracle = move |occupants, care| {
            alarms += u32::from(care == Care::Leap);
            if care == Care::Leap && alarms == 1 {
                return Verdict::Doubtful;
            }
            pool(100)(occupants, care)
        };
        assert_eq!(search(200, oracle).0, limit(100));
    }

    #[test]
    fn what_never_gets_clear_ends() {
        let (room, trials, _) = search(64, |_, _| Verdict::Doubtful);
        assert_eq!((room, trials), (Room::Unclear { clients: 1 }, MOST_DOUBTS));
    }

    proptest! {
        #[test]
        fn every_pool_is_named_exactly(workers in 1_u32..2_000, most in 1_u32..2_000) {
            let (room, _, failures) = search(most, pool(workers));
            if workers > most {
                prop_assert_eq!(room, Room::NoLimit { tried: most });
            } else {
                prop_assert_eq!(room, limit(workers));
            }
            prop_assert!(failures <= 2);
        }

        #[test]
        fn any_verdicts_come_to_an_end(most in 1_u32..300, verdicts in prop::collection::vec(0_u8..4, 1..50)) {
            let mut at = 0;
            let (_, trials, _) = search(most, |_, care| {
                at += 1;
                match (verdicts[at % verdicts.len()], care) {
                    (0, _) => Verdict::Served,
                    (1, Care::Single) => Verdict::Hindered(Hindrance::Closed),
                    (2, _) => Verdict::Vanished,
                    _ => Verdict::Doubtful,
                }
            });
            prop_assert!(trials <= 6 * most + 10);
        }
    }
}
