//! A queue played through, request by request: for what no formula holds, and to take chance out of
//! a comparison with a measurement.
//!
//! ```text
//! clients ──arrive──▶ one queue, or one for each worker ──begin──▶ worker ──end──▶ client's next
//! ```
//!
//! Pure: requests with their service times go in, moments come out. Time is counted in nanoseconds
//! from the start; no clock, no randomness but a seed that is passed in. First come, first served.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroUsize;

use crate::dice::Dice;

/// Nanoseconds, from the start or of a span.
pub type Nanos = u64;

/// What a client asks, one after the other: the next is never sent before the answer to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// It is not sent before this moment: the schedule of an open loop.
    pub due: Nanos,
    /// Nor before so long after the answer to the client's last one: the pause of a closed loop.
    pub pause: Nanos,
    /// How long it takes a worker.
    pub service: Nanos,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was served.
    Served(Served),
    /// The queue was full when it arrived, at this moment.
    Refused(Nanos),
}

/// The moments of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// When it should have been sent, as in [`Request::due`] where that is what it waited for.
    pub due: Nanos,
    /// When a worker began with it.
    pub begun: Nanos,
    /// When that worker was done.
    pub ended: Nanos,
}

impl Served {
    /// How long it waited, for its own client as well.
    #[must_use]
    pub const fn wait(&self) -> Nanos {
        self.begun - self.due
    }

    /// From when it was due to its answer.
    #[must_use]
    pub const fn response(&self) -> Nanos {
        self.ended - self.due
    }
}

/// Where requests wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// In one queue for all workers: M/M/c.
    Shared,
    /// In one queue that holds so many; who comes when it is full is refused.
    Bounded(usize),
    /// Each worker has its own, and a client always goes to the same one, by turns: c × M/M/1.
    ByTurns,
    /// Each worker has its own, and every request goes to one at random, which follows from a seed.
    Random(u64),
}

/// Plays all requests of all clients through; each client's fates in the order of its requests.
#[must_use]
pub fn play(clients: &[Vec<Request>], workers: NonZeroUsize, queue: Queue) -> Vec<Vec<Fate>> {
    let mut play = Play::new(clients, workers, queue);
    for client in 0..clients.len() {
        play.next_request(client, 0);
    }
    while let Some((now, event)) = play.agenda.next() {
        match event {
            Event::Arrival(client) => play.arrive(client, now),
            Event::End(worker) => play.end(worker, now),
        }
    }
    play.fates
}

/// What happens next. Of two at the same moment the one that was noted first.
#[derive(Debug, Default)]
struct Agenda {
    heap: BinaryHeap<Reverse<(Nanos, u64, Event)>>,
    noted: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A client's next request arrives.
    Arrival(usize),
    /// A worker is done.
    End(usize),
}

impl Agenda {
    fn note(&mut self, at: Nanos, event: Event) {
        self.heap.push(Reverse((at, self.noted, event)));
        self.noted += 1;
    }

    fn next(&mut self) -> Option<(Nanos, Event)> {
        let Reverse((at, _, event)) = self.heap.pop()?;
        Some((at, event))
    }
}

/// A request on its way: whose, and when it was due.
#[derive(Clone, Copy, Debug)]
struct Ticket {
    client: usize,
    due: Nanos,
    service: Nanos,
}

#[derive(Debug)]
struct Play<'a> {
    clients: &'a [Vec<Request>],
    queue: Queue,
    agenda: Agenda,
    /// What each worker has in hand, and since when.
    at_work: Vec<Option<(Ticket, Nanos)>>,
    /// One, or one for each worker.
    waiting: Vec<VecDeque<Ticket>>,
    /// When each client's next request is due.
    due: Vec<Nanos>,
    fates: Vec<Vec<Fate>>,
    dice: Dice,
}

