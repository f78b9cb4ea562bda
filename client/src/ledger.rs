//! What was sent and has not come back yet, and whether what comes back is equal.
//!
//! Pure: no socket and no clock. Invariant: a byte leaves the ledger only when an equal byte came
//! back, so that what is left is exactly what is missing.

use std::collections::VecDeque;

/// How many bytes may be on their way out or back at once. Who has more to say waits for the echo:
/// it bounds our memory, and an echo server can always answer what it has been sent.
pub const MAX_UNANSWERED_BYTES: usize = 1 << 20;

/// The bytes under way, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    bytes: VecDeque<u8>,
    /// How many of `bytes`, from the front, are with the system or beyond; the rest is queued.
    sent: usize,
    /// How many bytes came back equal.
    answered: u64,
}

/// The first byte that came back different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset} differs: {}, 0x{received:02x} came back", sent_byte(*sent))]
pub struct Difference {
    /// How many bytes had come back equal before it.
    pub offset: u64,
    /// What was sent at this offset, if anything was.
    pub sent: Option<u8>,
    /// What came back instead.
    pub received: u8,
}

/// How much of what came back is equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// So many bytes at the front are equal.
    pub equal: usize,
    /// The byte after those, if there is one.
    pub difference: Option<Difference>,
}

impl Ledger {
    /// How many more bytes may be queued before the limit is reached.
    #[must_use]
    pub fn room(&self) -> usize {
        MAX_UNANSWERED_BYTES.saturating_sub(self.bytes.len())
    }

    /// Queues bytes to be sent. The limit is for the caller to keep; see [`Ledger::room`].
    pub fn queue(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The next bytes to send, in one piece; empty only when all are sent.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        let (front, back) = self.bytes.as_slices();
        match front.get(self.sent..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => back.get(self.sent - front.len()..).unwrap_or_default(),
        }
    }

    /// Notes that the system took the first `count` unsent bytes.
    pub fn mark_sent(&mut self, count: usize) {
        self.sent = (self.sent + count).min(self.bytes.len());
    }

    /// Compares what came back with what was sent, and forgets the part that is equal.
    pub fn verify(&mut self, received: &[u8]) -> Verified {
        let equal = self.equal_prefix(received);
        self.bytes.drain(..equal);
        self.sent -= equal;
        self.answered += equal as u64;
        let difference = received.get(equal).map(|&received| Difference {
            offset: self.answered,
            sent: self.bytes.front().copied().filter(|_| self.sent > 0),
            received,
        });
        Verified { equal, difference }
    }

    /// How many bytes came back equal.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// How many bytes are queued or sent and have not come back.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The length of the common prefix of `received` and the bytes that were sent.
    fn equal_prefix(&self, received: &[u8]) -> usize {
        let (front, back) = self.bytes.as_slices();
        let front = &front[..front.len().min(self.sent)];
        let back = &back[..self.sent - front.len()];
        let (first, second) = received.split_at(front.len().min(received.len()));
        match common_prefix(front, first) {
            all if all == front.len() => all + common_prefix(back, second),
            part => part,
        }
    }
}

fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    let length = left.len().min(right.len());
    if left[..length] == right[..length] {
        return length; // The fast way: the whole piece at once.
    }
    left.iter().zip(right).take_while(|(l, r)| l == r).count()
}

fn sent_byte(sent: Option<u8>) -> String {
    sent.map_or("nothing was sent".to_owned(), |byte| {
        format!("0x{byte:02x} was sent")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sends all of `data` in pieces and returns pieces of `echo`, as `steps` says.
    fn converse(data: &[u8], echo: &[u8], steps: &[(usize, usize)]) -> (Ledger, Verified) {
        let mut ledger = Ledger::default();
        let (mut queued, mut returned) = (0, 0);
        let mut total = Verified {
            equal: 0,
            difference: None,
        };
        // The steps again and again, until everything has moved.
        for &(out, back) in steps.iter().cycle() {
            let piece = &data[queued..data.len().min(queued + out)];
            ledger.queue(piece);
            queued += piece.len();
            let taken = ledger.unsent().len().min(out);
            ledger.mark_sent(taken);
            let on_the_way = queued - usize::try_from(ledger.unanswered()).unwrap();
            let sent = on_the_way + ledger.sent;
            // An echo cannot precede its bytes, but what follows the last of them may be wrong.
            let limit = if sent == data.len() { echo.len() } else { sent };
            let end = limit.min(echo.len()).min(returned + back).max(returned);
            let verified = ledger.verify(&echo[returned..end]);
            total.equal += verified.equal;
            total.difference = verified.difference;
            returned = end;
            if total.difference.is_some() || (sent == data.len() && returned == echo.len()) {
                return (ledger, total);
            }
        }
        unreachable!("the steps are not empty and move at least one byte");
    }

    fn steps() -> impl Strategy<Value = Vec<(usize, usize)>> {
        prop::collection::vec((1_usize..300, 1_usize..300), 1..20)
    }

    proptest! {
        #[test]
        fn an_equal_echo_is_accepted_however_it_is_cut(data: Vec<u8>, steps in steps()) {
            let (ledger, total) = converse(&data, &data, &steps);
            prop_assert_eq!(total.difference, None);
            prop_assert_eq!(total.equal, data.len());
            prop_assert_eq!((ledger.answered(), ledger.unanswered()), (data.len() as u64, 0));
        }

        #[test]
        fn a_flipped_byte_is_found_where_it_is(
            data in prop::collection::vec(any::<u8>(), 1..2000),
            at: prop::sample::Index,
            flip in 1_u8..,
            steps in steps(),
        ) {
            let at = at.index(data.len());
            let mut echo = data.clone();
            echo[at] ^= flip;
            let (ledger, total) = converse(&data, &echo, &steps);
            let sent = Some(data[at]);
            let difference = Difference { offset: at as u64, sent, received: echo[at] };
            prop_assert_eq!(total.difference, Some(difference));
            prop_assert_eq!((total.equal, ledger.answered()), (at, at as u64));
        }

        #[test]
        fn a_byte_too_many_is_found(data: Vec<u8>, extra: u8, steps in steps()) {
            let mut echo = data.clone();
            echo.push(extra);
            let (_, total) = converse(&data, &echo, &steps);
            let difference = Difference { offset: data.len() as u64, sent: None, received: extra };
            prop_assert_eq!(total.difference, Some(difference));
        }

        #[test]
        fn room_and_unanswered_balance(lengths in prop::collection::vec(0_usize..400_000, 0..5)) {
            let mut ledger = Ledger::default();
            for length in lengths {
                ledger.queue(&vec![0; length.min(ledger.room())]);
                let unanswered = usize::try_from(ledger.unanswered()).unwrap();
                prop_assert_eq!(unanswered + ledger.room(), MAX_UNANSWERED_BYTES);
            }
        }
    }

    #[test]
    fn an_echo_of_what_is_only_queued_is_a_difference() {
        let mut ledger = Ledger::default();
        ledger.queue(b"ab");
        ledger.mark_sent(1);
        let difference = Some(Difference {
            offset: 1,
            sent: None,
            received: b'b',
        });
        let equal = 1;
        assert_eq!(ledger.verify(b"ab"), Verified { equal, difference });
    }
}
