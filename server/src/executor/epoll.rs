//! `epoll`: a few threads that each wait for readiness themselves and serve whoever is ready.
//!
//! Edge-triggered, registered once: an echo costs one `recv`, one `send` and its share of an
//! `epoll_wait`. Nobody gets more than a session's budget per turn; who wants more goes to the back
//! of the line. Time limits are looked at in ticks and not per request.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroUsize;
use std::time::Instant;

use rustix::event::epoll::{self, EventData, EventFlags};
use slab::Slab;

use super::entrance::{Entrance, Told};
use super::payments::Payments;
use super::{Context, Executor, FIRST_SESSIONS, OnReady, crew};
use crate::driver;
use crate::driver::readiness::{Session, Step};
use crate::mode::Inner;
use crate::work::Cost;

/// Where offloaded payments are announced.
const PAID: u64 = 1 << 32;

/// The strategy.
#[derive(Debug)]
pub(super) struct Epoll {
    /// Reactors, each on a thread of its own.
    pub(super) threads: NonZeroUsize,
}

impl Executor for Epoll {
    fn run(self: Box<Self>, cx: Context, on_ready: OnReady<'_>) -> io::Result<usize> {
        let open = |number| Reactor::open(&cx, number);
        let crew = (Inner::Epoll, self.threads);
        crew::serve(crew, &cx.shared, on_ready, open, Reactor::run)
    }
}

/// One thread with its connections.
struct Reactor<'a> {
    cx: &'a Context,
    entrance: Entrance<'a>,
    sessions: Slab<Session>,
    /// Those that had their share and want more.
    yielded: VecDeque<(usize, u64)>,
    payments: Payments,
    scratch: Vec<u8>,
}

impl<'a> Reactor<'a> {
    fn open(cx: &'a Context, number: usize) -> io::Result<Self> {
        let entrance = Entrance::open(cx, number)?;
        let payments = Payments::new()?;
        let (paid, flags) = (EventData::new_u64(PAID), EventFlags::IN | EventFlags::ET);
        epoll::add(entrance.events(), payments.announcements(), paid, flags)?;
        Ok(Self {
            cx,
            entrance,
            sessions: Slab::with_capacity(FIRST_SESSIONS),
            yielded: VecDeque::new(),
            payments,
            scratch: driver::scratch(),
        })
    }

    /// Serves until the drain is over; returns how many connections are left at last.
    fn run(mut self) -> io::Result<usize> {
        let mut told = Vec::new();
        while !self.entrance.rounds.is_over(self.sessions.len()) {
            self.entrance.wait(&mut told, self.next_look())?;
            let now = Instant::now();
            for news in told.drain(..) {
                match news {
                    Told::Arrivals => self.admit(now)?,
                    Told::Drain | Told::Cut => self.for_all(now, |session| session.look(now)),
                    // Whatever was paid is looked at below.
                    Told::Own(PAID, _) => {}
                    Told::Own(token, flags) => self.advance(key_of(token), flags, now),
                }
            }
            self.settle_the_paid(now);
            self.go_on_with_the_yielded(now);
            if self.entrance.rounds.is_time_to_look(now) {
                self.for_all(now, |session| session.look(now));
            }
        }
        Ok(self.sessions.len())
    }

    /// When something is to be done without an event; none if only an event can bring it.
    fn next_look(&self) -> Option<Instant> {
        if !self.yielded.is_empty() {
            return Some(Instant::now());
        }
        let due = self.payments.next_due();
        let tick = (!self.sessions.is_empty()).then(|| self.entrance.rounds.next_look());
        due.into_iter().chain(tick).min()
    }

    fn admit(&mut self, now: Instant) -> io::Result<()> {
        let sessions = &mut self.sessions;
        self.entrance.admit(|events, socket, ticket| {
            let seat = sessions.vacant_entry();
            let session = Session::new(socket, ticket, now);
            // Its first bytes, if they are there already, are reported like all others.
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            let token = EventData::new_u64(seat.key() as u64);
            epoll::add(events, session.socket(), token, flags)?;
            seat.insert(session);
            Ok(())
        })
    }

    /// Lets one session go as far as it can.
    fn advance(&mut self, key: usize, ready: EventFlags, now: Instant) {
        // An event of a connection that was closed a moment ago may still come; whoever has its
        // place by now is not harmed by a look.
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if ready == EventFlags::OUT && !session.has_unanswered() {
            return;
        }
        let id = session.id();
        match session.advance(&mut self.scratch, ready, now) {
            Step::Readable | Step::Writable => {}
            Step::Yield => self.yielded.push_back((key, id)),
            Step::Pay(cost) => self.pay(key, id, cost),
            Step::Close(ended) => self.sessions.remove(key).conclude(ended),
        }
    }

    fn pay(&mut self, key: usize, id: u64, cost: Cost) {
        if self.payments.pay(&self.cx.shared.payer, cost, (key, id)) {
            self.settle(key, id, Instant::now());
        }
    }

    /// A payment of session `id` is made; it goes on, unless it has ended meanwhile.
    fn settle(&mut self, key: usize, id: u64, now: Instant) {
        if let Some(session) = self.sessions.get_mut(key).filter(|one| one.id() == id) {
            session.paid(now);
            // What was reported while it paid was not looked at; the end may be among it.
            self.yielded.push_back((key, id));
        }
    }

    fn settle_the_paid(&mut self, now: Instant) {
        while let Some((key, id)) = self.payments.made(now) {
            self.settle(key, id, now);
        }
    }

    /// Those that are in line now have their turn; who joins it has the next one.
    fn go_on_with_the_yielded(&mut self, now: Instant) {
        for _ in 0..self.yielded.len() {
            let Some((key, id)) = self.yielded.pop_front() else {
                break;
            };
            if self.sessions.get(key).is_some_and(|one| one.id() == id) {
                self.advance(key, EventFlags::IN | EventFlags::RDHUP, now);
            }
        }
    }

    /// Asks each session, and lets it go on if it says that there is something to do.
    fn for_all(&mut self, now: Instant, mut ask: impl FnMut(&mut Session) -> bool) {
        let asked = self.sessions.iter_mut();
        let keys: Vec<_> = asked
            .filter_map(|(key, session)| ask(session).then_some(key))
            .collect();
        for key in keys {
            self.advance(key, EventFlags::IN | EventFlags::RDHUP, now);
        }
    }
}

/// The place of the session that a token stands for.
fn key_of(token: u64) -> usize {
    usize::try_from(token).unwrap_or(usize::MAX)
}
