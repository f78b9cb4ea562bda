//! Where a queue is used: between threads of one process, or between processes.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use super::shared::SharedQueue;
use crate::bounded::{Bounded, Wait};
use crate::launcher::Launcher;
use crate::part;
use crate::player::Player;
use crate::usage;

/// What somebody else does at the other end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Task {
    /// Puts the items `first`, `first + 1`, … one after the other.
    Put {
        /// The first of them.
        first: u32,
        /// How many they are.
        count: u32,
    },
    /// Takes so many items.
    Get(u32),
}

/// Whoever has a task; dropped, it is no longer waited for.
pub(super) trait Other {
    /// Whether it waits for something.
    fn sleeps(&self) -> bool;
    /// Waits until it has done its task. Returns what it took.
    fn finish(self: Box<Self>) -> io::Result<Vec<u32>>;
}

/// A queue and those who use it.
///
/// # Contract
///
/// * Each method but `employ` is what it is called, on the same queue.
/// * `employ` has the task done on the other side, as soon as whoever does it has begun.
pub(super) trait Place {
    /// Puts an item; false when there was no room for so long.
    fn put(&self, item: u32, wait: Wait) -> bool;
    /// Takes an item; none when there was none for so long.
    fn get(&self, wait: Wait) -> Option<u32>;
    /// Has somebody else do a task.
    fn employ(&self, task: Task) -> io::Result<Box<dyn Other>>;
}

/// Threads and a mutex with two conditions.
pub(super) struct Threads(Arc<Bounded<u32>>);

/// Processes and a ring in shared memory.
pub(super) struct Processes<'a> {
    queue: SharedQueue,
    capacity: u32,
    launcher: &'a Launcher,
}

/// How the thread is called.
const THREAD: &str = "queue-other";
/// How the process is called.
pub(super) const PART: &str = "queue.other";

impl Threads {
    pub(super) fn new(capacity: u32) -> Self {
        Self(Arc::new(Bounded::new(capacity as usize)))
    }
}

impl Place for Threads {
    fn put(&self, item: u32, wait: Wait) -> bool {
        self.0.put(item, wait).is_ok()
    }

    fn get(&self, wait: Wait) -> Option<u32> {
        self.0.get(wait)
    }

    fn employ(&self, task: Task) -> io::Result<Box<dyn Other>> {
        let queue = Arc::clone(&self.0);
        let put = move |item| queue.put(item, Wait::Ever).is_ok();
        let queue = Arc::clone(&self.0);
        let get = move || queue.get(Wait::Ever);
        let thread = Builder::new()
            .name(THREAD.into())
            .spawn(move || does(task, put, get))?;
        Ok(Box::new(thread))
    }
}

impl Other for JoinHandle<Vec<u32>> {
    fn sleeps(&self) -> bool {
        usage::sleeping_threads(std::process::id(), THREAD) > 0
    }

    fn finish(self: Box<Self>) -> io::Result<Vec<u32>> {
        self.join()
            .map_err(|_| io::Error::other("a thread panicked"))
    }
}

impl<'a> Processes<'a> {
    pub(super) fn new(capacity: u32, launcher: &'a Launcher) -> io::Result<Self> {
        Ok(Self {
            queue: SharedQueue::new(capacity)?,
            capacity,
            launcher,
        })
    }
}

impl Place for Processes<'_> {
    fn put(&self, item: u32, wait: Wait) -> bool {
        self.queue.put(item, wait)
    }

    fn get(&self, wait: Wait) -> Option<u32> {
        self.queue.get(wait)
    }

    fn employ(&self, task: Task) -> io::Result<Box<dyn Other>> {
        let (verb, first, count) = match task {
            Task::Put { first, count } => ("put", first, count),
            Task::Get(count) => ("get", 0, count),
        };
        let numbers = [self.capacity, first, count].map(|number| number.to_string());
        let args = [verb, &numbers[0], &numbers[1], &numbers[2]];
        let queue = self.queue.as_fd().try_clone_to_owned()?;
        let mut other = Player::given(self.launcher.part(PART).args(args), queue)?;
        other.says::<()>()?;
        Ok(Box::new(other))
    }
}

impl Other for Player {
    fn sleeps(&self) -> bool {
        usage::sleeps(self.pid())
    }

    fn finish(mut self: Box<Self>) -> io::Result<Vec<u32>> {
        self.says()
    }
}

/// The part: `put|get CAPACITY FIRST COUNT`, with the queue as its stdin. Says that it is there, and what
/// it took.
pub(super) fn other(args: &[String]) -> io::Result<u8> {
    let numbers: Vec<u32> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
    let [capacity, first, count] = numbers[..] else {
        return Err(io::Error::other("it has no task"));
    };
    let task = match args.first().map(String::as_str) {
        Some("put") => Task::Put { first, count },
        _ => Task::Get(count),
    };
    let queue = SharedQueue::of(io::stdin().as_fd().try_clone_to_owned()?, capacity)?;
    part::say(&())?;
    let put = |item| queue.put(item, Wait::Ever);
    part::say(&does(task, put, || queue.get(Wait::Ever)))?;
    Ok(cli::exit::SUCCESS)
}

/// Does the task. Returns what was taken.
fn does(task: Task, put: impl Fn(u32) -> bool, get: impl Fn() -> Option<u32>) -> Vec<u32> {
    match task {
        Task::Put { first, count } => {
            (first..first + count).all(put);
            Vec::new()
        }
        Task::Get(count) => (0..count).map_while(|_| get()).collect(),
    }
}

/// The places by name, each with a queue of this capacity.
pub(super) fn all(
    capacity: u32,
    launcher: &Launcher,
) -> io::Result<Vec<(&'static str, Box<dyn Place + '_>)>> {
    let processes = Processes::new(capacity, launcher)?;
    Ok(vec![
        ("threads", Box::new(Threads::new(capacity))),
        ("processes", Box::new(processes)),
    ])
}
