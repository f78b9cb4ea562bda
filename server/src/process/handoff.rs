//! A connection on its way from the master to a worker: a socket pair on which each message is one
//! connection.
//!
//! What is in the socket of a worker that dies is closed by the kernel, and lost with it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};
use socket2::SockRef;

use crate::clock::Moment;
use crate::conn::Peer;
use crate::gate::Gate;
use crate::source::{Arrival, Handed};

/// Longer than any message, in bytes.
const MESSAGE_BYTES: usize = 512;
/// What the kernel keeps for a worker that does not come to take it: some ten connections, so that
/// few wait for one that hangs.
const BUFFER_BYTES: usize = 8 * 1024;

/// What is said of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Passing {
    /// Who is on its other side.
    pub(crate) peer: Peer,
    /// When it was accepted.
    pub(crate) accepted: Moment,
    /// Where its address counts, if it does.
    pub(crate) column: Option<u32>,
}

/// Why a connection cannot be passed to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It has not taken those before: not now.
    Congested,
    /// It takes nothing any more.
    Gone,
}

/// The master's end.
#[derive(Debug)]
pub(super) struct Hand(OwnedFd);

impl Hand {
    /// Both ends; the other one is for the worker.
    ///
    /// # Errors
    ///
    /// When descriptors are short.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        SockRef::from(&ours).set_send_buffer_size(BUFFER_BYTES)?;
        Ok((Self(ours), theirs))
    }

    /// Passes `connection` to the worker, without a wait.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; then it is still the caller's alone.
    pub(super) fn pass(
        &self,
        connection: BorrowedFd<'_>,
        passing: &Passing,
    ) -> Result<(), Refusal> {
        // A few numbers and an address are always text.
        let text = serde_json::to_vec(passing).unwrap_or_default();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [connection];
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let parts = [IoSlice::new(&text)];
        let sent = rustix::io::retry_on_intr(|| {
            sendmsg(&self.0, &parts, &mut control, SendFlags::NOSIGNAL)
        });
        match sent {
            Ok(_) => Ok(()),
            Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => Err(Refusal::Gone),
            // The kernel is short of memory, or of descriptors in flight: it passes.
            Err(_) => Err(Refusal::Congested),
        }
    }
}

impl AsFd for Hand {
    /// Writable while a connection can be passed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Handoff {
    socket: OwnedFd,
    /// The places of this worker, where that has a limit of its own; the master takes them.
    seats: Option<Gate>,
    /// Kept for the next connection: one for which there is no descriptor would be lost.
    spare: Arc<Mutex<Option<OwnedFd>>>,
}

impl Handoff {
    /// Of what the master sent.
    pub(super) fn new(socket: OwnedFd, seats: Option<Gate>) -> Self {
        Self {
            socket,
            seats,
            spare: Arc::default(),
        }
    }

    /// Takes the next connection; `WouldBlock` when there is none, and `EINVAL` when the master will
    /// send no more.
    ///
    /// # Errors
    ///
    /// Also when descriptors are short; then it stays where it is.
    pub(crate) fn receive(&self) -> io::Result<Arrival> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match spare.take() {
            Some(place) => place,
            None => self.make_room()?,
        };
        drop(place);
        let mut text = [0; MESSAGE_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut text)];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = recvmsg(&self.socket, &mut parts, &mut control, flags);
        let bytes = received.map(|message| message.bytes);
        let socket = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        // Without it the next one waits until there is room again.
        *spare = self.make_room().ok();
        match (bytes?, socket) {
            (0, _) => Err(Errno::INVAL.into()),
            (bytes, Some(socket)) => {
                let Passing {
                    peer,
                    accepted,
                    column,
                } = serde_json::from_slice(&text[..bytes])?;
                let seat = self.seats.as_ref().map(Gate::assume);
                let handed = Some(Handed { seat, column });
                Ok(Arrival {
                    socket,
                    peer,
                    accepted,
                    handed,
                })
            }
            // Another thread took the room; the place comes back when this worker is buried.
            (_, None) => Err(Errno::MFILE.into()),
        }
    }

    fn make_room(&self) -> io::Result<OwnedFd> {
        Ok(fcntl_dupfd_cloexec(&self.socket, 0)?)
    }

    /// Ends one direction, or both.
    ///
    /// # Errors
    ///
    /// When it has happened already.
    pub(crate) fn shut(&self, how: Shutdown) -> io::Result<()> {
        SockRef::from(&self.socket).shutdown(how)
    }

    /// Another handle of the same.
    ///
    /// # Errors
    ///
    /// When descriptors are short.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            socket: self.socket.try_clone()?,
            seats: self.seats.clone(),
            spare: Arc::clone(&self.spare),
        })
    }
}

impl AsFd for Handoff {
    /// Readable while a connection is there.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn passing() -> Passing {
        Passing {
            peer: Peer::Inet("[::1]:9".parse().unwrap()),
            accepted: Moment::from_ns(5),
            column: Some(7),
        }
    }

    fn pair() -> (Hand, Handoff) {
        let (hand, theirs) = Hand::pair().unwrap();
        (hand, Handoff::new(theirs, Some(Gate::new(0).unwrap())))
    }

    #[test]
    fn a_connection_arrives_with_its_place_and_the_sender_keeps_nothing() {
        let (hand, handoff) = pair();
        let nobody = handoff.receive().unwrap_err();
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
        let (connection, mut client) = UnixStream::pair().unwrap();
        hand.pass(connection.as_fd(), &passing()).unwrap();
        drop(connection);
        let arrival = handoff.receive().unwrap();
        let Handed { seat, column } = arrival.handed.unwrap();
        assert_eq!(
            (arrival.peer, arrival.accepted, column),
            (passing().peer, passing().accepted, passing().column)
        );
        UnixStream::from(arrival.socket)
            .write_all(b"hello")
            .unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "hello", "and then the end");
        drop(seat);
        let seats = handoff.seats.as_ref().unwrap();
        assert!(
            seats.try_enter().unwrap().is_some(),
            "the seat is given back"
        );
    }

    #[test]
    fn few_wait_for_one_that_does_not_come() {
        let (hand, handoff) = pair();
        let (connection, _client) = UnixStream::pair().unwrap();
        let pass = || hand.pass(connection.as_fd(), &passing());
        let passed = (0..100).take_while(|_| pass().is_ok()).count();
        assert!((4..64).contains(&passed), "{passed}");
        assert_eq!(pass(), Err(Refusal::Congested));
        handoff.receive().unwrap();
        pass().unwrap();
    }

    #[test]
    fn who_ends_takes_what_was_passed_and_no_more() {
        let (hand, handoff) = pair();
        let (connection, _client) = UnixStream::pair().unwrap();
        hand.pass(connection.as_fd(), &passing()).unwrap();
        handoff.shut(Shutdown::Read).unwrap();
        assert_eq!(
            hand.pass(connection.as_fd(), &passing()),
            Err(Refusal::Gone)
        );
        handoff.receive().unwrap();
        let over = handoff.receive().unwrap_err();
        let over = crate::accept::remedy(&over);
        assert!(matches!(
            over,
            crate::accept::Remedy::End | crate::accept::Remedy::Wait
        ));
        drop(hand);
        let over = handoff.receive().unwrap_err();
        assert_eq!(crate::accept::remedy(&over), crate::accept::Remedy::End);
    }
}
