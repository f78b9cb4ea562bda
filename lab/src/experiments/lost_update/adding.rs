//! Adding to one number in memory, by threads and by processes: the same code on the same words.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use server::{SharedFile, SharedSlice};

use crate::bench::Bench;
use crate::part;
use crate::player::Player;
use crate::sync::{Mutex, meet};

/// How often each adds.
pub(super) const TIMES: u64 = 1_000_000;
/// Every so many additions one gives way in the middle.
const GIVES_WAY_EVERY: u64 = 50_000;
/// How many add at the same time.
pub(super) const WORKERS: u32 = 2;

/// How one is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way {
    LoadStore,
    FetchAdd,
    Mutex,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::LoadStore, Self::FetchAdd, Self::Mutex];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::LoadStore => "load + store",
            Self::FetchAdd => "fetch_add",
            Self::Mutex => "mutex",
        }
    }
}

/// Who adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Who {
    Threads,
    Processes,
}

impl Who {
    pub(super) const ALL: [Self; 2] = [Self::Threads, Self::Processes];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Processes => "processes",
        }
    }
}

/// What came of one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) sum: u64,
    /// Of the slowest.
    pub(super) ns_per_addition: f64,
}

/// The number, the lock and the place to meet, each in a cache line of its own.
#[derive(Debug)]
struct Shared {
    numbers: SharedSlice<AtomicU64>,
    words: SharedSlice<AtomicU32>,
}

/// A cache line of both kinds of words, in bytes and in words.
const LINE_BYTES: u64 = 64;
const LINE: usize = 16;

impl Shared {
    fn of(memory: &SharedFile) -> io::Result<Self> {
        Ok(Self {
            numbers: memory.slice(0, 1)?,
            words: memory.slice(LINE_BYTES, LINE + 1)?,
        })
    }

    /// Meets the others and adds; returns how long the adding took, in nanoseconds.
    fn add(&self, way: Way, workers: u32) -> io::Result<u64> {
        let number = self.numbers.first().ok_or(io::ErrorKind::InvalidInput)?;
        let [lock, .., place] = &self.words[..] else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        meet(place, workers);
        let start = Instant::now();
        for addition in 1..=TIMES {
            let gives_way = addition % GIVES_WAY_EVERY == 0;
            match way {
                Way::LoadStore => one_more(number, gives_way),
                Way::FetchAdd => {
                    number.fetch_add(1, Ordering::Relaxed);
                    give_way(gives_way);
                }
                Way::Mutex => {
                    let _guard = Mutex(lock).lock();
                    one_more(number, gives_way);
                }
            }
        }
        u64::try_from(start.elapsed().as_nanos()).map_err(io::Error::other)
    }
}

/// Two steps; what others add in between is overwritten.
fn one_more(number: &AtomicU64, gives_way: bool) {
    let value = number.load(Ordering::Relaxed);
    give_way(gives_way);
    number.store(value + 1, Ordering::Relaxed);
}

/// Lets others have the processor, as the scheduler does whenever it likes: by itself seldom while a
/// million additions last, and on a busy machine then for all of the other's.
fn give_way(now: bool) {
    if now {
        thread::yield_now();
    }
}

pub(super) fn round(bench: &Bench, who: Who, way: Way, workers: u32) -> io::Result<Round> {
    let memory = SharedFile::create(2 * LINE_BYTES + 4)?;
    let shared = Shared::of(&memory)?;
    let ns = match who {
        Who::Threads => by_threads(&shared, way, workers)?,
        Who::Processes => by_processes(bench, &memory, way, workers)?,
    };
    Ok(Round {
        sum: shared
            .numbers
            .first()
            .map_or(0, |number| number.load(Ordering::SeqCst)),
        ns_per_addition: ns.into_iter().max().unwrap_or(0) as f64 / TIMES as f64,
    })
}

fn by_threads(shared: &Shared, way: Way, workers: u32) -> io::Result<Vec<u64>> {
    thread::scope(|scope| {
        let started: Vec<_> = (0..workers)
            .map(|_| scope.spawn(|| shared.add(way, workers)))
            .collect();
        let panicked = |_| Err(io::Error::other("a thread panicked"));
        started
            .into_iter()
            .map(|it| it.join().unwrap_or_else(panicked))
            .collect()
    })
}

fn by_processes(
    bench: &Bench,
    memory: &SharedFile,
    way: Way,
    workers: u32,
) -> io::Result<Vec<u64>> {
    let mut started = Vec::new();
    for _ in 0..workers {
        let mut command = bench.launcher.part("lost-update.adder");
        command.args([serde_json::to_string(&way)?, workers.to_string()]);
        started.push(Player::given(
            &mut command,
            memory.as_fd().try_clone_to_owned()?,
        )?);
    }
    let took = |mut adder: Player| {
        let ns = adder.says()?;
        adder.join()?;
        Ok(ns)
    };
    started.into_iter().map(took).collect()
}

/// The part of a process that adds.
pub(super) fn adder(args: &[String]) -> io::Result<u8> {
    let [way, workers] = args else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let memory = SharedFile::from(io::stdin().as_fd().try_clone_to_owned()?);
    let workers = workers.parse().map_err(io::Error::other)?;
    part::say(&Shared::of(&memory)?.add(serde_json::from_str(way)?, workers)?)?;
    Ok(cli::exit::SUCCESS)
}
