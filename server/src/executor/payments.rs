//! What the connections of a reactor have to pay before they go on: by waiting, which a timer ends,
//! or by a computation that somebody else does and announces.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};

use crate::offload::Payer;
use crate::work::Cost;

/// Who pays: the place of a session, and its number, since another may have the place by then.
pub(super) type Debtor = (usize, u64);

/// The payments of one reactor that are not made yet.
#[derive(Debug)]
pub(super) struct Payments {
    /// Those that end at a time of their own.
    due: BinaryHeap<Reverse<(Instant, Debtor)>>,
    /// Those that a compute pool makes.
    paid: (Sender<Debtor>, Receiver<Debtor>),
    wake: Arc<OwnedFd>,
}

impl Payments {
    /// None yet.
    ///
    /// # Errors
    ///
    /// When descriptors are short.
    pub(super) fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self {
            due: BinaryHeap::new(),
            paid: channel(),
            wake: Arc::new(wake),
        })
    }

    /// Becomes readable anew whenever a compute pool has paid; it need not be read.
    pub(super) fn announcements(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Pays for `debtor`, or has it paid; whether it is paid already.
    pub(super) fn pay(&mut self, payer: &Payer, cost: Cost, debtor: Debtor) -> bool {
        match cost {
            Cost::Free => true,
            Cost::Wait(time) => {
                self.due.push(Reverse((Instant::now() + time, debtor)));
                false
            }
            Cost::Compute(time) => {
                let (paid, wake) = (self.paid.0.clone(), Arc::clone(&self.wake));
                let announce = move || {
                    let _ = paid.send(debtor);
                    // The counter is far from its end, so the write can neither block nor fail.
                    let _ = rustix::io::write(&wake, &1_u64.to_ne_bytes());
                };
                let is_elsewhere = payer.offload(time, announce);
                if !is_elsewhere {
                    // Nobody else of this reactor is served meanwhile: what not to do, shown.
                    payer.burn(time);
                }
                !is_elsewhere
            }
        }
    }

    /// When the next one is made by waiting.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Who has paid by `now`, one at a time.
    pub(super) fn made(&mut self, now: Instant) -> Option<Debtor> {
        let is_due = self.next_due().is_some_and(|at| at <= now);
        let by_waiting = if is_due { self.due.pop() } else { None };
        by_waiting
            .map(|Reverse((_, debtor))| debtor)
            .or_else(|| self.paid.1.try_recv().ok())
    }
}
