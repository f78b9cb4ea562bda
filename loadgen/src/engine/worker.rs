//! One thread of the generator: its clients, its epoll set, its counters.
//!
//! Edge-triggered: a client's socket is watched for input all the time and for output only while
//! part of a message is left. A request costs a send, a receive, its share of `epoll_wait`, and a
//! look or two at the clock; it allocates nothing and touches nothing that is shared. In a closed
//! loop some answers are read before the next requests go out, and system calls are shared
//! ([`super::together`]).

use std::io;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::event::{Timespec, epoll};

use super::Frozen;
use super::batch::Batch;
use super::desk::Desk;
use super::live::Live;
use super::shared::Shared;
use super::slots::{Slot, Token, Watch};
use super::timers::Timers;
use super::together::Together;
use super::window::{Mark, Window};
use crate::client::{Action, Event};
use crate::failure::Failure;
use crate::observe::tcp;
use crate::tally::{Loop, Tally};
use crate::time::{Clock, Moment, nanos};

/// Bounds of the number of connections begun before the others are looked at: a 64th of the
/// clients. Many at a time would make those that are established already look slow, and one at a
/// time would let the others' traffic hold up thousands.
const STARTS_AT_ONCE: std::ops::RangeInclusive<usize> = 1..=64;
/// How long a run whose requests have all ended waits for clients that are still connecting: long
/// enough for the kernel to repeat a lost first packet after 1 s and 3 s.
const SETTLE: Duration = Duration::from_secs(5);
/// Before a due time an open loop stops sleeping and looks at the clock instead: a sleeping
/// processor wakes up tens of microseconds late.
const SPIN: Duration = Duration::from_micros(30);
/// Answers that are read before the next requests of their clients are sent: a few, so that none
/// waits for its turn longer than some tens of microseconds.
const READS_FIRST: usize = 16;
/// Bounds of the receive buffer: small messages leave room to notice surplus bytes, and large ones
/// are read in pieces.
const BUFFER_BYTES: std::ops::RangeInclusive<usize> = 64 << 10..=256 << 10;

/// One thread's part of a run.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    pub(super) shared: &'a Shared,
    pub(super) live: Arc<Live>,
    pub(super) epoll: OwnedFd,
    pub(super) batch: Batch,
    pub(super) slots: Vec<Slot>,
    pub(super) desk: Desk,
    pub(super) window: Window,
    pub(super) buffer: Vec<u8>,
    pub(super) together: Together,
    timers: Timers,
    /// Clients whose next request goes out when a few answers are read.
    pub(super) outbox: Vec<u32>,
    /// Clients that wait for a ticket.
    pub(super) parked: Vec<u32>,
    /// The next client to begin.
    next_start: usize,
    /// Clients that may still do something.
    active: usize,
    /// Whether somebody has raised the stop.
    stopped: bool,
    /// Whether it goes on only until its clients are connected.
    lingers: bool,
    /// Whether it has told the others that its clients are done.
    retired: bool,
    pub(super) first_failure: Option<(Failure, io::Error)>,
}

