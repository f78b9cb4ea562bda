//! What a ping says. Pure, and different for each message, so that a repeated or swapped answer is
//! found.

/// Message number `seq`: `size_bytes` bytes with exactly one line feed, the last of them.
pub(crate) fn message(seq: u64, size_bytes: usize) -> Vec<u8> {
    let mut state = seq;
    let mut bytes: Vec<u8> = (0..size_bytes).map(|_| letter(&mut state)).collect();
    if let Some(last) = bytes.last_mut() {
        *last = b'\n';
    }
    bytes
}

/// A letter by SplitMix64; readable, so that a packet dump can be read.
fn letter(state: &mut u64) -> u8 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let [byte, ..] = (z ^ (z >> 31)).to_le_bytes();
    b'a' + byte % 26
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_shortest_message_is_a_line_feed() {
        assert_eq!(message(7, 1), b"\n");
    }

    proptest! {
        #[test]
        fn a_message_is_one_line_of_the_asked_length(seq: u64, size in 1_usize..5000) {
            let message = message(seq, size);
            prop_assert_eq!(message.len(), size);
            prop_assert_eq!(message.iter().position(|&byte| byte == b'\n'), Some(size - 1));
        }

        #[test]
        fn neighbours_differ(seq in 0..u64::MAX) {
            prop_assert_ne!(message(seq, 64), message(seq + 1, 64));
        }
    }
}
