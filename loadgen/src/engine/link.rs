//! The connections of a worker: what a client decides is done to its socket here, and what happens
//! to the socket is told to the client.

use std::io;

use rustix::event::epoll;
use rustix::io::Errno;

use super::slots::Token;
use super::socket::{self, Begun};
use super::worker::{Worker, index};
use crate::client::{Action, Context, Event};
use crate::failure::Failure;
use crate::time::{Clock, Moment};

impl Worker<'_> {
    pub(super) fn connect(&mut self, slot: usize, now: Moment) -> io::Result<Action> {
        let place = &self.slots[slot];
        let client = &place.client;
        let route = self
            .shared
            .targets
            .route(client.number(), client.failures());
        let token = Token::Connection {
            slot: index(slot),
            generation: place.generation,
        };
        let (socket, flags, stands) = match socket::connect(route) {
            Ok(Begun::Established(socket)) => (socket, epoll::EventFlags::IN, true),
            Ok(Begun::UnderWay(socket)) => (
                socket,
                epoll::EventFlags::IN | epoll::EventFlags::OUT,
                false,
            ),
            Err((kind, errno)) => return Ok(self.fail_to_connect(slot, kind, errno, now)),
        };
        epoll::add(&self.epoll, &socket, token.pack(), flags)?;
        let place = &mut self.slots[slot];
        place.socket = Some(socket);
        place.watches_writes = !stands;
        Ok(if stands {
            self.decide(slot, Event::Established, now)
        } else {
            Action::Nothing
        })
    }

    fn fail_to_connect(&mut self, slot: usize, kind: Failure, errno: Errno, now: Moment) -> Action {
        self.first_failure
            .get_or_insert_with(|| (kind, errno.into()));
        self.decide(slot, Event::ConnectFailed(kind), now)
    }

    /// Takes one event of a connection and tells when it was handled.
    pub(super) fn handle(
        &mut self,
        slot: u32,
        generation: u32,
        flags: epoll::EventFlags,
        clock: Clock,
    ) -> io::Result<Moment> {
        let slot = slot as usize;
        let place = &self.slots[slot];
        if place.generation != generation {
            return Ok(clock.now());
        }
        if place.client.is_connecting() {
            let now = clock.now();
            self.finish_connect(slot, now)?;
            return Ok(now);
        }
        if flags.contains(epoll::EventFlags::OUT) && place.watches_writes {
            let now = clock.now();
            self.carry_out(slot, Action::Write, now)?;
            if flags == epoll::EventFlags::OUT || self.slots[slot].generation != generation {
                return Ok(now);
            }
        }
        self.read(slot, clock)
    }

    fn finish_connect(&mut self, slot: usize, now: Moment) -> io::Result<()> {
        let Some(socket) = &self.slots[slot].socket else {
            return Ok(());
        };
        let action = match socket::fate(socket) {
            Ok(()) => {
                self.watch_writes(slot, Interest::Reads)?;
                self.decide(slot, Event::Established, now)
            }
            Err((kind, errno)) => self.fail_to_connect(slot, kind, errno, now),
        };
        self.carry_out(slot, action, now)
    }

    #[inline]
    fn read(&mut self, slot: usize, clock: Clock) -> io::Result<Moment> {
        let Some(socket) = &self.slots[slot].socket else {
            return Ok(clock.now());
        };
        let received = socket::recv(socket, &mut self.buffer);
        let now = clock.now();
        let mut cx = Context {
            now,
            plan: &self.shared.plan,
            messages: &self.messages,
            quota: &self.quota,
            tally: &mut self.tally,
        };
        let event = match received {
            Ok(0) => Event::Ended(Failure::Closed),
            Ok(bytes) => Event::Read(&self.buffer[..bytes]),
            Err(Errno::AGAIN) => return Ok(now),
            Err(errno) => Event::Ended(Failure::of_transfer(errno)),
        };
        let action = self.slots[slot].client.step(event, &mut cx);
        self.carry_out(slot, action, now)?;
        Ok(now)
    }

    /// Writes as much of the message as the socket takes at once.
    pub(super) fn write(&mut self, slot: usize, now: Moment) -> io::Result<Action> {
        let place = &self.slots[slot];
        let (Some(socket), true) = (&place.socket, place.client.wants_write(&self.messages)) else {
            self.watch_writes(slot, Interest::Reads)?;
            return Ok(Action::Nothing);
        };
        let (message, written) = (place.client.message(), place.client.written());
        let sent = self
            .messages
            .lend(message, written, |bytes| socket::send(socket, bytes));
        let action = match sent {
            Ok(bytes) => self.decide(slot, Event::Wrote(bytes), now),
            Err(Errno::AGAIN) => Action::Write,
            Err(errno) => {
                let kind = Failure::of_transfer(errno);
                return Ok(self.decide(slot, Event::Ended(kind), now));
            }
        };
        // The socket is full: the rest goes out when it says so.
        let interest = match action {
            Action::Write => Interest::ReadsAndWrites,
            _ => Interest::Reads,
        };
        self.watch_writes(slot, interest)?;
        Ok(Action::Nothing)
    }

    fn watch_writes(&mut self, slot: usize, interest: Interest) -> io::Result<()> {
        let place = &mut self.slots[slot];
        let wanted = interest == Interest::ReadsAndWrites;
        let (Some(socket), true) = (&place.socket, place.watches_writes != wanted) else {
            return Ok(());
        };
        place.watches_writes = wanted;
        let token = Token::Connection {
            slot: index(slot),
            generation: place.generation,
        };
        let flags = match interest {
            Interest::Reads => epoll::EventFlags::IN,
            Interest::ReadsAndWrites => epoll::EventFlags::IN | epoll::EventFlags::OUT,
        };
        Ok(epoll::modify(&self.epoll, socket, token.pack(), flags)?)
    }

    pub(super) fn close(&mut self, slot: usize) -> Action {
        let place = &mut self.slots[slot];
        place.socket = None;
        place.watches_writes = false;
        place.generation = place.generation.wrapping_add(1);
        Action::Nothing
    }
}

/// What epoll reports of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interest {
    Reads,
    ReadsAndWrites,
}
