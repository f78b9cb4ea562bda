//! The connections of a worker: what a client decides is done to its socket here, and what happens
//! to the socket is told to the client.

use std::io;

use rustix::event::epoll;
use rustix::io::Errno;

use super::slots::{Slot, Token, Watch};
use super::socket;
use super::worker::{Worker, index};
use crate::client::{Action, Client, Context, Event};
use crate::failure::Failure;
use crate::time::{Clock, Moment};

/// Whether a socket may have more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    Something,
}

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
        let socket = match socket::connect(route) {
            Ok(socket) => socket,
            Err((kind, errno)) => return Ok(self.fail_to_connect(slot, kind, errno, now)),
        };
        let watch = Watch::ReadsAndWrites;
        epoll::add(&self.epoll, &socket, token.pack(), watch.flags())?;
        let place = &mut self.slots[slot];
        place.socket = Some(socket);
        place.watch = watch;
        Ok(Action::Nothing)
    }

    fn fail_to_connect(&mut self, slot: usize, kind: Failure, errno: Errno, now: Moment) -> Action {
        self.first_failure
            .get_or_insert_with(|| (kind, errno.into()));
        let action = self.decide(slot, Event::ConnectFailed(kind), now);
        self.desk.tally.failures.explain(kind, errno);
        action
    }

    /// Takes one event of a connection and tells when it was handled.
    pub(super) fn handle(
        &mut self,
        slot: u32,
        generation: u16,
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
        if flags.contains(epoll::EventFlags::OUT) && place.watch == Watch::ReadsAndWrites {
            let now = clock.now();
            self.carry_out(slot, Action::Write, now)?;
            if flags == epoll::EventFlags::OUT || self.slots[slot].generation != generation {
                return Ok(now);
            }
        }
        let (now, left) = self.read(slot, clock)?;
        let ends = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        if left == Left::Something || flags.intersects(ends) {
            self.look_again(slot, generation)?;
        }
        Ok(now)
    }

    fn finish_connect(&mut self, slot: usize, now: Moment) -> io::Result<()> {
        let Some(socket) = &self.slots[slot].socket else {
            return Ok(());
        };
        let action = match socket::fate(socket) {
            Ok(()) => {
                self.set_watch(slot, Watch::Reads)?;
                self.decide(slot, Event::Established, now)
            }
            Err((kind, errno)) => self.fail_to_connect(slot, kind, errno, now),
        };
        self.carry_out(slot, action, now)
    }

    /// Reads once and tells when that was, and whether more may be there.
    #[inline]
    fn read(&mut self, slot: usize, clock: Clock) -> io::Result<(Moment, Left)> {
        let Slot { client, socket, .. } = &mut self.slots[slot];
        let Some(socket) = socket else {
            return Ok((clock.now(), Left::Nothing));
        };
        let plan = &self.shared.plan;
        let most = client
            .bite(plan)
            .unwrap_or(usize::MAX)
            .min(self.buffer.len());
        let received = socket::recv(socket, &mut self.buffer[..most]);
        let now = clock.now();
        // A socket that gave less than it was asked for is empty.
        let left = if received == Ok(most) {
            Left::Something
        } else {
            Left::Nothing
        };
        let mut cx = self.desk.context(plan, slot, now);
        let decided = hear(client, received.map(|bytes| &self.buffer[..bytes]), &mut cx);
        self.follow(slot, decided, now)?;
        Ok((now, left))
    }

    /// Does what a client decided when it had heard something, or gives its connection up.
    #[inline]
    pub(super) fn follow(
        &mut self,
        slot: usize,
        decided: Result<Action, Errno>,
        now: Moment,
    ) -> io::Result<()> {
        let plan = &self.shared.plan;
        let action = match decided {
            Err(Errno::AGAIN) => return Ok(()),
            Err(errno) => self.break_off(slot, errno, now),
            Ok(action) => {
                if self.slots[slot].client.has_put_off_reading(plan) {
                    self.set_watch(slot, Watch::Nothing)?;
                }
                action
            }
        };
        if action == Action::Write && plan.schedule.is_none() {
            self.outbox.push(index(slot));
            return Ok(());
        }
        self.carry_out(slot, action, now)
    }

    /// Has what is left in a socket reported once more: the others have their turn first.
    pub(super) fn look_again(&mut self, slot: usize, generation: u16) -> io::Result<()> {
        let watch = self.slots[slot].watch;
        if self.slots[slot].generation == generation && watch != Watch::Nothing {
            self.register(slot, watch)?;
        }
        Ok(())
    }

    /// The connection failed in mid-transfer.
    fn break_off(&mut self, slot: usize, errno: Errno, now: Moment) -> Action {
        let kind = Failure::of_transfer(errno);
        let action = self.decide(slot, Event::Ended(kind), now);
        self.desk.tally.failures.explain(kind, errno);
        action
    }

    /// Writes a piece of what the client wants to write.
    pub(super) fn write(&mut self, slot: usize, now: Moment) -> io::Result<Action> {
        let place = &self.slots[slot];
        let (plan, wire) = (&self.shared.plan, &mut self.desk.wire);
        let (Some(socket), true) = (&place.socket, place.client.wants_write()) else {
            return self.set_watch(slot, Watch::Reads);
        };
        let piece = place.client.next_piece(plan);
        let sent = wire.lend(place.client.request(), piece.start, |bytes| {
            socket::send(socket, &bytes[..piece.len()])
        });
        self.note_sent(slot, piece.len(), sent, now)
    }

    /// Tells a client how much of a piece its socket took, and what is to be done then.
    #[inline]
    pub(super) fn note_sent(
        &mut self,
        slot: usize,
        piece_bytes: usize,
        sent: Result<usize, Errno>,
        now: Moment,
    ) -> io::Result<Action> {
        match sent {
            Ok(bytes) => match self.decide(slot, Event::Wrote(bytes), now) {
                // The socket is full: the rest goes out when it says so.
                Action::Write if bytes < piece_bytes => self.set_watch(slot, Watch::ReadsAndWrites),
                Action::Write => Ok(Action::Write),
                _ => self.set_watch(slot, Watch::Reads),
            },
            Err(Errno::AGAIN) => self.set_watch(slot, Watch::ReadsAndWrites),
            Err(errno) => Ok(self.break_off(slot, errno, now)),
        }
    }

    /// Makes epoll report what `watch` says; there is nothing more to do then.
    pub(super) fn set_watch(&mut self, slot: usize, watch: Watch) -> io::Result<Action> {
        if self.slots[slot].watch != watch {
            self.register(slot, watch)?;
        }
        Ok(Action::Nothing)
    }

    /// Tells epoll what to report; what is there already is reported at once.
    fn register(&mut self, slot: usize, watch: Watch) -> io::Result<()> {
        let place = &mut self.slots[slot];
        let Some(socket) = &place.socket else {
            return Ok(());
        };
        place.watch = watch;
        let token = Token::Connection {
            slot: index(slot),
            generation: place.generation,
        };
        Ok(epoll::modify(
            &self.epoll,
            socket,
            token.pack(),
            watch.flags(),
        )?)
    }

    pub(super) fn close(&mut self, slot: usize) -> Action {
        let place = &mut self.slots[slot];
        place.socket = None;
        place.watch = Watch::Reads;
        place.generation = place.generation.wrapping_add(1);
        Action::Nothing
    }
}

