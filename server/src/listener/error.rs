//! Why nobody can listen there, with the remedy.

use std::io;

use cli::Addr;

use super::socket_file::Obstacle;

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
    /// The kernel does not speak IPv6, or IPv4.
    #[error(
        "cannot listen on {addr}: this machine does not speak that protocol; all of IPv4 is 0.0.0.0, all of IPv6 is [::]"
    )]
    NoFamily {
        /// As typed.
        addr: Addr,
    },
    /// No socket can have that path.
    #[error("cannot listen on {addr}: {source}")]
    Path {
        /// As typed.
        addr: Addr,
        /// What is in the way.
        source: Obstacle,
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

impl ListenError {
    /// What it means that the system refused `addr` like this.
    pub(super) fn explain(addr: Addr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { addr },
            io::ErrorKind::PermissionDenied => Self::Denied { addr },
            io::ErrorKind::AddrNotAvailable => Self::NotLocal { addr },
            _ if no_family(&source) => Self::NoFamily { addr },
            _ => Self::Other { addr, source },
        }
    }
}

fn no_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}