impl<'a> Play<'a> {
    fn new(clients: &'a [Vec<Request>], workers: NonZeroUsize, queue: Queue) -> Self {
        let queues = match queue {
            Queue::Shared | Queue::Bounded(_) => 1,
            Queue::ByTurns | Queue::Random(_) => workers.get(),
        };
        let dice = match queue {
            Queue::Random(seed) => Dice::of(seed),
            Queue::Shared | Queue::Bounded(_) | Queue::ByTurns => Dice::of(0),
        };
        Self {
            clients,
            queue,
            agenda: Agenda::default(),
            at_work: vec![None; workers.get()],
            waiting: vec![VecDeque::new(); queues],
            due: vec![0; clients.len()],
            fates: vec![Vec::new(); clients.len()],
            dice,
        }
    }

    /// The client has got its answer, or a refusal: when does it ask again?
    fn next_request(&mut self, client: usize, now: Nanos) {
        let Some(request) = self.clients[client].get(self.fates[client].len()) else {
            return;
        };
        let rested = now + request.pause;
        // In a closed loop nothing is due before the client wants it.
        self.due[client] = if request.pause > 0 {
            request.due.max(rested)
        } else {
            request.due
        };
        self.agenda
            .note(request.due.max(rested), Event::Arrival(client));
    }

    fn arrive(&mut self, client: usize, now: Nanos) {
        let request = self.clients[client][self.fates[client].len()];
        let ticket = Ticket {
            client,
            due: self.due[client],
            service: request.service,
        };
        match self.free_worker(client) {
            Ok(worker) => self.begin(worker, ticket, now),
            Err(queue) if self.is_full(queue) => {
                self.fates[client].push(Fate::Refused(now));
                self.next_request(client, now);
            }
            Err(queue) => self.waiting[queue].push_back(ticket),
        }
    }

    /// A worker that can begin at once, or the queue to wait in.
    fn free_worker(&mut self, client: usize) -> Result<usize, usize> {
        let own = match self.queue {
            Queue::Shared | Queue::Bounded(_) => {
                return self.at_work.iter().position(Option::is_none).ok_or(0);
            }
            Queue::ByTurns => client % self.at_work.len(),
            Queue::Random(_) => self.dice.below(self.at_work.len()),
        };
        match self.at_work[own] {
            None => Ok(own),
            Some(_) => Err(own),
        }
    }

    fn is_full(&self, queue: usize) -> bool {
        match self.queue {
            Queue::Bounded(most) => self.waiting[queue].len() >= most,
            Queue::Shared | Queue::ByTurns | Queue::Random(_) => false,
        }
    }

    fn begin(&mut self, worker: usize, ticket: Ticket, now: Nanos) {
        self.at_work[worker] = Some((ticket, now));
        self.agenda.note(now + ticket.service, Event::End(worker));
    }

    fn end(&mut self, worker: usize, now: Nanos) {
        if let Some((ticket, begun)) = self.at_work[worker].take() {
            self.fates[ticket.client].push(Fate::Served(Served {
                due: ticket.due,
                begun,
                ended: now,
            }));
            self.next_request(ticket.client, now);
        }
        let queue = worker.min(self.waiting.len() - 1);
        if let Some(next) = self.waiting[queue].pop_front() {
            self.begin(worker, next, now);
        }
    }
}

/// The waits of requests (arrival, service) that no client holds back, in the order of arrival, on
/// one queue: the recursion of Kiefer and Wolfowitz (*On the theory of queues with many servers*,
/// 1955). The same as [`play`] gives, but much faster.
#[must_use]
pub fn waits(requests: &[(Nanos, Nanos)], workers: NonZeroUsize) -> Vec<Nanos> {
    let mut free_at: BinaryHeap<Reverse<Nanos>> =
        std::iter::repeat_n(Reverse(0), workers.get()).collect();
    let wait = |&(arrival, service): &(Nanos, Nanos)| {
        let Reverse(free) = free_at.pop().unwrap_or_default();
        let begun = arrival.max(free);
        free_at.push(Reverse(begun + service));
        begun - arrival
    };
    requests.iter().map(wait).collect()
}

#[cfg(test)]
#[path = "simulation_tests.rs"]
mod tests;
