//! A connected stream socket, TCP or Unix, that never blocks.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use cli::Addr;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::wait::ready;

/// A connection to `peer`.
#[derive(Debug)]
pub(crate) struct Link {
    socket: Socket,
    peer: Addr,
}

impl Link {
    /// Begins to connect to one of the addresses that `target` stands for.
    ///
    /// # Errors
    ///
    /// When the system refuses at once.
    pub(crate) fn begin(target: &Addr, address: &Endpoint) -> io::Result<Self> {
        let socket = Socket::new(address.0.domain(), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address.0) {
            Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => return Err(error),
            _ => {}
        }
        let peer = target.clone();
        Ok(Self { socket, peer })
    }

    /// Whether the connection that was begun is established, once the socket is writable.
    ///
    /// # Errors
    ///
    /// Why it is not: refused, for instance, which is also what a connection to ourselves counts
    /// as. Connecting to a free port of the own machine again and again succeeds sooner or later,
    /// when the system picks that port for our own end; such a socket echoes perfectly.
    pub(crate) fn established(&self) -> io::Result<()> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        if self.socket.domain()? != Domain::UNIX {
            let peer = self.socket.peer_addr()?.as_socket();
            if peer == self.socket.local_addr()?.as_socket() {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            self.socket.set_tcp_nodelay(true)?;
        }
        Ok(())
    }

    /// Whom it leads to, as typed.
    pub(crate) fn peer(&self) -> &Addr {
        &self.peer
    }

    /// Reads what is there; `None` when nothing is, 0 at the end.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        ready((&self.socket).read(buffer))
    }

    /// Writes what fits; `None` when nothing does.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        ready((&self.socket).write(bytes))
    }

    /// Tells the server that nothing more will come. The answers still do.
    pub(crate) fn half_close(&self) {
        // It fails only if the connection is gone, which the next read reports better.
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

/// `EINPROGRESS`: the connection comes about in the background.
const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Where a connection can lead.
#[derive(Debug)]
pub(crate) struct Endpoint(SockAddr);

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self(address.into())
    }
}

impl TryFrom<&Path> for Endpoint {
    type Error = io::Error;

    fn try_from(path: &Path) -> io::Result<Self> {
        SockAddr::unix(path).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_connection_to_ourselves_is_refused() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into()).unwrap();
        let own = socket.local_addr().unwrap();
        socket.connect(&own).unwrap();
        let peer = Addr::default();
        let error = Link { socket, peer }.established().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
