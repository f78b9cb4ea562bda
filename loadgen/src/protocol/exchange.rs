//! The simplest dialogue: fixed bytes go out, and an answer that ends with known bytes, or has a
//! known length, comes back. Enough for Redis, memcached, SMTP and anything else that is bounded by
//! lines or lengths. What the answer says is not looked at.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::Fate;

/// One request and the end of its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The request; empty where the server speaks first, once a connection.
    pub send: Vec<u8>,
    /// How the end of an answer is known.
    pub ending: Ending,
}

/// How the end of an answer is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// By these bytes, at least one.
    Until(Vec<u8>),
    /// By the number of its bytes.
    Length(NonZeroU32),
}

/// An exchange made ready.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    request: Vec<u8>,
    ending: Ending,
}

impl Wire {
    pub(super) fn new(exchange: &Exchange) -> Self {
        Self {
            request: exchange.send.clone(),
            ending: exchange.ending.clone(),
        }
    }

    pub(super) fn request(&self) -> &[u8] {
        &self.request
    }

    /// As [`super::Wire::take`]. `read` counts the bytes of a known length, or those of the closing
    /// bytes that have come in a row.
    pub(super) fn take(&self, read: &mut u32, bytes: &[u8]) -> (usize, Fate) {
        match &self.ending {
            Ending::Length(length) => {
                let rest = (length.get() - *read) as usize;
                let taken = rest.min(bytes.len());
                *read += u32::try_from(taken).unwrap_or(u32::MAX);
                let fate = if taken == rest {
                    Fate::Complete
                } else {
                    Fate::More
                };
                (taken, fate)
            }
            Ending::Until(end) => take_until(end, read, bytes),
        }
    }
}

/// Looks for `end` in a stream of which `matched` bytes of it came last.
fn take_until(end: &[u8], matched: &mut u32, bytes: &[u8]) -> (usize, Fate) {
    if let ([only], 0) = (end, *matched) {
        return match memchr::memchr(*only, bytes) {
            Some(at) => (at + 1, Fate::Complete),
            None => (bytes.len(), Fate::More),
        };
    }
    let mut have = *matched as usize;
    for (at, byte) in bytes.iter().enumerate() {
        have = extend(end, have, *byte);
        if have == end.len() {
            *matched = 0;
            return (at + 1, Fate::Complete);
        }
    }
    *matched = u32::try_from(have).unwrap_or(u32::MAX);
    (bytes.len(), Fate::More)
}

/// How many bytes of `end` the stream ends with after `byte`, when it ended with `have` before.
fn extend(end: &[u8], have: usize, byte: u8) -> usize {
    // The stream's tail is known: it is the beginning of `end`. `end` is a few bytes long, so that
    // trying each shorter beginning costs less than a table of them.
    let tail = |start: usize| end[start..have].iter().chain([&byte]);
    (0..=have)
        .find(|start| tail(*start).eq(&end[..=have - start]))
        .map_or(0, |start| have - start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The answers in `stream`, cut into pieces of `cut` bytes, by the number of their bytes.
    fn answers(ending: Ending, stream: &[u8], cut: usize) -> Vec<usize> {
        let wire = Wire::new(&Exchange {
            send: b"?".to_vec(),
            ending,
        });
        let (mut read, mut lengths, mut length) = (0, Vec::new(), 0);
        for mut piece in stream.chunks(cut) {
            while !piece.is_empty() {
                let (taken, fate) = wire.take(&mut read, piece);
                piece = &piece[taken..];
                length += taken;
                if fate == Fate::Complete {
                    lengths.push(std::mem::take(&mut length));
                    read = 0;
                }
            }
        }
        lengths
    }

    #[test]
    fn answers_end_where_they_should_however_they_are_cut() {
        for cut in 1..20 {
            let until = |end: &[u8]| Ending::Until(end.to_vec());
            assert_eq!(answers(until(b"\n"), b"+PONG\r\nhi\n", cut), [7, 3]);
            assert_eq!(answers(until(b"\r\n"), b"\r\r\n+OK\r\n\r", cut), [3, 5]);
            assert_eq!(answers(until(b"aab"), b"aaab aab", cut), [4, 4]);
            let three = Ending::Length(NonZeroU32::new(3).unwrap());
            assert_eq!(answers(three, b"abcdefgh", cut), [3, 3]);
        }
    }

    proptest! {
        #[test]
        fn the_end_is_found_as_by_a_plain_search(
            stream in prop::collection::vec(0_u8..2, 0..60),
            end in prop::collection::vec(0_u8..2, 1..5),
            cut in 1_usize..60,
        ) {
            let mut expected = Vec::new();
            let mut rest = &stream[..];
            while let Some(at) = rest.windows(end.len()).position(|window| window == end) {
                expected.push(at + end.len());
                rest = &rest[at + end.len()..];
            }
            prop_assert_eq!(answers(Ending::Until(end), &stream, cut), expected);
        }
    }
}
