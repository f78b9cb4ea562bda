//! Clients whose turn it is at the same moment are served together: one system call reads what came
//! for all of them, and one sends their next requests.
//!
//! Only in a closed loop, where they have nothing else to do. Sharing calls is worth a fifth of a
//! client's processor time (docs/performance.md). Where there are few, or no io_uring, each has
//! system calls of its own.

use std::io;
use std::os::fd::AsFd;

use rustix::event::epoll::EventFlags;

use super::batch::Happened;
use super::link::hear;
use super::slots::Token;
use super::worker::Worker;
use crate::client::Action;
use crate::sys::{Bundle, MOST_CALLS};
use crate::time::{Clock, Moment};

/// Fewer calls are made one by one: there is little to share. A choice; no other was tried.
const FEWEST: usize = 4;
/// Requests that are sent by one call. More would save nothing that can be measured, and those in
/// front would wait for their answers longer, as it seems, while the last ones are sent.
const MOST_SENDS: usize = 16;
/// What a call has room for beyond the longest request, so that bytes too many are noticed.
const SURPLUS_BYTES: usize = 64;
/// Longer messages are not copied once more, and cost much by themselves. A choice, as well.
const MOST_ROOM_BYTES: usize = 2048;

/// The list of calls of a thread, which is made when it is first needed.
#[derive(Debug)]
pub(super) struct Together {
    bundle: Option<Box<Bundle>>,
    /// What a call is to have room for; none if each call is made alone.
    room_bytes: Option<usize>,
    /// Whether answers fit into that.
    fits: bool,
}

impl Together {
    /// For requests of up to `longest` bytes, of which a client may have `depth` in flight.
    pub(super) fn new(longest: usize, depth: usize) -> Self {
        let answers = longest.saturating_mul(depth);
        let room_bytes = answers
            .saturating_add(SURPLUS_BYTES)
            .checked_next_multiple_of(SURPLUS_BYTES);
        Self {
            bundle: None,
            room_bytes: room_bytes.filter(|bytes| *bytes <= MOST_ROOM_BYTES),
            fits: true,
        }
    }

    /// Each call is made alone.
    pub(super) const fn never() -> Self {
        Self {
            bundle: None,
            room_bytes: None,
            fits: false,
        }
    }

    /// Lends the list if `count` calls are worth it.
    #[inline]
    fn lend(&mut self, count: usize) -> Option<Box<Bundle>> {
        if count < FEWEST {
            return None;
        }
        self.bundle.take().or_else(|| self.open())
    }

    #[cold]
    fn open(&mut self) -> Option<Box<Bundle>> {
        let bundle = Bundle::open(self.room_bytes?).ok();
        if bundle.is_none() {
            self.room_bytes = None;
        }
        bundle.map(Box::new)
    }
}

