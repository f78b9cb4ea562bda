//! What master and worker say to each other: one greeting with descriptors, then single orders. A server
//! and its successor do it in the same way.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg,
    socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::config::{Config, WorkerCommand};
use crate::conn::Peer;
use crate::log::LogFormat;

/// Longer than any greeting, in bytes.
const GREETING_BYTES: usize = 64 * 1024;
/// The most descriptors that come with a message; the kernel would take 253.
pub(crate) const DESCRIPTORS: usize = 64;

/// All that a worker needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Greeting {
    /// The worker's place on the board.
    pub(super) slot: usize,
    /// How many places the board has.
    pub(super) slots: usize,
    /// Who must be the parent: otherwise the master is already dead.
    pub(super) master: u32,
    /// What to do.
    pub(super) config: Config,
    /// How a process of ours is started.
    pub(super) worker: WorkerCommand,
    /// How to log.
    pub(super) log: LogFormat,
}

/// The descriptors that come with it.
#[derive(Debug)]
pub(super) struct Inheritance<F> {
    /// The listener, or where the master hands connections out.
    pub(super) source: F,
    pub(super) gate: F,
    pub(super) board: F,
    /// The worker's own places, where the master takes them.
    pub(super) seats: Option<F>,
}

/// All that the process of one connection needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Handover {
    /// The number of the connection.
    pub(super) id: u64,
    /// Who is on its other side.
    pub(super) peer: Peer,
    /// When it was accepted.
    pub(super) accepted: Moment,
    /// The place on the board where it counts.
    pub(super) slot: usize,
    /// How many places the board has.
    pub(super) slots: usize,
    /// Who must be the parent.
    pub(super) parent: u32,
    /// What to do.
    pub(super) config: Config,
    /// How to log.
    pub(super) log: LogFormat,
}

/// The descriptors that come with it.
#[derive(Debug)]
pub(super) struct Legacy<F> {
    pub(super) connection: F,
    pub(super) board: F,
}

/// The first message on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Message<G, H> {
    Pool(G),
    Connection(H),
}

/// What a process of ours is for.
#[derive(Debug)]
pub(super) enum Task {
    /// It is a worker of a pool.
    Pool(Greeting, Inheritance<OwnedFd>),
    /// It serves one connection.
    Connection(Handover, Legacy<OwnedFd>),
}

/// A single word after the greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// Worker to master: it is locked in. With it comes where its refused calls are reported.
    Confined,
    /// Worker to master, successor to predecessor: connections are taken.
    Ready,
    /// Worker to master: it has served its share.
    Worn,
    /// Worker to master: one of those who serve hangs.
    Hung,
    /// Process of one connection to its parent: the client has got its first answer.
    Answered,
    /// Master to worker, predecessor to a successor that is not to be: begin the drain.
    Drain,
    /// Master to worker: the deadline has come.
    Cut,
    /// Predecessor to successor: the listening is yours.
    Yours,
}

const WORDS: [(u8, Word); 8] = [
    (b'S', Word::Confined),
    (b'R', Word::Ready),
    (b'W', Word::Worn),
    (b'H', Word::Hung),
    (b'A', Word::Answered),
    (b'D', Word::Drain),
    (b'C', Word::Cut),
    (b'Y', Word::Yours),
];

/// One end of the socket pair. Message boundaries are kept, and end of file tells a death.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

