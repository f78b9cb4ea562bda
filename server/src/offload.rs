//! Paying the cost of a message: by waiting or by computing, here or on a compute pool.

use std::io;
use std::sync::mpsc;
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};
use rustix::time::{ClockId, clock_gettime};

use crate::config::Offload;
use crate::limits::processors;
use crate::pulse::Beat;
use crate::stop::{Phase, Stop};
use crate::work::Cost;

/// How much is computed between two looks at the clock.
const SLICE_ROUNDS: u32 = 2_000;

/// Pays costs on behalf of connections.
#[derive(Debug)]
pub(crate) struct Payer {
    stop: Stop,
    pool: Option<ThreadPool>,
}

impl Payer {
    /// A payer that computes where `offload` says.
    ///
    /// # Errors
    ///
    /// When the compute pool's threads cannot be started.
    pub(crate) fn new(offload: Offload, stop: Stop) -> io::Result<Self> {
        let pool = match offload {
            Offload::Inline => None,
            Offload::Rayon => Some(
                ThreadPoolBuilder::new()
                    .num_threads(processors().get())
                    .thread_name(|index| format!("compute-{index}"))
                    .build()
                    .map_err(io::Error::other)?,
            ),
        };
        Ok(Self { stop, pool })
    }

    /// Pays on the calling thread, or waits there while the pool pays. The deadline of a drain
    /// ends it early. `beat` is that of whoever waits.
    pub(crate) fn pay(&self, cost: Cost, beat: &Beat) {
        match cost {
            Cost::Free => {}
            Cost::Wait(time) => {
                beat.suspend();
                Stop::sleep(self.stop.cutting(), time);
                beat.begin();
            }
            Cost::Compute(time) => {
                // A rayon thread that waited by `install` would meanwhile run other connections on
                // top of this one; a channel makes it simply wait.
                let (done, paid) = mpsc::sync_channel(1);
                if self.offload(time, move || done.send(()).unwrap_or(())) {
                    beat.suspend();
                    // An error means that the pool dropped the job, and so is over too.
                    let _ = paid.recv();
                    beat.begin();
                } else {
                    burn(time, &self.stop);
                }
            }
        }
    }

    /// Computes on the pool and then calls `done`; false when there is no pool.
    pub(crate) fn offload(&self, time: Duration, done: impl FnOnce() + Send + 'static) -> bool {
        let Some(pool) = &self.pool else { return false };
        let stop = self.stop.clone();
        pool.spawn(move || {
            burn(time, &stop);
            done();
        });
        true
    }

    /// Computes on the calling thread, whatever waits behind it.
    pub(crate) fn burn(&self, time: Duration) {
        burn(time, &self.stop);
    }
}

/// Uses `time` of the calling thread's processor time: on a busy machine that takes longer than
/// `time`, as real computation does.
fn burn(time: Duration, stop: &Stop) {
    let end = thread_time() + time;
    let mut state = 1_u64;
    while thread_time() < end && stop.phase() != Phase::Cutting {
        for _ in 0..SLICE_ROUNDS {
            state = std::hint::black_box(
                state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1),
            );
        }
    }
}

fn thread_time() -> Duration {
    // The kernel's thread clock is never negative.
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computing_costs_the_thread_that_does_it() {
        let cost = Duration::from_millis(5);
        let inline = Payer::new(Offload::Inline, Stop::new().unwrap()).unwrap();
        let before = thread_time();
        inline.pay(Cost::Compute(cost), &Beat::new());
        assert!(
            thread_time() - before >= cost,
            "a thread's own clock counts only what it did"
        );

        let pool = Payer::new(Offload::Rayon, Stop::new().unwrap()).unwrap();
        let (sender, receiver) = mpsc::channel();
        assert!(pool.offload(cost, move || sender.send(thread_time()).unwrap()));
        assert!(receiver.recv().unwrap() >= cost);
    }

    #[test]
    fn the_deadline_ends_every_payment() {
        let stop = Stop::new().unwrap();
        stop.cut();
        let payer = Payer::new(Offload::Inline, stop).unwrap();
        let (hour, beat) = (Duration::from_secs(3600), Beat::new());
        payer.pay(Cost::Wait(hour), &beat);
        payer.pay(Cost::Compute(hour), &beat);
    }
}
