//! What is sent: seeded bytes with exactly one `\n`, the last one, different for every request.
//!
//! ```text
//! | stamp, 8 bytes  |  a slice of a shared pool of random bytes  | \n |
//! ```
//!
//! The stamp and the place of the slice follow from the seed, the client and the number of the
//! request. So a swapped, repeated, shifted or zeroed answer is found by comparing bytes, and no
//! message is ever stored: the pool is lent out with the stamp and the `\n` written into it.

use super::{Answer, Fate, RequestId, Sizes};
use crate::failure::Failure;
use crate::random::{self, Key};

/// Where in the pool a message may begin. Few enough that the pool of small messages stays in the
/// nearest cache, where it costs a request nothing; what tells two requests apart is the stamp.
const PLACES: usize = 1 << 12;
/// Length of the stamp in bytes; a shorter message has as much of it as fits.
const STAMP_BYTES: usize = 8;
const END: u8 = b'\n';

/// All messages of a run.
#[derive(Clone, Debug)]
pub(crate) struct Messages {
    pool: Vec<u8>,
    sizes: Sizes,
    seed: u64,
}

/// One message: where its slice begins, how long it is and what its stamp says.
#[derive(Clone, Copy)]
struct Shape {
    place: usize,
    bytes: usize,
    stamp: [u8; STAMP_BYTES],
}

impl Messages {
    /// All messages of `sizes` that follow from `seed`.
    pub(super) fn new(sizes: Sizes, seed: u64) -> Self {
        let most = sizes.largest() as usize;
        let mut state = seed;
        let mut pool = Vec::with_capacity(PLACES + most + STAMP_BYTES);
        while pool.len() < PLACES + most {
            state = state.wrapping_add(1);
            pool.extend_from_slice(&without_newlines(random::mix(state)));
        }
        Self { pool, sizes, seed }
    }

    /// Length of a message in bytes.
    #[inline]
    pub(super) fn bytes(&self, (number, sequence): RequestId) -> usize {
        match &self.sizes {
            Sizes::Fixed(bytes) => bytes.get() as usize,
            sizes => self.pick(sizes, Key::new(self.seed, number).with(sequence)),
        }
    }

    fn pick(&self, sizes: &Sizes, key: Key) -> usize {
        // The key itself decides the content; its successor decides the length.
        sizes.pick(key.with(1)) as usize
    }

    /// Lends the bytes of message `id` from byte `from` on, in one piece.
    ///
    /// # Panics
    ///
    /// When `from` exceeds the length of the message.
    pub(super) fn lend<R>(
        &mut self,
        id: RequestId,
        from: usize,
        using: impl FnOnce(&[u8]) -> R,
    ) -> R {
        let Shape {
            place,
            bytes,
            mut stamp,
        } = self.shape(id);
        let last = bytes - 1;
        let message = &mut self.pool[place..=place + last];
        exchange(&mut message[..last], &mut stamp);
        let kept_last = std::mem::replace(&mut message[last], END);
        let result = using(&message[from..]);
        message[last] = kept_last;
        exchange(&mut message[..last], &mut stamp);
        result
    }

    /// As [`super::Wire::take`]. Nothing may come back before it was written.
    #[inline]
    pub(super) fn take(&self, id: RequestId, answer: Answer<'_>, bytes: &[u8]) -> (usize, Fate) {
        let shape = self.shape(id);
        let from = *answer.read as usize;
        let count = bytes.len().min(shape.bytes - from);
        let to = from + count;
        if to > answer.written as usize {
            return (count, Fate::Wrong(Failure::TooManyBytes));
        }
        if answer.verify && !self.matches(shape, from, &bytes[..count]) {
            return (count, Fate::Wrong(Failure::Mismatch));
        }
        *answer.read = u32::try_from(to).unwrap_or(u32::MAX);
        let complete = to == shape.bytes;
        (count, if complete { Fate::Complete } else { Fate::More })
    }

    /// Whether `answer`, which is not longer than its rest, equals the message from byte `from` on.
    fn matches(&self, shape: Shape, from: usize, answer: &[u8]) -> bool {
        let Shape {
            place,
            bytes,
            stamp,
        } = shape;
        let to = from + answer.len();
        let last = bytes - 1;
        // The message has three parts; the answer may begin and end in any of them.
        let stamp_end = last.min(STAMP_BYTES);
        let (stamp_to, body_from, body_to) = (to.min(stamp_end), from.max(stamp_end), to.min(last));
        let stamp_same = from >= stamp_to || answer[..stamp_to - from] == stamp[from..stamp_to];
        let body_same = body_from >= body_to
            || answer[body_from - from..body_to - from]
                == self.pool[place + body_from..place + body_to];
        stamp_same && body_same && (to <= last || answer.last().is_none_or(|b| *b == END))
    }

    #[inline]
    fn shape(&self, (number, sequence): RequestId) -> Shape {
        let key = Key::new(self.seed, number).with(sequence);
        let bytes = match &self.sizes {
            Sizes::Fixed(bytes) => bytes.get() as usize,
            sizes => self.pick(sizes, key),
        };
        Shape {
            place: (key.bits() >> 48) as usize % PLACES,
            bytes,
            stamp: without_newlines(key.bits()),
        }
    }
}

