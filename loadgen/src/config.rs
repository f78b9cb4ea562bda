//! What a run is asked to do: validated values, no flags and no defaults from the environment.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use cli::Addr;

use crate::behaviour::{Behaviour, SLOW_BYTES_PER_S, Share};
use crate::ceiling::Ceiling;
use crate::protocol::{Protocol, Sizes};
use crate::schedule::{Arrivals, Rate};

/// The longest message: 16 MiB.
pub const MAX_MESSAGE_BYTES: u32 = 16 << 20;
/// The most clients of [`Config::connections`].
pub const MAX_CONNECTIONS: u32 = 1_000_000;
/// The most threads of [`Config::threads`].
pub const MAX_THREADS: usize = 1_024;
/// The longest window, pause or time limit: one day.
pub const MAX_DURATION: Duration = Duration::from_secs(86_400);

const DEFAULT_CONNECTIONS: NonZeroU32 = NonZeroU32::new(50).expect("fifty is not zero");
/// How long a message is unless something else is said.
pub const DEFAULT_MESSAGE_BYTES: NonZeroU32 = NonZeroU32::new(64).expect("sixty-four is not zero");
/// The window when nothing is said of when the run ends.
pub const DEFAULT_DURATION: Duration = Duration::from_secs(10);
/// The warm-up of a run with a time limit.
pub const DEFAULT_WARMUP: Duration = Duration::from_secs(1);

/// One run of the load generator.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The servers, at least one; clients are spread over them in turn.
    pub targets: Vec<Addr>,
    /// Addresses of this machine that connections come from, in turn; empty leaves it to the kernel.
    pub bind: Vec<IpAddr>,
    /// How many clients, each with one connection at a time, over all shards.
    pub connections: NonZeroU32,
    /// Which of the clients this generator plays.
    pub shard: Shard,
    /// When the run ends.
    pub stop: StopRule,
    /// Ends the run this long after its start, whatever has happened by then.
    pub deadline: Option<Duration>,
    /// Runs before the measured window and is not counted; zero with [`StopRule::Requests`].
    pub warmup: Duration,
    /// When the run begins, in seconds since 1970 by the wall clock; without it, at once.
    pub start_at_unix_s: Option<f64>,
    /// Generator threads.
    pub threads: NonZeroUsize,
    /// Where the message bytes and all random choices come from.
    pub seed: u64,
    /// When requests are due.
    pub pace: Pace,
    /// What a request and what an answer is.
    pub protocol: Protocol,
    /// What a client does between, during and after its requests.
    pub behaviour: Behaviour,
    /// The kinds of clients; empty when all just do as [`Config::behaviour`] says.
    pub profiles: Vec<Share>,
    /// Bytes per second of the profiles that are slow on purpose.
    pub slow_bytes_per_s: NonZeroU32,
    /// When clients connect for the first time.
    pub starts: Starts,
    /// How long a request may go without its whole answer before it counts as timed out and its
    /// connection is closed; without it a client waits to the end.
    pub timeout: Option<Duration>,
    /// How long a connection may take to be established; without it, as long as the kernel tries.
    pub connect_timeout: Option<Duration>,
    /// Whether each answered byte is compared with what was sent.
    pub verify: bool,
    /// What this generator can do at most, where that is known; the audit holds the run against it.
    pub ceiling: Option<Ceiling>,
    /// Whether the server is looked at from outside, where it is on this machine.
    pub witness: bool,
}

/// When requests are due.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pace {
    /// As soon as the client is ready: a closed loop.
    #[default]
    Closed,
    /// On a schedule, whatever the answers do: an open loop.
    Open(Rate, Arrivals),
}

/// When clients connect for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Starts {
    /// All at once.
    #[default]
    AtOnce,
    /// So many a second, over all clients.
    Rate(f64),
    /// Evenly spread over this time.
    Ramp(Duration),
    /// At random within this time and independent of each other, as many users do: given how many
    /// they are, such moments are those of a Poisson process.
    Scattered(Duration),
}

