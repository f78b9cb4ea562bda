//! What a run is asked to do: validated values, no flags and no defaults from the environment.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use cli::Addr;
use serde::{Deserialize, Serialize};

/// The longest message that [`Config::message_bytes`] is meant for: 16 MiB.
pub const MAX_MESSAGE_BYTES: u32 = 16 << 20;
/// The most clients that [`Config::connections`] is meant for.
pub const MAX_CONNECTIONS: u32 = 1_000_000;
/// The most threads that [`Config::threads`] is meant for.
pub const MAX_THREADS: usize = 1_024;
/// The longest window, pause or time limit that is meant to be asked for: one day.
pub const MAX_DURATION: Duration = Duration::from_secs(86_400);

/// One run of the load generator.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The server.
    pub target: Addr,
    /// How many clients, each with one connection at a time.
    pub connections: NonZeroU32,
    /// When the run ends.
    pub stop: StopRule,
    /// Runs before the measured window and is not counted; zero with [`StopRule::Requests`].
    pub warmup: Duration,
    /// Generator threads.
    pub threads: NonZeroUsize,
    /// Length of each message in bytes, its closing `\n` included.
    pub message_bytes: NonZeroU32,
    /// Where the message bytes and all random choices come from.
    pub seed: u64,
    /// What a client does between and after its requests.
    pub behaviour: Behaviour,
    /// New connections per second over all clients; without it all are opened at once.
    pub connect_rate_per_s: Option<f64>,
    /// How long a request may go without its whole answer before it counts as timed out and its
    /// connection is closed; without it a client waits to the end.
    pub timeout: Option<Duration>,
    /// Whether each answered byte is compared with what was sent.
    pub verify: bool,
}

/// One of several generators that share the clients of a run: it plays every `count`-th of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which one, from 0; below `count`.
    pub index: u32,
    /// How many there are.
    pub count: NonZeroU32,
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

/// What a client does between and after its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behaviour {
    /// Pause between an answer and the next request.
    pub think: Duration,
    /// Silence after the first answer on a connection.
    pub hold: Duration,
    /// Close after this many answers; without it a connection stays.
    pub requests_per_conn: Option<NonZeroU64>,
    /// A client whose connection ended does not connect again.
    pub once: bool,
}
