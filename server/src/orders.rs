//! What an operator asks of a running server, besides its end.
//!
//! Whoever leads the server waits for it and carries it out when he can: what is asked for twice
//! meanwhile is done once, and one worker more and one fewer are none.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use crate::herald::Herald;
use crate::stop::Stop;

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// New workers for all that there are.
    pub(crate) restart: bool,
    /// So many workers more, or fewer.
    pub(crate) more: i32,
    /// To say in the log how it goes.
    pub(crate) status: bool,
}

/// Where it is left. Clones are the same place.
#[derive(Clone, Debug)]
pub struct Orders {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    wanted: Mutex<Wanted>,
    /// Readable while something is.
    news: OwnedFd,
    /// How often somebody came to look.
    looks: AtomicU64,
}

impl Orders {
    /// Nothing is asked for.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let news = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        let wanted = Mutex::default();
        Ok(Self {
            inner: Arc::new(Inner {
                wanted,
                news,
                looks: AtomicU64::new(0),
            }),
        })
    }

    /// Asks for new workers in place of all that there are.
    pub fn restart(&self) {
        self.ask(|wanted| wanted.restart = true);
    }

    /// Asks for one worker more.
    pub fn more(&self) {
        self.ask(|wanted| wanted.more = wanted.more.saturating_add(1));
    }

    /// Asks for one worker fewer.
    pub fn fewer(&self) {
        self.ask(|wanted| wanted.more = wanted.more.saturating_sub(1));
    }

    /// Asks how it goes.
    pub fn status(&self) {
        self.ask(|wanted| wanted.status = true);
    }

    /// Has whoever leads come and look, though nothing is asked of him.
    pub(crate) fn knock(&self) {
        self.ask(|_| {});
    }

    /// How often somebody came to look. After a [`knock`](Self::knock) it grows soon, or nobody
    /// leads any more.
    pub(crate) fn looks(&self) -> u64 {
        self.inner.looks.load(Relaxed)
    }

    /// Takes all that is asked for; from now on nothing is.
    pub(crate) fn take(&self) -> Wanted {
        let mut wanted = self.wanted();
        // Counted under the lock: a knock is either taken here, and this is the look that it waits
        // for, or it comes later and is left for the next one.
        self.inner.looks.fetch_add(1, Relaxed);
        // Fails only if nothing is there to be read.
        let _ = rustix::io::read(&self.inner.news, &mut [0_u8; 8]);
        std::mem::take(&mut wanted)
    }

    fn ask(&self, ask: impl FnOnce(&mut Wanted)) {
        let mut wanted = self.wanted();
        ask(&mut wanted);
        // The counter is far from its end, so the write can neither block nor fail.
        let _ = rustix::io::write(&self.inner.news, &1_u64.to_ne_bytes());
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        // Nobody panics with it; if so, it would still be whole.
        self.inner
            .wanted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Orders {
    /// Readable while something is asked for.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.news.as_fd()
    }
}

/// How a running server is led.
#[derive(Clone, Debug)]
pub struct Control {
    /// The wish that it ends.
    pub stop: Stop,
    /// Everything else.
    pub orders: Orders,
    /// Whoever is told how it goes.
    pub herald: Herald,
}

impl Control {
    /// A server that serves, and of which nothing is asked.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let (stop, orders) = (Stop::new()?, Orders::new()?);
        let herald = Herald::silent();
        Ok(Self {
            stop,
            orders,
            herald,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::thread;
    use std::time::{Duration, Instant};

    #[test]
    fn what_is_asked_for_twice_is_done_once_and_then_forgotten() {
        let orders = Orders::new().unwrap();
        let asked = || {
            let fd = orders.as_fd();
            Stop::wait_readable(fd, fd, Some(Duration::ZERO)).unwrap()
        };
        assert!(!asked());
        for _ in 0..2 {
            orders.restart();
            orders.more();
        }
        orders.fewer();
        orders.status();
        assert!(asked());
        let wanted = Wanted {
            restart: true,
            more: 1,
            status: true,
        };
        assert_eq!(orders.take(), wanted);
        assert_eq!((orders.take(), asked()), (Wanted::default(), false));
    }

    #[test]
    fn a_knock_is_heard_and_asks_for_nothing() {
        let orders = Orders::new().unwrap();
        let before = orders.looks();
        orders.knock();
        let fd = orders.as_fd();
        assert!(Stop::wait_readable(fd, fd, Some(Duration::ZERO)).unwrap());
        assert_eq!(orders.looks(), before);
        assert_eq!(orders.take(), Wanted::default());
        assert_eq!(orders.looks(), before + 1);
    }

    #[test]
    fn no_knock_is_lost_to_the_look_that_an_earlier_one_caused() {
        const ROUNDS: usize = 2_000;
        let orders = Orders::new().unwrap();
        let fd = orders.as_fd();
        let over = AtomicBool::new(false);
        let last_is_heard = |_| {
            let knock = |_| {
                let before = orders.looks();
                orders.knock();
                before
            };
            let before = (0..64).map(knock).next_back();
            let end = Instant::now() + Duration::from_secs(20);
            while Some(orders.looks()) == before && Instant::now() < end {
                thread::yield_now();
            }
            Some(orders.looks()) > before
        };
        let heard = thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    if Stop::wait_readable(fd, fd, Some(Duration::from_millis(1))).unwrap() {
                        orders.take();
                    }
                }
            });
            let heard = (0..ROUNDS)
                .take_while(|round| last_is_heard(*round))
                .count();
            over.store(true, Relaxed);
            heard
        });
        assert_eq!(heard, ROUNDS);
    }
}