/// One of several generators that share the clients of a run: it plays every `count`-th of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which one, from 0; below `count`.
    pub index: u32,
    /// How many there are.
    pub count: NonZeroU32,
}

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopRule {
    /// After this long, counted from the end of the warm-up.
    After(Duration),
    /// After this many requests have ended, each by its answer or by a failure, over all clients.
    Requests(NonZeroU64),
    /// Whichever comes first.
    Either(Duration, NonZeroU64),
}

impl Config {
    /// The run that is made when nothing but the server is said.
    #[must_use]
    pub fn new(target: Addr) -> Self {
        Self {
            targets: vec![target],
            bind: Vec::new(),
            connections: DEFAULT_CONNECTIONS,
            shard: Shard::default(),
            stop: StopRule::After(DEFAULT_DURATION),
            deadline: None,
            warmup: DEFAULT_WARMUP,
            start_at_unix_s: None,
            threads: NonZeroUsize::MIN,
            seed: 1,
            pace: Pace::Closed,
            protocol: Protocol::Echo(Sizes::Fixed(DEFAULT_MESSAGE_BYTES)),
            behaviour: Behaviour::default(),
            profiles: Vec::new(),
            slow_bytes_per_s: SLOW_BYTES_PER_S,
            starts: Starts::AtOnce,
            timeout: None,
            connect_timeout: None,
            verify: true,
            ceiling: None,
            witness: true,
        }
    }

    /// How many of the clients this generator plays.
    #[must_use]
    pub fn own_connections(&self) -> u32 {
        self.shard.part(self.connections.get())
    }

    /// The numbers of the clients that this generator plays.
    pub(crate) fn own_clients(&self) -> impl Iterator<Item = u32> + Clone + use<> {
        let step = self.shard.count.get() as usize;
        (self.shard.index..self.connections.get()).step_by(step)
    }

    /// How many of the requests this generator makes, where their number ends the run.
    pub(crate) fn own_requests(&self) -> Option<NonZeroU64> {
        let (_, total) = self.stop.limits();
        total.map(|total| NonZeroU64::new(self.shard.share(total.get())).unwrap_or(NonZeroU64::MIN))
    }

    /// What each kind of client does, at least one kind.
    pub(crate) fn behaviours(&self) -> Vec<Behaviour> {
        let change = |share: &Share| share.profile.change(self.behaviour, self.slow_bytes_per_s);
        match self.profiles.as_slice() {
            [] => vec![self.behaviour],
            shares => shares.iter().map(change).collect(),
        }
    }

    /// All targets, as typed.
    #[must_use]
    pub fn target(&self) -> String {
        let all: Vec<_> = self.targets.iter().map(ToString::to_string).collect();
        all.join(",")
    }
}

impl Default for Shard {
    /// All clients.
    fn default() -> Self {
        Self {
            index: 0,
            count: NonZeroU32::MIN,
        }
    }
}

impl Shard {
    /// How many of `clients` clients are its own.
    #[must_use]
    pub const fn part(self, clients: u32) -> u32 {
        clients
            .saturating_sub(self.index)
            .div_ceil(self.count.get())
    }

    /// How many of `requests` requests are its own.
    #[must_use]
    pub fn share(self, requests: u64) -> u64 {
        let own = requests.saturating_sub(self.index.into());
        own.div_ceil(self.count.get().into())
    }
}

impl StopRule {
    /// The length of the window and the number of requests, as far as they are limited.
    #[must_use]
    pub const fn limits(self) -> (Option<Duration>, Option<NonZeroU64>) {
        match self {
            Self::After(length) => (Some(length), None),
            Self::Requests(total) => (None, Some(total)),
            Self::Either(length, total) => (Some(length), Some(total)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_all_clients() {
        let count = NonZeroU32::new(3).unwrap();
        let parts = |clients| [0, 1, 2].map(|index| Shard { index, count }.part(clients));
        assert_eq!(
            (parts(10), parts(2), parts(3)),
            ([4, 3, 3], [1, 1, 0], [1, 1, 1])
        );
        assert_eq!(Shard::default().part(7), 7);
        let shares = [0, 1, 2].map(|index| Shard { index, count }.share(10));
        assert_eq!(shares, [4, 3, 3]);
    }
}
