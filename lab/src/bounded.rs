//! A queue of limited length between threads that knows when everything it carried is done.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long somebody is ready to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all.
    Never,
    /// So long.
    Within(Duration),
    /// Until it is possible.
    Ever,
}

/// See the module. Items leave in the order in which they came.
#[derive(Debug)]
pub(crate) struct Bounded<T> {
    capacity: usize,
    state: Mutex<State<T>>,
    came: Condvar,
    left: Condvar,
    finished: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    /// Items that were put and are not done, also those that somebody has taken.
    unfinished: usize,
}

impl<T> Bounded<T> {
    /// A queue with room for `capacity` items.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            state: Mutex::new(State {
                items: VecDeque::with_capacity(capacity),
                unfinished: 0,
            }),
            came: Condvar::new(),
            left: Condvar::new(),
            finished: Condvar::new(),
        }
    }

    /// Puts `item` at the end, or gives it back when there was no room for so long.
    pub(crate) fn put(&self, item: T, wait: Wait) -> Result<(), T> {
        let full = |state: &mut State<T>| state.items.len() >= self.capacity;
        let Some(mut state) = self.once_not(full, &self.left, wait) else {
            return Err(item);
        };
        state.items.push_back(item);
        state.unfinished += 1;
        self.came.notify_one();
        Ok(())
    }

    /// Takes the item at the front; none when there was none for so long.
    pub(crate) fn get(&self, wait: Wait) -> Option<T> {
        let empty = |state: &mut State<T>| state.items.is_empty();
        let item = self.once_not(empty, &self.came, wait)?.items.pop_front();
        self.left.notify_one();
        item
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        self.state().items.len()
    }

    /// One item that was taken is done.
    pub(crate) fn done(&self) {
        let mut state = self.state();
        state.unfinished = state.unfinished.saturating_sub(1);
        if state.unfinished == 0 {
            self.finished.notify_all();
        }
    }

    /// How many items were put and are not done.
    pub(crate) fn unfinished(&self) -> usize {
        self.state().unfinished
    }

    /// Waits until every item that was put is done; false when that took longer.
    pub(crate) fn join(&self, wait: Wait) -> bool {
        let busy = |state: &mut State<T>| state.unfinished > 0;
        self.once_not(busy, &self.finished, wait).is_some()
    }

    /// The state once it is no longer an obstacle; none when it was one for too long.
    fn once_not(
        &self,
        mut obstacle: impl FnMut(&mut State<T>) -> bool,
        changed: &Condvar,
        wait: Wait,
    ) -> Option<MutexGuard<'_, State<T>>> {
        let state = self.state();
        let mut state = match wait {
            Wait::Never => state,
            Wait::Within(limit) => {
                let waited = changed.wait_timeout_while(state, limit, &mut obstacle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            Wait::Ever => {
                let waited = changed.wait_while(state, &mut obstacle);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        (!obstacle(&mut state)).then_some(state)
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_gives_items_back_and_an_empty_one_has_none() {
        let queue = Bounded::new(2);
        assert_eq!(queue.get(Wait::Never), None);
        assert_eq!(
            (queue.put(1, Wait::Never), queue.put(2, Wait::Ever)),
            (Ok(()), Ok(()))
        );
        assert_eq!(queue.put(3, Wait::Never), Err(3));
        assert_eq!(queue.put(3, Wait::Within(Duration::ZERO)), Err(3));
        assert_eq!((queue.get(Wait::Ever), queue.len()), (Some(1), 1));
        assert_eq!(queue.put(3, Wait::Never), Ok(()));
        assert_eq!(
            (queue.get(Wait::Ever), queue.get(Wait::Ever)),
            (Some(2), Some(3))
        );
    }

    #[test]
    fn what_was_taken_is_not_done_yet() {
        let queue = Bounded::new(2);
        assert!(queue.join(Wait::Never), "nothing was put");
        queue.put(1, Wait::Never).unwrap();
        queue.get(Wait::Never).unwrap();
        assert!(!queue.join(Wait::Never) && queue.unfinished() == 1);
        queue.done();
        assert!(queue.join(Wait::Ever));
    }

    #[test]
    fn who_waits_is_woken() {
        let queue = Bounded::new(1);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..1000).for_each(|item| queue.put(item, Wait::Ever).unwrap()));
            scope.spawn(|| {
                for item in 0..1000 {
                    assert_eq!(queue.get(Wait::Ever), Some(item));
                    queue.done();
                }
            });
        });
        assert!(queue.join(Wait::Never));
    }
}
