//! What can be started inside a process: threads, jobs and tasks.

use std::io;
use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use rayon::{ThreadPool as Rayon, ThreadPoolBuilder};
use threadpool::ThreadPool;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{Cost, Way};

/// Jobs that are given at once.
const BATCH: u32 = 1_000;
/// Repetitions in a round: of what is cheap, and of what is not.
const CHEAP: usize = 100;
const DEAR: usize = 20;

/// Pools that stand ready.
#[derive(Debug)]
pub(super) struct Inside {
    pool: ThreadPool,
    rayon: Rayon,
    tokio: Runtime,
}

impl Inside {
    /// With as many threads as there are processors.
    pub(super) fn new() -> io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let rayon = ThreadPoolBuilder::new().num_threads(threads).build();
        Ok(Self {
            pool: ThreadPool::new(threads),
            rayon: rayon.map_err(io::Error::other)?,
            tokio: Builder::new_multi_thread()
                .worker_threads(threads)
                .build()?,
        })
    }

    /// One round of a way.
    pub(super) fn measure(&self, way: Way) -> io::Result<Vec<Cost>> {
        Ok(match way {
            Way::Task => self.tokio.block_on(tasks()),
            Way::BlockingTask => self.tokio.block_on(blocking_tasks()),
            Way::PoolJob => repeat(|| one(|done| self.pool.execute(done))),
            Way::RayonJob => repeat(|| one(|done| self.rayon.spawn(done))),
            Way::PoolBatch => vec![many(|done| self.pool.execute(done))],
            Way::RayonBatch => vec![many(|done| self.rayon.spawn(done))],
            _ => threads()?,
        })
    }
}

fn repeat(cost: impl Fn() -> Cost) -> Vec<Cost> {
    (0..DEAR).map(|_| cost()).collect()
}

fn threads() -> io::Result<Vec<Cost>> {
    let thread = |_| {
        let mut failed = None;
        let start = || thread::Builder::new().spawn(|| {});
        let cost = Cost::of(start, |started| match started {
            // One that does nothing does not panic.
            Ok(thread) => drop(thread.join()),
            Err(error) => failed = Some(error),
        });
        failed.map_or(Ok(cost), Err)
    };
    (0..DEAR).map(thread).collect()
}

/// One job, which says when it is done.
fn one(execute: impl Fn(Box<dyn FnOnce() + Send>)) -> Cost {
    let (done, wait) = mpsc::channel();
    let job = Box::new(move || {
        let _ = done.send(());
    });
    let end = |()| {
        let _ = wait.recv();
    };
    Cost::of(|| execute(job), end)
}

/// Each of many jobs that are given one after the other.
fn many(execute: impl Fn(Box<dyn FnOnce() + Send>)) -> Cost {
    let (done, wait) = mpsc::channel::<()>();
    let give = move || {
        for _ in 0..BATCH {
            let done = done.clone();
            // What is dropped last ends the wait.
            execute(Box::new(move || drop(done)));
        }
    };
    let end = |()| {
        let _ = wait.recv();
    };
    Cost::of(give, end).each(BATCH)
}

/// Tasks that are waited for one by one, by a task: whoever is none would need a wake-up.
async fn tasks() -> Vec<Cost> {
    let all = tokio::spawn(async {
        let mut costs = Vec::with_capacity(CHEAP);
        for _ in 0..CHEAP {
            costs.push(awaited(|| tokio::spawn(async {})).await);
        }
        costs
    });
    all.await.unwrap_or_default()
}

async fn blocking_tasks() -> Vec<Cost> {
    let mut costs = Vec::with_capacity(DEAR);
    for _ in 0..DEAR {
        costs.push(awaited(|| spawn_blocking(|| {})).await);
    }
    costs
}

/// One task.
async fn awaited(start: impl FnOnce() -> JoinHandle<()>) -> Cost {
    let since = Instant::now();
    let task = start();
    let asked = since.elapsed();
    // One that does nothing does not fail.
    let _ = task.await;
    Cost::since(since, asked)
}
