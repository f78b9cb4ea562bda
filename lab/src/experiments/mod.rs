//! The experiments, one module each. A new one is a module and a line in [`ALL`].

mod accept_sharing;
mod c10k;
mod coordinated_omission;
mod crash;
mod daemon;
mod deadlock;
mod event;
mod io_vs_cpu;
mod ipc;
mod isolation;
mod long_lived;
mod lost_update;
mod memory;
mod million;
mod overload;
mod pipeline;
mod plan_check;
mod pool_limit;
mod process_life;
mod queue;
mod semaphore;
mod short_lived;
mod slow_clients;
mod spawn_cost;
mod staircase;
mod tickets;
mod trap;

use std::num::NonZeroU32;
use std::time::Duration;

use crate::experiment::Experiment;
use crate::part::Part;

/// All experiments, in the order of the course.
pub const ALL: &[Experiment] = &[
    process_life::EXPERIMENT,
    isolation::EXPERIMENT,
    daemon::EXPERIMENT,
    lost_update::EXPERIMENT,
    tickets::EXPERIMENT,
    deadlock::EXPERIMENT,
    semaphore::EXPERIMENT,
    ipc::EXPERIMENT,
    queue::EXPERIMENT,
    pipeline::EXPERIMENT,
    event::EXPERIMENT,
    trap::EXPERIMENT,
    pool_limit::EXPERIMENT,
    staircase::EXPERIMENT,
    long_lived::EXPERIMENT,
    short_lived::EXPERIMENT,
    accept_sharing::EXPERIMENT,
    slow_clients::EXPERIMENT,
    io_vs_cpu::EXPERIMENT,
    crash::EXPERIMENT,
    overload::EXPERIMENT,
    coordinated_omission::EXPERIMENT,
    spawn_cost::EXPERIMENT,
    memory::EXPERIMENT,
    c10k::EXPERIMENT,
    million::EXPERIMENT,
    plan_check::EXPERIMENT,
];

/// The size of every pool that is not about its size.
const WORKERS: usize = 4;
/// As many clients as a small service has before anybody thinks about it.
const CLIENTS: NonZeroU32 = NonZeroU32::new(50).expect("50 is not 0");
/// The pool that stands for all pools.
const POOL: &str = "thread-pool";
/// Time for everybody to connect and to be served who ever will be, before a window begins.
const SETTLE: Duration = Duration::from_millis(200);

/// What the tour shows of [`ALL`], in the order in which it tells its story.
pub const TOUR: &[&str] = &[
    "trap",
    "pool-limit",
    "staircase",
    "long-lived",
    "short-lived",
    "slow-clients",
    "crash",
    "overload",
    "coordinated-omission",
    "io-vs-cpu",
    "tickets",
    "deadlock",
    "spawn-cost",
    "plan-check",
];

/// The parts of all experiments.
const PARTS: &[&[Part]] = &[
    process_life::PARTS,
    isolation::PARTS,
    daemon::PARTS,
    lost_update::PARTS,
    tickets::PARTS,
    deadlock::PARTS,
    semaphore::PARTS,
    ipc::PARTS,
    queue::PARTS,
    pipeline::PARTS,
    event::PARTS,
    spawn_cost::PARTS,
    million::PARTS,
];

/// The part of that name.
pub(crate) fn part(name: &str) -> Option<&'static Part> {
    let mut all = PARTS.iter().copied().flatten();
    all.find(|part| part.name == name)
}

/// The experiments of the tour.
#[must_use]
pub fn tour() -> Vec<&'static Experiment> {
    TOUR.iter().filter_map(|name| find(name)).collect()
}

/// The experiment of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Experiment> {
    ALL.iter().find(|experiment| experiment.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_different_and_can_be_typed() {
        let names: HashSet<&str> = ALL.iter().map(|experiment| experiment.name).collect();
        assert_eq!(names.len(), ALL.len());
        let usual = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let typed = |name: &&str| name.chars().all(usual);
        assert!(names.iter().all(typed), "{names:?}");
        assert!(find("staircase").is_some() && find("stairs").is_none());
    }

    #[test]
    fn the_course_goes_chapter_by_chapter_and_the_tour_through_it() {
        assert!(ALL.is_sorted_by_key(|experiment| experiment.chapter));
        assert_eq!(tour().len(), TOUR.len());
        let parts: HashSet<&str> = PARTS.iter().copied().flatten().map(|it| it.name).collect();
        assert_eq!(parts.len(), PARTS.iter().map(|of| of.len()).sum::<usize>());
    }

    #[test]
    fn every_experiment_is_complete() {
        for experiment in ALL {
            let texts = [
                experiment.question,
                experiment.claim,
                experiment.prediction,
                experiment.method,
                experiment.lesson,
                experiment.fault.what,
            ];
            assert!(
                texts.iter().all(|text| text.ends_with(['.', '?'])),
                "{}",
                experiment.name
            );
            assert!(experiment.question.ends_with('?'), "{}", experiment.name);
        }
    }
}
