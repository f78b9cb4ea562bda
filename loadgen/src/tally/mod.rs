//! What one thread counts: the books of the window, the waits, the failures.
//!
//! Connections, admissions, failures and mismatches count from the start of the run; requests,
//! bytes and round trips from the moment the window opens. Nothing is shared between threads and
//! nothing is allocated per request; sums are made once, after the counters were frozen.

mod schedule;
mod slices;

use crate::failure::{Failure, Failures};
use crate::protocol::RequestId;
use crate::report::{Bytes, Requests};
use crate::samples::{Censored, Samples};
use crate::time::Moment;
pub(crate) use schedule::Kept;
use slices::Running;
pub(crate) use slices::{SLICE_NANOS, Slice};

/// A request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flight {
    /// When it was due; in a closed loop, when it was sent.
    pub(crate) due: Moment,
    /// When it was sent.
    pub(crate) sent: Moment,
}

impl Flight {
    /// No request.
    pub(crate) const NONE: Self = Self {
        due: Moment::NEVER,
        sent: Moment::NEVER,
    };
}

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
    /// From the send to the whole answer, without those of the current slice and without those of
    /// clients that are slow on purpose.
    pub(crate) rtt: Samples,
    /// Requests that ran into their time limit, since they were sent.
    pub(crate) timed_out: Censored,
    /// The parts of the round trips that lie before the window, in nanoseconds.
    pub(crate) before_window_nanos: u64,
    /// Time in the window that clients spent thinking or waiting for their turn, in nanoseconds.
    pub(crate) paused_nanos: u64,
    /// How the schedule was kept; none in a closed loop.
    pub(crate) kept: Option<Box<Kept>>,
    /// The clients by what they do; empty when all do the same.
    pub(crate) kinds: Vec<Kind>,
    running: Running,
    /// The slices that are over.
    pub(crate) slices: Vec<Slice>,
}

/// The clients that do the same.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    /// How many were ever connected.
    pub(crate) connected: u32,
    /// How many got at least one byte.
    pub(crate) served: u32,
    /// Their round trips in the window.
    pub(crate) rtt: Samples,
}

/// Whether requests have a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loop {
    /// They follow the answers.
    Closed,
    /// They do.
    Open,
}

impl Tally {
    /// Nothing counted and no window yet; for clients of `kinds` kinds that are told apart.
    pub(crate) fn new(pace: Loop, kinds: usize) -> Self {
        let kind = || Kind {
            connected: 0,
            served: 0,
            rtt: Samples::new(),
        };
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
            kept: (pace == Loop::Open).then(|| Box::new(Kept::new())),
            kinds: (0..kinds).map(|_| kind()).collect(),
            running: Running::new(pace),
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

    /// Whether requests have a schedule.
    pub(crate) fn pace(&self) -> Loop {
        match self.kept {
            Some(_) => Loop::Open,
            None => Loop::Closed,
        }
    }

    fn is_open(&self) -> bool {
        self.opened.is_known()
    }

    /// A connection was established after `nanos`.
    pub(crate) fn count_connect(&mut self, nanos: u64) {
        self.connect.record(nanos);
    }

    /// A client of `kind` is connected for the first time, and may have been counted as refused.
    pub(crate) fn count_connected(&mut self, kind: u8, was_refused: bool) {
        self.connected += 1;
        self.refused -= u32::from(was_refused);
        if let Some(kind) = self.kinds.get_mut(usize::from(kind)) {
            kind.connected += 1;
        }
    }

    /// A client of `kind` got its first byte `nanos` after it was connected.
    pub(crate) fn count_admission(&mut self, kind: u8, nanos: u64) {
        self.served += 1;
        self.admission.record(nanos);
        if let Some(kind) = self.kinds.get_mut(usize::from(kind)) {
            kind.served += 1;
        }
    }

    /// A request is on its way.
    #[inline]
    pub(crate) fn count_sent(&mut self) {
        self.requests.sent += u64::from(self.is_open());
    }

    /// It was due at `due` and is sent at `now`; `was_free` if its connection did nothing but wait
    /// for that moment.
    pub(crate) fn count_due(&mut self, due: Moment, now: Moment, was_free: bool) {
        if let (true, Some(kept)) = (self.opened.is_known(), &mut self.kept) {
            let late = kept.count_sent((due, now), was_free, self.opened);
            self.requests.late += u64::from(late);
        }
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

    /// A request has its whole answer; `prompt` if its client is not slow on purpose.
    #[inline]
    pub(crate) fn count_answer(&mut self, (kind, prompt): (u8, bool), flight: Flight, now: Moment) {
        if !self.is_open() {
            return;
        }
        self.requests.answered += 1;
        self.before_window_nanos += self.opened.since(flight.sent);
        self.running.count_answer(prompt, flight, now);
        if let Some(kind) = self.kinds.get_mut(usize::from(kind)) {
            kind.rtt.record(now.since(flight.sent));
        }
    }

    /// A request ended without a usable answer; `prompt` as for an answer.
    pub(crate) fn count_failed_request(
        &mut self,
        (kind, prompt): (Failure, bool),
        flight: Flight,
        now: Moment,
    ) {
        if !self.is_open() {
            return;
        }
        self.running.count_failed();
        if kind != Failure::Timeout {
            self.requests.errors += 1;
            return;
        }
        self.requests.timeouts += 1;
        if !prompt {
            return;
        }
        self.timed_out.add(now.since(flight.sent));
        if let Some(kept) = &mut self.kept {
            kept.timed_out.add(now.since(flight.due));
        }
    }

    /// Something went wrong, with or without the request in flight.
    pub(crate) fn count_failure(&mut self, kind: Failure, request: RequestId) {
        self.failures.add(kind, request);
        let differs = matches!(kind, Failure::Mismatch | Failure::TooManyBytes);
        self.mismatches += u64::from(differs);
    }

    /// A client was silent from `since` to `now` and waited for no server: on purpose, or for its turn
    /// among the others.
    pub(crate) fn count_pause(&mut self, since: Moment, now: Moment) {
        if self.is_open() {
            self.paused_nanos += now.since(since.max(self.opened));
        }
    }

    /// The longest round trip so far, in nanoseconds.
    pub(crate) fn longest_rtt_nanos(&self) -> Option<u64> {
        self.rtt.max_nanos().max(self.running.longest_rtt_nanos())
    }

    /// Ends slice number `index`.
    pub(crate) fn end_slice(&mut self, index: u64) {
        let response = self.kept.as_mut().map(|kept| &mut kept.response);
        if let Some(slice) = self.running.end(index, &mut self.rtt, response) {
            self.slices.push(slice);
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
        if let (Some(sum), Some(more)) = (&mut self.kept, &other.kept) {
            sum.merge(more);
        }
        for (sum, more) in self.kinds.iter_mut().zip(&other.kinds) {
            sum.connected += more.connected;
            sum.served += more.served;
            sum.rtt.merge(&more.rtt);
        }
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
