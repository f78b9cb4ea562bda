//! What a request is and what an answer is: a value of the run.
//!
//! ```text
//! Protocol (as asked for) ──▶ Wire (as sent and parsed)
//!                              ├─ lend: the bytes of a request
//!                              └─ take: how far an answer has come
//! ```
//!
//! The engine knows requests by their client and number, and answers by what [`Wire::take`] says of
//! them. No module here knows a socket, a clock or a counter.

mod echo;
mod exchange;
mod http;
mod sizes;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use echo::Messages;
pub use exchange::{Ending, Exchange};
pub use http::Http;
pub(crate) use http::Parser;
pub use sizes::Sizes;

/// Client and number of a request, from which its content follows.
pub(crate) type RequestId = (u32, u64);

/// What clients and server say to each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The same bytes come back (RFC 862).
    Echo(Sizes),
    /// HTTP/1.1 over kept-alive connections (RFC 9112).
    Http(Http),
    /// Fixed bytes go out, and an answer of a known end comes back.
    Exchange(Exchange),
}

/// What a connection's next bytes mean for the oldest request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The answer goes on.
    More,
    /// The answer is complete.
    Complete,
    /// The answer is complete and the server will close the connection.
    CompleteAndLast,
    /// The answer is complete and says that the request failed.
    Refused(Failure),
    /// The bytes are no answer to the request.
    Wrong(Failure),
}

/// How far the answer to the oldest request in flight has come.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    /// Bytes of the answer so far, or as the protocol counts them; 0 for a new one.
    pub(crate) read: &'a mut u32,
    /// What the protocol has to remember beyond that; only HTTP has.
    pub(crate) parser: Option<&'a mut Parser>,
    /// Bytes of the request that were written.
    pub(crate) written: u32,
    /// Whether content is compared.
    pub(crate) verify: bool,
}

/// A protocol made ready for one thread.
#[derive(Clone, Debug)]
pub(crate) enum Wire {
    /// As [`Protocol::Echo`].
    Echo(Messages),
    /// As [`Protocol::Http`].
    Http(http::Wire),
    /// As [`Protocol::Exchange`].
    Exchange(exchange::Wire),
}

impl Protocol {
    /// Its name on the command line.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Echo(_) => "echo",
            Self::Http(_) => "http",
            Self::Exchange(_) => "exchange",
        }
    }

    /// Whether the content of an answer is known beforehand.
    pub(crate) const fn is_verifiable(&self) -> bool {
        matches!(self, Self::Echo(_))
    }

    /// The longest request in bytes.
    pub(crate) fn longest_request(&self) -> usize {
        match self {
            Self::Echo(sizes) => sizes.largest() as usize,
            Self::Http(http) => http.request().len(),
            Self::Exchange(exchange) => exchange.send.len(),
        }
    }

    /// Makes it ready to be spoken.
    pub(crate) fn wire(&self, seed: u64) -> Wire {
        match self {
            Self::Echo(sizes) => Wire::Echo(Messages::new(sizes.clone(), seed)),
            Self::Http(http) => Wire::Http(http::Wire::new(http)),
            Self::Exchange(exchange) => Wire::Exchange(exchange::Wire::new(exchange)),
        }
    }
}

impl Wire {
    /// Length of a request in bytes.
    #[inline]
    pub(crate) fn request_bytes(&self, id: RequestId) -> usize {
        match self {
            Self::Echo(messages) => messages.bytes(id),
            Self::Http(wire) => wire.request().len(),
            Self::Exchange(wire) => wire.request().len(),
        }
    }

    /// Lends the bytes of a request from byte `from` on, in one piece.
    ///
    /// # Panics
    ///
    /// When `from` exceeds the length of the request.
    pub(crate) fn lend<R>(
        &mut self,
        id: RequestId,
        from: usize,
        using: impl FnOnce(&[u8]) -> R,
    ) -> R {
        match self {
            Self::Echo(messages) => messages.lend(id, from, using),
            Self::Http(wire) => using(&wire.request()[from..]),
            Self::Exchange(wire) => using(&wire.request()[from..]),
        }
    }

    /// Takes what belongs to the answer of request `id` from the front of `bytes`, which is not
    /// empty, and tells how many bytes that were. [`Fate::More`] only if it took them all.
    #[inline]
    pub(crate) fn take(&self, id: RequestId, answer: Answer<'_>, bytes: &[u8]) -> (usize, Fate) {
        match self {
            Self::Echo(messages) => messages.take(id, answer, bytes),
            Self::Http(_) => http::take(answer, bytes),
            Self::Exchange(wire) => wire.take(answer.read, bytes),
        }
    }

    /// What it means for the request in flight that the server has closed its side.
    pub(crate) fn at_end(&self, answer: Answer<'_>) -> Fate {
        match self {
            Self::Http(_) => http::at_end(answer),
            Self::Echo(_) | Self::Exchange(_) => Fate::Wrong(Failure::Closed),
        }
    }

    /// What each connection has to remember beyond a number; none where that is enough.
    pub(crate) fn parser(&self) -> Option<Parser> {
        match self {
            Self::Http(_) => Some(Parser::default()),
            Self::Echo(_) | Self::Exchange(_) => None,
        }
    }
}
