//! The clients of one thread with their sockets.

use std::os::fd::OwnedFd;

use rustix::event::epoll::{EventData, EventFlags};

use super::timers::Timers;
use crate::census::Census;
use crate::client::Client;
use crate::tally::Flight;
use crate::time::Moment;

/// The memory that a client with one request in flight may cost apart from what the kernel keeps.
const MAX_CLIENT_BYTES: usize = 128;
const _: () = assert!(size_of::<Slot>() + size_of::<Flight>() <= MAX_CLIENT_BYTES);
/// The same at the worst moment, with its alarm and with what is known of it in the end.
const MAX_BYTES: usize = 256;
const _: () = assert!(MAX_CLIENT_BYTES + Timers::CLIENT_BYTES + Census::CLIENT_BYTES <= MAX_BYTES);

/// One client of a thread.
#[derive(Debug)]
pub(super) struct Slot {
    /// What it does.
    pub(super) client: Client,
    /// Its connection.
    pub(super) socket: Option<OwnedFd>,
    /// The alarm that is set for it.
    pub(super) alarm: Moment,
    /// Counts its connections, so that an event of a closed one is not taken for the next one's. It
    /// may wrap: no batch of events spans so many.
    pub(super) generation: u16,
    /// What epoll reports of its socket.
    pub(super) watch: Watch,
}

/// What epoll reports of a connection besides its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    /// Nothing: a slow reader is not ready for more.
    Nothing,
    /// That bytes have come.
    Reads,
    /// Also that the socket takes bytes again.
    ReadsAndWrites,
}

impl Watch {
    /// The same for epoll. The peer's end is asked for by name, since it may come with the last
    /// bytes: it would be missed by who reads only those.
    pub(super) fn flags(self) -> EventFlags {
        let reads = EventFlags::ET | EventFlags::IN | EventFlags::RDHUP;
        match self {
            Self::Nothing => EventFlags::ET,
            Self::Reads => reads,
            Self::ReadsAndWrites => reads | EventFlags::OUT,
        }
    }
}

impl Slot {
    /// A client without a connection.
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            socket: None,
            alarm: Moment::NEVER,
            generation: 0,
            watch: Watch::Reads,
        }
    }
}

/// Which connection an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// The run is to end.
    Stop,
    /// A client's connection.
    Connection {
        /// Where the client is.
        slot: u32,
        /// Which of its connections.
        generation: u16,
    },
}

impl Token {
    /// The 64 bits that epoll keeps.
    pub(super) fn pack(self) -> EventData {
        EventData::new_u64(match self {
            Self::Stop => u64::MAX,
            Self::Connection { slot, generation } => u64::from(slot) | u64::from(generation) << 32,
        })
    }

    /// Reads what [`Token::pack`] wrote.
    pub(super) fn unpack(data: EventData) -> Self {
        let bits = data.u64();
        if bits == u64::MAX {
            return Self::Stop;
        }
        let [a, b, c, d, e, f, ..] = bits.to_le_bytes();
        Self::Connection {
            slot: u32::from_le_bytes([a, b, c, d]),
            generation: u16::from_le_bytes([e, f]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_kernel() {
        let connection = Token::Connection {
            slot: 7,
            generation: u16::MAX,
        };
        for token in [Token::Stop, connection] {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }
}
