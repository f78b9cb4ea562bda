//! What `benches/` may see of the insides, with the feature `bench` alone: the hot functions, called as
//! a worker calls them. Nothing of the generator uses this, and nobody else shall.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::behaviour::Behaviour;
use crate::client::{Client, Context, Event, Halt, Plan};
use crate::protocol::{Answer, Fate, Protocol, RequestId, Sizes, Wire};
use crate::quota::Quota;
use crate::samples::Samples;
use crate::schedule::Place;
use crate::tally::{Flight, Loop, Tally};
use crate::time::Moment;

/// A client of a closed loop, whose server answers a microsecond later.
#[derive(Debug)]
pub struct Conversation {
    client: Client,
    plan: Plan,
    wire: Wire,
    quota: Quota,
    tally: Tally,
    flights: [Flight; 1],
    now: Moment,
    bytes: Vec<u8>,
}

impl Conversation {
    /// One that is connected, with messages of `size` bytes.
    #[must_use]
    pub fn new(size: NonZeroU32) -> Self {
        let mut tally = Tally::new(Loop::Closed, 0);
        tally.open(Moment::START, 0);
        let mut conversation = Self {
            client: Client::new(0, 0, Place::NONE),
            plan: Plan {
                behaviours: vec![Behaviour::default()],
                profiles: 0,
                schedule: None,
                seed: 1,
                timeout: None,
                connect_timeout: None,
                verify: true,
                addresses: 1,
                give_up_after: None,
            },
            wire: Protocol::Echo(Sizes::Fixed(size)).wire(1),
            quota: Quota::new(None),
            tally,
            flights: [Flight::NONE],
            now: Moment::START,
            bytes: Vec::new(),
        };
        conversation.step(Event::Start);
        conversation.step(Event::Established);
        conversation
    }

    /// A request that the socket takes whole, and its answer; returns how many were answered so far.
    pub fn exchange(&mut self) -> u64 {
        let (request, bytes) = (self.client.request(), &mut self.bytes);
        self.wire.lend(request, 0, |message| {
            bytes.clear();
            bytes.extend_from_slice(message);
        });
        self.step(Event::Wrote(self.bytes.len()));
        self.now = self.now.after(Duration::from_micros(1));
        let answer = std::mem::take(&mut self.bytes);
        self.step(Event::Read(&answer));
        self.bytes = answer;
        self.tally.requests.answered
    }

    fn step(&mut self, event: Event<'_>) {
        let mut cx = Context {
            now: self.now,
            plan: &self.plan,
            wire: &self.wire,
            quota: &self.quota,
            halt: Halt::default(),
            tally: &mut self.tally,
            flights: &mut self.flights,
            parser: None,
        };
        self.client.step(event, &mut cx);
    }
}

/// A message, and what its answer is compared with.
#[derive(Debug)]
pub struct Verification {
    wire: Wire,
    answer: Vec<u8>,
}

impl Verification {
    const REQUEST: RequestId = (0, 7);

    /// Of a message of `size` bytes.
    #[must_use]
    pub fn new(size: NonZeroU32) -> Self {
        let mut wire = Protocol::Echo(Sizes::Fixed(size)).wire(1);
        let answer = wire.lend(Self::REQUEST, 0, <[u8]>::to_vec);
        Self { wire, answer }
    }

    /// Whether the answer is the message: it is.
    #[must_use]
    pub fn holds(&self) -> bool {
        let answer = Answer {
            read: &mut 0,
            parser: None,
            written: u32::try_from(self.answer.len()).unwrap_or(u32::MAX),
            verify: true,
        };
        let (_, fate) = self.wire.take(Self::REQUEST, answer, &self.answer);
        matches!(fate, Fate::Complete)
    }
}

/// A histogram of waits.
#[derive(Debug)]
pub struct Waits(Samples);

impl Default for Waits {
    fn default() -> Self {
        Self(Samples::new())
    }
}

impl Waits {
    /// Notes one.
    pub fn record(&mut self, nanos: u64) {
        self.0.record(nanos);
    }
}
