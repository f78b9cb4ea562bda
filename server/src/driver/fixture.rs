//! A connection for the tests of a driver, and its peer, without a server around them.

use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use socket2::{SockRef, Socket};

use crate::board::Board;
use crate::clock::Moment;
use crate::config::Config;
use crate::conn::{Peer, Shared, Ticket};
use crate::gate::Gate;
use crate::mode::Mode;
use crate::permit::HeldPermit;
use crate::stop::Stop;

/// Its socket, which holds a mebibyte if the kernel allows it, its place in books of its own, and
/// the other side.
pub(super) fn connection(mode: Mode) -> (Socket, Ticket, UnixStream) {
    let config = Config::new(mode, NonZeroUsize::MIN);
    let board = Arc::new(Board::new(1).unwrap());
    let shared = Shared::new(config, Stop::new().unwrap(), board, 0).unwrap();
    let (shared, gate) = (Arc::new(shared), Gate::new(1).unwrap());
    let permit = HeldPermit::try_take(&gate, &shared).unwrap().unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    for end in [&ours, &theirs] {
        SockRef::from(end).set_send_buffer_size(1 << 20).unwrap();
    }
    let ticket = Ticket::new(Peer::Unknown, Moment::now(), permit, shared);
    (OwnedFd::from(ours).into(), ticket, theirs)
}
