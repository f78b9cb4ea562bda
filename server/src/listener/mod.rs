//! The listening socket: bound once, with every option that accepted connections inherit.

mod end;
mod error;
mod inherit;
mod options;
mod socket_file;
mod tenure;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use cli::Addr;
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, SockAddr, Socket, Type};

pub(crate) use self::end::ListenEnd;
pub use self::error::ListenError;
pub(crate) use self::inherit::Bequest;
pub use self::inherit::{Flaw, InheritError};
use self::options::Heirloom;
pub use self::options::{Keepalive, ListenOptions};
pub(crate) use self::socket_file::Identity;
pub use self::socket_file::Obstacle;
use self::socket_file::SocketFile;
pub(crate) use self::tenure::Tenure;
use crate::conn::Peer;
use crate::source::Source;

/// A listening socket, non-blocking because several processes may share it.
#[derive(Debug)]
pub struct Listener {
    // Dropped first: the number of the file is its own as long as the socket is open.
    file: Option<Arc<SocketFile>>,
    socket: Socket,
    addr: Addr,
    /// What connections do not inherit by themselves.
    heirloom: Option<Heirloom>,
    /// More sockets at the same address.
    siblings: Vec<Self>,
    /// Whether the listening is this server's to end.
    tenure: Tenure,
}

impl Listener {
    /// Binds the first address that `addr` resolves to and lets one listen on, or its path.
    ///
    /// Where [`ListenOptions::sockets`] are several, they are all of this listener.
    /// All of IPv6 (`[::]`) is all of IPv4 too, unless [`ListenOptions::ipv6_only`] says otherwise.
    /// The file of a socket that nobody listens on is replaced; it is removed with the listener.
    ///
    /// # Errors
    ///
    /// [`ListenError`], with the remedy, for the last address that was tried.
    pub fn bind(addr: &Addr, options: ListenOptions) -> Result<Self, ListenError> {
        if let Addr::Unix(path) = addr {
            let bound = listen_on_path(path, options);
            return bound.map_err(|source| ListenError::Path {
                addr: addr.clone(),
                source,
            });
        }
        let candidates = addr.resolve().map_err(|source| ListenError::Resolve {
            addr: addr.clone(),
            source,
        })?;
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for candidate in candidates {
            match listen_all(candidate, options) {
                Ok(listener) => return Ok(listener),
                Err(error) => failure = error,
            }
        }
        Err(ListenError::explain(addr.clone(), failure))
    }

    /// Where it listens; the port is the real one.
    #[must_use]
    pub fn addr(&self) -> &Addr {
        &self.addr
    }

    /// Whose the listening is.
    pub(crate) fn tenure(&self) -> &Tenure {
        &self.tenure
    }

    /// Each of its sockets, in the order in which they were bound.
    pub(crate) fn split(mut self) -> Vec<Self> {
        let siblings = std::mem::take(&mut self.siblings);
        std::iter::once(self).chain(siblings).collect()
    }

    /// Whether IPv4 clients come to this IPv6 socket.
    #[must_use]
    pub fn is_dual_stack(&self) -> bool {
        let all = self
            .addr
            .ip()
            .is_some_and(|ip| ip.is_ipv6() && ip.is_unspecified());
        all && self.socket.only_v6().is_ok_and(|only| !only)
    }

    /// Whether it listens on a path.
    pub(crate) fn is_unix(&self) -> bool {
        self.heirloom.is_some()
    }

    /// Takes the next connection; `WouldBlock` when there is none.
    ///
    /// # Errors
    ///
    /// What `accept4` says; [`crate::accept::classify`] knows what to do about it.
    pub(crate) fn accept(&self, flags: SocketFlags) -> io::Result<(OwnedFd, Peer)> {
        let (socket, peer) = acceptfrom_with(&self.socket, SocketFlags::CLOEXEC | flags)?;
        if self.heirloom.is_some() {
            return self.adopt(socket);
        }
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        Ok((socket, peer.map_or(Peer::Unknown, Peer::Inet)))
    }

    /// Gives a socket that somebody else accepted here what it still needs, and tells whose it is.
    ///
    /// # Errors
    ///
    /// `ECONNABORTED` when it is unusable.
    pub(crate) fn adopt(&self, socket: OwnedFd) -> io::Result<(OwnedFd, Peer)> {
        let Some(heirloom) = self.heirloom else {
            let peer = Peer::of(&socket);
            return Ok((socket, peer));
        };
        let socket = Socket::from(socket);
        // Whatever is wrong, it is wrong with this connection.
        let given = heirloom.hand_down(&socket);
        given.map_err(|_| io::Error::from(Errno::CONNABORTED))?;
        let pid = socket_peercred(&socket).ok().map(|peer| peer.pid);
        let pid = pid.map(|pid| pid.as_raw_nonzero().get());
        Ok((socket.into(), Peer::Unix { pid }))
    }