impl<'a> Worker<'a> {
    /// Thread number `thread` of the run, which has every n-th client.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub(super) fn new(shared: &'a Shared, thread: usize, live: Arc<Live>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            &shared.stop,
            Token::Stop.pack(),
            epoll::EventFlags::IN,
        )?;
        let mut slots: Vec<_> = shared.clients(thread).map(Slot::new).collect();
        // They begin one after the other, and random moments are in no order. In place: a copy of
        // all clients would be the most memory that the run ever needs.
        slots.sort_unstable_by_key(|slot| {
            let number = slot.client.number();
            (shared.start(number), number)
        });
        let longest = shared.longest_request;
        let desk = Desk::new(shared, slots.len());
        let together = match shared.plan.schedule {
            Some(_) => Together::never(),
            None => Together::new(longest, desk.depth()),
        };
        Ok(Self {
            live,
            epoll,
            batch: Batch::new(),
            desk,
            window: Window::new(shared.span),
            buffer: vec![0; longest.clamp(*BUFFER_BYTES.start(), *BUFFER_BYTES.end())],
            timers: Timers::default(),
            together,
            outbox: Vec::with_capacity(READS_FIRST),
            parked: Vec::new(),
            next_start: 0,
            active: slots.len(),
            slots,
            shared,
            stopped: false,
            lingers: false,
            retired: false,
            first_failure: None,
        })
    }

    /// Works to the end of the run, freezes the counters, and counts late answers for a moment.
    /// The sockets stay open until the worker is dropped.
    ///
    /// # Errors
    ///
    /// When the system refuses to wait for events.
    pub(super) fn work(&mut self, clock: Clock) -> io::Result<Frozen> {
        // Timers are late by up to 50 µs otherwise. Where it is refused they are just that.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let frozen_at = self.serve(clock)?;
        let (census, load) = self.freeze(frozen_at);
        let tcp = self.ask_kernel();
        self.count_late_answers(clock)?;
        Ok(Frozen {
            // A copy would touch every counter of every histogram once more.
            tally: std::mem::replace(&mut self.desk.tally, Tally::new(Loop::Closed, 0)),
            census,
            at: frozen_at,
            load,
            paused: self.desk.halt.shift,
            tcp,
            first_failure: self.first_failure.take(),
        })
    }

    /// What the kernel says of this thread's part of the sample of connections.
    fn ask_kernel(&self) -> tcp::Sample {
        let sockets = self.slots.iter().filter_map(|slot| slot.socket.as_ref());
        tcp::Sample::take(sockets, tcp::MOST_SOCKETS.div_ceil(self.shared.threads))
    }

    /// Serves the clients until the run is over and tells when that was.
    fn serve(&mut self, clock: Clock) -> io::Result<Moment> {
        let mut looks_since: Option<Moment> = None;
        loop {
            let now = clock.now();
            if let Some(since) = looks_since.take() {
                // A look is short, unless the thread was kept from its processor meanwhile.
                self.window.looked_nanos += now.since(since).min(nanos(SPIN));
            }
            if self.pass_marks(now) == Mark::End {
                return Ok(now.min(self.desk.quota.over_at()));
            }
            self.start_clients(clock)?;
            let rang = self.ring_alarms(clock)?;
            self.steer(now)?;
            self.revive_parked(now)?;
            self.publish();
            self.retire();
            if let Some(over) = self.is_over(now)? {
                return Ok(over);
            }
            let sleeps = self.wait(clock.now())?;
            // Nothing to do, and no time to sleep.
            looks_since = (!rang && !sleeps && self.batch.is_empty()).then_some(now);
            while let Some(mut now) = self.handle_next(clock)? {
                if self.outbox.len() >= READS_FIRST {
                    now = self.empty_outbox(clock)?;
                }
                if self.is_urgent(now) {
                    // What is left belongs behind the mark.
                    break;
                }
            }
            self.empty_outbox(clock)?;
        }
    }

    /// Handles what the kernel has reported next, of one client or of some that can be served
    /// together, and tells when that was; nothing when there is nothing more, or the run is to end.
    #[inline]
    pub(super) fn handle_next(&mut self, clock: Clock) -> io::Result<Option<Moment>> {
        if let Some(now) = self.read_together(clock)? {
            return Ok(Some(now));
        }
        match self.batch.pop() {
            Some((Token::Connection { slot, generation }, flags)) => {
                self.handle(slot, generation, flags, clock).map(Some)
            }
            Some((Token::Stop, _)) => {
                self.stopped = true;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Tells the others when none of its clients will do anything more. The run goes on while
    /// there are clients of other threads that may: what is due meanwhile is due here, too.
    fn retire(&mut self) {
        if self.active > 0 || self.retired {
            return;
        }
        self.retired = true;
        if self.shared.working.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.shared.stop.raise();
        }
    }

    /// Whether something must be done before the next event is handled.
    #[inline]
    fn is_urgent(&self, now: Moment) -> bool {
        let is_due = self.shared.plan.schedule.is_some() && self.timers.next() <= now;
        is_due || self.window.is_due(now) || self.desk.quota.is_over()
    }

    /// When the run was over before its window, if it was.
    fn is_over(&mut self, now: Moment) -> io::Result<Option<Moment>> {
        let over = self.desk.quota.over_at();
        if !over.is_known() {
            return Ok(self.stopped.then_some(now));
        }
        if !self.lingers {
            self.lingers = true;
            self.shared.stop.raise();
            // It stays raised, and would wake this thread at once while it lingers.
            epoll::delete(&self.epoll, &self.shared.stop)?;
        }
        // Few requests may have ended before all clients had the time to connect, which says
        // nothing against the server.
        let tally = &self.desk.tally;
        let settled = tally.connected + tally.refused;
        let lingers = (settled as usize) < self.slots.len() && now < over.after(SETTLE);
        Ok((!lingers).then_some(over))
    }

    /// Waits for events, at most until something else is to be done; false where that is so soon that it
    /// only looks whether there are any.
    fn wait(&mut self, now: Moment) -> io::Result<bool> {
        let start = match self.slots.get(self.next_start) {
            Some(slot) => self.shared.start(slot.client.number()),
            None => Moment::NEVER,
        };
        let until = start
            .min(self.timers.next())
            .min(self.window.next_mark())
            .min(self.next_ticket_check(now))
            .min(self.desk.quota.over_at().after(SETTLE));
        self.wait_until(until, now)
    }

    /// Waits for events until `until` at most; false where it only looks.
    pub(super) fn wait_until(&mut self, until: Moment, now: Moment) -> io::Result<bool> {
        let spin = self.shared.plan.schedule.map_or(0, |_| nanos(SPIN));
        let rest = until.since(now).saturating_sub(spin);
        let limit = until.is_known().then(|| timespec(rest));
        self.batch.fill(&self.epoll, limit.as_ref())?;
        Ok(rest > 0)
    }

    fn publish(&self) {
        let started = u32::try_from(self.next_start).unwrap_or(u32::MAX);
        self.live.publish(started, &self.desk.tally);
    }

    fn start_clients(&mut self, clock: Clock) -> io::Result<()> {
        let share = self.slots.len() / STARTS_AT_ONCE.end();
        for _ in 0..share.clamp(*STARTS_AT_ONCE.start(), *STARTS_AT_ONCE.end()) {
            let now = clock.now();
            match self.slots.get(self.next_start) {
                Some(slot) if self.shared.start(slot.client.number()) <= now => {}
                _ => break,
            }
            let slot = self.next_start;
            self.next_start += 1;
            self.step(slot, Event::Start, now)?;
        }
        Ok(())
    }

    /// Lets everybody act whose time has come; false if there is nobody.
    fn ring_alarms(&mut self, clock: Clock) -> io::Result<bool> {
        let (mut now, mut rang) = (clock.now(), false);
        while let Some((_, slot)) = self.timers.pop_due(now) {
            rang = true;
            let index = slot as usize;
            self.slots[index].alarm = Moment::NEVER;
            self.step(index, Event::Alarm, now)?;
            if self.window.is_due(now) {
                // More may become due while these are sent, and the window must not wait for them.
                break;
            }
            now = clock.now();
        }
        Ok(rang)
    }

    /// Lets one client take in `event` and does what it decides.
    pub(super) fn step(&mut self, slot: usize, event: Event<'_>, now: Moment) -> io::Result<()> {
        let action = self.decide(slot, event, now);
        self.carry_out(slot, action, now)
    }

    #[inline]
    pub(super) fn decide(&mut self, slot: usize, event: Event<'_>, now: Moment) -> Action {
        let mut cx = self.desk.context(&self.shared.plan, slot, now);
        self.slots[slot].client.step(event, &mut cx)
    }

    pub(super) fn carry_out(&mut self, slot: usize, action: Action, now: Moment) -> io::Result<()> {
        let mut action = action;
        loop {
            action = match action {
                Action::Nothing => break,
                Action::Write => self.write(slot, now)?,
                Action::Connect => self.connect(slot, now)?,
                Action::Read => self.set_watch(slot, Watch::Reads)?,
                Action::Park => {
                    self.parked.push(index(slot));
                    Action::Nothing
                }
                Action::Close => self.close(slot),
                Action::Finish => {
                    self.active -= 1;
                    self.close(slot)
                }
            };
        }
        self.set_alarm(slot);
        Ok(())
    }

    /// Sets the alarm that the client in `slot` wants, unless an earlier one is set already.
    #[inline]
    fn set_alarm(&mut self, slot: usize) {
        let place = &mut self.slots[slot];
        let flights = self.desk.flights(slot);
        let deadline = place.client.deadline(&self.shared.plan, flights);
        if deadline < place.alarm {
            let replaced = std::mem::replace(&mut place.alarm, deadline);
            self.timers.set(deadline, index(slot), replaced);
        }
    }
}

/// The place of a client among those of its thread, of whom there are less than 2³².
pub(super) fn index(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(u32::MAX)
}

fn timespec(nanos: u64) -> Timespec {
    let part = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    Timespec {
        tv_sec: part(nanos / 1_000_000_000),
        tv_nsec: part(nanos % 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::target::Targets;
    use crate::schedule::{Arrivals, Rate};
    use crate::time::thread_cpu_nanos;
    use crate::{Config, Pace, Starts};
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;

    /// What is done with the worker of a run that is never begun.
    fn with_worker<T>(of: impl FnOnce(&mut Config), act: impl FnOnce(&mut Worker<'_>) -> T) -> T {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let mut config = Config::new(nowhere.into());
        of(&mut config);
        let targets = Targets::resolve(&config.targets, &config.bind).unwrap();
        let shared = Shared::new(&config, targets).unwrap();
        act(&mut Worker::new(&shared, 0, Arc::new(Live::default())).unwrap())
    }

    #[test]
    fn clients_that_come_at_random_begin_in_the_order_of_their_moments() {
        let scattered = |config: &mut Config| {
            config.starts = Starts::Scattered(Duration::from_secs(1));
        };
        with_worker(scattered, |worker| {
            let numbers: Vec<u32> = worker.slots.iter().map(|it| it.client.number()).collect();
            let start = |number: &u32| worker.shared.start(*number);
            assert!(numbers.is_sorted_by_key(start));
            assert!(!numbers.is_sorted() && numbers.len() == 50);
        });
    }

    fn on_schedule(config: &mut Config) {
        config.pace = Pace::Open(Rate::Constant(1e4), Arrivals::Constant);
        config.warmup = Duration::ZERO;
    }

    #[test]
    fn on_a_schedule_it_does_not_sleep_when_something_is_due_in_a_moment() {
        let sleeps = |of: fn(&mut Config), due: Duration| {
            let until = Moment::START.after(due);
            with_worker(of, |worker| {
                worker.wait_until(until, Moment::START).unwrap()
            })
        };
        assert!(!sleeps(on_schedule, SPIN));
        assert!(sleeps(on_schedule, 2 * SPIN));
        assert!(sleeps(|_| (), SPIN), "without a schedule nothing is due");
    }

    #[test]
    fn looking_at_the_clock_is_no_load() {
        let load = |looked_nanos| {
            with_worker(on_schedule, |worker| {
                assert!(worker.pass_marks(Moment::START) == Mark::None);
                worker.window.looked_nanos = looked_nanos;
                // A clock of the processor may go in steps.
                let begun = thread_cpu_nanos();
                while thread_cpu_nanos() == begun {}
                worker.freeze(Moment::START.after(SPIN)).1
            })
        };
        assert!(load(0) > Some(0.0));
        assert_eq!(load(u64::MAX), Some(0.0));
    }
}
