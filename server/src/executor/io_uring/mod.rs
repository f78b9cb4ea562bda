//! `io-uring`: a few threads that each have a ring, ask for what is to be done on all their
//! connections at once, and are told what was done.
//!
//! A quiet connection has one operation in flight, which reports whatever comes (multishot), and no
//! buffer: the kernel takes one of the ring's when there are bytes. An echo costs its share of one
//! system call, which submits the answers of all who had something to say, and waits until a batch of
//! others has, if there is a crowd. Time limits are looked at in ticks and not per request.

mod entrance;
mod moderation;

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use slab::Slab;
use socket2::Socket;

use self::entrance::{Entrance, News};
use self::moderation::{Moderation, PATIENCE};
use super::payments::Payments;
use super::{Context, Executor, FIRST_SESSIONS, OnReady, crew};
use crate::conn::Ticket;
use crate::driver::completion::{Session, Step, Wish};
use crate::mode::Inner;
use crate::pulse::Beat;
use crate::sys::ring::{Done, Load, Piece, Ring};

/// What the announcements of payments are polled as; the entrance has the others.
const PAID: usize = entrance::FIRST_FREE_KEY;

/// The strategy.
#[derive(Debug)]
pub(super) struct IoUring {
    /// Rings, each on a thread of its own.
    pub(super) threads: NonZeroUsize,
}

impl Executor for IoUring {
    fn run(self: Box<Self>, cx: Context, on_ready: OnReady<'_>) -> io::Result<usize> {
        let open = |number| Reactor::open(&cx, number);
        let crew = (Inner::IoUring, self.threads);
        crew::serve(crew, &cx.shared, on_ready, open, Reactor::run)
    }
}

/// One thread with its ring and its connections.
struct Reactor<'a> {
    // Dropped first: what is in flight ends before the sockets are closed.
    ring: Ring,
    cx: &'a Context,
    entrance: Entrance<'a>,
    /// Each until nothing is in flight for it, so that no report finds another in its place.
    sessions: Slab<Session>,
    payments: Payments,
    beat: Arc<Beat>,
    moderation: Moderation,
}

impl<'a> Reactor<'a> {
    fn open(cx: &'a Context, number: usize) -> io::Result<Self> {
        let mut ring = Ring::open().map_err(io::Error::other)?;
        let payments = Payments::new()?;
        ring.poll_on(&payments.announcements(), PAID);
        Ok(Self {
            entrance: Entrance::open(cx, number, &mut ring)?,
            ring,
            cx,
            sessions: Slab::with_capacity(FIRST_SESSIONS),
            payments,
            beat: cx.shared.pulse.enroll(),
            moderation: Moderation::new(Instant::now()),
        })
    }

    /// Serves until the drain is over; returns how many connections are left at last.
    fn run(mut self) -> io::Result<usize> {
        let mut batch = None;
        while !self.entrance.is_over(self.sessions.len()) {
            let until = self.next_look();
            match batch {
                Some(batch) => self.ring.wait_for(batch, PATIENCE, until)?,
                None => self.ring.wait(until)?,
            }
            self.beat.begin();
            let now = Instant::now();
            while let Some(done) = self.ring.next() {
                self.follow(done, now)?;
            }
            while let Some((socket, ticket)) = self.entrance.leftover()? {
                self.take_in(socket, ticket, now);
            }
            self.entrance.go_on(&mut self.ring, now)?;
            self.settle_the_paid(now);
            if self.entrance.rounds.is_time_to_look(now) {
                self.look_at_all(now);
            }
            batch = self.moderation.next_batch(now);
        }
        Ok(self.sessions.len())
    }

    /// When something is to be done without a report; none if only a report can bring it.
    fn next_look(&self) -> Option<Instant> {
        let tick = (!self.sessions.is_empty()).then(|| self.entrance.rounds.next_look());
        let due = self.payments.next_due();
        let step = self.cx.shared.pulse.longest_wait();
        let step = step.map(|longest| Instant::now() + longest);
        let soonest = tick.into_iter().chain(due).chain(self.entrance.pause());
        soonest.chain(step).min()
    }

