//! What it costs to have something done by somebody else: a process, a thread, a job of a pool, a
//! task.

mod inside;
mod parent;
mod show;
mod verdict;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::bench::{Bench, Failure};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::part::Part;
use crate::stats::Spread;
use inside::Inside;
use parent::Parents;

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "spawn-cost",
    chapter: Chapter::Cost,
    question: "How much does it cost to start a process, a thread, a job or a task?",
    claim: "Each costs more than the one before: a task, a thread, a process that is copied, a process \
            that is spawned. A task is made at least five times as fast as a thread, a thread at least \
            three times as fast as a spawned process; a copy costs what its parent's memory is, and a \
            spawned process does not care.",
    prediction: "A task is a push on a queue, below 1 µs. A thread needs a stack, an entry of the \
                 scheduler and two wake-ups, some 50 µs. A copy (fork) needs the tables of all pages as \
                 well: 8 bytes and a counter for each that is there, 65,536 in 256 MiB, at 20 to 1,000 \
                 ns each, so 1.3 to 66 ms more than a small one. A spawned process (posix_spawn) borrows \
                 its parent's memory until it executes a program: no growth, but the program has to be \
                 loaded, some 500 µs. A job of a pool alone costs a wake-up; a thousand at once \
                 share it, at less than half each. The microseconds are orders of magnitude, and \
                 not judged; the ratios and the nanoseconds for each page in the fastest round are.",
    method: "Each way by turns, 11 rounds, each with the same number of repetitions; until the starter \
             goes on, and until what was started has ended. Nothing is done in between. The parents of \
             processes are processes of their own with one thread, one small and one whose 256 MiB have \
             been written to (in pages of 4 KiB). Ratios are those of the same round.",
    lesson: "Starting only asks; what you pay is the memory to set up and the wake-up. So a server \
             starts its processes before they are needed and keeps them (process-pool), spawns them \
             instead of copying itself (their master has threads), pays half a millisecond for each \
             client in process-per-connection, and needs no pool for tasks.",
    fault: Fault {
        what: "What is said to be a thread is a spawned process.",
        symptom: "thread",
    },
    run,
};

/// See the module.
pub(super) const PARTS: &[Part] = &[parent::PARENT, parent::NOTHING];

/// How often all ways are measured.
const ROUNDS: usize = 11;

/// A way to have something done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    Task,
    PoolBatch,
    RayonBatch,
    BlockingTask,
    RayonJob,
    PoolJob,
    Thread,
    ForkSmall,
    ForkLarge,
    SpawnSmall,
    SpawnLarge,
}

/// One repetition, in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Cost {
    /// Until the starter goes on.
    asked_us: f64,
    /// Until what was started has ended.
    done_us: f64,
}

/// What one way costs: the medians of each round, over the rounds.
#[derive(Clone, Debug, Serialize)]
struct Row {
    way: Way,
    asked_us: Option<Spread>,
    done_us: Option<Spread>,
    #[serde(skip)]
    rounds_us: Vec<f64>,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    large_bytes: usize,
    page_bytes: usize,
    rows: Vec<Row>,
}

impl Way {
    /// All of them, from the cheapest on.
    const ALL: [Self; 11] = [
        Self::Task,
        Self::PoolBatch,
        Self::RayonBatch,
        Self::BlockingTask,
        Self::RayonJob,
        Self::PoolJob,
        Self::Thread,
        Self::ForkSmall,
        Self::ForkLarge,
        Self::SpawnSmall,
        Self::SpawnLarge,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Task => "task (tokio)",
            Self::PoolBatch => "job of 1,000 (threadpool)",
            Self::RayonBatch => "job of 1,000 (rayon)",
            Self::BlockingTask => "blocking task (tokio)",
            Self::RayonJob => "job alone (rayon)",
            Self::PoolJob => "job alone (threadpool)",
            Self::Thread => "thread",
            Self::ForkSmall => "process, copied",
            Self::ForkLarge => "copied, parent of 256 MiB",
            Self::SpawnSmall => "process, spawned",
            Self::SpawnLarge => "spawned, parent of 256 MiB",
        }
    }
}

impl Cost {
    /// Of what `start` starts and what waits for its end.
    fn of<T>(start: impl FnOnce() -> T, wait: impl FnOnce(T)) -> Self {
        let since = Instant::now();
        let started = start();
        let asked = since.elapsed();
        wait(started);
        Self::since(since, asked)
    }

    /// Of what was begun then and had been asked for after `asked`, and has just ended.
    fn since(begun: Instant, asked: Duration) -> Self {
        Self {
            asked_us: asked.as_secs_f64() * 1e6,
            done_us: begun.elapsed().as_secs_f64() * 1e6,
        }
    }

    /// The same for each of `count` that were started at once.
    fn each(self, count: u32) -> Self {
        Self {
            asked_us: self.asked_us / f64::from(count),
            done_us: self.done_us / f64::from(count),
        }
    }
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let mut parents = Parents::start(bench).map_err(Failure::system("start the parents"))?;
    let inside = Inside::new().map_err(Failure::system("start the pools"))?;
    let rounds = bench.repeats(ROUNDS);
    let mut costs = Way::ALL.map(|_| Vec::new());
    for round in 1..=rounds {
        bench.go_on()?;
        bench.narrator.now(&format!("round {round} of {rounds}"));
        for (way, costs) in Way::ALL.into_iter().zip(&mut costs) {
            // A process in the place of the thread is what the check must notice.
            let asked = match way {
                Way::Thread if bench.faulted() => Way::SpawnSmall,
                way => way,
            };
            let measured = match asked {
                Way::ForkSmall | Way::ForkLarge | Way::SpawnSmall | Way::SpawnLarge => {
                    parents.measure(asked)
                }
                inner => inside.measure(inner),
            };
            costs.push(measured.map_err(Failure::system("start something"))?);
        }
    }
    let rows = Way::ALL.into_iter().zip(costs);
    let figures = Figures {
        large_bytes: parent::LARGE_BYTES,
        page_bytes: rustix::param::page_size(),
        rows: rows.map(|(way, rounds)| Row::of(way, &rounds)).collect(),
    };
    Ok(Finding {
        ruling: verdict::judge(&figures),
        headline: show::headline(&figures),
        exhibits: show::exhibits(&figures),
        figures: figures_of(&figures),
    })
}

impl Row {
    fn of(way: Way, rounds: &[Vec<Cost>]) -> Self {
        let medians = |of: fn(&Cost) -> f64| {
            let middle = |round: &Vec<Cost>| Spread::of(round.iter().map(of));
            let middles = rounds.iter().filter_map(middle);
            middles.map(|spread| spread.median).collect::<Vec<f64>>()
        };
        let rounds_us = medians(|cost| cost.done_us);
        Self {
            way,
            asked_us: Spread::of(medians(|cost| cost.asked_us)),
            done_us: Spread::of(rounds_us.iter().copied()),
            rounds_us,
        }
    }
}
