//! An io_uring of one thread, with a safe interface: operations are asked for, submitted together,
//! and reported when they are done. Several reports may follow one request (multishot).
//!
//! Memory of an operation belongs to the ring until that operation is done. A descriptor is the
//! caller's, who keeps it open until then; the kernel holds what it stands for by itself.

mod available;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{SendFlags, SocketFlags};
use slab::Slab;

use self::available::{build, missing};
use super::buffers::{self, Buffers, Shape};

pub(crate) use self::available::{Unavailable, probe};
pub(crate) use super::buffers::Piece;

/// How long the end of a ring waits for its operations, which are cancelled, to end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Bytes on their way out.
#[derive(Debug)]
pub(crate) enum Load {
    /// As they came in. Sending them is tried once, so that the buffer is free again at once:
    /// [`io::ErrorKind::WouldBlock`] if the peer does not take them now.
    Received(Piece),
    /// Of our own; sending them waits for the peer.
    Owned(Vec<u8>),
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Done {
    /// A connection came, or accepting failed. `more` may follow, else accepting has ended.
    Accepted {
        outcome: io::Result<OwnedFd>,
        more: bool,
    },
    /// What was polled as `key` is ready. `more` may follow, else polling has ended.
    Ready { key: usize, more: bool },
    /// Bytes came for `key`, or their end (none), or an error. `more` may follow, else receiving
    /// has ended. `waiting`: the socket has others already.
    Received {
        key: usize,
        outcome: io::Result<Option<Piece>>,
        more: bool,
        waiting: bool,
    },
    /// So many bytes of `load` were sent for `key`.
    Sent {
        key: usize,
        outcome: io::Result<usize>,
        load: Load,
    },
    /// What was asked for about `key` is cancelled, which its own report tells as well; or it was
    /// done already.
    Cancelled { key: usize },
}

/// The upper byte of what the kernel hands back with a report; the rest is a key or a slot.
mod kind {
    pub(super) const ACCEPT: u64 = 1 << 56;
    pub(super) const POLL: u64 = 2 << 56;
    pub(super) const RECEIVE: u64 = 3 << 56;
    pub(super) const SEND: u64 = 4 << 56;
    pub(super) const CANCEL: u64 = 5 << 56;
    pub(super) const OTHER: u64 = 6 << 56;
    pub(super) const RECEIVE_LARGE: u64 = 7 << 56;
    pub(super) const MASK: u64 = 0xFF << 56;
}

/// The ring.
pub(crate) struct Ring {
    // Dropped in this order: the kernel lets go of the memory first.
    uring: IoUring,
    small: Buffers,
    large: Buffers,
    /// Operations in flight that want a large one.
    streams: usize,
    /// What is being sent, and for whom.
    loads: Slab<(usize, Load)>,
    /// What the submission queue had no room for.
    waiting: VecDeque<squeue::Entry>,
    /// Operations whose last report has not come.
    in_flight: usize,
    /// Sends among those that wait to be submitted which will be done by then.
    answers: usize,
}

impl Ring {
    /// A ring for the calling thread.
    ///
    /// # Errors
    ///
    /// [`Unavailable`], with the feature that is missing.
    pub(crate) fn open() -> Result<Self, Unavailable> {
        let uring = build()?;
        let [mut small, large] = [Buffers::new(buffers::SMALL)?, Buffers::new(buffers::LARGE)?];
        for buffers in [&small, &large] {
            let registered = buffers.register(&uring.submitter());
            registered.map_err(|source| missing("the ring of provided buffers", source))?;
        }
        small.lend(buffers::SMALL.count.into());
        Ok(Self {
            uring,
            small,
            large,
            streams: 0,
            loads: Slab::new(),
            waiting: VecDeque::new(),
            in_flight: 0,
            answers: 0,
        })
    }

    /// Accepts one connection.
    pub(crate) fn accept(&mut self, listener: &impl AsFd) {
        let (addr, flags) = (std::ptr::null_mut(), SocketFlags::CLOEXEC.bits());
        let accept = opcode::Accept::new(fd(listener), addr, std::ptr::null_mut());
        self.push(accept.flags(flags.cast_signed()).build(), kind::ACCEPT);
    }

    /// Accepts connections until it fails or is cancelled.
    pub(crate) fn accept_many(&mut self, listener: &impl AsFd) {
        let flags = SocketFlags::CLOEXEC.bits().cast_signed();
        let accept = opcode::AcceptMulti::new(fd(listener)).flags(flags);
        self.push(accept.build(), kind::ACCEPT);
    }

    /// Ends accepting; who was accepted meanwhile is reported all the same.
    pub(crate) fn cancel_accept(&mut self) {
        self.cancel(CancelBuilder::user_data(kind::ACCEPT).all(), kind::OTHER);
    }

    /// Reports once that `descriptor` is readable.
    pub(crate) fn poll(&mut self, descriptor: &impl AsFd, key: usize) {
        let flags = u32::from(PollFlags::IN.bits());
        let poll = opcode::PollAdd::new(fd(descriptor), flags).build();
        self.push(poll, kind::POLL | key as u64);
    }

