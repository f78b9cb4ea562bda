//! What happens in a process of its own, since nobody gets out of a deadlock again: threads that take
//! locks, and a watchdog that looks whether they wait for ever.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard, ReentrantMutex, ReentrantMutexGuard};
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::{Deserialize, Serialize};

use super::graph::{Deadlock, Graph};
use crate::part;
use crate::player::LIMIT;
use crate::sync::until;

/// Who takes locks, and what the locks are called.
pub(super) const ADA: &str = "Ada";
pub(super) const BOB: &str = "Bob";
const LEFT: &str = "the left fork";
const RIGHT: &str = "the right fork";
const LOCK: &str = "the lock";
/// The same for jobs of a pool.
const OUTER: &str = "the outer job";
const INNER: &str = "the inner job";
const RESULT: &str = "the result";
const WORKER: &str = "the only worker";
/// How the pool's thread is called.
pub(super) const POOL_THREAD: &str = "pool-0";

/// How often each eats.
pub(super) const MEALS: u32 = 100;
/// How much longer the second one backs off than the first, each time.
const BACK_OFF: Duration = Duration::from_micros(50);

/// The scenes, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Scene {
    /// Two threads take two locks in opposite order.
    OppositeOrder,
    /// In the same order.
    SameOrder,
    /// In opposite order, but whoever does not get the second one gives the first one back.
    TryLock,
    /// A thread takes a plain lock twice.
    TakenTwice,
    /// A thread takes a re-entrant lock twice and gives it back twice.
    Reentrant,
    /// It gives it back once.
    GivenBackOnce,
    /// A job of a pool of one waits at a channel for a job of the same pool.
    ChannelInPool,
    /// The same with the pool's own `join`.
    JoinInPool,
}

/// What the watchdog says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    /// Why somebody waits for ever, if so.
    pub(super) deadlock: Option<Deadlock>,
    /// What was eaten, or done.
    pub(super) done: u32,
    /// How often a lock was given back without having been of use.
    pub(super) back_offs: u32,
}

/// What the threads of a scene leave for the watchdog: everything is as old as the process.
static GRAPH: std::sync::Mutex<Graph> = std::sync::Mutex::new(Graph::new());
static DONE: AtomicU32 = AtomicU32::new(0);
static BACK_OFFS: AtomicU32 = AtomicU32::new(0);
static LEFT_FORK: Mutex<()> = Mutex::new(());
static RIGHT_FORK: Mutex<()> = Mutex::new(());
static REENTRANT: ReentrantMutex<()> = ReentrantMutex::new(());

impl Scene {
    /// All of them.
    pub(super) const ALL: [Self; 8] = [
        Self::OppositeOrder,
        Self::SameOrder,
        Self::TryLock,
        Self::TakenTwice,
        Self::Reentrant,
        Self::GivenBackOnce,
        Self::ChannelInPool,
        Self::JoinInPool,
    ];

    /// As it is told to the part.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OppositeOrder => "opposite-order",
            Self::SameOrder => "same-order",
            Self::TryLock => "try-lock",
            Self::TakenTwice => "taken-twice",
            Self::Reentrant => "reentrant",
            Self::GivenBackOnce => "given-back-once",
            Self::ChannelInPool => "channel-in-pool",
            Self::JoinInPool => "join-in-pool",
        }
    }

    fn begin(self) -> io::Result<Vec<JoinHandle<()>>> {
        match self {
            Self::OppositeOrder => opposite_order(),
            Self::SameOrder => same_order(),
            Self::TryLock => try_lock(),
            Self::TakenTwice => Ok(vec![person(ADA, || {
                let _once = fork(ADA, LEFT, &LEFT_FORK);
                let _twice = fork(ADA, LEFT, &LEFT_FORK);
            })?]),
            Self::Reentrant => reentrant(2),
            Self::GivenBackOnce => reentrant(1),
            Self::ChannelInPool => channel_in_pool(),
            Self::JoinInPool => join_in_pool(),
        }
    }
}

/// The part: plays the scene that `args` name, says what the watchdog found, and waits for its end.
pub(super) fn play(args: &[String]) -> io::Result<u8> {
    let wanted = args.first().map(String::as_str);
    let scene = Scene::ALL
        .into_iter()
        .find(|scene| Some(scene.name()) == wanted);
    let scene = scene.ok_or_else(|| io::Error::other("there is no such scene"))?;
    let threads = scene.begin()?;
    let mut deadlock = None;
    // Whoever neither waits nor ends has not done all, which the report tells while it is waited for.
    let _ = until(LIMIT / 2, || {
        let ended = threads.iter().all(JoinHandle::is_finished);
        deadlock = noted(|graph| graph.deadlock());
        ended || deadlock.is_some()
    });
    let report = Report {
        deadlock,
        done: DONE.load(Ordering::Relaxed),
        back_offs: BACK_OFFS.load(Ordering::Relaxed),
    };
    part::say(&report)?;
    part::stay()?;
    Ok(cli::exit::SUCCESS)
}

/// Each has one fork before either wants the other.
fn opposite_order() -> io::Result<Vec<JoinHandle<()>>> {
    let (ada, bob) = together();
    Ok(vec![
        person(ADA, move || {
            let _first = fork(ADA, LEFT, &LEFT_FORK);
            ada();
            let _second = fork(ADA, RIGHT, &RIGHT_FORK);
            eat();
        })?,
        person(BOB, move || {
            let _first = fork(BOB, RIGHT, &RIGHT_FORK);
            bob();
            let _second = fork(BOB, LEFT, &LEFT_FORK);
            eat();
        })?,
    ])
}