    fn follow(&mut self, done: Done, now: Instant) -> io::Result<()> {
        match done {
            Done::Received {
                key,
                outcome,
                more,
                waiting,
            } => {
                if let Some(session) = self.sessions.get_mut(key).filter(|_| !more) {
                    session.receiving_ended();
                }
                self.moderation.hear(key);
                self.received(key, outcome, waiting, now);
            }
            Done::Sent { key, outcome, load } => self.sent(key, outcome, load, now),
            Done::Cancelled { key } => {
                if let Some(session) = self.sessions.get_mut(key) {
                    session.cancelled();
                    self.grant(key);
                }
            }
            Done::Ready { key: PAID, more } => {
                // Whoever has paid is looked for anyway.
                if !more {
                    self.ring.poll_on(&self.payments.announcements(), PAID);
                }
            }
            news => match self.entrance.follow(&mut self.ring, news, now)? {
                Some(News::Client(socket, ticket)) => self.take_in(socket, ticket, now),
                Some(News::Stop) => self.look_at_all(now),
                None => {}
            },
        }
        Ok(())
    }

    fn take_in(&mut self, socket: Socket, ticket: Ticket, now: Instant) {
        let key = self.sessions.insert(Session::new(socket, ticket, now));
        self.grant(key);
    }

    fn received(
        &mut self,
        key: usize,
        outcome: io::Result<Option<Piece>>,
        waiting: bool,
        now: Instant,
    ) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let (step, piece) = match outcome {
            Ok(Some(piece)) => {
                let step = session.received(self.ring.bytes(&piece), waiting, now);
                (step, Some(piece))
            }
            Ok(None) => (session.input_ended(Ok(()), now), None),
            Err(error) => (session.input_ended(Err(error), now), None),
        };
        self.take(key, step, piece);
    }

    fn sent(&mut self, key: usize, outcome: io::Result<usize>, load: Load, now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let (step, piece) = match load {
            Load::Received(piece) => {
                let step = session.sent(outcome, self.ring.bytes(&piece), now);
                (step, Some(piece))
            }
            Load::Owned(kept) => {
                session.give_back(kept);
                (session.sent(outcome, &[], now), None)
            }
        };
        self.take(key, step, piece);
    }

    /// Takes the step of a session; `piece` has the bytes that it was given.
    fn take(&mut self, key: usize, mut step: Step, mut piece: Option<Piece>) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        // What can be paid at once leads to the next step.
        while let Step::Pay(cost) = step {
            let debtor = (key, session.id());
            step = match self.payments.pay(&self.cx.shared.payer, cost, debtor) {
                true => session.paid(Instant::now()),
                false => Step::Wait,
            };
        }
        let load = match step {
            Step::Send(range) => piece.take().map(|piece| (Load::Received(piece), range)),
            Step::SendKept(kept, range) => Some((Load::Owned(kept), range)),
            Step::Wait | Step::Pay(_) => None,
        };
        if let Some((load, range)) = load {
            self.ring.send(session.socket(), key, load, range);
        }
        if let Some(piece) = piece {
            self.ring.give_back(piece);
        }
        self.grant(key);
    }

    /// Grants a session all its wishes.
    fn grant(&mut self, key: usize) {
        while let Some(session) = self.sessions.get_mut(key) {
            match session.next_wish() {
                None => return,
                Some(Wish::Receive) => self.ring.receive(session.socket(), key),
                Some(Wish::ReceiveOnce) => self.ring.receive_once(session.socket(), key),
                Some(Wish::ReceiveLarge) => self.ring.receive_large(session.socket(), key),
                Some(Wish::Pause) => self.ring.cancel_receive(key),
                Some(Wish::Cancel) => self.ring.cancel_all(session.socket(), key),
                Some(Wish::Close) => self.sessions.remove(key).conclude(),
            }
        }
    }

    fn settle_the_paid(&mut self, now: Instant) {
        while let Some((key, id)) = self.payments.made(now) {
            let session = self.sessions.get_mut(key).filter(|one| one.id() == id);
            // It may have ended meanwhile.
            let step = session.map(|session| session.paid(now));
            if let Some(step) = step {
                self.take(key, step, None);
            }
        }
    }

    fn look_at_all(&mut self, now: Instant) {
        // Only who is looked at can leave, so that those behind it are found.
        for key in 0..self.sessions.capacity() {
            if let Some(session) = self.sessions.get_mut(key) {
                let step = session.look(now);
                self.take(key, step, None);
            }
        }
    }
}
