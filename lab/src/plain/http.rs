//! An answerer for load generators that speak HTTP: each request head gets the same small answer.
//!
//! A head ends with an empty line (RFC 9112), and that is all that is looked at: requests have no
//! bodies, and none is refused.

use super::epoll::Speech;

/// What each head gets.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
/// How a head ends.
const END: &[u8] = b"\r\n\r\n";

/// One side of a connection; see the module.
#[derive(Default)]
pub(super) struct Http {
    /// Bytes of [`END`] that were read last.
    of_end: usize,
}

impl Speech for Http {
    fn answer<'a>(&mut self, read: &'a [u8], room: &'a mut Vec<u8>) -> &'a [u8] {
        match self.heads(read) {
            0 => &[],
            1 => ANSWER,
            heads => {
                room.clear();
                room.extend(std::iter::repeat_n(ANSWER, heads).flatten());
                room
            }
        }
    }
}

impl Http {
    /// How many heads end in what was read.
    fn heads(&mut self, read: &[u8]) -> usize {
        // What mostly comes is one whole head, whose end is seen at a glance.
        let first = memchr::memmem::find(read, END);
        if self.of_end == 0 && first.is_some_and(|at| at + END.len() == read.len()) {
            return 1;
        }
        let mut heads = 0;
        for &byte in read {
            self.of_end = match END.get(self.of_end) {
                Some(&next) if next == byte => self.of_end + 1,
                // A line break that began anew.
                _ => usize::from(byte == END[0]),
            };
            if self.of_end == END.len() {
                self.of_end = 0;
                heads += 1;
            }
        }
        heads
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n";

    /// What is answered to pieces that come one after the other.
    fn answers(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut http, mut room) = (Http::default(), Vec::new());
        let answer = |piece: &&[u8]| http.answer(piece, &mut room).to_vec();
        pieces.iter().flat_map(answer).collect()
    }

    #[test]
    fn a_head_gets_one_answer_whose_length_is_as_it_says() {
        let answer = answers(&[HEAD]);
        assert_eq!(answer, ANSWER);
        let body = answer.split(|&byte| byte == b'\n').next_back().unwrap();
        assert!(answer.ends_with(b"\r\n\r\nok\n") && body.is_empty());
        assert_eq!(answers(&[b"GET / HTTP/1.1\r\nHost: x\r\n"]), b"");
        assert_eq!(
            answers(&[b"\r\r\n\r\n"]),
            ANSWER,
            "a line break that began anew"
        );
    }

    proptest! {
        #[test]
        fn heads_are_counted_however_they_are_cut(heads in 1_usize..5, cuts in proptest::collection::vec(0_usize..200, 0..6)) {
            let all = HEAD.repeat(heads);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(all.len())).collect();
            cuts.sort_unstable();
            let ends = cuts.iter().copied().chain([all.len()]);
            let starts = [0].into_iter().chain(cuts.iter().copied());
            let pieces: Vec<&[u8]> = starts.zip(ends).map(|(from, to)| &all[from..to]).collect();
            prop_assert_eq!(answers(&pieces), ANSWER.repeat(heads));
        }
    }
}
