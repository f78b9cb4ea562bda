//! What reactors have in common: how the door is watched (the listener while clients may come in,
//! the gate while the server is full, the seats while this process is, nothing while the system is
//! short of something), and the rounds.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use socket2::Socket;

use super::Context;
use super::rounds::Rounds;
use crate::accept::{Door, Met};
use crate::conn::Ticket;
use crate::pulse::Beat;
use crate::stop::Phase;

/// Clients that are let in before the others have their turn again.
const AT_ONCE: usize = 64;
/// Events taken from the kernel at once.
const EVENTS: usize = 256;

/// Tokens from here on are the entrance's own; the smaller ones are free for its owner.
const FIRST_TOKEN: u64 = u64::MAX - 3;
const LISTENER: u64 = FIRST_TOKEN;
const GATE: u64 = FIRST_TOKEN + 1;
const DRAINING: u64 = FIRST_TOKEN + 2;
const CUTTING: u64 = FIRST_TOKEN + 3;

/// What a reactor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Somebody may be at the door.
    Arrivals,
    /// The drain began.
    Drain,
    /// Its deadline has come.
    Cut,
    /// What the owner registered under this token is ready.
    Own(u64, EventFlags),
}

/// What is watched of the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    Listener,
    /// The listener of a full server, by somebody who must not be the only one to be woken.
    ListenerToo,
    Gate,
    /// The seats of this process.
    Seats,
    /// Nothing, until then.
    Nothing(Instant),
    /// Nothing any more.
    Closed,
}

/// The door of a reactor, and the epoll set that it waits on.
#[derive(Debug)]
pub(super) struct Entrance<'a> {
    cx: &'a Context,
    door: Door<'a>,
    events: OwnedFd,
    watched: Watched,
    /// When it was last looked out though nobody was announced.
    looked_out: Instant,
    pub(super) rounds: Rounds,
    beat: Arc<Beat>,
}

impl<'a> Entrance<'a> {
    /// Watches the door of reactor `number`.
    ///
    /// # Errors
    ///
    /// When descriptors are short.
    pub(super) fn open(cx: &'a Context, number: usize) -> io::Result<Self> {
        let events = epoll::create(CreateFlags::CLOEXEC)?;
        let stop = &cx.shared.stop;
        for (fd, token) in [(stop.draining(), DRAINING), (stop.cutting(), CUTTING)] {
            // Once each: it stays raised.
            let flags = EventFlags::IN | EventFlags::ONESHOT;
            epoll::add(&events, fd, EventData::new_u64(token), flags)?;
        }
        let entrance = Self {
            cx,
            door: Door::of(cx, number, SocketFlags::NONBLOCK),
            events,
            watched: Watched::Listener,
            looked_out: Instant::now(),
            rounds: Rounds::new(),
            beat: cx.shared.pulse.enroll(),
        };
        entrance.watch_listener(EventFlags::EXCLUSIVE)?;
        Ok(entrance)
    }

    /// The set, for what else is to be watched.
    pub(super) fn events(&self) -> &OwnedFd {
        &self.events
    }

    /// What the reactor is doing; each wait ends with a new step.
    pub(super) fn beat(&self) -> &Beat {
        &self.beat
    }

    /// Waits for something, until `until` at most.
    ///
    /// # Errors
    ///
    /// When the system refuses to wait.
    pub(super) fn wait(&mut self, told: &mut Vec<Told>, until: Option<Instant>) -> io::Result<()> {
        let pause = match self.watched {
            Watched::Nothing(until) => Some(until),
            _ => None,
        };
        let look_out = self.next_look_out();
        let until = until.into_iter().chain(pause).chain(look_out).min();
        let limit = until.map(|until| until.saturating_duration_since(Instant::now()));
        let longest = self.cx.shared.pulse.longest_wait();
        let limit = limit.into_iter().chain(longest).min();
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut room = [std::mem::MaybeUninit::uninit(); EVENTS];
        let woken = epoll::wait(&self.events, &mut room, limit.as_ref());
        self.beat.begin();
        let reported = match woken {
            Ok((reported, _)) => reported,
            Err(Errno::INTR) => &mut [],
            Err(error) => return Err(error.into()),
        };
        told.extend(reported.iter().map(|event| {
            let (token, flags) = (event.data.u64(), event.flags);
            match token {
                LISTENER | GATE => Told::Arrivals,
                DRAINING => Told::Drain,
                CUTTING => Told::Cut,
                token => Told::Own(token, flags),
            }
        }));
        let now = Instant::now();
        if look_out.is_some_and(|at| at <= now) {
            self.looked_out = now;
        }
        if pause.into_iter().chain(look_out).any(|at| at <= now) {
            told.push(Told::Arrivals);
        }
        if told.contains(&Told::Cut) {
            self.rounds.cut(now);
        }
        if told.contains(&Told::Drain) {
            // Who was left in the queue comes in; then the door is closed.
            told.push(Told::Arrivals);
        }
        Ok(())
    }

