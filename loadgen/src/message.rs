//! What is sent: seeded bytes with exactly one `\n`, the last one, different for every request.
//!
//! ```text
//! | stamp, 8 bytes  |  a slice of a shared pool of random bytes  | \n |
//! ```
//!
//! The stamp and the place of the slice follow from the seed, the client and the number of the
//! request. So a swapped, repeated, shifted or zeroed answer is found by comparing bytes, and no
//! message is ever stored: the pool is lent out with the stamp and the `\n` written into it.

use std::num::NonZeroU32;

/// Where in the pool a message may begin.
const PLACES: usize = 1 << 16;
/// Length of the stamp in bytes; a shorter message has as much of it as fits.
const STAMP_BYTES: usize = 8;
const END: u8 = b'\n';

/// All messages of a run.
#[derive(Clone, Debug)]
pub(crate) struct Messages {
    pool: Vec<u8>,
    /// Length of each message in bytes.
    bytes: usize,
    seed: u64,
}

/// One message: where its slice begins and what its stamp says.
#[derive(Clone, Copy)]
struct Shape {
    place: usize,
    stamp: [u8; STAMP_BYTES],
}

impl Messages {
    /// All messages of `bytes` bytes that follow from `seed`.
    pub(crate) fn new(bytes: NonZeroU32, seed: u64) -> Self {
        let bytes = bytes.get() as usize;
        let mut state = seed;
        let mut pool = Vec::with_capacity(PLACES + bytes + STAMP_BYTES);
        while pool.len() < PLACES + bytes {
            state = state.wrapping_add(1);
            pool.extend_from_slice(&without_newlines(mix(state)));
        }
        Self { pool, bytes, seed }
    }

    /// Length of each message in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lends the bytes of request `sequence` of client `number` from byte `from` on, in one piece.
    ///
    /// # Panics
    ///
    /// When `from` exceeds the length of a message.
    pub(crate) fn lend<R>(
        &mut self,
        (number, sequence): (u32, u64),
        from: usize,
        using: impl FnOnce(&[u8]) -> R,
    ) -> R {
        let Shape { place, stamp } = self.shape(number, sequence);
        let last = self.bytes - 1;
        let message = &mut self.pool[place..=place + last];
        let mut kept = [0; STAMP_BYTES];
        let stamped = last.min(STAMP_BYTES);
        kept[..stamped].copy_from_slice(&message[..stamped]);
        message[..stamped].copy_from_slice(&stamp[..stamped]);
        let kept_last = std::mem::replace(&mut message[last], END);
        let result = using(&message[from..]);
        message[last] = kept_last;
        message[..stamped].copy_from_slice(&kept[..stamped]);
        result
    }

    /// Whether `answer` equals the bytes of request `sequence` of client `number` from byte `from`
    /// on; an answer that is longer than the message does not.
    pub(crate) fn matches(
        &self,
        (number, sequence): (u32, u64),
        from: usize,
        answer: &[u8],
    ) -> bool {
        let to = from + answer.len();
        if to > self.bytes {
            return false;
        }
        let Shape { place, stamp } = self.shape(number, sequence);
        let last = self.bytes - 1;
        // The message has three parts; the answer may begin and end in any of them.
        let stamp_end = last.min(STAMP_BYTES);
        let (stamp_to, body_from, body_to) = (to.min(stamp_end), from.max(stamp_end), to.min(last));
        let stamp_same = from >= stamp_to || answer[..stamp_to - from] == stamp[from..stamp_to];
        let body_same = body_from >= body_to
            || answer[body_from - from..body_to - from]
                == self.pool[place + body_from..place + body_to];
        stamp_same && body_same && (to <= last || answer.last().is_none_or(|b| *b == END))
    }

    fn shape(&self, number: u32, sequence: u64) -> Shape {
        let client = mix(self.seed ^ u64::from(number).rotate_left(32));
        let key = mix(client.wrapping_add(sequence));
        Shape {
            place: (key >> 48) as usize % PLACES,
            stamp: without_newlines(key),
        }
    }
}

/// The finaliser of splitmix64: a bijection that spreads every bit.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Eight bytes, none of which is a newline.
fn without_newlines(value: u64) -> [u8; STAMP_BYTES] {
    value
        .to_le_bytes()
        .map(|byte| if byte == END { END + 1 } else { byte })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn messages(bytes: u32) -> Messages {
        Messages::new(NonZeroU32::new(bytes).unwrap(), 42)
    }

    fn message(messages: &mut Messages, id: (u32, u64)) -> Vec<u8> {
        messages.lend(id, 0, <[u8]>::to_vec)
    }

    #[test]
    fn one_newline_and_it_comes_last() {
        for bytes in [1, 2, 8, 9, 10, 64, 1_460, 65_536, 1 << 20] {
            let mut all = messages(bytes);
            for id in [(0, 0), (1, 0), (0, 1), (u32::MAX, u64::MAX)] {
                let text = message(&mut all, id);
                assert_eq!(text.len(), bytes as usize);
                assert_eq!(text.iter().position(|b| *b == END), Some(text.len() - 1));
                assert!(all.matches(id, 0, &text));
            }
        }
        assert_eq!(message(&mut messages(1), (3, 4)), b"\n");
    }

    #[test]
    fn clients_requests_and_seeds_differ() {
        let mut all = messages(64);
        let mut seen = std::collections::HashSet::new();
        for id in (0..50).flat_map(|number| (0..50).map(move |sequence| (number, sequence))) {
            assert!(seen.insert(message(&mut all, id)), "{id:?}");
        }
        let mut other = Messages::new(NonZeroU32::new(64).unwrap(), 43);
        assert!(!seen.contains(&message(&mut other, (0, 0))));
    }

    #[test]
    fn lending_leaves_no_trace() {
        let mut all = messages(64);
        let before = all.pool.clone();
        message(&mut all, (7, 7));
        assert!(before == all.pool);
    }

    proptest! {
        #[test]
        fn any_cut_of_the_true_answer_matches(
            bytes in 1_u32..300, number: u32, sequence: u64, a: prop::sample::Index, b: prop::sample::Index
        ) {
            let mut all = messages(bytes);
            let text = message(&mut all, (number, sequence));
            let (a, b) = (a.index(text.len() + 1), b.index(text.len() + 1));
            let (from, to) = (a.min(b), a.max(b));
            prop_assert!(all.matches((number, sequence), from, &text[from..to]));
            let rest = all.lend((number, sequence), from, <[u8]>::to_vec);
            prop_assert_eq!(&rest, &text[from..]);
        }

        #[test]
        fn any_flipped_bit_is_found(
            bytes in 1_u32..300, number: u32, sequence: u64, at: prop::sample::Index, bit in 0..8
        ) {
            let mut all = messages(bytes);
            let mut text = message(&mut all, (number, sequence));
            let at = at.index(text.len());
            text[at] ^= 1_u8 << bit;
            prop_assert!(!all.matches((number, sequence), 0, &text));
            prop_assert!(!all.matches((number, sequence), at, &text[at..=at]));
        }

        #[test]
        fn more_than_was_sent_never_matches(bytes in 1_u32..300, number: u32, sequence: u64) {
            let mut all = messages(bytes);
            let mut text = message(&mut all, (number, sequence));
            text.push(END);
            prop_assert!(!all.matches((number, sequence), 0, &text));
        }
    }
}
