//! Whether those who serve still move: what a thread is doing, in one word that only it writes, and
//! the pulse of a worker process, which tells the master that none of them hangs.
//!
//! The word costs one relaxed store per burst. Waiting is no hanging, neither for a client nor for a
//! payment; working on one step for longer than the limit is.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tracing::error;

use crate::conn::Shared;
use crate::vigil::{self, Vigil};

/// An answer is due, or nobody serves the connection yet.
const DUE: u32 = 1;
/// Nobody works on it just now.
const WAITING: u32 = 2;
/// What tells one step from the next.
const STEP: u32 = 4;

/// What a thread, or whoever serves a connection, is doing. Only one thread at a time writes it.
#[derive(Debug)]
pub(crate) struct Beat(AtomicU32);

impl Beat {
    /// Something is due, but nobody works on it yet.
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(DUE | WAITING))
    }

    /// Works on the next step.
    pub(crate) fn begin(&self) {
        self.step(DUE);
    }

    /// Nothing is due: waits for whoever has something to do.
    pub(crate) fn settle(&self) {
        self.step(WAITING);
    }

    /// Waits for something else, with an answer due: a payment, or a peer that takes no bytes.
    pub(crate) fn suspend(&self) {
        self.step(DUE | WAITING);
    }

    /// A value that changes with each step.
    pub(crate) fn value(&self) -> u32 {
        self.0.load(Relaxed)
    }

    fn step(&self, doing: u32) {
        let step = self.value().wrapping_add(STEP) & !(DUE | WAITING);
        self.0.store(step | doing, Relaxed);
    }
}

/// Whether that value says that an answer is due.
pub(crate) fn is_due(value: u32) -> bool {
    value & DUE != 0
}

/// Whether that value says that somebody works.
fn is_working(value: u32) -> bool {
    value & WAITING == 0
}

/// Those of a process who are watched. Without a limit nobody is.
#[derive(Debug)]
pub(crate) struct Pulse {
    limit: Option<Duration>,
    threads: Mutex<Vec<Thread>>,
}

#[derive(Debug)]
struct Thread {
    name: String,
    beat: Weak<Beat>,
}

/// Who hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    /// A thread, by its place in the list.
    Thread(usize),
    /// A connection, by its number.
    Conn(u64),
}

impl Pulse {
    /// Whoever works on one step for longer than `limit` hangs.
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        let threads = Mutex::default();
        Self { limit, threads }
    }

    /// A word for the calling thread, which is watched as long as it is kept.
    pub(crate) fn enroll(&self) -> Arc<Beat> {
        let beat = Arc::new(Beat::new());
        let name = thread::current().name().unwrap_or("unnamed").into();
        let entry = Thread {
            name,
            beat: Arc::downgrade(&beat),
        };
        self.threads().push(entry);
        beat
    }

    /// How long a thread may wait without a new step, where it takes one whenever it wakes; none if
    /// nobody watches.
    pub(crate) fn longest_wait(&self) -> Option<Duration> {
        self.limit.map(vigil::pause)
    }

    fn threads(&self) -> MutexGuard<'_, Vec<Thread>> {
        // Nobody panics with it; if so, the list would still be whole.
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those who work, each with the value of the step that they work on.
    fn working(&self, shared: &Shared) -> Vec<(Who, u32)> {
        let threads = self.threads();
        let threads = threads.iter().enumerate().filter_map(|(number, thread)| {
            Some((Who::Thread(number), thread.beat.upgrade()?.value()))
        });
        let conns = shared.registry.beats().into_iter();
        let conns = conns.map(|(id, value)| (Who::Conn(id), value));
        let all = threads.chain(conns);
        all.filter(|(_, value)| is_working(*value)).collect()
    }

    fn name_of(&self, who: Who) -> String {
        match who {
            Who::Thread(number) => {
                let threads = self.threads();
                let name = threads.get(number).map(|thread| thread.name.clone());
                name.unwrap_or_default()
            }
            Who::Conn(id) => format!("connection {id}"),
        }
    }
}

/// Starts the pulse of a process, on a thread of its own, whose limit is that of `whom`. `on_hung` is called once, when
/// somebody hangs; from then on the pulse is still.
///
/// # Errors
///
/// When the thread cannot be started.
pub(crate) fn start(
    shared: &Arc<Shared>,
    whom: &'static str,
    on_hung: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let Some(limit) = shared.pulse.limit else {
        return Ok(());
    };
    let shared = Arc::clone(shared);
    let thread = thread::Builder::new().name("pulse".into());
    thread.spawn(move || {
        let mut vigil = Vigil::new(limit, Instant::now());
        loop {
            shared.home_slot().beat();
            thread::sleep(vigil::pause(limit));
            let working = shared.pulse.working(&shared);
            if let Some(who) = vigil.look(working.into_iter(), Instant::now()).first() {
                let who = shared.pulse.name_of(*who);
                error!(
                    ?limit,
                    "{who} has been working on one step for longer than the limit of {whom}"
                );
                return on_hung();
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_a_new_value_and_tells_what_is_done() {
        let beat = Beat::new();
        let mut values = vec![beat.value()];
        for step in [
            Beat::begin,
            Beat::begin,
            Beat::suspend,
            Beat::begin,
            Beat::settle,
        ] {
            step(&beat);
            values.push(beat.value());
        }
        let told = |tell: fn(u32) -> bool| values.iter().map(|v| tell(*v)).collect::<Vec<_>>();
        assert_eq!(told(is_due), [true, true, true, true, true, false]);
        assert_eq!(told(is_working), [false, true, true, false, true, false]);
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), 6);
    }

    #[test]
    fn the_steps_never_run_out() {
        let beat = Beat(AtomicU32::new(u32::MAX));
        beat.begin();
        assert!(is_due(beat.value()) && is_working(beat.value()));
    }
}
