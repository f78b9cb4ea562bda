//! What the process was given by whoever started it: listening sockets of the service manager
//! (`LISTEN_FDS`), those of the server that it replaces, and where to say that it is ready.
//!
//! All of it is looked for before anything else is opened, so that a number means what the starter
//! meant by it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{OwnedFd, RawFd};

use rustix::fs::{OFlags, fcntl_getfl};
use tracing::warn;

use crate::sys;
use crate::upgrade::Ancestry;

/// The name of the descriptor that is for the admin listener.
const ADMIN: &str = "admin";

/// Where the listening sockets come from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// This server binds them.
    Own,
    /// The service manager has bound them, and listens on when this server ends.
    Manager(Passed),
    /// They are those of the server that this one replaces.
    Predecessor(Ancestry),
}

/// The sockets that the service manager passed.
#[derive(Debug)]
pub(crate) struct Passed {
    /// Where clients come from.
    pub(crate) listeners: Vec<OwnedFd>,
    /// Where an operator comes from.
    pub(crate) admin: Option<OwnedFd>,
}

/// Why nothing can be made of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OriginError {
    #[error("cannot take the sockets that were passed to the server (LISTEN_FDS): {0}")]
    Passed(io::Error),
    #[error(
        "{0} sockets that were passed to the server have the name 'admin' (LISTEN_FDNAMES); one can"
    )]
    Admins(usize),
    #[error("cannot take over from the server before this one: {0}")]
    Predecessor(io::Error),
}

impl Origin {
    /// That of this process.
    ///
    /// # Errors
    ///
    /// [`OriginError`]; who was given something that is of no use must not do without.
    pub(crate) fn of_process() -> Result<Self, OriginError> {
        let ancestry = Ancestry::of_process().map_err(OriginError::Predecessor)?;
        if let Some(ancestry) = ancestry {
            return Ok(Self::Predecessor(ancestry));
        }
        let passed = sd_notify::listen_fds().map_err(OriginError::Passed)?;
        // Then the names, too, are those of another process.
        if passed.len() == 0 {
            return Ok(Self::Own);
        }
        let passed = sd_notify::listen_fds_with_names().map_err(OriginError::Passed)?;
        let (mut listeners, mut admins) = (Vec::new(), Vec::new());
        for (number, name) in passed {
            let socket = sys::adopt(number).map_err(OriginError::Passed)?;
            match name.as_str() {
                ADMIN => admins.push(socket),
                _ => listeners.push(socket),
            }
        }
        if admins.len() > 1 {
            return Err(OriginError::Admins(admins.len()));
        }
        let admin = admins.pop();
        Ok(Self::Manager(Passed { listeners, admin }))
    }
}

/// Where it is said that the server is ready, once (`--ready-fd`).
#[derive(Debug)]
pub(crate) struct ReadyFd(File);

/// A descriptor on which nothing can be said.
#[derive(Debug, thiserror::Error)]
#[error(
    "invalid value '{number}' for '--ready-fd <FD>': {flaw}; the starter must open it for writing"
)]
pub(crate) struct InvalidReadyFd {
    number: RawFd,
    flaw: String,
}

impl ReadyFd {
    /// The descriptor of that number, which no process of ours gets.
    ///
    /// # Errors
    ///
    /// When it is not open for writing, or is something else already.
    pub(crate) fn take(number: RawFd) -> Result<Self, InvalidReadyFd> {
        let invalid = |flaw: String| InvalidReadyFd { number, flaw };
        let fd = sys::adopt(number).map_err(|error| invalid(error.to_string()))?;
        match fcntl_getfl(&fd) {
            Ok(flags) if flags & OFlags::ACCMODE != OFlags::RDONLY => Ok(Self(fd.into())),
            Ok(_) => Err(invalid("it is open for reading only".into())),
            Err(error) => Err(invalid(error.to_string())),
        }
    }

    /// Says it, in the words of the ready line, and closes it.
    pub(crate) fn say(mut self, line: &str) {
        // The server serves, whether or not somebody listens here.
        if let Err(error) = self.0.write_all(line.as_bytes()) {
            warn!(%error, "cannot say that the server is ready (--ready-fd)");
        }
    }
}