    /// Gives the file of its path to a user and a group, who are to remove it.
    ///
    /// # Errors
    ///
    /// When it is not ours to give, or not there any more.
    pub(crate) fn give_to(&self, owner: (u32, u32)) -> io::Result<()> {
        self.file
            .as_ref()
            .map_or(Ok(()), |file| file.give_to(owner))
    }

    /// The directory of its file, where this process could not remove it.
    pub(crate) fn closed_directory(&self) -> Option<&Path> {
        self.file.as_ref().and_then(|file| file.closed_directory())
    }

    /// Ends the listening, whoever else has the listener.
    ///
    /// # Errors
    ///
    /// When descriptors are short.
    pub(crate) fn end(&self) -> io::Result<ListenEnd> {
        let all = self.try_clone_all()?;
        let all = all.into_iter().map(Source::Listener).collect();
        Ok(ListenEnd::of(all, self.tenure.clone()))
    }

    /// Another handle of each of its sockets, in the order in which they were bound.
    ///
    /// # Errors
    ///
    /// When descriptors are short.
    pub(crate) fn try_clone_all(&self) -> io::Result<Vec<Self>> {
        let all = std::iter::once(self).chain(&self.siblings);
        all.map(Self::try_clone).collect()
    }

    /// Another handle of the same socket, without its siblings.
    ///
    /// # Errors
    ///
    /// When descriptors are short.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            file: self.file.clone(),
            socket: self.socket.try_clone()?,
            addr: self.addr.clone(),
            heirloom: self.heirloom,
            siblings: Vec::new(),
            tenure: self.tenure.clone(),
        })
    }

    /// The listener that another process bound, which also sees to its file.
    ///
    /// # Errors
    ///
    /// When the descriptor is no listening socket.
    pub(crate) fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        Self::of(Socket::from(fd), None, Tenure::foreign())
    }

    fn of(socket: Socket, file: Option<SocketFile>, tenure: Tenure) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let addr = address(&local).ok_or(io::ErrorKind::Unsupported)?;
        let heirloom = local.is_unix().then(|| Heirloom::of(&socket));
        Ok(Self {
            file: file.map(Arc::new),
            socket,
            addr,
            heirloom: heirloom.transpose()?,
            siblings: Vec::new(),
            tenure,
        })
    }
}

fn address(local: &SockAddr) -> Option<Addr> {
    let path = || local.as_pathname().map(|path| Addr::Unix(path.into()));
    local.as_socket().map(Addr::from).or_else(path)
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// All sockets that are asked for, at one port.
fn listen_all(addr: SocketAddr, options: ListenOptions) -> io::Result<Listener> {
    if options.sockets == NonZeroUsize::MIN {
        return listen(addr, options);
    }
    // Another server of this user would be let in among them, and take a share of the clients.
    drop(socket_at(addr, options, false)?);
    let mut first = listen(addr, options)?;
    let port = first
        .socket
        .local_addr()?
        .as_socket()
        .map(|addr| addr.port());
    let addr = SocketAddr::new(addr.ip(), port.unwrap_or(addr.port()));
    let siblings = (1..options.sockets.get()).map(|_| listen(addr, options));
    first.siblings = siblings.collect::<io::Result<_>>()?;
    Ok(first)
}

fn listen(addr: SocketAddr, options: ListenOptions) -> io::Result<Listener> {
    let socket = socket_at(addr, options, options.sockets > NonZeroUsize::MIN)?;
    socket.listen(backlog(options))?;
    Listener::of(socket, None, Tenure::ours())
}

/// A socket that is bound and does not listen yet.
fn socket_at(addr: SocketAddr, options: ListenOptions, reuse_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    if addr.is_ipv6() {
        // Said in either case: what it is without a word is a setting of the machine.
        socket.set_only_v6(options.ipv6_only)?;
    }
    options.set_on_tcp(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

fn listen_on_path(path: &Path, options: ListenOptions) -> Result<Listener, Obstacle> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    options.set_on_unix(&socket)?;
    socket.set_nonblocking(true)?;
    let tenure = Tenure::ours();
    let file = SocketFile::listen(&socket, path, backlog(options), tenure.clone())?;
    Ok(Listener::of(socket, Some(file), tenure)?)
}

fn backlog(options: ListenOptions) -> i32 {
    i32::try_from(options.backlog).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
