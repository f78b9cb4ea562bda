//! The measured window as one thread sees it: when it opens, its slices, its end, and the freeze.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::event::epoll;

use super::shared::Span;
use super::slots::Token;
use super::socket;
use super::worker::Worker;
use crate::census::Census;
use crate::client::{Client, Event};
use crate::tally::{SLICE_NANOS, Slice};
use crate::time::{Clock, Moment, nanos, thread_cpu_nanos};

/// How long answers are waited for after the freeze, only to count them apart.
const LATE_GRACE: Duration = Duration::from_millis(50);
/// How long nothing may end before the tickets of stuck requests are issued again, and at least
/// four times the longest round trip: a busy machine may take its time for the first one.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often clients that wait for a ticket are looked at.
const TICKET_CHECK: Duration = Duration::from_millis(125);

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
    /// How long it only looked at the clock since then, because something was due in a moment.
    pub(super) looked_nanos: u64,
    /// When sending was last held up by hand.
    paused_at: Moment,
    quiet: Quiet,
}

/// How long no request has ended.
#[derive(Clone, Copy, Debug)]
struct Quiet {
    /// How many had ended at the last look, and when that was.
    ended: u64,
    looked: Moment,
    nanos: u64,
}

impl Quiet {
    fn since(now: Moment) -> Self {
        Self {
            ended: 0,
            looked: now,
            nanos: 0,
        }
    }