impl Worker<'_> {
    /// Reads for the clients of the next events by one call, and tells when that was; not if they
    /// are too few of whom nothing is told but that bytes have come.
    #[inline]
    pub(super) fn read_together(&mut self, clock: Clock) -> io::Result<Option<Moment>> {
        if !self.together.fits {
            return Ok(None);
        }
        let next = self.batch.rest().iter().take(MOST_CALLS);
        let count = next
            .take_while(|event| self.is_only_readable(event))
            .count();
        let Some(mut bundle) = self.together.lend(count) else {
            return Ok(None);
        };
        let mut calls = bundle.begin();
        for (slot, _) in self.batch.rest()[..count].iter().filter_map(connection) {
            if let Some(socket) = &self.slots[slot].socket {
                calls.recv(socket.as_fd());
            }
        }
        calls.make()?;
        let now = clock.now();
        for call in 0..count {
            let Some((slot, generation)) = connection(&self.batch.rest()[call]) else {
                continue;
            };
            let received = bundle.received(call);
            let is_full = received.is_ok_and(|bytes| bytes.len() == bundle.room_bytes());
            let mut cx = self.desk.context(&self.shared.plan, slot, now);
            let decided = hear(&mut self.slots[slot].client, received, &mut cx);
            self.follow(slot, decided, now)?;
            if is_full {
                // Answers are longer than was thought, and are read in larger pieces from now on.
                self.together.fits = false;
                self.look_again(slot, generation)?;
            }
        }
        self.batch.skip(count);
        self.together.bundle = Some(bundle);
        Ok(Some(now))
    }

    /// Whether all that is told of a connection is that bytes have come, and its client takes them
    /// as they come.
    #[inline]
    fn is_only_readable(&self, event: &Happened) -> bool {
        let Some((slot, generation)) = connection(event) else {
            return false;
        };
        let place = &self.slots[slot];
        event.1 == EventFlags::IN
            && place.generation == generation
            && place.socket.is_some()
            && !place.client.is_connecting()
            && place.client.bite(&self.shared.plan).is_none()
    }

    /// Sends the requests that waited for a few answers to be read, and tells when that was.
    pub(super) fn empty_outbox(&mut self, clock: Clock) -> io::Result<Moment> {
        let mut now = Moment::START;
        let mut outbox = std::mem::take(&mut self.outbox);
        for slots in outbox.chunks(MOST_SENDS) {
            if let Some(bundle) = self.together.lend(slots.len()) {
                now = clock.now();
                self.send_together(slots, bundle, now)?;
                continue;
            }
            for slot in slots {
                now = clock.now();
                self.date(*slot as usize, now);
                self.carry_out(*slot as usize, Action::Write, now)?;
            }
        }
        outbox.clear();
        self.outbox = outbox;
        Ok(now)
    }

    /// Sends the next requests of these clients by one call. They are dated before it: a round trip
    /// may look longer by the time that sending the others' takes, and never shorter.
    fn send_together(
        &mut self,
        slots: &[u32],
        mut bundle: Box<Bundle>,
        now: Moment,
    ) -> io::Result<()> {
        let mut calls = bundle.begin();
        for slot in slots {
            let place = &self.slots[*slot as usize];
            if let Some(socket) = &place.socket {
                let piece = place.client.next_piece(&self.shared.plan);
                let request = place.client.request();
                self.desk.wire.lend(request, piece.start, |bytes| {
                    calls.send(socket.as_fd(), &bytes[..piece.len()]);
                });
            }
        }
        calls.make()?;
        for (call, slot) in slots.iter().enumerate() {
            let slot = *slot as usize;
            self.date(slot, now);
            let piece = self.slots[slot].client.next_piece(&self.shared.plan);
            let action = self.note_sent(slot, piece.len(), bundle.moved(call), now)?;
            self.carry_out(slot, action, now)?;
        }
        self.together.bundle = Some(bundle);
        Ok(())
    }

    /// Dates the next request of a client: it goes out at `now`.
    #[inline]
    fn date(&mut self, slot: usize, now: Moment) {
        let mut cx = self.desk.context(&self.shared.plan, slot, now);
        self.slots[slot].client.send_only_now(&mut cx);
    }
}

