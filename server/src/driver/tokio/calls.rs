//! What wakes the tasks besides their sockets: the stop, and the clock of those that are idle.
//!
//! One timer calls all of them by turns, so that none needs a timer of its own, which would be a
//! third of its memory. A task leaves its waker here once and for all, and a call is a number that
//! has grown: a task that was woken by its socket in the same moment hears it all the same.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;
use tokio::time::sleep;

/// The tasks of a group are called at the same moment, the groups one after the other: who has much
/// to do meanwhile waits for a small part of the idle ones only.
const GROUPS: usize = 64;
/// The timer wakes no more often than this; for short limits it calls several groups at once.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// Calls the tasks of one runtime.
#[derive(Debug)]
pub(crate) struct Calls {
    groups: [Group; GROUPS],
    present: AtomicUsize,
    /// Notified when nobody is present any more.
    gone: Notify,
}

#[derive(Debug, Default)]
struct Group {
    /// How often it was called.
    count: AtomicU16,
    wakers: Mutex<Slab<Waker>>,
}

impl Group {
    fn call(&self) {
        self.count.fetch_add(1, Ordering::Release);
        // To wake a task is to put it into a queue: none of them runs while this is locked.
        self.lock().iter().for_each(|(_, task)| task.wake_by_ref());
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Waker>> {
        // Nobody panics with it; if so, the slab would still be whole.
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self {
            groups: std::array::from_fn(|_| Group::default()),
            present: AtomicUsize::new(0),
            gone: Notify::new(),
        }
    }

    /// Calls everybody at once.
    pub(crate) fn all(&self) {
        self.groups.iter().for_each(Group::call);
    }

    /// Calls everybody once in each `round`, for ever.
    pub(crate) async fn by_turns(&self, round: Duration) {
        let turns = round.as_nanos() / SHORTEST_PAUSE.as_nanos();
        let turns = usize::try_from(turns).unwrap_or(GROUPS).clamp(1, GROUPS);
        let together = GROUPS.div_ceil(turns);
        let pause = round.mul_f64(together as f64 / GROUPS as f64);
        loop {
            for groups in self.groups.chunks(together) {
                sleep(pause).await;
                groups.iter().for_each(Group::call);
            }
        }
    }

    /// How many tasks there are.
    pub(crate) fn present(&self) -> usize {
        self.present.load(Ordering::Acquire)
    }

    /// Waits until there are none.
    pub(crate) async fn all_gone(&self) {
        loop {
            // Asked for first, so that whoever goes in between is not missed.
            let gone = self.gone.notified();
            if self.present() == 0 {
                return;
            }
            gone.await;
        }
    }
}

/// The place of a task among those that are called, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    calls: Arc<Calls>,
    /// Where its waker is, counted from 1, once it is there.
    key: Option<NonZeroU32>,
    /// How many calls its group has heard; that it wraps harms nobody.
    heard: u16,
    group: u8,
}

impl Place {
    /// One for the task of connection `id`.
    pub(super) fn new(calls: &Arc<Calls>, id: u64) -> Self {
        calls.present.fetch_add(1, Ordering::Relaxed);
        // Always less than `GROUPS`.
        let group = u8::try_from(id % GROUPS as u64).unwrap_or_default();
        Self {
            calls: Arc::clone(calls),
            key: None,
            heard: calls.groups[usize::from(group)]
                .count
                .load(Ordering::Acquire),
            group,
        }
    }

    /// Whether the task was called since it last asked. It is woken by `task` from then on, which
    /// must be the same each time.
    pub(super) fn was_called(&mut self, task: &Waker) -> bool {
        if self.key.is_none() {
            let number = self.group().lock().insert(task.clone()) + 1;
            self.key = u32::try_from(number).ok().and_then(NonZeroU32::new);
        }
        let count = self.group().count.load(Ordering::Acquire);
        std::mem::replace(&mut self.heard, count) != count
    }

    fn group(&self) -> &Group {
        &self.calls.groups[usize::from(self.group)]
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let key = self.key.map(|number| number.get() as usize - 1);
        let waker = key.and_then(|key| self.group().lock().try_remove(key));
        // Outside of the lock: it may be the last that is left of the task.
        drop(waker);
        if self.calls.present.fetch_sub(1, Ordering::Release) == 1 {
            self.calls.gone.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Poll;
    use tokio::runtime::Builder;
    use tokio::time::timeout;

    /// A task that ends when it is called.
    async fn task(mut place: Place) {
        poll_fn(|cx| match place.was_called(cx.waker()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    #[test]
    fn everybody_is_called_by_turns_and_is_gone_then() {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let calls = Arc::new(Calls::new());
            for id in 0..3 * GROUPS as u64 {
                tokio::spawn(task(Place::new(&calls, id)));
            }
            assert_eq!(calls.present(), 3 * GROUPS);
            let caller = Arc::clone(&calls);
            tokio::spawn(async move { caller.by_turns(Duration::from_millis(50)).await });
            let limit = Duration::from_secs(30);
            timeout(limit, calls.all_gone()).await.unwrap();
            let left: usize = calls.groups.iter().map(|group| group.lock().len()).sum();
            assert_eq!((calls.present(), left), (0, 0));
        });
    }

    #[test]
    fn a_call_that_comes_with_something_else_is_heard_and_heard_once() {
        let calls = Arc::new(Calls::new());
        let mut place = Place::new(&calls, 7);
        let mut ask = || place.was_called(Waker::noop());
        assert!(!ask());
        calls.all();
        assert!(ask() && !ask());
        // Even before the first time that the task was asked.
        let mut late = Place::new(&calls, 7);
        calls.all();
        assert!(late.was_called(Waker::noop()));
    }
}