    /// When it is looked out though nobody was announced.
    fn next_look_out(&self) -> Option<Instant> {
        let every = self.cx.look_out_every()?;
        let watches = matches!(self.watched, Watched::Listener | Watched::ListenerToo);
        watches.then(|| self.looked_out + every)
    }

    /// Lets in who is at the door, some at a time. `client` takes each one over and has it watched
    /// in the set; who cannot be is closed.
    ///
    /// # Errors
    ///
    /// When the listener itself is unusable.
    pub(super) fn admit(
        &mut self,
        mut client: impl FnMut(&OwnedFd, Socket, Ticket) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut admitted = 0;
        while admitted < AT_ONCE {
            match self.door.next()? {
                Met::Client((socket, ticket)) => {
                    admitted += 1;
                    if let Err(error) = client(&self.events, socket, ticket) {
                        let pause = self.door.refused(&error);
                        return self.pause(pause);
                    }
                }
                Met::Nobody => return self.watch_for_clients(),
                Met::Full if self.door.lacks_seat() => return self.watch(Watched::Seats),
                Met::Full => return self.watch(Watched::Gate),
                Met::Short(pause) => return self.pause(pause),
                Met::Closed => {
                    self.rounds.drain();
                    return self.watch(Watched::Closed);
                }
            }
        }
        match self.cx.shared.stop.phase() {
            Phase::Serving => {
                self.door.rest();
                self.watch_for_clients()
            }
            // The queue has no event that would announce the rest of it.
            Phase::Draining | Phase::Cutting => self.pause(Duration::ZERO),
        }
    }

    fn pause(&mut self, pause: Duration) -> io::Result<()> {
        self.watch(Watched::Nothing(Instant::now() + pause))
    }

    fn watch_for_clients(&mut self) -> io::Result<()> {
        self.watch(match self.door.lacks_seat() {
            true => Watched::ListenerToo,
            false => Watched::Listener,
        })
    }

    fn watch(&mut self, wanted: Watched) -> io::Result<()> {
        let before = std::mem::replace(&mut self.watched, wanted);
        if before == wanted {
            return Ok(());
        }
        match before {
            Watched::Listener | Watched::ListenerToo => {
                epoll::delete(&self.events, self.door.source())?;
            }
            Watched::Gate => epoll::delete(&self.events, &self.cx.gate)?,
            Watched::Seats => {
                let mut seats = self.cx.seats.iter();
                seats.try_for_each(|seats| epoll::delete(&self.events, seats))?;
            }
            Watched::Nothing(_) | Watched::Closed => {}
        }
        match wanted {
            // Exclusive: of several that share the listener, one wakes for a connection.
            Watched::Listener => self.watch_listener(EventFlags::EXCLUSIVE),
            Watched::ListenerToo => self.watch_listener(EventFlags::empty()),
            Watched::Gate | Watched::Seats => {
                let (token, flags) = (EventData::new_u64(GATE), EventFlags::IN);
                Ok(epoll::add(&self.events, self.door.full(), token, flags)?)
            }
            Watched::Nothing(_) | Watched::Closed => Ok(()),
        }
    }

    fn watch_listener(&self, flags: EventFlags) -> io::Result<()> {
        let (token, flags) = (EventData::new_u64(LISTENER), EventFlags::IN | flags);
        Ok(epoll::add(&self.events, self.door.source(), token, flags)?)
    }
}
