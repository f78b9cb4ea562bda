//! What a run will do, without doing it: when each request is due, and its bytes.
//!
//! Both follow from the configuration alone, so that a simulation can be put under the very load
//! that a server gets, and the two differ by the server and not by chance.

use std::time::Duration;

use crate::config::{Config, Pace};
use crate::protocol::Wire;
use crate::schedule::Schedule;

/// The requests of a run in which all clients do the same on a schedule.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    schedule: Schedule,
    wire: Wire,
}

impl Rehearsal {
    /// That of `config`; none where the requests depend on the answers (a closed loop), on the kind
    /// of client, or where the rate is out of range.
    ///
    /// ```
    /// use loadgen::schedule::{Arrivals, Rate};
    /// use loadgen::{Config, Pace, Rehearsal};
    ///
    /// let mut config = Config::new("127.0.0.1:7007".parse()?);
    /// assert!(Rehearsal::of(&config).is_none(), "a closed loop");
    /// config.pace = Pace::Open(Rate::Constant(200.0), Arrivals::Poisson);
    /// let mut rehearsal = Rehearsal::of(&config).ok_or("an open loop")?;
    /// assert_eq!(rehearsal.request(7, 0).len(), 64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn of(config: &Config) -> Option<Self> {
        let Pace::Open(rate, arrivals) = config.pace else {
            return None;
        };
        if !config.profiles.is_empty() || !config.behaviour.keeps_schedule() {
            return None;
        }
        let spans = (config.warmup, config.stop.limits().0.unwrap_or_default());
        let clients = (config.connections.get(), config.seed);
        Some(Self {
            schedule: Schedule::new(rate, arrivals, spans, clients).ok()?,
            wire: config.protocol.wire(config.seed),
        })
    }

    /// How long after the start of the run each request of client `number` is due, for ever.
    pub fn due_times(&self, number: u32) -> impl Iterator<Item = Duration> + use<> {
        self.schedule.due_times(number)
    }

    /// The bytes of request `index`, from 0, of client `number`.
    pub fn request(&mut self, number: u32, index: u64) -> Vec<u8> {
        // The state machine counts a request when it sends it, so that the first one is number 1.
        self.wire.lend((number, index + 1), 0, <[u8]>::to_vec)
    }
}