/// Tells a client what its socket gave, where no bytes are the end of the connection, and what the
/// client decides. An error is none of its business.
#[inline]
pub(super) fn hear(
    client: &mut Client,
    received: Result<&[u8], Errno>,
    cx: &mut Context<'_>,
) -> Result<Action, Errno> {
    Ok(match received? {
        [] => client.step(Event::Ended(Failure::Closed), cx),
        bytes => client.step(Event::Read(bytes), cx),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fixture::with_worker;
    use rustix::event::{PollFd, PollFlags, poll};
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    /// A batch outlives the connection that an event in it belongs to: an alarm may have closed
    /// that, and the client may already be connecting again.
    #[test]
    fn an_event_of_a_closed_connection_is_not_taken_for_the_next_ones() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        with_worker(1, &listener, |worker| {
            let generation = worker.slots[0].generation;
            let mut handle = |generation| {
                let flags = epoll::EventFlags::OUT;
                worker.handle(0, generation, flags, Clock::start()).unwrap();
                worker.slots[0].client.is_connecting()
            };
            assert!(handle(generation.wrapping_sub(1)), "the old one's event");
            assert!(!handle(generation), "its own event");
        });
    }

    #[test]
    fn the_next_request_goes_out_when_the_others_answers_are_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        with_worker(1, &listener, |worker| {
            let clock = Clock::start();
            let (mut peer, _) = listener.accept().unwrap();
            worker.handle(0, 0, epoll::EventFlags::OUT, clock).unwrap();
            let mut message = [0; 64];
            peer.read_exact(&mut message).unwrap();
            peer.write_all(&message).unwrap();
            let socket = worker.slots[0].socket.as_ref().unwrap();
            poll(&mut [PollFd::new(socket, PollFlags::IN)], None).unwrap();

            worker.handle(0, 0, epoll::EventFlags::IN, clock).unwrap();
            assert_eq!(worker.outbox, [0]);
            peer.set_nonblocking(true).unwrap();
            assert!(peer.read(&mut message).is_err(), "it is not sent yet");

            worker.empty_outbox(clock).unwrap();
            assert!(worker.outbox.is_empty());
            peer.set_nonblocking(false).unwrap();
            let answered = message;
            peer.read_exact(&mut message).unwrap();
            assert_ne!(message, answered);
        });
    }
}