impl Channel {
    /// Both ends: the master's, and the one that becomes the worker's standard input.
    ///
    /// # Errors
    ///
    /// When descriptors are short.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self(ours), theirs))
    }

    /// Sends the greeting.
    ///
    /// # Errors
    ///
    /// When the worker is gone.
    pub(super) fn greet(
        &self,
        greeting: &Greeting,
        inheritance: &Inheritance<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let Inheritance {
            source,
            gate,
            board,
            seats,
        } = *inheritance;
        let message = Message::<_, ()>::Pool(greeting);
        let fds = [source, gate, board].into_iter().chain(seats);
        self.send(&message, &fds.collect::<Vec<_>>())
    }

    /// Sends the greeting of a process for one connection, and the connection with it.
    ///
    /// # Errors
    ///
    /// When the process is gone, or the system is short of something.
    pub(super) fn hand_over(
        &self,
        handover: &Handover,
        legacy: &Legacy<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let message = Message::<(), _>::Connection(handover);
        self.send(&message, &[legacy.connection, legacy.board])
    }

    /// Sends a message with at most [`DESCRIPTORS`] descriptors.
    ///
    /// # Errors
    ///
    /// When the other side is gone, or the system is short of something.
    pub(crate) fn send(&self, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(fds));
        let flags = SendFlags::NOSIGNAL;
        sendmsg(&self.0, &[IoSlice::new(&text)], &mut control, flags)?;
        Ok(())
    }

    /// Receives what this process is for.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] when something else came.
    pub(super) fn task(&self) -> io::Result<Task> {
        let (message, fds) = self.receive()?;
        let mut fds = fds.into_iter();
        let mut next = || fds.next().ok_or(io::ErrorKind::InvalidData);
        Ok(match message {
            Message::Pool(greeting) => {
                let inheritance = Inheritance {
                    source: next()?,
                    gate: next()?,
                    board: next()?,
                    seats: next().ok(),
                };
                Task::Pool(greeting, inheritance)
            }
            Message::Connection(handover) => {
                let legacy = Legacy {
                    connection: next()?,
                    board: next()?,
                };
                Task::Connection(handover, legacy)
            }
        })
    }

    /// Receives a message with its descriptors.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] when something else came, or the other side is gone.
    pub(crate) fn receive<M: DeserializeOwned>(&self) -> io::Result<(M, Vec<OwnedFd>)> {
        let mut text = vec![0; GREETING_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut text)];
        let bytes = recvmsg(&self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
        let fds = control.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
            _ => Vec::new(),
        });
        let fds = fds.collect();
        Ok((serde_json::from_slice(&text[..bytes])?, fds))
    }

    /// Says one word.
    ///
    /// # Errors
    ///
    /// When the other side is gone.
    pub(crate) fn say(&self, word: Word) -> io::Result<()> {
        let byte = WORDS
            .iter()
            .find_map(|(byte, known)| (*known == word).then_some(*byte));
        send(&self.0, byte.as_slice(), SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Waits for one word; none when the other side is gone.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] for a word that nobody says.
    pub(crate) fn hear(&self) -> io::Result<Option<Word>> {
        let mut byte = [0];
        let (_, count) =
            rustix::io::retry_on_intr(|| recv(&self.0, &mut byte, RecvFlags::empty()))?;
        understood(&byte[..count])
    }

    /// Says one word, and hands a descriptor over with it.
    ///
    /// # Errors
    ///
    /// When the other side is gone.
    pub(super) fn say_with(&self, word: Word, fd: BorrowedFd<'_>) -> io::Result<()> {
        let byte = WORDS
            .iter()
            .find_map(|(byte, known)| (*known == word).then_some(*byte));
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [fd];
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let parts = [IoSlice::new(byte.as_slice())];
        sendmsg(&self.0, &parts, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// As [`hear`](Self::hear), with the descriptor that was handed over, if one was.
    ///
    /// # Errors
    ///
    /// As there.
    pub(super) fn hear_with(&self) -> io::Result<Option<(Word, Option<OwnedFd>)>> {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            let mut parts = [IoSliceMut::new(&mut byte)];
            recvmsg(&self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)
        })?;
        let mut fds = control.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
            _ => Vec::new(),
        });
        let fd = fds.next();
        Ok(understood(&byte[..received.bytes])?.map(|word| (word, fd)))
    }
}

/// The word that a message is; none for the end.
fn understood(message: &[u8]) -> io::Result<Option<Word>> {
    let Some(byte) = message.first() else {
        return Ok(None);
    };
    let word = WORDS
        .iter()
        .find_map(|(known, word)| (known == byte).then_some(*word));
    word.map(Some)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

impl From<OwnedFd> for Channel {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Gate;
    use crate::mode::Mode;
    use std::num::NonZeroUsize;

    #[test]
    fn a_greeting_arrives_with_its_descriptors_and_words_with_their_meaning() {
        let (master, worker) = Channel::pair().unwrap();
        let worker = Channel::from(worker);
        let gate = Gate::new(1).unwrap();
        let config = Config::new(Mode::ProcessPool, NonZeroUsize::MIN);
        let sent = Greeting {
            slot: 1,
            slots: 2,
            master: 3,
            config,
            worker: WorkerCommand {
                program: "server".into(),
                args: vec!["@worker".into()],
            },
            log: LogFormat::Text,
        };
        let fd = gate.as_fd();
        master
            .greet(
                &sent,
                &Inheritance {
                    source: fd,
                    gate: fd,
                    board: fd,
                    seats: None,
                },
            )
            .unwrap();

        let Task::Pool(received, inheritance) = worker.task().unwrap() else {
            panic!("another task");
        };
        assert_eq!(received, sent);
        let permit = Gate::from(inheritance.gate).try_enter().unwrap();
        assert!(
            permit.is_some() && gate.try_enter().unwrap().is_none(),
            "it is the same gate"
        );

        for (_, word) in WORDS {
            worker.say(word).unwrap();
            assert_eq!(master.hear().unwrap(), Some(word));
        }
        drop(worker);
        assert_eq!(master.hear().unwrap(), None);
        assert!(master.say(Word::Drain).is_err());
    }

    #[test]
    fn a_connection_arrives_with_the_board_and_nothing_else() {
        let (parent, child) = Channel::pair().unwrap();
        let child = Channel::from(child);
        let sent = Handover {
            id: 7,
            peer: Peer::Inet("[::1]:9".parse().unwrap()),
            accepted: Moment::from_ns(5),
            slot: 1,
            slots: 2,
            parent: 3,
            config: Config::new(Mode::ProcessPerConnection, NonZeroUsize::MIN),
            log: LogFormat::Json,
        };
        let gate = Gate::new(1).unwrap();
        let (connection, board) = (gate.as_fd(), parent.as_fd());
        let legacy = Legacy { connection, board };
        parent.hand_over(&sent, &legacy).unwrap();
        let Task::Connection(received, legacy) = child.task().unwrap() else {
            panic!("another task");
        };
        assert_eq!(received, sent);
        assert!(Gate::from(legacy.connection).try_enter().unwrap().is_some());
    }
}