    /// Reports each time that `descriptor` becomes readable.
    pub(crate) fn poll_on(&mut self, descriptor: &impl AsFd, key: usize) {
        let flags = u32::from(PollFlags::IN.bits());
        let poll = opcode::PollAdd::new(fd(descriptor), flags).multi(true);
        self.push(poll.build(), kind::POLL | key as u64);
    }

    /// Receives until the end, an error, or a shortage of buffers (`ENOBUFS`).
    pub(crate) fn receive(&mut self, socket: &impl AsFd, key: usize) {
        let receive = opcode::RecvMulti::new(fd(socket), buffers::SMALL.group);
        self.push(receive.build(), kind::RECEIVE | key as u64);
    }

    /// Receives what fits into one buffer.
    pub(crate) fn receive_once(&mut self, socket: &impl AsFd, key: usize) {
        let receive = receive_into(socket, buffers::SMALL);
        self.push(receive, kind::RECEIVE | key as u64);
    }

    /// Receives what fits into a large one, if there is one when bytes are there (`ENOBUFS`).
    pub(crate) fn receive_large(&mut self, socket: &impl AsFd, key: usize) {
        self.streams += 1;
        self.large.lend(self.streams);
        let receive = receive_into(socket, buffers::LARGE);
        self.push(receive, kind::RECEIVE_LARGE | key as u64);
    }

    /// Ends receiving; what was received meanwhile is reported all the same.
    pub(crate) fn cancel_receive(&mut self, key: usize) {
        let which = CancelBuilder::user_data(kind::RECEIVE | key as u64);
        self.cancel(which, kind::CANCEL | key as u64);
    }

    /// Sends that part of a load, or as much of it as the peer takes.
    pub(crate) fn send(&mut self, socket: &impl AsFd, key: usize, load: Load, range: Range<usize>) {
        let (bytes, how) = match &load {
            Load::Received(piece) => (self.bytes(piece), SendFlags::DONTWAIT),
            Load::Owned(bytes) => (&bytes[..], SendFlags::empty()),
        };
        let bytes = bytes.get(range).unwrap_or_default();
        // A longer one is sent in parts.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let flags = (SendFlags::NOSIGNAL | how).bits().cast_signed();
        let send = opcode::Send::new(fd(socket), bytes.as_ptr(), length);
        let send = send.flags(flags).build();
        self.answers += usize::from(matches!(load, Load::Received(_)));
        let slot = self.loads.insert((key, load));
        self.push(send, kind::SEND | slot as u64);
    }

    /// Ends all that is in flight for a socket; each operation is still reported.
    pub(crate) fn cancel_all(&mut self, socket: &impl AsFd, key: usize) {
        let which = CancelBuilder::fd(fd(socket)).all();
        self.cancel(which, kind::CANCEL | key as u64);
    }

    /// The bytes of a piece.
    pub(crate) fn bytes(&self, piece: &Piece) -> &[u8] {
        match self.large.have(piece) {
            true => self.large.bytes(piece),
            false => self.small.bytes(piece),
        }
    }

    /// Lets the next bytes have the place of a piece.
    pub(crate) fn give_back(&mut self, piece: Piece) {
        match self.large.have(&piece) {
            true => self.large.give_back(piece),
            false => self.small.give_back(piece),
        }
    }

    /// Submits what was asked for and waits until something is done, or until `until`.
    ///
    /// # Errors
    ///
    /// When the ring is unusable.
    pub(crate) fn wait(&mut self, until: Option<Instant>) -> io::Result<()> {
        self.enter(1, Duration::ZERO, until)
    }

    /// The same, but until `reports` are there beside those of answers, which come at once. After
    /// `patience` one is enough, as it is from the start where the kernel cannot do that (before
    /// Linux 6.12).
    ///
    /// # Errors
    ///
    /// When the ring is unusable.
    pub(crate) fn wait_for(
        &mut self,
        reports: u32,
        patience: Duration,
        until: Option<Instant>,
    ) -> io::Result<()> {
        if !self.uring.params().is_feature_min_timeout() {
            return self.wait(until);
        }
        let reports = usize::try_from(reports).unwrap_or(1);
        self.enter(self.answers.saturating_add(reports), patience, until)
    }

    fn enter(
        &mut self,
        reports: usize,
        patience: Duration,
        until: Option<Instant>,
    ) -> io::Result<()> {
        self.answers = 0;
        while !self.fill() {
            tolerate(self.uring.submit())?;
            if self.uring.submission().is_full() {
                // The kernel takes no more before its reports are looked at.
                return Ok(());
            }
        }
        let patience = u32::try_from(patience.as_micros()).unwrap_or(u32::MAX);
        let limits = SubmitArgs::new().min_wait_usec(patience);
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let submitter = self.uring.submitter();
        tolerate(match left.map(Timespec::from) {
            Some(left) => submitter.submit_with_args(reports, &limits.timespec(&left)),
            None => submitter.submit_with_args(reports, &limits),
        })
    }