fn same_order() -> io::Result<Vec<JoinHandle<()>>> {
    let dine = |who| {
        move || {
            for _ in 0..MEALS {
                let _first = fork(who, LEFT, &LEFT_FORK);
                let _second = fork(who, RIGHT, &RIGHT_FORK);
                eat();
            }
        }
    };
    Ok(vec![person(ADA, dine(ADA))?, person(BOB, dine(BOB))?])
}

/// At the first meal each has one fork, as before, and both have tried before either gives back.
fn try_lock() -> io::Result<Vec<JoinHandle<()>>> {
    let (ada, bob) = together();
    let ada = move || dine_politely(ADA, [(LEFT, &LEFT_FORK), (RIGHT, &RIGHT_FORK)], 1, &ada);
    let bob = move || dine_politely(BOB, [(RIGHT, &RIGHT_FORK), (LEFT, &LEFT_FORK)], 2, &bob);
    Ok(vec![person(ADA, ada)?, person(BOB, bob)?])
}

type Fork = (&'static str, &'static Mutex<()>);

fn dine_politely(who: &'static str, forks: [Fork; 2], patience: u32, meet: &dyn Fn()) {
    let [(first, first_fork), (second, second_fork)] = forks;
    let mut eaten = 0;
    let mut tries = 0;
    while eaten < MEALS {
        let one = fork(who, first, first_fork);
        if tries == 0 {
            meet();
        }
        let other = second_fork
            .try_lock()
            .map(|guard| Held::note(who, second, guard));
        if tries == 0 {
            meet();
        }
        tries += 1;
        if other.is_some() {
            eat();
            eaten += 1;
        } else {
            drop(one);
            BACK_OFFS.fetch_add(1, Ordering::Relaxed);
            // Those who wait for equally long meet again.
            thread::sleep(BACK_OFF * patience);
        }
    }
}

/// Ada takes the lock twice and gives it back so often; then Bob wants it. He is there before Ada ends:
/// the lock knows its owner by where his thread has its memory, which a later thread may get.
fn reentrant(given_back: usize) -> io::Result<Vec<JoinHandle<()>>> {
    let (gone, wait) = mpsc::channel::<()>();
    let bob = person(BOB, move || {
        let _ = wait.recv();
        noted(|graph| graph.waits(BOB, LOCK));
        let held = Held::note(BOB, LOCK, REENTRANT.lock());
        eat();
        drop(held);
    })?;
    let ada = person(ADA, move || {
        let mut guards: Vec<ReentrantMutexGuard<'_, ()>> =
            [REENTRANT.lock(), REENTRANT.lock()].into();
        noted(|graph| graph.has(ADA, LOCK));
        eat();
        let kept = guards.split_off(given_back);
        if kept.is_empty() {
            noted(|graph| graph.gives(LOCK));
        }
        drop(guards);
        // Never given back, as by a return that was forgotten in a language without guards.
        kept.into_iter().for_each(std::mem::forget);
        noted(|graph| graph.ends(ADA));
        drop(gone);
    })?;
    Ok(vec![ada, bob])
}

fn channel_in_pool() -> io::Result<Vec<JoinHandle<()>>> {
    let pool = pool()?;
    let outer = move || {
        pool.install(|| {
            noted(|graph| graph.has(OUTER, WORKER));
            let (result, wait) = mpsc::channel::<()>();
            rayon::spawn(move || {
                noted(|graph| graph.has(INNER, WORKER));
                let _ = result.send(());
            });
            noted(|graph| {
                graph.has(INNER, RESULT);
                graph.waits(INNER, WORKER);
                graph.waits(OUTER, RESULT);
            });
            if wait.recv().is_ok() {
                eat();
            }
        });
    };
    Ok(vec![person(ADA, outer)?])
}

/// A worker that waits by `join` does the other job itself meanwhile.
fn join_in_pool() -> io::Result<Vec<JoinHandle<()>>> {
    let pool = pool()?;
    Ok(vec![person(ADA, move || {
        pool.install(|| rayon::join(eat, || rayon::join(eat, eat)));
    })?])
}

fn pool() -> io::Result<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(1);
    let pool = pool.thread_name(|index| format!("pool-{index}"));
    pool.build().map_err(io::Error::other)
}

/// A lock that the graph knows to be held until this is dropped.
struct Held<G> {
    what: &'static str,
    _guard: G,
}

impl<G> Held<G> {
    fn note(who: &'static str, what: &'static str, guard: G) -> Self {
        noted(|graph| graph.has(who, what));
        Self {
            what,
            _guard: guard,
        }
    }
}

impl<G> Drop for Held<G> {
    fn drop(&mut self) {
        // Before the lock is free, or this would undo the note of whoever takes it next.
        noted(|graph| graph.gives(self.what));
    }
}

/// Takes a fork, and waits for it as long as it takes.
fn fork(
    who: &'static str,
    what: &'static str,
    lock: &'static Mutex<()>,
) -> Held<MutexGuard<'static, ()>> {
    noted(|graph| graph.waits(who, what));
    Held::note(who, what, lock.lock())
}

fn noted<T>(note: impl FnOnce(&mut Graph) -> T) -> T {
    let mut graph = GRAPH
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    note(&mut graph)
}

fn eat() {
    DONE.fetch_add(1, Ordering::Relaxed);
}

fn person(name: &str, does: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.into()).spawn(does)
}

/// Two calls that return together, each time.
fn together() -> (impl Fn() + Send, impl Fn() + Send) {
    let barrier = Arc::new(Barrier::new(2));
    let other = Arc::clone(&barrier);
    let meet = |barrier: &Barrier| {
        barrier.wait();
    };
    (move || meet(&barrier), move || meet(&other))
}
