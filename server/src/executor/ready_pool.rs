//! `ready-pool`: a reactor watches the quiet connections; the threads of a pool each take one that
//! is ready, serve one burst of it and give it back. The cure without async: four threads serve a
//! thousand clients that think.
//!
//! ```text
//!            door ──▶ reactor ──watch──▶ one epoll set ◀──give back── thread × W
//!                     (limits, end)      (one shot each) ──ready────▶ (one burst)
//! ```
//!
//! The epoll set is the queue between them. Each report is one shot, so a connection has at most
//! one thread; a thread takes one report at a time, so that who is behind a slow burst is taken by
//! another thread.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};
use std::time::Instant;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;
use socket2::Socket;

use super::entrance::{Entrance, Told};
use super::{Context, Executor, OnReady};
use crate::conn::Ticket;
use crate::driver;
use crate::driver::readiness::{Session, Step};
use crate::mode::Inner;
use crate::pulse::Beat;

/// The token that ends the threads.
const OVER: u64 = u64::MAX;

/// The strategy.
#[derive(Debug)]
pub(super) struct ReadyPool {
    /// Threads of the pool.
    pub(super) threads: NonZeroUsize,
}

impl Executor for ReadyPool {
    fn run(self: Box<Self>, cx: Context, on_ready: OnReady<'_>) -> io::Result<usize> {
        let room = Room::new(&cx)?;
        let reactor = Reactor::open(&room)?;
        thread::scope(|scope| {
            for number in 0..self.threads.get() {
                start(scope, number, &room)?;
            }
            on_ready();
            let served = reactor.run();
            room.end();
            served
        })
    }
}

fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    number: usize,
    room: &'scope Room<'_>,
) -> io::Result<()> {
    let builder = thread::Builder::new().name(Inner::ReadyPool.thread_name(number));
    let started = builder.spawn_scoped(scope, move || {
        room.cx.shared.claim_thread_slot(number);
        room.serve();
    });
    if started.is_err() {
        room.end();
    }
    started.map(drop)
}

/// Where the connections are: a seat for each that may be inside.
struct Room<'a> {
    cx: &'a Context,
    /// The connections that nobody serves just now.
    ready: OwnedFd,
    over: OwnedFd,
    seats: Box<[Seat]>,
    free: Mutex<Vec<usize>>,
}

