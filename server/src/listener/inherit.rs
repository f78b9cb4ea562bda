//! Listening sockets that another process made for this one: the service manager, or the server that
//! this one replaces.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};

use cli::Addr;
use socket2::{Socket, Type};

use super::socket_file::{Identity, SocketFile};
use super::tenure::Tenure;
use super::{ListenOptions, Listener};

/// What goes from one server to the next.
#[derive(Debug)]
pub(crate) struct Bequest {
    /// The sockets, in the order in which they were bound.
    pub(crate) sockets: Vec<OwnedFd>,
    /// Which file is theirs, where the server made one.
    pub(crate) file: Option<Identity>,
}

/// Why nobody can listen there.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// One of them is of no use.
    #[error("cannot listen on socket {number} of {count} that were passed to the server: {flaw}")]
    Flawed {
        /// Which, from 1.
        number: usize,
        /// How many were passed.
        count: usize,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// As many as are of no use.
    #[error(
        "{passed} listening sockets were passed to the server, and it needs {needed}: several need --accept reuseport, with as many --workers"
    )]
    Count {
        /// How many were.
        passed: usize,
        /// How many are needed.
        needed: NonZeroUsize,
    },
    /// They have nothing in common.
    #[error(
        "the sockets that were passed to the server listen at different addresses; start a server for each, or pass one at [::] for IPv4 and IPv6"
    )]
    Scattered,
}

/// What is wrong with a socket.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// It is something else.
    #[error("it is no socket; check who sets LISTEN_FDS")]
    NotASocket,
    /// Of datagrams, or the like.
    #[error("it is no stream socket; a .socket unit needs ListenStream=")]
    NotAStream,
    /// It is a connection, or nothing yet.
    #[error("it does not listen; a .socket unit needs Accept=no")]
    NotListening,
    /// Not TCP, and not on a path.
    #[error("it is neither TCP nor on a path; a .socket unit needs ListenStream=")]
    Elsewhere,
    /// Anything else.
    #[error("{0}")]
    Other(#[from] io::Error),
}

impl Listener {
    /// What a successor needs in order to listen here.
    ///
    /// # Errors
    ///
    /// When descriptors are short.
    pub(crate) fn bequest(&self) -> io::Result<Bequest> {
        let all = std::iter::once(self).chain(&self.siblings);
        let sockets = all.map(|listener| listener.as_fd().try_clone_to_owned());
        Ok(Bequest {
            sockets: sockets.collect::<io::Result<_>>()?,
            file: self.file.as_ref().map(|file| file.identity()),
        })
    }

    /// Listens on what was passed. Of `options` counts what can still be set; the rest was decided by
    /// whoever bound the sockets.
    ///
    /// # Errors
    ///
    /// [`InheritError`], with the remedy.
    pub(crate) fn inherit(
        bequest: Bequest,
        options: ListenOptions,
        tenure: &Tenure,
    ) -> Result<Self, InheritError> {
        let Bequest { sockets, file } = bequest;
        let (count, needed) = (sockets.len(), options.sockets);
        let mut heirs = Vec::new();
        for (index, socket) in sockets.into_iter().enumerate() {
            let heir = Self::take_over(Socket::from(socket), options, tenure);
            heirs.push(heir.map_err(|flaw| InheritError::Flawed {
                number: index + 1,
                count,
                flaw,
            })?);
        }
        let passed = heirs.len();
        let mut heirs = heirs.into_iter();
        let first = heirs.next().filter(|_| passed == needed.get());
        let mut first = first.ok_or(InheritError::Count { passed, needed })?;
        first.siblings = heirs.collect();
        if first.siblings.iter().any(|one| one.addr != first.addr) {
            return Err(InheritError::Scattered);
        }
        if let (Some(identity), Addr::Unix(path)) = (file, &first.addr) {
            let file = SocketFile::known(path, identity, tenure.clone());
            first.file = Some(file.into());
        }
        Ok(first)
    }

    fn take_over(socket: Socket, options: ListenOptions, tenure: &Tenure) -> Result<Self, Flaw> {
        match socket.r#type() {
            Ok(Type::STREAM) => {}
            Ok(_) => return Err(Flaw::NotAStream),
            Err(_) => return Err(Flaw::NotASocket),
        }
        if !socket.is_listener()? {
            return Err(Flaw::NotListening);
        }
        let local = socket.local_addr()?;
        if local.is_unix() {
            options.set_on_unix(&socket)?;
        } else if local.as_socket().is_some() {
            options.set_on_tcp(&socket)?;
        }
        socket.set_nonblocking(true)?;
        Self::of(socket, None, tenure.clone()).map_err(|error| match error.kind() {
            io::ErrorKind::Unsupported => Flaw::Elsewhere,
            _ => Flaw::Other(error),
        })
    }
}