    /// How long it has been quiet when `ended` requests have ended by `now`. A look that comes late
    /// counts as one in time: whoever was kept from looking has not read the answers either, and a
    /// machine that stood still has sent none.
    fn look(&mut self, ended: u64, now: Moment) -> u64 {
        let passed = now.since(self.looked).min(nanos(TICKET_CHECK));
        self.nanos = if ended == self.ended {
            self.nanos + passed
        } else {
            0
        };
        (self.ended, self.looked) = (ended, now);
        self.nanos
    }
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
            looked_nanos: 0,
            paused_at: Moment::START,
            quiet: Quiet::since(Moment::START),
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
        self.end_slice();
        self.window.slice = now.since(self.window.opened) / SLICE_NANOS;
        self.window.aim();
        Mark::None
    }

    /// Ends the slice that is running, and shows it.
    fn end_slice(&mut self) {
        let index = self.window.slice;
        self.desk.tally.end_slice(index);
        let last = self.desk.tally.slices.last();
        let ended = last.filter(|slice| slice.index == index).cloned();
        self.live.show(ended.unwrap_or_else(|| Slice {
            index,
            ..Slice::default()
        }));
    }

    fn open(&mut self, now: Moment) {
        let carried_in = self.in_flight();
        let clients = self.slots.iter_mut().map(|slot| &mut slot.client);
        clients.for_each(Client::open_window);
        // Without a warm-up the schedule begins with the window and not a moment before it.
        let opened = if self.window.span.warmup.is_zero() {
            Moment::START
        } else {
            now
        };
        self.desk.tally.open(opened, carried_in);
        self.desk.quota.open(carried_in);
        self.window.opened = opened;
        self.window.quiet = Quiet::since(now);
        self.window.cpu_nanos = thread_cpu_nanos();
        self.window.looked_nanos = 0;
        self.window.aim();
    }

    fn in_flight(&self) -> u64 {
        let clients = self.slots.iter().map(|slot| &slot.client);
        clients.map(|client| u64::from(client.in_flight())).sum()
    }

    /// Freezes the counters at `now`, while every socket is still open.
    pub(super) fn freeze(&mut self, now: Moment) -> (Census, Option<f64>) {
        let opened = self.desk.tally.opened();
        self.end_pause(now);
        match opened {
            Some(opened) => {
                self.desk.tally.requests.pending = self.in_flight();
                self.count_unsent(opened, now);
            }
            // Answers of the warm-up are none of the window's.
            None => self
                .slots
                .iter_mut()
                .for_each(|slot| slot.client.open_window()),
        }
        self.end_slice();
        let pending = usize::try_from(self.in_flight()).unwrap_or(0);
        let mut census = Census::of(self.slots.len(), pending);
        for (place, slot) in self.slots.iter().enumerate() {
            census.add(
                (&slot.client, self.desk.flights(place)),
                (self.window.opened, now),
                &self.shared.plan,
            );
        }
        let load = opened.map(|opened| now.since(opened)).filter(|n| *n > 0);
        let used = thread_cpu_nanos().saturating_sub(self.window.cpu_nanos);
        // Whoever only looks at the clock could do something else instead.
        let used = used.saturating_sub(self.window.looked_nanos);
        (census, load.map(|elapsed| used as f64 / elapsed as f64))
    }

    /// In an open loop: what was due in the window and was never sent, and how old what is in
    /// flight is since it was due.
    fn count_unsent(&mut self, opened: Moment, now: Moment) {
        let Some(schedule) = self.shared.plan.schedule else {
            return;
        };
        let shift = self.desk.halt.shift;
        let pending = usize::try_from(self.in_flight()).unwrap_or(0);
        if let Some(kept) = &mut self.desk.tally.kept {
            kept.pending_nanos.reserve_exact(pending);
        }
        for place in 0..self.slots.len() {
            let client = &self.slots[place].client;
            let ages = client.flights(self.desk.flights(place));
            let ages: Vec<_> = ages.map(|flight| now.since(flight.due)).collect();
            let number = client.number();
            let next = client.next_due(&self.shared.plan, shift);
            let (Some((mut next, was_free)), Some(kept)) = (next, &mut self.desk.tally.kept) else {
                continue;
            };
            kept.pending_nanos.extend(ages);
            if client.is_through(&self.shared.plan, &self.desk.quota) {
                continue;
            }
            loop {
                let due = schedule.due(next).after(shift);
                if due >= now {
                    break;
                }
                if due >= opened {
                    kept.count_unsent(due, now, was_free);
                    self.desk.tally.requests.unsent += 1;
                }
                next = schedule.after(number, next);
            }
        }
    }

    /// Reads on for a moment without sending or closing anything, to count what comes too late.
    pub(super) fn count_late_answers(&mut self, clock: Clock) -> io::Result<()> {
        let until = clock.now().after(LATE_GRACE);
        let clients = self.slots.iter().map(|slot| &slot.client);
        let busy = clients.filter(|client| client.awaits_answer());
        let mut awaited: u64 = busy.map(|client| u64::from(client.in_flight())).sum();
        // It stays raised, and would wake this loop at once; it may be gone already.
        let _ = epoll::delete(&self.epoll, &self.shared.stop);
        loop {
            let now = clock.now();
            if awaited == 0 || now >= until || self.desk.tally.opened().is_none() {
                return Ok(());
            }
            self.wait_until(until, now)?;
            while let Some((token, _)) = self.batch.pop() {
                if let Token::Connection { slot, generation } = token {
                    awaited -= self.read_late(slot as usize, generation);
                }
            }
        }
    }

    /// Reads what there is for a frozen client and tells how many answers that completes.
    fn read_late(&mut self, slot: usize, generation: u16) -> u64 {
        let place = &mut self.slots[slot];
        let (Some(socket), true) = (&place.socket, place.generation == generation) else {
            return 0;
        };
        let before = self.desk.tally.requests.late_answers;
        let complete = &mut self.desk.tally.requests.late_answers;
        loop {
            let received = socket::recv(socket, &mut self.buffer).unwrap_or(0);
            let parser = self.desk.parsers.get_mut(slot);
            let bytes = &self.buffer[..received];
            *complete += u64::from(place.client.take_late(bytes, &self.desk.wire, parser));
            if received < self.buffer.len() {
                return *complete - before;
            }
        }
    }

    /// Does what a person at the keys wants: holds sending up, or goes on with it.
    pub(super) fn steer(&mut self, now: Moment) -> io::Result<()> {
        let paused = self.shared.paused.load(Ordering::Relaxed);
        if paused == self.desk.halt.paused {
            return Ok(());
        }
        if paused {
            self.desk.halt.paused = true;
            self.window.paused_at = now;
            return Ok(());
        }
        self.end_pause(now);
        self.wake_parked(now)
    }

    /// Puts the schedule off by the pause that ends now, if there is one.
    fn end_pause(&mut self, now: Moment) {
        if std::mem::take(&mut self.desk.halt.paused) {
            self.desk.halt.shift += Duration::from_nanos(now.since(self.window.paused_at));
        }
    }

    fn wake_parked(&mut self, now: Moment) -> io::Result<()> {
        for slot in std::mem::take(&mut self.parked) {
            self.step(slot as usize, Event::Ask, now)?;
        }
        Ok(())
    }

    /// When clients that wait for a ticket are to be looked at again.
    pub(super) fn next_ticket_check(&self, now: Moment) -> Moment {
        if self.parked.is_empty() {
            Moment::NEVER
        } else {
            now.after(TICKET_CHECK)
        }
    }

    /// Lets the clients that wait for a ticket go on when nothing has ended for too long.
    pub(super) fn revive_parked(&mut self, now: Moment) -> io::Result<()> {
        if self.parked.is_empty() || self.desk.halt.paused {
            return Ok(());
        }
        let quiet = self.window.quiet.look(self.desk.quota.ended(), now);
        let longest = Duration::from_nanos(self.desk.tally.longest_rtt_nanos().unwrap_or(0));
        if quiet < nanos(PATIENCE.max(longest * 4)) {
            return Ok(());
        }
        self.window.quiet.nanos = 0;
        self.desk.quota.reissue();
        self.wake_parked(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::START.after(Duration::from_millis(millis))
    }

    #[test]
    fn it_is_quiet_for_as_long_as_it_was_looked_at_and_nothing_ended() {
        let mut quiet = Quiet::since(at(1_000));
        let mut millis = |ended, now| quiet.look(ended, at(now)) / 1_000_000;
        assert_eq!((millis(0, 1_100), millis(0, 1_225)), (100, 225));
        // It was kept from looking: that says nothing of the server.
        assert_eq!(millis(0, 9_000), 350);
        assert_eq!((millis(3, 9_100), millis(3, 9_150)), (0, 50));
    }
}