    /// What was done, one at a time; nothing is waited for.
    pub(crate) fn next(&mut self) -> Option<Done> {
        loop {
            let report = self.uring.completion().next()?;
            let more = cqueue::more(report.flags());
            if !more {
                self.in_flight = self.in_flight.saturating_sub(1);
            }
            let what = report.user_data();
            // A key came from a `usize`, and so fits into one again.
            let key = usize::try_from(what & !kind::MASK).unwrap_or(usize::MAX);
            match what & kind::MASK {
                kind::ACCEPT => {
                    let outcome = result(&report).and_then(adopt);
                    return Some(Done::Accepted { outcome, more });
                }
                kind::POLL => return Some(Done::Ready { key, more }),
                kind @ (kind::RECEIVE | kind::RECEIVE_LARGE) => {
                    let outcome = self.received(&report, kind);
                    let waiting = cqueue::sock_nonempty(report.flags());
                    return Some(Done::Received {
                        key,
                        outcome,
                        more,
                        waiting,
                    });
                }
                kind::SEND => {
                    // What nobody asked for is not reported either.
                    let Some((key, load)) = self.loads.try_remove(key) else {
                        continue;
                    };
                    let outcome = result(&report);
                    return Some(Done::Sent { key, outcome, load });
                }
                kind::CANCEL => return Some(Done::Cancelled { key }),
                // What was cancelled is reported by itself.
                _ => {}
            }
        }
    }

    fn received(&mut self, report: &cqueue::Entry, kind: u64) -> io::Result<Option<Piece>> {
        let outcome = result(report);
        let bytes = outcome.as_ref().map_or(0, |bytes| *bytes);
        let id = cqueue::buffer_select(report.flags());
        let buffers = match kind {
            kind::RECEIVE_LARGE => &mut self.large,
            _ => &mut self.small,
        };
        let piece = id.map(|id| buffers.take(id, bytes));
        if kind == kind::RECEIVE_LARGE {
            self.streams = self.streams.saturating_sub(1);
            self.large.lend(self.streams);
        }
        match piece {
            Some(piece) if bytes == 0 => {
                self.give_back(piece);
                outcome.map(|_| None)
            }
            piece => outcome.map(|_| piece),
        }
    }

    fn cancel(&mut self, which: CancelBuilder, user_data: u64) {
        self.push(opcode::AsyncCancel2::new(which).build(), user_data);
    }

    fn push(&mut self, entry: squeue::Entry, user_data: u64) {
        self.in_flight += 1;
        self.waiting.push_back(entry.user_data(user_data));
        self.fill();
    }

    /// Moves what waits into the queue, in order; whether all of it had room.
    fn fill(&mut self) -> bool {
        let mut queue = self.uring.submission();
        while let Some(entry) = self.waiting.front() {
            // JUSTIFICATION: the kernel uses the memory that an entry names, whoever owns it.
            // SAFETY: all entries are made above. Accepting, polling and cancelling name none;
            // receiving uses `small` or `large`, and sending one of `loads` beside: all of them stay where they are until the
            // last report, and are leaked if that does not come.
            let pushed = unsafe { queue.push(entry) };
            if pushed.is_err() {
                return false;
            }
            self.waiting.pop_front();
        }
        true
    }

    /// Ends all operations; whether none is in flight any more.
    fn end(&mut self) -> bool {
        self.cancel(CancelBuilder::any(), kind::OTHER);
        let end = Instant::now() + FAREWELL;
        while self.in_flight > 0 && Instant::now() < end && self.wait(Some(end)).is_ok() {
            while self.next().is_some() {}
        }
        self.in_flight == 0
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if !self.end() {
            // The kernel may still use it, so it must never be anybody else's.
            std::mem::forget(std::mem::take(&mut self.loads));
            self.small.leak();
            self.large.leak();
        }
    }
}

/// An error that says "not now" is none: the next wait tries again.
fn tolerate(submitted: io::Result<usize>) -> io::Result<()> {
    let Err(error) = submitted else {
        return Ok(());
    };
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::INTR | Errno::TIME | Errno::BUSY | Errno::AGAIN) => Ok(()),
        _ => Err(error),
    }
}

/// What a report says: a count or a descriptor.
fn result(report: &cqueue::Entry) -> io::Result<usize> {
    let result = report.result();
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

/// The connection that a report names.
fn adopt(number: usize) -> io::Result<OwnedFd> {
    let number = RawFd::try_from(number).map_err(io::Error::other)?;
    // JUSTIFICATION: the kernel hands it over as a number.
    // SAFETY: it was opened for this report alone, which is looked at once, so nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Receiving what fits into one buffer of that shape.
fn receive_into(socket: &impl AsFd, shape: Shape) -> squeue::Entry {
    // Neither a place nor a length: both are those of the buffer.
    let receive = opcode::Recv::new(fd(socket), std::ptr::null_mut(), 0);
    let receive = receive.buf_group(shape.group).build();
    receive.flags(squeue::Flags::BUFFER_SELECT)
}

fn fd(descriptor: &impl AsFd) -> Fd {
    Fd(descriptor.as_fd().as_raw_fd())
}

#[cfg(test)]
mod tests;
