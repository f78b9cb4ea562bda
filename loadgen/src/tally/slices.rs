//! The window in slices of one second, as one thread counts them.

use super::{Flight, Loop};
use crate::samples::Samples;
use crate::time::Moment;

/// Length of a slice of the window: one second, in nanoseconds.
pub(crate) const SLICE_NANOS: u64 = 1_000_000_000;

/// One second of the window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slice {
    /// Which second, from 0.
    pub(crate) index: u64,
    /// Requests that were answered.
    pub(crate) answered: u64,
    /// Requests that ended without an answer.
    pub(crate) failed: u64,
    /// Round trips in nanoseconds, each with its count.
    pub(crate) rtt: Vec<(u64, u64)>,
    /// The same waits since the requests were due; empty in a closed loop.
    pub(crate) response: Vec<(u64, u64)>,
}

/// The slice that is running.
#[derive(Clone, Debug)]
pub(super) struct Running {
    answered: u64,
    failed: u64,
    rtt: Samples,
    response: Option<Samples>,
}

impl Running {
    /// An empty one.
    pub(super) fn new(pace: Loop) -> Self {
        Self {
            answered: 0,
            failed: 0,
            rtt: Samples::new(),
            response: (pace == Loop::Open).then(Samples::new),
        }
    }

    /// Counts an answer, and its waits unless the client delayed them itself.
    #[inline]
    pub(super) fn count_answer(&mut self, prompt: bool, flight: Flight, now: Moment) {
        self.answered += 1;
        if prompt {
            self.rtt.record(now.since(flight.sent));
            if let Some(response) = &mut self.response {
                response.record(now.since(flight.due));
            }
        }
    }

    /// Counts a request that ended without an answer.
    pub(super) fn count_failed(&mut self) {
        self.failed += 1;
    }

    /// The longest round trip in it, in nanoseconds.
    pub(super) fn longest_rtt_nanos(&self) -> Option<u64> {
        self.rtt.max_nanos()
    }

    /// Ends the slice, moves its waits to the sums and begins the next one; none if nothing
    /// happened in it.
    pub(super) fn end(
        &mut self,
        index: u64,
        rtt: &mut Samples,
        response: Option<&mut Samples>,
    ) -> Option<Slice> {
        if self.answered + self.failed == 0 {
            return None;
        }
        let slice = Slice {
            index,
            answered: std::mem::take(&mut self.answered),
            failed: std::mem::take(&mut self.failed),
            rtt: self.rtt.sparse(),
            response: self
                .response
                .as_ref()
                .map(Samples::sparse)
                .unwrap_or_default(),
        };
        rtt.merge(&self.rtt);
        self.rtt.clear();
        if let (Some(own), Some(sum)) = (&mut self.response, response) {
            sum.merge(own);
            own.clear();
        }
        Some(slice)
    }
}
