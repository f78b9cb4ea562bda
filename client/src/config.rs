//! What a conversation is to be: validated values, however they were typed.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use cli::{Addr, Format};

/// How long a connection may take to be established unless `--timeout` says otherwise.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// One conversation.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whom to talk to.
    pub target: Addr,
    /// How long to wait for what.
    pub patience: Patience,
    /// What to say.
    pub form: Form,
}

/// The three forms of a conversation.
#[derive(Clone, Debug)]
pub enum Form {
    /// Lines typed at a terminal, with a history that is kept in the file, if there is one.
    Talk {
        /// Where the history is kept from one run to the next.
        history: Option<PathBuf>,
    },
    /// Stdin out, the verified echo to stdout.
    Filter,
    /// Messages on a schedule, then a summary.
    Ping(PingPlan),
}

/// How long to wait before giving up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    /// The `--timeout`: how long nothing may come back, and how long connecting may take.
    pub limit: Option<Duration>,
    /// How long to try again while nobody accepts the connection.
    pub ready: Option<Duration>,
}

impl Patience {
    /// How long one attempt to connect may take.
    #[must_use]
    pub fn connecting(&self) -> Duration {
        self.limit.unwrap_or(CONNECT_LIMIT)
    }
}

/// What a ping sends, and when.
#[derive(Clone, Copy, Debug)]
pub struct PingPlan {
    /// How many messages; without it they go on until they are interrupted.
    pub count: Option<NonZeroU64>,
    /// From one message to the next; zero means as soon as the answer is there.
    pub interval: Duration,
    /// The length of a message.
    pub size_bytes: usize,
    /// A message without an answer for so long is lost.
    pub timeout: Duration,
    /// What stdout carries.
    pub format: Format,
}
