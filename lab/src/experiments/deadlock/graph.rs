//! Who holds what and who waits for what: a deadlock is a cycle in it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// The graph at one moment. Everybody waits for one thing at a time.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    holders: BTreeMap<&'static str, &'static str>,
    waits: BTreeMap<&'static str, &'static str>,
    ended: BTreeSet<&'static str>,
}

/// One who holds something and waits for something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) who: String,
    pub(super) holds: String,
    pub(super) waits_for: String,
}

/// Why somebody waits for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Deadlock {
    /// Each waits for what the next one holds, and the last for what the first one does.
    Cycle(Vec<Link>),
    /// The holder has ended without giving it back.
    Abandoned {
        /// Who waits.
        who: String,
        /// For what.
        waits_for: String,
        /// Who had it.
        holder: String,
    },
}

impl Graph {
    /// Nobody has anything.
    pub(super) const fn new() -> Self {
        Self {
            holders: BTreeMap::new(),
            waits: BTreeMap::new(),
            ended: BTreeSet::new(),
        }
    }

    /// `who` is about to wait for `what`.
    pub(super) fn waits(&mut self, who: &'static str, what: &'static str) {
        self.waits.insert(who, what);
    }

    /// `who` has `what` now, whether it waited or not.
    pub(super) fn has(&mut self, who: &'static str, what: &'static str) {
        self.waits.remove(who);
        self.holders.insert(what, who);
    }

    /// `what` is about to be free.
    pub(super) fn gives(&mut self, what: &'static str) {
        self.holders.remove(what);
    }

    /// `who` does nothing any more.
    pub(super) fn ends(&mut self, who: &'static str) {
        self.ended.insert(who);
    }

    /// Whether anybody waits.
    pub(super) fn deadlock(&self) -> Option<Deadlock> {
        // In the order of their names, so that a cycle begins with the first of them.
        self.waits.keys().find_map(|who| self.stuck(who))
    }

    /// Follows the waits from `first` on until they come back, or end at somebody who is gone.
    fn stuck(&self, first: &'static str) -> Option<Deadlock> {
        let mut path = Vec::new();
        let mut who = first;
        loop {
            let waits_for = *self.waits.get(who)?;
            let holder = *self.holders.get(waits_for)?;
            if self.ended.contains(holder) {
                return Some(Deadlock::Abandoned {
                    who: who.to_owned(),
                    waits_for: waits_for.to_owned(),
                    holder: holder.to_owned(),
                });
            }
            path.push((who, waits_for));
            if holder == first {
                return Some(Deadlock::Cycle(links(&path)));
            }
            // A cycle that `first` only leads to is found from one of its members.
            if path.iter().any(|(passed, _)| *passed == holder) {
                return None;
            }
            who = holder;
        }
    }
}

/// The cycle: each holds what the one before waits for.
fn links(path: &[(&'static str, &'static str)]) -> Vec<Link> {
    let last = path.last().into_iter();
    let before = last.chain(path).map(|(_, waits_for)| *waits_for);
    let link = |((who, waits_for), holds): (&(&str, &str), &str)| Link {
        who: (*who).to_owned(),
        holds: holds.to_owned(),
        waits_for: (*waits_for).to_owned(),
    };
    path.iter().zip(before).map(link).collect()
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cycle(links) => {
                for (index, link) in links.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    let Link {
                        who,
                        holds,
                        waits_for,
                    } = link;
                    write!(f, "{comma}{who} has {holds} and waits for {waits_for}")?;
                }
                Ok(())
            }
            Self::Abandoned {
                who,
                waits_for,
                holder,
            } => write!(f, "{who} waits for {waits_for}, which {holder} took along"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_in_opposite_order_are_both_named() {
        let mut graph = Graph::new();
        graph.has("Ada", "left");
        graph.has("Bob", "right");
        graph.waits("Bob", "left");
        assert_eq!(graph.deadlock(), None, "Ada may still give it back");
        graph.waits("Ada", "right");
        let said = graph.deadlock().map(|it| it.to_string());
        assert_eq!(
            said.as_deref(),
            Some("Ada has left and waits for right, Bob has right and waits for left")
        );
        graph.gives("left");
        assert_eq!(graph.deadlock(), None);
    }

    #[test]
    fn one_who_waits_for_himself_is_a_cycle() {
        let mut graph = Graph::new();
        graph.has("Ada", "lock");
        graph.waits("Ada", "lock");
        let said = graph.deadlock().map(|it| it.to_string());
        assert_eq!(said.as_deref(), Some("Ada has lock and waits for lock"));
    }

    #[test]
    fn what_somebody_took_along_is_no_cycle_but_never_comes() {
        let mut graph = Graph::new();
        graph.has("Ada", "lock");
        graph.waits("Bob", "lock");
        assert_eq!(graph.deadlock(), None);
        graph.ends("Ada");
        let said = graph.deadlock().map(|it| it.to_string());
        assert_eq!(
            said.as_deref(),
            Some("Bob waits for lock, which Ada took along")
        );
    }

    #[test]
    fn who_waits_for_a_cycle_is_no_part_of_it() {
        let mut graph = Graph::new();
        graph.waits("Ada", "left");
        for (who, has, waits) in [("Bob", "left", "right"), ("Cid", "right", "left")] {
            graph.has(who, has);
            graph.waits(who, waits);
        }
        let Some(Deadlock::Cycle(links)) = graph.deadlock() else {
            panic!("no cycle");
        };
        let names: Vec<&str> = links.iter().map(|link| link.who.as_str()).collect();
        assert_eq!(names, ["Bob", "Cid"]);
    }

    const PEOPLE: [&str; 5] = ["A", "B", "C", "D", "E"];
    const LOCKS: [&str; 5] = ["1", "2", "3", "4", "5"];

    proptest! {
        /// Whoever holds a lock waits for a higher one only: the cure by ordering.
        #[test]
        fn in_one_order_nobody_waits_for_ever(
            moves in prop::collection::vec((0..5_usize, 0..5_usize), 0..40)
        ) {
            let mut graph = Graph::new();
            for (who, lock) in moves {
                let (who, lock) = (PEOPLE[who], LOCKS[lock]);
                let holds = graph.holders.iter().filter(|(_, holder)| **holder == who);
                let in_order = holds.max().is_none_or(|(held, _)| *held < lock);
                if graph.waits.contains_key(who) || !in_order {
                    continue;
                }
                if graph.holders.contains_key(lock) {
                    graph.waits(who, lock);
                } else {
                    graph.has(who, lock);
                }
                prop_assert_eq!(graph.deadlock(), None);
            }
        }
    }
}
