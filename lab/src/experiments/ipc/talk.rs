//! What the two processes say to each other: messages that come back, and then a stream of blocks.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::link::{BLOCK, Link, Way, mark};

/// Bytes of a message that comes back.
const MESSAGE: usize = 64;

/// How much is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount {
    /// Batches of round trips, each timed as a whole.
    pub(super) batches: u32,
    /// Round trips of a batch.
    pub(super) rounds: u32,
    /// Blocks of the stream.
    pub(super) blocks: u32,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Talk {
    /// A round trip in the fastest batch: what others did to the machine is in the slower ones.
    pub(super) round_trip: Duration,
    /// The whole stream, until its receiver had all of it.
    pub(super) stream: Duration,
    /// Messages that came back otherwise than they went.
    pub(super) wrong_messages: u32,
    /// Blocks that did not arrive in their place and equal.
    pub(super) wrong_blocks: u32,
}

/// The lab's end; `repeated` is a block that is sent once more in place of the one after it.
pub(super) fn lead(link: &mut dyn Link, amount: Amount, repeated: Option<u32>) -> io::Result<Talk> {
    let mut wrong_messages = 0;
    let mut round_trip = Duration::MAX;
    for batch in 0..amount.batches {
        let begun = Instant::now();
        for round in 0..amount.rounds {
            let sent = message(batch * amount.rounds + round);
            let mut received = [0; MESSAGE];
            link.send(&sent)?;
            link.receive(&mut received)?;
            wrong_messages += u32::from(received != sent);
        }
        round_trip = round_trip.min(begun.elapsed() / amount.rounds.max(1));
    }
    let mut block = vec![0x5A; BLOCK];
    let begun = Instant::now();
    for number in 0..amount.blocks {
        let dropped = repeated.is_some_and(|repeated| number == repeated + 1);
        link.send_block(&mut block, number - u32::from(dropped))?;
    }
    let mut right = [0; 8];
    link.receive(&mut right)?;
    let right = u64::from_ne_bytes(right);
    Ok(Talk {
        round_trip,
        stream: begun.elapsed(),
        wrong_messages,
        wrong_blocks: amount.blocks - u32::try_from(right).unwrap_or(0).min(amount.blocks),
    })
}

/// The part: `WAY FILE BATCHES ROUNDS BLOCKS`. Sends messages back, and then counts blocks.
pub(super) fn play(args: &[String]) -> io::Result<u8> {
    let [way, file, batches, rounds, blocks] = args else {
        return Err(io::Error::other("it needs a way, a file and amounts"));
    };
    let number = |text: &String| text.parse().map_err(io::Error::other);
    let (batches, rounds, blocks) = (number(batches)?, number(rounds)?, number(blocks)?);
    let mut link = Way::named(way)?.far_end(Path::new(file))?;
    let mut message = [0; MESSAGE];
    for _ in 0..batches * rounds {
        link.receive(&mut message)?;
        link.send(&message)?;
    }
    let (mut expected, mut received) = (vec![0x5A; BLOCK], vec![0; BLOCK]);
    let mut right = 0_u64;
    for number in 0..blocks {
        right += u64::from(link.receive_block(&mut received, &mut expected, number)?);
    }
    link.send(&right.to_ne_bytes())?;
    Ok(cli::exit::SUCCESS)
}

impl Amount {
    /// As the part is told.
    pub(super) fn args(self) -> [String; 3] {
        [self.batches, self.rounds, self.blocks].map(|number| number.to_string())
    }

    /// How many bytes the stream has.
    pub(super) fn bytes(self) -> f64 {
        f64::from(self.blocks) * BLOCK as f64
    }
}

fn message(number: u32) -> [u8; MESSAGE] {
    let mut message = [0xA5; MESSAGE];
    mark(&mut message, number);
    message
}