/// Which client's connection an event is about, and which of its connections.
#[inline]
fn connection((token, _): &Happened) -> Option<(usize, u16)> {
    match *token {
        Token::Connection { slot, generation } => Some((slot as usize, generation)),
        Token::Stop => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fixture::{wait_until_all_may_read, with_worker};
    use crate::failure::Failure;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};

    const MESSAGE_BYTES: usize = 64;

    /// Who talks to the clients; all of these are connected and have said something.
    struct Peers(Vec<TcpStream>);

    impl Peers {
        fn greet(worker: &mut Worker<'_>, listener: &TcpListener) -> Self {
            let clock = Clock::start();
            let clients = 0..worker.slots.len();
            let peers = clients.clone().map(|_| listener.accept().unwrap().0);
            let peers = Self(peers.collect());
            for slot in clients {
                let generation = worker.slots[slot].generation;
                let slot = u32::try_from(slot).unwrap();
                let flags = EventFlags::OUT;
                worker.handle(slot, generation, flags, clock).unwrap();
            }
            // What was told of them is known.
            let now = Moment::START;
            worker.wait_until(now, now).unwrap();
            worker.batch.skip(worker.batch.rest().len());
            peers
        }

        /// Has each of them answer, and `extra` bytes more, and the worker notice it.
        fn answer(&mut self, worker: &mut Worker<'_>, extra: usize) {
            for peer in &mut self.0 {
                let mut message = vec![0; MESSAGE_BYTES];
                peer.read_exact(&mut message).unwrap();
                message.resize(MESSAGE_BYTES + extra, 7);
                peer.write_all(&message).unwrap();
            }
            wait_until_all_may_read(worker);
        }
    }

    /// How many requests each client has made.
    fn requests(worker: &Worker<'_>) -> Vec<u64> {
        let clients = worker.slots.iter().map(|slot| slot.client.request());
        clients.map(|(_, sequence)| sequence).collect()
    }

    fn failures(worker: &Worker<'_>) -> Vec<(Failure, u64)> {
        worker.desk.tally.failures.seen().collect()
    }

    #[test]
    fn answers_of_many_are_read_by_one_call_and_their_requests_sent_by_others() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        with_worker(20, &listener, |worker| {
            let clock = Clock::start();
            let mut peers = Peers::greet(worker, &listener);
            for round in 1..4 {
                assert_eq!(requests(worker), [round; 20]);
                peers.answer(worker, 0);
                if worker.read_together(clock).unwrap().is_none() {
                    println!("SKIPPED: no io_uring");
                    return;
                }
                assert_eq!(worker.batch.rest(), [], "one call for all of them");
                assert_eq!(requests(worker), [round + 1; 20]);
                assert_eq!(worker.outbox.len(), 20);
                worker.empty_outbox(clock).unwrap();
                assert!(worker.slots.iter().all(|slot| !slot.client.wants_write()));
            }
            assert_eq!(failures(worker), []);
        });
    }

    #[test]
    fn a_few_are_served_one_by_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        with_worker(3, &listener, |worker| {
            let mut peers = Peers::greet(worker, &listener);
            peers.answer(worker, 0);
            assert_eq!(worker.read_together(Clock::start()).unwrap(), None);
            assert_eq!(worker.batch.rest().len(), 3);
        });
    }

    #[test]
    fn who_has_more_to_tell_than_bytes_is_not_read_with_the_others() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        with_worker(6, &listener, |worker| {
            let clock = Clock::start();
            let mut peers = Peers::greet(worker, &listener);
            let last = peers.0.pop().unwrap();
            last.shutdown(Shutdown::Write).unwrap();
            peers.answer(worker, 0);
            let events = worker.batch.rest().iter();
            let readable = events.filter(|event| worker.is_only_readable(event));
            assert_eq!(readable.count(), 5);
            while worker.handle_next(clock).unwrap().is_some() {}
            assert_eq!(worker.outbox.len(), 5);
            assert_eq!(failures(worker), [(Failure::Closed, 1)]);
        });
    }

    #[test]
    fn bytes_too_many_are_noticed_and_longer_answers_are_read_one_by_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        with_worker(6, &listener, |worker| {
            let clock = Clock::start();
            let mut peers = Peers::greet(worker, &listener);
            peers.answer(worker, SURPLUS_BYTES);
            if worker.read_together(clock).unwrap().is_none() {
                println!("SKIPPED: no io_uring");
                return;
            }
            assert_eq!(failures(worker), [(Failure::TooManyBytes, 6)]);
            assert!(!worker.together.fits);
        });
    }

    #[test]
    fn a_call_has_room_for_all_answers_that_may_be_there_and_some_bytes() {
        for (longest, depth, room) in [
            (64, 1, Some(128)),
            (1, 1, Some(128)),
            (64, 16, Some(1088)),
            (1984, 1, Some(2048)),
            (1985, 1, None),
            (usize::MAX, 2, None),
        ] {
            let together = Together::new(longest, depth);
            assert_eq!(together.room_bytes, room, "{longest} × {depth}");
        }
    }

    #[test]
    fn without_a_room_nothing_is_lent() {
        for mut together in [Together::never(), Together::new(1 << 20, 1)] {
            assert!(together.lend(MOST_CALLS).is_none());
        }
    }
}
