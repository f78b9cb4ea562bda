//! The few system calls on a client's socket.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use socket2::{SockAddr, Socket, Type};

use super::target::is_tcp;
use crate::failure::Failure;

/// A connection that was begun.
#[derive(Debug)]
pub(super) enum Begun {
    /// It stands.
    Established(OwnedFd),
    /// The socket becomes writable when its fate is known.
    UnderWay(OwnedFd),
}

/// Begins a connection to `address` without waiting for it.
///
/// # Errors
///
/// The system's error, to be sorted by [`Failure::of_connect`].
pub(super) fn connect(address: &SockAddr) -> Result<Begun, Errno> {
    let socket = Socket::new(address.domain(), Type::STREAM.nonblocking(), None).map_err(errno)?;
    if is_tcp(address) {
        // Without this a message in two pieces waits 40 ms for the peer's delayed acknowledgement.
        socket.set_tcp_nodelay(true).map_err(errno)?;
    }
    match socket.connect(address).map_err(errno) {
        Ok(()) => Ok(Begun::Established(socket.into())),
        Err(Errno::INPROGRESS) => Ok(Begun::UnderWay(socket.into())),
        Err(error) => Err(error),
    }
}

/// What became of a connection under way.
///
/// # Errors
///
/// The failure's kind, and the system's error where there is one.
pub(super) fn fate(socket: &OwnedFd) -> Result<(), (Failure, Errno)> {
    match rustix::net::sockopt::socket_error(socket).and_then(|result| result) {
        // Who does not listen refuses; who resets had accepted. The first write will tell.
        Ok(()) | Err(Errno::CONNRESET) => {}
        Err(error) => return Err((Failure::of_connect(error), error)),
    }
    // Connecting to a local port that nobody listens on may by chance pick the same local port:
    // the socket then talks to itself, and echoes perfectly.
    let socket = socket2::SockRef::from(socket);
    match (socket.local_addr(), socket.peer_addr()) {
        (Ok(local), Ok(peer)) if local.as_socket().is_some() && local == peer => {
            Err((Failure::SelfConnect, Errno::CONNREFUSED))
        }
        _ => Ok(()),
    }
}

/// Writes what the socket takes.
///
/// # Errors
///
/// The system's error; [`Errno::AGAIN`] when it takes nothing now.
#[inline]
pub(super) fn send(socket: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    rustix::io::retry_on_intr(|| rustix::net::send(&socket, bytes, SendFlags::NOSIGNAL))
}

/// Reads what is there; 0 bytes mean that the peer has closed.
///
/// # Errors
///
/// The system's error; [`Errno::AGAIN`] when nothing is there.
#[inline]
pub(super) fn recv(socket: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match rustix::net::recv(&socket, &mut *buffer, RecvFlags::empty()) {
            Ok((bytes, _)) => return Ok(bytes),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use socket2::Domain;
    use std::net::{SocketAddr, TcpListener};
    use std::time::Duration;

    const PATIENCE: Timespec = Timespec {
        tv_sec: 20,
        tv_nsec: 0,
    };

    #[test]
    fn a_socket_that_met_itself_is_not_connected() {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&any.into()).unwrap();
        socket.connect(&socket.local_addr().unwrap()).unwrap();
        let (kind, _) = fate(&socket.into()).unwrap_err();
        assert_eq!(kind, Failure::SelfConnect);
    }

    #[test]
    fn who_resets_had_accepted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket
            .connect(&listener.local_addr().unwrap().into())
            .unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let linger = socket2::SockRef::from(&accepted).set_linger(Some(Duration::ZERO));
        linger.unwrap();
        drop(accepted);
        let mut wanted = [PollFd::new(&socket, PollFlags::IN)];
        assert_eq!(poll(&mut wanted, Some(&PATIENCE)).unwrap(), 1);
        let socket = OwnedFd::from(socket);
        assert!(fate(&socket).is_ok());
        assert_eq!(send(&socket, b"x"), Err(Errno::PIPE));
    }
}