/// Exchanges the head of `text` for `stamp`, or as much of it as fits.
#[inline]
fn exchange(text: &mut [u8], stamp: &mut [u8; STAMP_BYTES]) {
    match text.first_chunk_mut() {
        // Nearly always: one register and no call.
        Some(head) => std::mem::swap(head, stamp),
        None => text.swap_with_slice(&mut stamp[..text.len()]),
    }
}

/// Eight bytes, none of which is a newline: each that is one becomes its successor.
#[inline]
fn without_newlines(value: u64) -> [u8; STAMP_BYTES] {
    // All eight at once, since it is done twice a request.
    const ONES: u64 = u64::from_ne_bytes([1; STAMP_BYTES]);
    const LOW_BITS: u64 = 0x7f * ONES;
    let off = value ^ (END as u64 * ONES);
    // The highest bit of each byte tells whether any bit of it is off.
    let differs = ((off & LOW_BITS) + LOW_BITS) | off;
    let newlines = (!differs >> 7) & ONES;
    (value + newlines).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::num::NonZeroU32;

    fn fixed(bytes: u32) -> Sizes {
        Sizes::Fixed(NonZeroU32::new(bytes).unwrap())
    }

    fn messages(bytes: u32) -> Messages {
        Messages::new(fixed(bytes), 42)
    }

    fn message(messages: &mut Messages, id: RequestId) -> Vec<u8> {
        messages.lend(id, 0, <[u8]>::to_vec)
    }

    /// What the next `bytes` of the answer to a message that is written in full come to, when
    /// `read` have come.
    fn take(messages: &Messages, id: RequestId, mut read: u32, bytes: &[u8]) -> (usize, Fate) {
        let answer = Answer {
            read: &mut read,
            parser: None,
            written: u32::MAX,
            verify: true,
        };
        messages.take(id, answer, bytes)
    }

    #[test]
    fn one_newline_and_it_comes_last() {
        for bytes in [1, 2, 8, 9, 10, 64, 1_460, 65_536, 1 << 20] {
            let mut all = messages(bytes);
            for id in [(0, 0), (1, 0), (0, 1), (u32::MAX, u64::MAX)] {
                let text = message(&mut all, id);
                assert_eq!(text.len(), bytes as usize);
                assert_eq!(text.iter().position(|b| *b == END), Some(text.len() - 1));
                assert_eq!(take(&all, id, 0, &text), (text.len(), Fate::Complete));
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
        let mut other = Messages::new(fixed(64), 43);
        assert!(!seen.contains(&message(&mut other, (0, 0))));
    }

    #[test]
    fn lengths_follow_from_the_request() {
        let (least, most) = (NonZeroU32::MIN, NonZeroU32::new(300).unwrap());
        let mut all = Messages::new(Sizes::Range(least, most), 42);
        let lengths: Vec<_> = (0..1_000)
            .map(|sequence| all.bytes((3, sequence)))
            .collect();
        assert!(lengths.contains(&1) && lengths.contains(&300));
        for (sequence, bytes) in (0..).zip(&lengths) {
            assert_eq!(message(&mut all, (3, sequence)).len(), *bytes);
        }
    }

    #[test]
    fn lending_leaves_no_trace() {
        let mut all = messages(64);
        let before = all.pool.clone();
        message(&mut all, (7, 7));
        assert!(before == all.pool);
    }

    #[test]
    fn what_belongs_to_the_next_answer_is_left() {
        let mut all = messages(9);
        let mut stream = message(&mut all, (1, 1));
        stream.extend(message(&mut all, (1, 2)));
        assert_eq!(take(&all, (1, 1), 0, &stream), (9, Fate::Complete));
        assert_eq!(take(&all, (1, 2), 0, &stream[9..]), (9, Fate::Complete));
    }

    #[test]
    fn nothing_comes_back_before_it_was_written() {
        let mut all = messages(64);
        let text = message(&mut all, (1, 1));
        let answer = Answer {
            read: &mut 0,
            parser: None,
            written: 10,
            verify: false,
        };
        let (_, fate) = all.take((1, 1), answer, &text[..11]);
        assert_eq!(fate, Fate::Wrong(Failure::TooManyBytes));
    }

    proptest! {
        #[test]
        fn any_cut_of_the_true_answer_matches(
            bytes in 1_u32..300, number: u32, sequence: u64, a: prop::sample::Index, b: prop::sample::Index
        ) {
            let mut all = messages(bytes);
            let id = (number, sequence);
            let text = message(&mut all, id);
            let (a, b) = (a.index(text.len() + 1), b.index(text.len() + 1));
            let (from, to) = (a.min(b), a.max(b));
            prop_assert!(all.matches(all.shape(id), from, &text[from..to]));
            let rest = all.lend(id, from, <[u8]>::to_vec);
            prop_assert_eq!(&rest, &text[from..]);
        }

        #[test]
        fn any_flipped_bit_is_found(
            bytes in 1_u32..300, number: u32, sequence: u64, at: prop::sample::Index, bit in 0..8
        ) {
            let mut all = messages(bytes);
            let id = (number, sequence);
            let mut text = message(&mut all, id);
            let at = at.index(text.len());
            text[at] ^= 1_u8 << bit;
            let wrong = Fate::Wrong(Failure::Mismatch);
            prop_assert_eq!(take(&all, id, 0, &text).1, wrong);
            let from = u32::try_from(at).unwrap();
            prop_assert_eq!(take(&all, id, from, &text[at..=at]).1, wrong);
        }
    }
}
