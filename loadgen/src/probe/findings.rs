//! What a probe found out: the document. A figure that does not exist is `null`.

use serde::{Deserialize, Serialize};

/// The version of the document; it grows when a key changes its meaning.
pub const SCHEMA: u32 = 1;

/// The document of a probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of loadgen.
    pub version: String,
    /// The server, as typed.
    pub target: String,
    /// The protocol that was spoken.
    pub protocol: String,
    /// What it comes to, in one sentence.
    pub sentence: String,
    /// The probe ended before all was found out; what is missing is null.
    pub interrupted: bool,
    /// After its occupants had left, the server did not serve again; what is missing is null.
    pub gone: bool,
    /// How far the probe went.
    pub tried: Tried,
    /// Median time from the first packet to the whole answer, of clients that nobody hindered.
    pub answer_us: Option<f64>,
    /// How long the probe took in seconds.
    pub duration_s: f64,
    /// How many clients are served at once.
    pub serves: Serves,
    /// What happens to those beyond; null where no limit was found, or where none lasted.
    pub queue: Option<Queue>,
    /// What becomes of a client that ends its sending side after its request.
    pub half_close: Option<HalfClose>,
    /// When the server closes connections on which nothing happens.
    pub idle: Option<Idle>,
}

/// How far a probe went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The most clients of a kind.
    pub clients: u32,
    /// The most clients that wait.
    pub waiting: u32,
    /// How long a connection was watched for being closed, in seconds.
    pub idle_s: f64,
    /// The least time that a client waited before it counted as one that is not served.
    pub patience_ms: f64,
}

/// How many clients of each kind the server has room for; null where that was not found out, or
/// where the protocol has no such client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serves {
    /// Clients that are connected and have said nothing.
    pub silent: Option<Room>,
    /// Clients that got an answer, keep the connection and are silent.
    pub kept: Option<Room>,
    /// Clients that send their request byte by byte and do not come to its end.
    pub slow: Option<Room>,
}

/// A kind of occupant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// As [`Serves::silent`].
    Silent,
    /// As [`Serves::kept`].
    Kept,
    /// As [`Serves::slow`].
    Slow,
}

/// How many clients of one kind the server has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Room {
    /// So many of them fill the server: beside one fewer a further client is served, beside all of
    /// them it is not. A pool of 4 has a limit of 4.
    Limit {
        /// How many fill it.
        clients: u32,
        /// What a further client sees then.
        further: Hindrance,
    },
    /// A further client is served beside so many of them, and more were not tried.
    NoLimit {
        /// How many.
        tried: u32,
    },
    /// The server closes such a client's connection by itself, at once: it occupies nothing.
    Closes,
    /// Beside so many of them a further client is served because the server closes one of them.
    MakesRoom {
        /// How many.
        clients: u32,
    },
    /// The trials beside so many contradict each other.
    Unclear {
        /// How many.
        clients: u32,
    },
}

/// What a client sees that is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hindrance {
    /// It is connected and no answer comes.
    Waits,
    /// Its connection is not answered: the system drops its packets and repeats them.
    TimesOut,
    /// Its connection is refused.
    Refused,
    /// It is connected and then reset.
    Reset,
    /// It is connected and then closed without an answer.
    Closed,
    /// It gets another answer than a client of an idle server, such as an error.
    OtherAnswer,
}

/// Those who are connected and wait while the server is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Which occupants filled the server.
    pub behind: Kind,
    /// How many more clients connect and wait.
    pub waiting: u32,
    /// What the next one sees; null when so many waited and more were not tried.
    pub next: Option<Hindrance>,
}

/// What becomes of a client that ends its sending side after its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HalfClose {
    /// It gets the whole answer, and then the end.
    AnswersThenCloses,
    /// It gets the whole answer, and then a reset.
    AnswersThenResets,
    /// It gets the whole answer, and the connection stays open.
    AnswersAndStaysOpen,
    /// It is closed before the whole answer has come.
    DropsTheAnswer,
    /// Nothing happens.
    NeverAnswers,
}

/// When the server closes connections on which nothing happens, in seconds; null where it did not
/// within `watched_s`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Idle {
    /// How long they were watched.
    pub watched_s: f64,
    /// A client that has said nothing, from the connection.
    pub silent_s: Option<f64>,
    /// A client that got an answer, from the answer.
    pub kept_s: Option<f64>,
}

impl Serves {
    /// The kinds in the order of the document, with what was found.
    pub fn each(self) -> impl Iterator<Item = (Kind, Option<Room>)> {
        [
            (Kind::Silent, self.silent),
            (Kind::Kept, self.kept),
            (Kind::Slow, self.slow),
        ]
        .into_iter()
    }
}

impl Kind {
    /// Its name in text and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Kept => "kept",
            Self::Slow => "slow",
        }
    }
}
