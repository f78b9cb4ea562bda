//! The figures of a run, and the same names for whatever is said of them.

use serde::{Deserialize, Serialize};

/// One `T` for each figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures<T> {
    /// Answers per second.
    pub rate_per_s: T,
    /// The median wait: for round trips at saturation, and from the due time on a schedule.
    pub p50_us: T,
    /// The 99th percentile of the wait, likewise.
    pub p99_us: T,
    /// Processor time of the server per answer.
    pub cpu_us_per_answer: T,
    /// Memory of the server and its children; pages that they share are divided among them.
    pub memory_bytes: T,
    /// Threads of the server and its children.
    pub threads: T,
    /// Context switches of the server per answer.
    pub switches_per_answer: T,
    /// Jain's index over all clients asked.
    pub fairness: T,
}

impl<T> Figures<T> {
    /// What `of` makes of each figure of several runs, in the order of the runs.
    pub fn across<U>(runs: &[Self], of: impl Fn(Vec<&T>) -> U) -> Figures<U> {
        let each = |figure: fn(&Self) -> &T| of(runs.iter().map(figure).collect());
        Figures {
            rate_per_s: each(|run| &run.rate_per_s),
            p50_us: each(|run| &run.p50_us),
            p99_us: each(|run| &run.p99_us),
            cpu_us_per_answer: each(|run| &run.cpu_us_per_answer),
            memory_bytes: each(|run| &run.memory_bytes),
            threads: each(|run| &run.threads),
            switches_per_answer: each(|run| &run.switches_per_answer),
            fairness: each(|run| &run.fairness),
        }
    }

    /// What `of` makes of the same figure of three: for a verdict on each.
    pub fn with<U>(&self, second: &Self, third: &Self, of: impl Fn(&T, &T, &T) -> U) -> Figures<U> {
        let each = |figure: fn(&Self) -> &T| of(figure(self), figure(second), figure(third));
        Figures {
            rate_per_s: each(|all| &all.rate_per_s),
            p50_us: each(|all| &all.p50_us),
            p99_us: each(|all| &all.p99_us),
            cpu_us_per_answer: each(|all| &all.cpu_us_per_answer),
            memory_bytes: each(|all| &all.memory_bytes),
            threads: each(|all| &all.threads),
            switches_per_answer: each(|all| &all.switches_per_answer),
            fairness: each(|all| &all.fairness),
        }
    }
}
