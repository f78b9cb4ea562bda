//! How the schedule of an open loop was kept, as one thread counts it.

use crate::samples::{Censored, Samples};
use crate::time::Moment;

/// A request that is sent later than this after it was due is late: one millisecond.
pub(crate) const LATE_NANOS: u64 = 1_000_000;

/// What became of the requests that were due.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// Requests that were due in the window, those that were never sent included.
    pub(crate) due: u64,
    /// Requests that were late although their connection was free.
    pub(crate) own_late: u64,
    /// Requests that were never sent although their connection was free.
    pub(crate) own_unsent: u64,
    /// From the due time to the whole answer, without those of the current slice.
    pub(crate) response: Samples,
    /// From the due time to the send, where the connection was free.
    pub(crate) lag: Samples,
    /// How old the requests are that were due in the window and never sent.
    pub(crate) unsent: Samples,
    /// How old those in flight are, in nanoseconds since they were due.
    pub(crate) pending_nanos: Vec<u64>,
    /// Requests that ran into their time limit, since they were due.
    pub(crate) timed_out: Censored,
}

impl Kept {
    /// Nothing counted.
    pub(super) fn new() -> Self {
        Self {
            due: 0,
            own_late: 0,
            own_unsent: 0,
            response: Samples::new(),
            lag: Samples::new(),
            unsent: Samples::new(),
            pending_nanos: Vec::new(),
            timed_out: Censored::default(),
        }
    }

    /// A request is sent at `now`; true if that is late.
    pub(super) fn count_sent(
        &mut self,
        (due, now): (Moment, Moment),
        was_free: bool,
        opened: Moment,
    ) -> bool {
        let behind = now.since(due);
        let late = behind > LATE_NANOS;
        self.due += u64::from(due >= opened);
        if was_free {
            self.lag.record(behind);
            self.own_late += u64::from(late);
        }
        late
    }

    /// The window ends at `now`, and a request that was due in it at `due` was never sent.
    pub(crate) fn count_unsent(&mut self, due: Moment, now: Moment, was_free: bool) {
        let behind = now.since(due);
        self.due += 1;
        self.unsent.record(behind);
        self.own_unsent += u64::from(was_free && behind > LATE_NANOS);
    }

    /// Adds what another thread counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.due += other.due;
        self.own_late += other.own_late;
        self.own_unsent += other.own_unsent;
        self.response.merge(&other.response);
        self.lag.merge(&other.lag);
        self.unsent.merge(&other.unsent);
        self.pending_nanos.extend_from_slice(&other.pending_nanos);
        self.timed_out.merge(&other.timed_out);
    }
}
