//! Whether the figures are what the claim predicts.

use super::{Figures, Way};
use crate::stats::{self, Spread};
use crate::verdict::Ruling;
use cli::units::micros;

/// One is so many times as dear as the other, at least.
#[derive(Clone, Copy, Debug)]
struct Step {
    cheap: Way,
    dear: Way,
    times: f64,
}

/// What is claimed, step by step.
const STEPS: &[Step] = &[
    step(Way::PoolBatch, Way::Thread, 10.0),
    step(Way::RayonBatch, Way::Thread, 10.0),
    step(Way::PoolBatch, Way::PoolJob, 2.0),
    step(Way::RayonBatch, Way::RayonJob, 2.0),
    step(Way::Task, Way::Thread, 5.0),
    step(Way::Thread, Way::ForkSmall, 1.2),
    step(Way::Thread, Way::SpawnSmall, 3.0),
    step(Way::ForkSmall, Way::SpawnSmall, 1.2),
    step(Way::ForkSmall, Way::ForkLarge, 4.0),
];
/// Of the growth of a copy with its parent's memory, a spawned process may have this share.
const GROWTH: f64 = 0.25;
/// What a page costs a copy, in nanoseconds.
const PAGE_NS: std::ops::RangeInclusive<f64> = 20.0..=1_000.0;
/// So many times beyond that something else is copied.
const BEYOND: f64 = 10.0;
/// With this share it grows as well.
const GROWS_TOO: f64 = 0.6;

const fn step(cheap: Way, dear: Way, times: f64) -> Step {
    Step { cheap, dear, times }
}

/// See the module.
pub(super) fn judge(figures: &Figures) -> Ruling {
    let mut objections: Vec<Ruling> = STEPS
        .iter()
        .filter_map(|step| figures.objection(*step))
        .collect();
    objections.extend(figures.growth());
    objections.extend(figures.pages());
    let shown = |way| {
        figures
            .median_us(way)
            .map_or_else(|| "-".to_owned(), micros)
    };
    let page = figures.page_ns().unwrap_or(0.0);
    Ruling::unless(
        objections,
        format!(
            "task {}, thread {}, copied process {} (parent of 256 MiB {}, {page:.0} ns a page), spawned \
             process {} ({}); a thread is {:.1} times as fast as that",
            shown(Way::Task),
            shown(Way::Thread),
            shown(Way::ForkSmall),
            shown(Way::ForkLarge),
            shown(Way::SpawnSmall),
            shown(Way::SpawnLarge),
            figures.ratio(Way::Thread, Way::SpawnSmall).unwrap_or(0.0),
        ),
    )
}

impl Figures {
    fn rounds(&self, way: Way) -> &[f64] {
        let row = self.rows.iter().find(|row| row.way == way);
        row.map_or(&[], |row| &row.rounds_us)
    }

    pub(super) fn median_us(&self, way: Way) -> Option<f64> {
        stats::median(self.rounds(way))
    }

    /// How many times as dear, in the median over the rounds: what disturbs a round disturbs both.
    pub(super) fn ratio(&self, cheap: Way, dear: Way) -> Option<f64> {
        let pairs = self.rounds(cheap).iter().zip(self.rounds(dear));
        let ratios: Vec<f64> = pairs.map(|(cheap, dear)| dear / cheap).collect();
        stats::median(&ratios)
    }

    /// What a copy costs for each page of its parent, in nanoseconds.
    pub(super) fn page_ns(&self) -> Option<f64> {
        let more_us = self.median_us(Way::ForkLarge)? - self.median_us(Way::ForkSmall)?;
        Some(self.for_each_page_ns(more_us))
    }

    fn for_each_page_ns(&self, more_us: f64) -> f64 {
        let pages = self.large_bytes as f64 / self.page_bytes as f64;
        more_us * 1e3 / pages
    }

    /// What speaks against a step.
    fn objection(&self, step: Step) -> Option<Ruling> {
        let Step { cheap, dear, times } = step;
        let Some(found) = self.ratio(cheap, dear) else {
            return Some(Ruling::inconclusive("a way was not measured"));
        };
        if found >= times {
            return None;
        }
        let reason = format!(
            "{} is {found:.1} times as dear as {}, not {times:.1}",
            dear.name(),
            cheap.name()
        );
        // Where little is claimed the order is what is wrong, otherwise half of it.
        Some(if found < (times / 2.0).max(1.0) {
            Ruling::does_not_hold(reason)
        } else {
            Ruling::inconclusive(reason)
        })
    }

