//! The measured window as one thread sees it: when it opens, its slices, its end, and the freeze.

use std::io;
use std::time::Duration;

use rustix::event::epoll;
use rustix::time::{ClockId, clock_gettime};

use super::shared::Span;
use super::slots::Token;
use super::socket;
use super::worker::Worker;
use crate::census::Census;
use crate::client::Event;
use crate::tally::SLICE_NANOS;
use crate::time::{Clock, Moment, nanos};

/// How long answers are waited for after the freeze, only to count them apart.
const LATE_GRACE: Duration = Duration::from_millis(50);
/// How long nothing may end before the tickets of stuck requests are issued again, and at least
/// four times the longest round trip.
const PATIENCE: Duration = Duration::from_millis(100);

/// Where the window is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    span: Span,
    opened: Moment,
    /// The slice that is running, from 0.
    slice: u64,
    /// The opening, the end of a slice or the end, whichever is next.
    next_mark: Moment,
    /// Processor time of the thread when the window opened.
    cpu_nanos: u64,
    /// How many requests had ended when something last did, and when that was.
    progress: (u64, Moment),
}

/// What a moment means for the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The run goes on.
    None,
    /// The window is over.
    End,
}

impl Window {
    /// Not open yet.
    pub(super) fn new(span: Span) -> Self {
        Self {
            span,
            opened: Moment::NEVER,
            slice: 0,
            next_mark: Moment::START.after(span.warmup),
            cpu_nanos: 0,
            progress: (0, Moment::START),
        }
    }

    /// Whether something is to be done before the next event is handled.
    #[inline]
    pub(super) fn is_due(&self, now: Moment) -> bool {
        now >= self.next_mark
    }

    /// When that will be.
    pub(super) const fn next_mark(&self) -> Moment {
        self.next_mark
    }

    fn end(&self) -> Moment {
        let length = self.span.length;
        length.map_or(Moment::NEVER, |length| self.opened.after(length))
    }

    fn aim(&mut self) {
        let slices = Duration::from_nanos(SLICE_NANOS.saturating_mul(self.slice + 1));
        self.next_mark = self.end().min(self.opened.after(slices));
    }
}

impl Worker<'_> {
    /// Opens the window, ends a slice, or finds that the window is over.
    pub(super) fn pass_marks(&mut self, now: Moment) -> Mark {
        if !self.window.is_due(now) {
            return Mark::None;
        }
        if !self.window.opened.is_known() {
            self.open(now);
            return Mark::None;
        }
        if now >= self.window.end() {
            return Mark::End;
        }
        self.tally.end_slice(self.window.slice);
        self.window.slice = now.since(self.window.opened) / SLICE_NANOS;
        self.window.aim();
        Mark::None
    }

    fn open(&mut self, now: Moment) {
        let carried_in = self.in_flight() as u64;
        self.slots
            .iter_mut()
            .for_each(|slot| slot.client.open_window());
        self.tally.open(now, carried_in);
        self.quota.open(carried_in);
        self.window.opened = now;
        self.window.progress = (0, now);
        self.window.cpu_nanos = thread_cpu_nanos();
        self.window.aim();
    }

    fn in_flight(&self) -> usize {
        let clients = self.slots.iter().map(|slot| &slot.client);
        clients.filter(|client| client.is_in_flight()).count()
    }

    /// Freezes the counters at `now`, while every socket is still open.
    pub(super) fn freeze(&mut self, now: Moment) -> (Census, Option<f64>) {
        let opened = self.tally.opened();
        match opened {
            Some(_) => self.tally.requests.pending = self.in_flight() as u64,
            // Answers of the warm-up are none of the window's.
            None => self
                .slots
                .iter_mut()
                .for_each(|slot| slot.client.open_window()),
        }
        self.tally.end_slice(self.window.slice);
        let clients = self.slots.iter().map(|slot| &slot.client);
        let census = Census::take(clients, self.window.opened, now);
        let load = opened.map(|opened| now.since(opened)).filter(|n| *n > 0);
        let used = thread_cpu_nanos().saturating_sub(self.window.cpu_nanos);
        (census, load.map(|elapsed| used as f64 / elapsed as f64))
    }

    /// Reads on for a moment without sending or closing anything, to count what comes too late.
    pub(super) fn count_late_answers(&mut self, clock: Clock) -> io::Result<()> {
        let until = clock.now().after(LATE_GRACE);
        let clients = self.slots.iter().map(|slot| &slot.client);
        let mut awaited = clients.filter(|client| client.awaits_answer()).count();
        // It stays raised, and would wake this loop at once; it may be gone already.
        let _ = epoll::delete(&self.epoll, &self.shared.stop);
        let mut events = Vec::new();
        loop {
            let now = clock.now();
            if awaited == 0 || now >= until || self.tally.opened().is_none() {
                return Ok(());
            }
            self.wait_until(&mut events, until, now)?;
            for event in &events {
                if let Token::Connection { slot, generation } = Token::unpack(event.data) {
                    awaited -= usize::from(self.read_late(slot as usize, generation));
                }
            }
        }
    }

    /// Reads once from a frozen client; true when that completes its answer.
    fn read_late(&mut self, slot: usize, generation: u32) -> bool {
        let place = &mut self.slots[slot];
        let Some(socket) = place
            .socket
            .as_ref()
            .filter(|_| place.generation == generation)
        else {
            return false;
        };
        let received = socket::recv(socket, &mut self.buffer).unwrap_or(0);
        let complete = received > 0 && place.client.take_late(received, &self.messages);
        self.tally.requests.late_answers += u64::from(complete);
        if complete || received == 0 {
            // Nothing more is expected here, and a level-triggered event would come for ever.
            let _ = epoll::delete(&self.epoll, socket);
        }
        complete
    }

    /// When clients that wait for a ticket are to be looked at again.
    pub(super) fn next_ticket_check(&self, now: Moment) -> Moment {
        if self.parked.is_empty() {
            Moment::NEVER
        } else {
            now.after(PATIENCE / 4)
        }
    }

    /// Lets the clients that wait for a ticket go on when nothing has ended for too long.
    pub(super) fn revive_parked(&mut self, now: Moment) -> io::Result<()> {
        if self.parked.is_empty() {
            return Ok(());
        }
        let ended = self.quota.ended();
        if ended != self.window.progress.0 {
            self.window.progress = (ended, now);
        }
        let longest = Duration::from_nanos(self.tally.longest_rtt_nanos().unwrap_or(0));
        let patience = nanos(PATIENCE.max(longest * 4));
        if now.since(self.window.progress.1) < patience {
            return Ok(());
        }
        self.window.progress.1 = now;
        self.quota.reissue();
        for slot in std::mem::take(&mut self.parked) {
            self.step(slot as usize, Event::Ask, now)?;
        }
        Ok(())
    }
}

/// Processor time that the calling thread has used, in nanoseconds.
fn thread_cpu_nanos() -> u64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(used.tv_sec) * 1_000_000_000 + part(used.tv_nsec)
}