type Seat = Mutex<Option<Box<Session>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A session's panic is caught inside of its lock; what else could panic leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Room<'a> {
    fn new(cx: &'a Context) -> io::Result<Self> {
        let ready = epoll::create(CreateFlags::CLOEXEC)?;
        let over = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        epoll::add(&ready, &over, EventData::new_u64(OVER), EventFlags::IN)?;
        let count = cx.shared.config.admitted() as usize;
        Ok(Self {
            cx,
            ready,
            over,
            seats: (0..count).map(|_| Mutex::new(None)).collect(),
            free: Mutex::new((0..count).rev().collect()),
        })
    }

    /// Tells the threads that nothing more will come.
    fn end(&self) {
        // It stays readable, so that all of them see it; the counter is far from its end.
        let _ = rustix::io::write(&self.over, &1_u64.to_ne_bytes());
    }

    /// What a thread of the pool does: one burst after the other.
    fn serve(&self) {
        let mut scratch = driver::scratch();
        let beat = self.cx.shared.pulse.enroll();
        let limit = self.cx.shared.pulse.longest_wait();
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        loop {
            let mut one = [std::mem::MaybeUninit::uninit()];
            let woken = epoll::wait(&self.ready, &mut one, limit.as_ref());
            beat.begin();
            let (token, flags) = match woken {
                Ok(([event], _)) => (event.data.u64(), event.flags),
                Ok(_) | Err(Errno::INTR) => continue,
                // The set is ours and valid; without it there is nothing left to do.
                Err(_) => return,
            };
            let Ok(seat) = usize::try_from(token) else {
                continue;
            };
            if token == OVER {
                return;
            }
            self.advance(seat, &mut scratch, flags, &beat);
        }
    }

    /// Serves one burst of the connection in `seat`, pays for it, and gives it back.
    fn advance(&self, seat: usize, scratch: &mut [u8], ready: EventFlags, beat: &Beat) {
        let Some(taken) = self.seats.get(seat) else {
            return;
        };
        let mut taken = lock(taken);
        let Some(session) = taken.as_mut() else {
            return;
        };
        let step = loop {
            match session.advance(scratch, ready, Instant::now()) {
                Step::Pay(cost) => {
                    self.cx.shared.payer.pay(cost, beat);
                    session.paid(Instant::now());
                }
                step => break step,
            }
        };
        let given_back = match step {
            Step::Writable => self.watch(seat, session, EventFlags::OUT),
            Step::Close(ended) => {
                let session = taken.take();
                drop(taken);
                return self.leave(seat, session, |session| session.conclude(ended));
            }
            _ => self.watch(seat, session, EventFlags::IN | EventFlags::RDHUP),
        };
        if given_back.is_err() {
            let session = taken.take();
            drop(taken);
            self.leave(seat, session, drop);
        }
    }

    /// Has the connection in `seat` reported once more, which is at once if it is ready already.
    fn watch(&self, seat: usize, session: &Session, flags: EventFlags) -> io::Result<()> {
        let token = EventData::new_u64(seat as u64);
        let flags = flags | EventFlags::ONESHOT;
        Ok(epoll::modify(&self.ready, session.socket(), token, flags)?)
    }

    /// Frees the seat first: whoever gets the permit next finds one.
    fn leave(&self, seat: usize, session: Option<Box<Session>>, end: impl FnOnce(Session)) {
        lock(&self.free).push(seat);
        if let Some(session) = session {
            end(*session);
        }
    }

    fn enter(&self, socket: Socket, ticket: Ticket, now: Instant) -> io::Result<()> {
        let full = || io::Error::other("more connections than permits");
        let seat = lock(&self.free).pop().ok_or_else(full)?;
        let session = Session::new(socket, ticket, now);
        let mut taken = lock(&self.seats[seat]);
        let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ONESHOT;
        let token = EventData::new_u64(seat as u64);
        let added = epoll::add(&self.ready, session.socket(), token, flags);
        if added.is_ok() {
            *taken = Some(Box::new(session));
        } else {
            // One lock at a time.
            drop(taken);
            lock(&self.free).push(seat);
        }
        Ok(added?)
    }

    fn occupied(&self) -> usize {
        self.seats.len() - lock(&self.free).len()
    }
}

/// The thread that admits, and sees to time limits and to the end.
struct Reactor<'a> {
    room: &'a Room<'a>,
    entrance: Entrance<'a>,
    scratch: Vec<u8>,
}

impl<'a> Reactor<'a> {
    fn open(room: &'a Room<'a>) -> io::Result<Self> {
        Ok(Self {
            room,
            entrance: Entrance::open(room.cx, 0)?,
            scratch: driver::scratch(),
        })
    }

    /// Works until the drain is over; returns how many connections are left at last.
    fn run(mut self) -> io::Result<usize> {
        let mut told = Vec::new();
        loop {
            // Looked at once: a seat that is left in between is noticed at the next tick, which a
            // second look would not ask for.
            let occupied = self.room.occupied();
            if self.entrance.rounds.is_over(occupied) {
                return Ok(occupied);
            }
            let tick = (occupied > 0).then(|| self.entrance.rounds.next_look());
            self.entrance.wait(&mut told, tick)?;
            let now = Instant::now();
            for news in told.drain(..) {
                match news {
                    Told::Arrivals => self
                        .entrance
                        .admit(|_, socket, ticket| self.room.enter(socket, ticket, now))?,
                    Told::Drain | Told::Cut => self.for_all(|session| session.look(now)),
                    Told::Own(..) => {}
                }
            }
            if self.entrance.rounds.is_time_to_look(now) {
                self.for_all(|session| session.look(now));
            }
        }
    }

    /// Asks each session that no thread serves just now, and lets it go on if it says that there is
    /// something to do. One that is served follows the stop by itself.
    fn for_all(&mut self, mut ask: impl FnMut(&mut Session) -> bool) {
        let room = self.room;
        for (seat, taken) in room.seats.iter().enumerate() {
            let taken = taken.try_lock();
            if taken.is_ok_and(|mut taken| taken.as_deref_mut().is_some_and(&mut ask)) {
                let ready = EventFlags::IN | EventFlags::RDHUP;
                room.advance(seat, &mut self.scratch, ready, self.entrance.beat());
            }
        }
    }
}
