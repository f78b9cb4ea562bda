//! The listening socket: bound once, with every option that accepted connections inherit.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use cli::Addr;
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Socket, Type};

use crate::conn::Peer;

/// How to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Length of the accept queue; exactly this many and one more clients connect without an
    /// accept. The kernel caps it at `net.core.somaxconn`.
    pub backlog: u32,
    /// Whether small answers go out at once (`TCP_NODELAY`).
    pub nodelay: bool,
    /// How long a blocking read may last.
    pub idle_timeout: Option<Duration>,
    /// How long a blocking write may last.
    pub write_timeout: Option<Duration>,
}

/// Why nobody can listen there.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The name is unknown.
    #[error("cannot resolve '{addr}': {source}; check the host name")]
    Resolve {
        /// As typed.
        addr: Addr,
        /// What the resolver said.
        source: io::Error,
    },
    /// Somebody else listens there.
    #[error(
        "cannot listen on {addr}: the port is in use; stop the other server or choose another port (0 picks a free one)"
    )]
    InUse {
        /// As typed.
        addr: Addr,
    },
    /// Not permitted.
    #[error(
        "cannot listen on {addr}: permission denied; ports below 1024 need root or CAP_NET_BIND_SERVICE, choose a higher one"
    )]
    Denied {
        /// As typed.
        addr: Addr,
    },
    /// The address belongs to another machine.
    #[error(
        "cannot listen on {addr}: it is no address of this machine; 127.0.0.1 and 0.0.0.0 always are"
    )]
    NotLocal {
        /// As typed.
        addr: Addr,
    },
    /// A form of address that this version does not serve.
    #[error("cannot listen on {addr}: serving a Unix socket is not supported yet; use host:port")]
    Unsupported {
        /// As typed.
        addr: Addr,
    },
    /// Anything else.
    #[error("cannot listen on {addr}: {source}")]
    Other {
        /// As typed.
        addr: Addr,
        /// What the system said.
        source: io::Error,
    },
}

/// A listening TCP socket, non-blocking because several processes may share it.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    addr: SocketAddr,
}

impl Listener {
    /// Binds the first address that `addr` resolves to and lets one listen on.
    ///
    /// # Errors
    ///
    /// [`ListenError`], with the remedy, for the last address that was tried.
    pub fn bind(addr: &Addr, options: ListenOptions) -> Result<Self, ListenError> {
        if matches!(addr, Addr::Unix(_)) {
            return Err(ListenError::Unsupported { addr: addr.clone() });
        }
        let candidates = addr.resolve().map_err(|source| ListenError::Resolve {
            addr: addr.clone(),
            source,
        })?;
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for candidate in candidates {
            match listen(candidate, options) {
                Ok(listener) => return Ok(listener),
                Err(error) => failure = error,
            }
        }
        Err(explain(addr.clone(), failure))
    }

    /// Where it listens; the port is the real one.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes the next connection; `WouldBlock` when there is none.
    ///
    /// # Errors
    ///
    /// What `accept4` says; [`crate::accept::classify`] knows what to do about it.
    pub(crate) fn accept(&self, flags: SocketFlags) -> io::Result<(OwnedFd, Peer)> {
        let (socket, peer) = acceptfrom_with(&self.socket, SocketFlags::CLOEXEC | flags)?;
        Ok((
            socket,
            Peer(peer.and_then(|peer| SocketAddr::try_from(peer).ok())),
        ))
    }

    /// A handle that can end the listening from outside.
    ///
    /// # Errors
    ///
    /// When descriptors are short.
    pub(crate) fn end(&self) -> io::Result<ListenEnd> {
        self.socket.try_clone().map(ListenEnd)
    }

    /// The listener that another process bound.
    ///
    /// # Errors
    ///
    /// When the descriptor is no listening TCP socket.
    pub(crate) fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(fd);
        let addr = local_addr(&socket)?;
        Ok(Self { socket, addr })
    }
}

impl From<Listener> for std::net::TcpListener {
    fn from(listener: Listener) -> Self {
        listener.socket.into()
    }
}

/// Ends the listening where nobody can close the listener, because all who hold it are busy.
#[derive(Debug)]
pub(crate) struct ListenEnd(Socket);

impl ListenEnd {
    /// From now on nobody can connect, in no process that shares the listener; `accept` says
    /// `EINVAL`. Who was still queued is reset.
    pub(crate) fn refuse(self) {
        // Fails only where it has happened already.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn listen(addr: SocketAddr, options: ListenOptions) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    // Linux hands these down to accepted sockets, which saves each connection the calls.
    socket.set_tcp_nodelay(options.nodelay)?;
    // Without it an urgent byte would be taken out of the stream and lost.
    socket.set_out_of_band_inline(true)?;
    socket.set_read_timeout(options.idle_timeout)?;
    socket.set_write_timeout(options.write_timeout)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    let addr = local_addr(&socket)?;
    Ok(Listener { socket, addr })
}

fn local_addr(socket: &Socket) -> io::Result<SocketAddr> {
    socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::ErrorKind::Unsupported.into())
}

fn explain(addr: Addr, source: io::Error) -> ListenError {
    match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { addr },
        io::ErrorKind::PermissionDenied => ListenError::Denied { addr },
        io::ErrorKind::AddrNotAvailable => ListenError::NotLocal { addr },
        _ => ListenError::Other { addr, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: ListenOptions = ListenOptions {
        backlog: 16,
        nodelay: true,
        idle_timeout: Some(Duration::from_secs(7)),
        write_timeout: Some(Duration::from_secs(8)),
    };

    #[test]
    fn accepted_connections_inherit_the_options() {
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), OPTIONS).unwrap();
        let _client = std::net::TcpStream::connect(listener.addr()).unwrap();
        let (socket, peer) = listener.accept(SocketFlags::empty()).unwrap();
        let socket = Socket::from(socket);
        assert!(peer.0.is_some() && socket.tcp_nodelay().unwrap());
        assert!(socket.out_of_band_inline().unwrap() && !socket.nonblocking().unwrap());
        assert_eq!(socket.read_timeout().unwrap(), OPTIONS.idle_timeout);
        assert_eq!(socket.write_timeout().unwrap(), OPTIONS.write_timeout);
    }

    #[test]
    fn a_busy_port_and_a_foreign_address_are_told_apart() {
        let first = Listener::bind(&"127.0.0.1:0".parse().unwrap(), OPTIONS).unwrap();
        let busy = Listener::bind(&first.addr().into(), OPTIONS).unwrap_err();
        assert!(matches!(busy, ListenError::InUse { .. }), "{busy}");
        let foreign = Listener::bind(&"192.0.2.1:0".parse().unwrap(), OPTIONS).unwrap_err();
        assert!(matches!(foreign, ListenError::NotLocal { .. }), "{foreign}");
        let unknown =
            Listener::bind(&"no.such.host.invalid:1".parse().unwrap(), OPTIONS).unwrap_err();
        assert!(matches!(unknown, ListenError::Resolve { .. }), "{unknown}");
    }
}
