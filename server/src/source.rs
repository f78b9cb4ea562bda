//! Where connections come from: a listening socket, or a master that accepted them already.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::SocketFlags;

use crate::accept::{Remedy, remedy};
use crate::clock::Moment;
use crate::conn::Peer;
use crate::gate::Permit;
use crate::listener::Listener;
use crate::process::Handoff;

/// Where connections come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A listening socket.
    Listener(Listener),
    /// The master, which hands out what it accepts.
    Handoff(Handoff),
}

/// A connection that has come.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) socket: OwnedFd,
    pub(crate) peer: Peer,
    /// When it was accepted.
    pub(crate) accepted: Moment,
    /// What comes with it from whoever accepted it, unless that is this process.
    pub(crate) handed: Option<Handed>,
}

/// A place that was taken for a connection, and noted, by another process.
#[derive(Debug)]
pub(crate) struct Handed {
    /// The place within this process, where that has a limit of its own.
    pub(crate) seat: Option<Permit>,
    /// Where its address counts, if it does.
    pub(crate) column: Option<u32>,
}

impl From<(OwnedFd, Peer)> for Arrival {
    /// One that was accepted just now.
    fn from((socket, peer): (OwnedFd, Peer)) -> Self {
        Self {
            socket,
            peer,
            accepted: Moment::now(),
            handed: None,
        }
    }
}

impl Source {
    /// Takes the next connection; `WouldBlock` when there is none, and `EINVAL` when none will come.
    /// One that was handed out blocks, whatever the flags.
    ///
    /// # Errors
    ///
    /// What `accept4` says, or would say.
    pub(crate) fn accept(&self, flags: SocketFlags) -> io::Result<Arrival> {
        match self {
            Self::Listener(listener) => listener.accept(flags).map(Arrival::from),
            Self::Handoff(handoff) => handoff.receive(),
        }
    }

    /// Gives a socket that somebody else accepted here what it still needs, and tells whose it is.
    ///
    /// # Errors
    ///
    /// `ECONNABORTED` when it is unusable.
    pub(crate) fn adopt(&self, socket: OwnedFd) -> io::Result<Arrival> {
        match self {
            Self::Listener(listener) => listener.adopt(socket).map(Arrival::from),
            Self::Handoff(_) => Ok((socket, Peer::Unknown).into()),
        }
    }

    /// Keeps newcomers away, and lets those in the queue, and those who are about to be in it, come.
    ///
    /// # Errors
    ///
    /// When the kernel cannot.
    pub(crate) fn narrow(&self) -> io::Result<()> {
        match self {
            Self::Listener(listener) => listener.narrow(),
            Self::Handoff(handoff) => handoff.shut(Shutdown::Read),
        }
    }

    /// All who are in the queue, and why there may be more, if there may.
    pub(crate) fn empty(&self) -> (Vec<Arrival>, Option<io::Error>) {
        let mut queued = Vec::new();
        loop {
            match self.accept(SocketFlags::empty()) {
                Ok(client) => queued.push(client),
                Err(error) => match remedy(&error) {
                    Remedy::Retry => {}
                    Remedy::Pause => return (queued, Some(error)),
                    Remedy::Wait | Remedy::End | Remedy::GiveUp => return (queued, None),
                },
            }
        }
    }

    /// Whether a connection may have begun that is not in the queue yet.
    pub(crate) fn has_handshakes(&self) -> bool {
        matches!(self, Self::Listener(listener) if !listener.is_unix())
    }

    /// Nobody comes any more.
    pub(crate) fn shut(&self) {
        // Fails only where it has happened already.
        let _ = match self {
            Self::Listener(listener) => listener.shut(),
            Self::Handoff(handoff) => handoff.shut(Shutdown::Both),
        };
    }

    /// Another handle of the same.
    ///
    /// # Errors
    ///
    /// When descriptors are short.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Listener(listener) => Self::Listener(listener.try_clone()?),
            Self::Handoff(handoff) => Self::Handoff(handoff.try_clone()?),
        })
    }
}

impl AsFd for Source {
    /// Readable while somebody is there.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Listener(listener) => listener.as_fd(),
            Self::Handoff(handoff) => handoff.as_fd(),
        }
    }
}
