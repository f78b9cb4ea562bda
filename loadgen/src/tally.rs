//! What one thread counts: the books of the window, the waits, the failures.
//!
//! Connections, admissions, failures and mismatches count from the start of the run; requests,
//! bytes and round trips from the moment the window opens. Nothing is shared between threads and
//! nothing is allocated per request; sums are made once, after the counters were frozen.

use crate::failure::{Failure, Failures};
use crate::report::{Bytes, Requests};
use crate::samples::{Censored, Samples};
use crate::time::Moment;

/// Length of a slice of the window: one second, in nanoseconds.
pub(crate) const SLICE_NANOS: u64 = 1_000_000_000;

/// The counters of one thread, and after merging those of the run.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// When the window opened, [`Moment::NEVER`] before.
    opened: Moment,
    /// The books of the window.
    pub(crate) requests: Requests,
    /// The bytes of the window.
    pub(crate) bytes: Bytes,
    /// Answers with wrong bytes, from the start of the run.
    pub(crate) mismatches: u64,
    /// Failures by kind, from the start of the run.
    pub(crate) failures: Failures,
    /// Clients that were ever connected.
    pub(crate) connected: u32,
    /// Clients that tried all addresses in vain and never were connected.
    pub(crate) refused: u32,
    /// Clients that got at least one byte.
    pub(crate) served: u32,
    /// From `connect` to the established connection.
    pub(crate) connect: Samples,
    /// From a client's first connection to its first byte.
    pub(crate) admission: Samples,
    /// From the send to the whole answer, without those of the current slice.
    pub(crate) rtt: Samples,
    /// Requests that ran into their time limit.
    pub(crate) timed_out: Censored,
    /// The parts of the round trips that lie before the window, in nanoseconds.
    pub(crate) before_window_nanos: u64,
    /// Time in the window that clients spent thinking, in nanoseconds.
    pub(crate) paused_nanos: u64,
    current: Samples,
    /// The slices that are over.
    pub(crate) slices: Vec<Slice>,
}

/// The round trips of one second of the window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slice {
    /// Which second, from 0.
    pub(crate) index: u64,
    /// Lengths in nanoseconds, each with its count.
    pub(crate) values: Vec<(u64, u64)>,
}

impl Tally {
    /// Nothing counted and no window yet.
    pub(crate) fn new() -> Self {
        Self {
            opened: Moment::NEVER,
            requests: Requests::default(),
            bytes: Bytes::default(),
            mismatches: 0,
            failures: Failures::default(),
            connected: 0,
            refused: 0,
            served: 0,
            connect: Samples::new(),
            admission: Samples::new(),
            rtt: Samples::new(),
            timed_out: Censored::default(),
            before_window_nanos: 0,
            paused_nanos: 0,
            current: Samples::new(),
            slices: Vec::new(),
        }
    }

    /// Opens the window with `carried_in` requests in flight.
    pub(crate) fn open(&mut self, opened: Moment, carried_in: u64) {
        self.opened = opened;
        self.requests.carried_in = carried_in;
    }

    /// When the window opened, if it did.
    pub(crate) fn opened(&self) -> Option<Moment> {
        self.opened.is_known().then_some(self.opened)
    }

    fn is_open(&self) -> bool {
        self.opened.is_known()
    }

    /// A client's connection was established after `nanos`.
    pub(crate) fn count_connect(&mut self, nanos: u64) {
        self.connect.record(nanos);
    }

    /// A client got its first byte `nanos` after it was connected.
    pub(crate) fn count_admission(&mut self, nanos: u64) {
        self.served += 1;
        self.admission.record(nanos);
    }

    /// A request is on its way.
    #[inline]
    pub(crate) fn count_sent(&mut self) {
        self.requests.sent += u64::from(self.is_open());
    }

    /// Bytes went out.
    #[inline]
    pub(crate) fn count_bytes_sent(&mut self, bytes: u64) {
        self.bytes.sent += if self.is_open() { bytes } else { 0 };
    }

    /// Bytes came in.
    #[inline]
    pub(crate) fn count_bytes_received(&mut self, bytes: u64) {
        self.bytes.received += if self.is_open() { bytes } else { 0 };
    }

    /// The request sent at `sent` has its whole answer.
    #[inline]
    pub(crate) fn count_answer(&mut self, sent: Moment, now: Moment) {
        if self.is_open() {
            self.requests.answered += 1;
            self.before_window_nanos += self.opened.since(sent);
            self.current.record(now.since(sent));
        }
    }

    /// The request sent at `sent` ended without an answer.
    pub(crate) fn count_failed_request(&mut self, kind: Failure, sent: Moment, now: Moment) {
        if !self.is_open() {
            return;
        }
        if kind == Failure::Timeout {
            self.requests.timeouts += 1;
            self.timed_out.add(now.since(sent));
        } else {
            self.requests.errors += 1;
        }
    }

    /// Something went wrong, with or without a request in flight.
    pub(crate) fn count_failure(&mut self, kind: Failure) {
        self.failures.add(kind);
        let differs = matches!(kind, Failure::Mismatch | Failure::TooManyBytes);
        self.mismatches += u64::from(differs);
    }

    /// A client was silent on purpose from `since` to `now`.
    pub(crate) fn count_pause(&mut self, since: Moment, now: Moment) {
        if self.is_open() {
            self.paused_nanos += now.since(since.max(self.opened));
        }
    }

    /// The longest round trip so far, in nanoseconds.
    pub(crate) fn longest_rtt_nanos(&self) -> Option<u64> {
        self.rtt.max_nanos().max(self.current.max_nanos())
    }

    /// Ends slice number `index`.
    pub(crate) fn end_slice(&mut self, index: u64) {
        if self.current.count() > 0 {
            let values = self.current.sparse();
            self.slices.push(Slice { index, values });
            self.rtt.merge(&self.current);
            self.current.clear();
        }
    }

    /// Adds the counters of another thread, whose last slice has ended.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.opened = self.opened.min(other.opened);
        for (sum, more) in books(&mut self.requests)
            .into_iter()
            .zip(books(&mut other.requests.clone()))
        {
            *sum += *more;
        }
        self.bytes.sent += other.bytes.sent;
        self.bytes.received += other.bytes.received;
        self.mismatches += other.mismatches;
        self.failures.merge(&other.failures);
        self.connected += other.connected;
        self.refused += other.refused;
        self.served += other.served;
        self.connect.merge(&other.connect);
        self.admission.merge(&other.admission);
        self.rtt.merge(&other.rtt);
        self.timed_out.merge(&other.timed_out);
        self.before_window_nanos += other.before_window_nanos;
        self.paused_nanos += other.paused_nanos;
        self.slices.extend_from_slice(&other.slices);
    }
}

/// All figures of the books, to add them up.
fn books(requests: &mut Requests) -> [&mut u64; 9] {
    [
        &mut requests.carried_in,
        &mut requests.sent,
        &mut requests.answered,
        &mut requests.errors,
        &mut requests.timeouts,
        &mut requests.pending,
        &mut requests.late,
        &mut requests.unsent,
        &mut requests.late_answers,
    ]
}
