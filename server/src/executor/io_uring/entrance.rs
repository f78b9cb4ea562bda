//! The door of a ring: who is accepted by an operation of the ring, when that is in flight, and what
//! is waited for instead while nobody may come in.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::SocketFlags;
use socket2::Socket;

use super::super::Context;
use super::super::rounds::Rounds;
use crate::accept::{Door, Met};
use crate::config::OnFull;
use crate::conn::Ticket;
use crate::sys::ring::{Done, Ring};

/// What the entrance polls as; keys from here on are free for its owner.
pub(super) const FIRST_FREE_KEY: usize = 4;
const LISTENER: usize = 0;
const GATE: usize = 1;
const DRAINING: usize = 2;
const CUTTING: usize = 3;

/// What the owner is told.
#[derive(Debug)]
pub(super) enum News {
    /// A client came in.
    Client(Socket, Ticket),
    /// The drain began, or its deadline has come.
    Stop,
}

/// What is waited for at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    /// Nothing yet.
    Nothing,
    /// A client, whom the ring accepts.
    Client,
    /// A client, whom we accept: the ring would complain of a shortage although nobody is there, or
    /// hold a permit until somebody is.
    Listener,
    /// A permit.
    Gate,
    /// Time: the system is short of something.
    Pause(Instant),
    /// Nothing; those who are left come in.
    Leftover,
    /// Nothing any more.
    Closed,
}

/// The door, and how it is watched.
#[derive(Debug)]
pub(super) struct Entrance<'a> {
    cx: &'a Context,
    door: Door<'a>,
    watched: Watched,
    /// An operation that accepts is in flight.
    accepting: bool,
    /// Somebody was accepted since it began.
    accepted: bool,
    /// When accepting was last begun.
    began: Instant,
    pub(super) rounds: Rounds,
}

impl<'a> Entrance<'a> {
    /// Watches the door of reactor `number`.
    ///
    /// # Errors
    ///
    /// When the gate is unusable.
    pub(super) fn open(cx: &'a Context, number: usize, ring: &mut Ring) -> io::Result<Self> {
        let stop = &cx.shared.stop;
        ring.poll(&stop.draining(), DRAINING);
        ring.poll(&stop.cutting(), CUTTING);
        let mut entrance = Self {
            cx,
            door: Door::of(cx, number, SocketFlags::empty()),
            watched: Watched::Nothing,
            accepting: false,
            accepted: false,
            began: Instant::now(),
            rounds: Rounds::new(),
        };
        entrance.go_on(ring, Instant::now())?;
        Ok(entrance)
    }

    /// When it goes on without a report.
    pub(super) fn pause(&self) -> Option<Instant> {
        match self.watched {
            Watched::Pause(until) => Some(until),
            Watched::Client if self.accepting => self.next_look_out(),
            _ => None,
        }
    }

    /// When accepting is begun anew, which looks whether somebody is there.
    fn next_look_out(&self) -> Option<Instant> {
        self.cx.look_out_every().map(|every| self.began + every)
    }

    /// The next of those whom the drain found in the accept queue. Not before the operation that
    /// accepts has ended: until then the kernel may wake it for a client, whom it leaves there if it
    /// is cancelled.
    ///
    /// # Errors
    ///
    /// When the gate is unusable.
    pub(super) fn leftover(&mut self) -> io::Result<Option<(Socket, Ticket)>> {
        if self.watched != Watched::Leftover || self.accepting {
            return Ok(None);
        }
        if let Met::Client((socket, ticket)) = self.door.next()? {
            return Ok(Some((socket, ticket)));
        }
        self.watched = Watched::Closed;
        self.rounds.drain();
        Ok(None)
    }

    /// Whether the drain is over, when `open` connections are left.
    pub(super) fn is_over(&self, open: usize) -> bool {
        // Whom the ring is about to accept would otherwise be forgotten.
        self.rounds.is_over(open + usize::from(self.accepting))
    }