    /// What speaks against a copy that costs so much for each page.
    fn pages(&self) -> Option<Ruling> {
        // What others do to the machine is in the slower rounds.
        let fastest = |way| Spread::of(self.rounds(way).iter().copied());
        let more_us = fastest(Way::ForkLarge)?.min - fastest(Way::ForkSmall)?.min;
        let page_ns = self.for_each_page_ns(more_us);
        if PAGE_NS.contains(&page_ns) {
            return None;
        }
        let (least, most) = (*PAGE_NS.start(), *PAGE_NS.end());
        let reason =
            format!("a copy takes {page_ns:.0} ns for each page, not {least:.0} to {most:.0}");
        let possible = (least / BEYOND..=most * BEYOND).contains(&page_ns);
        Some(if possible {
            Ruling::inconclusive(reason)
        } else {
            Ruling::does_not_hold(reason)
        })
    }

    /// What speaks against a spawned process that does not care for its parent's memory.
    fn growth(&self) -> Option<Ruling> {
        let growth = |small, large| Some(self.median_us(large)? - self.median_us(small)?);
        let copied = growth(Way::ForkSmall, Way::ForkLarge)?;
        let spawned = growth(Way::SpawnSmall, Way::SpawnLarge)?;
        let found = spawned / copied;
        // Without a growth of the copy that step has been objected to.
        if copied <= 0.0 || found <= GROWTH {
            return None;
        }
        let reason = format!(
            "with 256 MiB in its parent a spawned process takes {} longer, and a copied one {}",
            micros(spawned),
            micros(copied)
        );
        Some(if found > GROWS_TOO {
            Ruling::does_not_hold(reason)
        } else {
            Ruling::inconclusive(reason)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::spawn_cost::Row;
    use crate::verdict::Verdict;

    /// What was measured once, in the order of [`Way::ALL`].
    const TYPICAL: [f64; 11] = [
        0.5, 0.1, 0.2, 19.0, 16.0, 41.0, 60.0, 160.0, 11_000.0, 600.0, 650.0,
    ];

    fn figures(costs: [f64; 11]) -> Figures {
        let row = |(way, us): (Way, f64)| Row {
            way,
            asked_us: Spread::of([us]),
            done_us: Spread::of([us]),
            rounds_us: vec![us; 3],
        };
        Figures {
            large_bytes: 256 << 20,
            page_bytes: 4_096,
            rows: Way::ALL.into_iter().zip(costs).map(row).collect(),
        }
    }

    /// The verdict where one way costs something else.
    fn with(way: Way, us: f64) -> Verdict {
        let mut costs = TYPICAL;
        let place = Way::ALL.iter().position(|one| *one == way).unwrap();
        costs[place] = us;
        judge(&figures(costs)).verdict
    }

    #[test]
    fn what_is_typical_holds() {
        let ruling = judge(&figures(TYPICAL));
        assert_eq!(ruling.verdict, Verdict::Holds, "{ruling:?}");
        assert!(ruling.reason.contains("165 ns a page"), "{ruling:?}");
        assert!(ruling.reason.contains("10.0 times as fast"), "{ruling:?}");
    }

    #[test]
    fn each_step_can_fail() {
        let no = Verdict::DoesNotHold;
        assert_eq!(with(Way::Thread, 600.0), no, "as dear as a process");
        assert_eq!(with(Way::Task, 50.0), no);
        assert_eq!(with(Way::PoolBatch, 30.0), no);
        assert_eq!(with(Way::RayonBatch, 30.0), no);
        assert_eq!(with(Way::ForkSmall, 50.0), no);
        assert_eq!(with(Way::PoolJob, 0.05), no, "a job alone wakes nobody");
        assert_eq!(with(Way::RayonJob, 0.15), no);
        assert_eq!(with(Way::ForkLarge, 1e6), no, "15 µs a page");
        assert_eq!(with(Way::ForkLarge, 170.0), no, "the memory costs nothing");
        assert_eq!(with(Way::SpawnLarge, 9_000.0), no, "it grows as well");
        assert_eq!(with(Way::SpawnSmall, 100.0), no);
    }

    #[test]
    fn what_is_close_proves_nothing() {
        let unclear = Verdict::Inconclusive;
        assert_eq!(with(Way::Task, 14.0), unclear);
        assert_eq!(with(Way::SpawnLarge, 5_000.0), unclear);
        assert_eq!(with(Way::ForkLarge, 1e5), unclear, "1.5 µs a page");
        let mut empty = figures(TYPICAL);
        empty.rows.clear();
        assert_eq!(judge(&empty).verdict, unclear);
    }

    #[test]
    fn what_disturbs_a_round_disturbs_both_sides_of_a_ratio() {
        let mut disturbed = figures(TYPICAL);
        for row in &mut disturbed.rows {
            row.rounds_us[0] *= 20.0;
        }
        assert_eq!(judge(&disturbed).verdict, Verdict::Holds);
    }
}
