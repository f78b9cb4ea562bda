//! Keeps the processors of a measurement from halting, and its two processes out of each other's
//! way.
//!
//! A virtual processor that has halted may take tens of microseconds to go on, which would be the
//! machine's doing and neither the server's nor the generator's. The kernel lets a program ask that no processor be
//! idle in a state that it needs time to leave: as long as a descriptor of this device is open, they
//! poll instead. Unlike a thread that spins it takes nothing from other programs: below the lowest
//! priority it would still compete with those of other sessions, where sessions are scheduled as
//! groups.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Takes the longest latency in microseconds that an idle processor may have.
pub(crate) const DEVICE: &str = "/dev/cpu_dma_latency";

/// Who is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// On the first processor.
    Generator,
    /// On the last one.
    Server,
}

/// Keeps all processors from halting until it is dropped.
#[derive(Debug)]
pub(crate) struct Awake {
    _request: File,
}

impl Awake {
    /// Asks for it.
    ///
    /// # Errors
    ///
    /// Mostly that only root may.
    pub(crate) fn ask() -> io::Result<Self> {
        let mut request = OpenOptions::new().write(true).open(DEVICE)?;
        request.write_all(&0_i32.to_ne_bytes())?;
        Ok(Self { _request: request })
    }
}

/// Leaves the calling thread, and those that it starts, one processor, if there are two.
pub(crate) fn pin(side: Side) {
    let processors = processors();
    if let [first, .., last] = processors[..] {
        let mut set = CpuSet::new();
        set.set(match side {
            Side::Generator => first,
            Side::Server => last,
        });
        // Where it is refused the figures are the worse for it, and true.
        let _ = sched_setaffinity(None, &set);
    }
}

/// Where the calling thread may run. The main thread is never pinned, nor is what it starts.
pub(crate) fn processors() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::MAX_CPU)
        .filter(|one| set.is_set(*one))
        .collect()
}