    /// Follows a report of what the entrance asked for.
    ///
    /// # Errors
    ///
    /// When the listener itself is unusable.
    pub(super) fn follow(
        &mut self,
        ring: &mut Ring,
        done: Done,
        now: Instant,
    ) -> io::Result<Option<News>> {
        match done {
            Done::Accepted { outcome, more } => {
                self.accepting = more;
                self.accepted(outcome, now)
            }
            Done::Ready { key: LISTENER, .. } => {
                let met = self.door.next()?;
                if matches!(met, Met::Full) {
                    ring.poll(&self.door.full(), GATE);
                    self.watched = Watched::Gate;
                    return Ok(None);
                }
                Ok(self.meet(Some(met), now))
            }
            Done::Ready { key: GATE, .. } if self.watched == Watched::Gate => {
                self.watched = Watched::Nothing;
                Ok(None)
            }
            Done::Ready { key: DRAINING, .. } => {
                self.watched = Watched::Leftover;
                if self.accepting {
                    ring.cancel_accept();
                }
                Ok(Some(News::Stop))
            }
            Done::Ready { key: CUTTING, .. } => {
                self.rounds.cut(now);
                Ok(Some(News::Stop))
            }
            _ => Ok(None),
        }
    }

    /// Watches what is to be watched by now.
    ///
    /// # Errors
    ///
    /// When the gate is unusable.
    pub(super) fn go_on(&mut self, ring: &mut Ring, now: Instant) -> io::Result<()> {
        match self.watched {
            Watched::Nothing => self.watch(ring)?,
            Watched::Pause(until) if until <= now => {
                ring.poll(self.door.source(), LISTENER);
                self.watched = Watched::Listener;
            }
            // Of several rings that accept many, the first in line would get them all: it goes to
            // the end of the line.
            Watched::Client if self.accepting && self.accepted => {
                ring.cancel_accept();
                self.accepted = false;
            }
            Watched::Client
                if self.accepting && self.next_look_out().is_some_and(|at| at <= now) =>
            {
                ring.cancel_accept();
                self.began = now;
            }
            _ => {}
        }
        Ok(())
    }

    fn watch(&mut self, ring: &mut Ring) -> io::Result<()> {
        if self.door.looks_first() {
            ring.poll(self.door.source(), LISTENER);
            self.watched = Watched::Listener;
            return Ok(());
        }
        match self.door.closed()? {
            // The ring would accept also those who come when others have seats again.
            None if self.door.lacks_seat() => {
                ring.poll(self.door.source(), LISTENER);
                self.watched = Watched::Listener;
            }
            None => {
                match (self.cx.shared.config.limits.on_full, &self.cx.seats) {
                    (OnFull::Reject, None) => ring.accept_many(self.door.source()),
                    // A permit, or a seat, is there for one.
                    _ => ring.accept(self.door.source()),
                }
                (self.accepting, self.accepted) = (true, false);
                self.began = Instant::now();
                self.watched = Watched::Client;
            }
            Some(Met::Full) => {
                ring.poll(&self.door.full(), GATE);
                self.watched = Watched::Gate;
            }
            Some(_) => self.watched = Watched::Closed,
        }
        Ok(())
    }

    fn accepted(&mut self, outcome: io::Result<OwnedFd>, now: Instant) -> io::Result<Option<News>> {
        let canceled = Some(Errno::CANCELED.raw_os_error());
        let met = match outcome {
            // By our own wish.
            Err(error) if error.raw_os_error() == canceled => None,
            outcome => {
                let adopted = outcome.and_then(|socket| self.door.source().adopt(socket));
                self.door.admit(adopted)?
            }
        };
        self.accepted = true;
        Ok(self.meet(met, now))
    }

    /// What is to be watched after this; the client, if it was one.
    fn meet(&mut self, met: Option<Met>, now: Instant) -> Option<News> {
        let is_closed = matches!(self.watched, Watched::Leftover | Watched::Closed);
        let (next, news) = match met {
            Some(Met::Client((socket, ticket))) => {
                (Watched::Nothing, Some(News::Client(socket, ticket)))
            }
            Some(Met::Short(pause)) => (Watched::Pause(now + pause), None),
            Some(Met::Closed) => (Watched::Closed, None),
            Some(Met::Nobody | Met::Full) | None => (Watched::Nothing, None),
        };
        if !is_closed && !self.accepting {
            self.watched = next;
        }
        news
    }
}
