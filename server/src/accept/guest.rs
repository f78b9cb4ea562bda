//! A client between the door and whoever will serve it: it comes in, is passed on, or is turned away.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::net::{RecvFlags, SocketFlags};
use socket2::Socket;
use tracing::debug;

use crate::clock::Moment;
use crate::conn::{Peer, Shared, Ticket};
use crate::executor::Context;
use crate::permit::HeldPermit;
use crate::process::Passing;

/// What is thrown away at once of what a client had sent, in bytes, and how often: as much as it can
/// send before it is accepted.
const DISCARD_BYTES: usize = 4096;
const DISCARDS: usize = 16;

/// A client who may come in.
#[derive(Debug)]
pub(crate) struct Guest {
    // Dropped in this order: the socket is closed, then its permit is returned.
    pub(super) socket: Socket,
    pub(super) peer: Peer,
    pub(super) accepted: Moment,
    pub(super) permit: HeldPermit,
    /// As accepted, by whoever handed it out.
    pub(super) is_counted: bool,
}

impl Guest {
    /// Lets the socket block, or not, as it was not accepted with these flags.
    pub(super) fn suit(&self, flags: SocketFlags) -> io::Result<()> {
        // Fails on no socket that is open.
        self.socket
            .set_nonblocking(flags.contains(SocketFlags::NONBLOCK))
    }

    /// Comes in, and counts.
    pub(super) fn open(self, shared: &Arc<Shared>) -> (Socket, Ticket) {
        let shared = Arc::clone(shared);
        let ticket = match self.is_counted {
            true => Ticket::counted(self.peer, self.accepted, self.permit, shared),
            false => Ticket::new(self.peer, self.accepted, self.permit, shared),
        };
        (self.socket, ticket)
    }

    /// Is given to the process that has that slot, with the permit: see [`HeldPermit::pass_on`].
    pub(crate) fn pass_on<E>(
        self,
        slot: usize,
        send: impl FnOnce(BorrowedFd<'_>, Passing) -> Result<(), E>,
    ) -> Result<(), (Self, E)> {
        let Self {
            socket,
            peer,
            accepted,
            permit,
            is_counted,
        } = self;
        let passed = permit.pass_on(slot, |column| {
            let passing = Passing {
                peer,
                accepted,
                column,
            };
            send(socket.as_fd(), passing)
        });
        passed.map_err(|(permit, error)| {
            let guest = Self {
                socket,
                peer,
                accepted,
                permit,
                is_counted,
            };
            (guest, error)
        })
    }

    /// Is told that nobody will serve it, since the server ends.
    pub(crate) fn dismiss(self, cx: &Context) {
        match &cx.end {
            Some(end) => end.dismiss(self.socket.into(), &self.peer),
            None => close_at_once(self.socket),
        }
    }

    /// Is told that nobody will serve it, since the server is full.
    pub(crate) fn reject(self) {
        debug!(peer = %self.peer, "rejected: the server is full");
        close_at_once(self.socket);
    }
}

/// Closes a connection without a wait, and without a reset if what the client has sent is here: a
/// reset would be all that it learns.
pub(super) fn close_at_once(socket: Socket) {
    let mut scratch = [0; DISCARD_BYTES];
    // Each fails only on a connection that is gone already.
    let _ = socket.shutdown(Shutdown::Write);
    for _ in 0..DISCARDS {
        match rustix::net::recv(&socket, &mut scratch, RecvFlags::DONTWAIT) {
            Ok((count, _)) if count > 0 => {}
            _ => break,
        }
    }
}
