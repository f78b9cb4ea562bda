//! Where the endpoint listens, and who may ask there.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use cli::Addr;

use super::token::{InvalidToken, Token};
use crate::listener::{self, Bequest, InheritError, ListenError, ListenOptions, Tenure};

/// Connections that may wait to be taken: where it is full, whoever comes waits a second, even if
/// there is a place by then.
const BACKLOG: u32 = 1024;
/// What the kernel may keep of an answer that is not taken: a reader who does not read is found out
/// the sooner, and costs the less.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// What it may keep of a request: more than the longest.
const RECV_BUFFER_BYTES: usize = 32 << 10;

/// Who may ask.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// Whoever has it; where there is none, whoever reaches the address.
    pub(crate) token: Option<Token>,
    /// Whether other machines may.
    pub(crate) remote: bool,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) addr: Addr,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) remote: bool,
}

/// Bound, and served by nobody yet.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: listener::Listener,
    pub(super) access: Access,
}

/// Why the endpoint cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    #[error("--admin: {0}")]
    Listen(#[from] ListenError),
    #[error("--admin: {0}")]
    Inherit(#[from] InheritError),
    #[error(
        "a socket named 'admin' was passed to the server (LISTEN_FDNAMES), which listens at {passed}; give --admin {passed}, and with it who may ask there"
    )]
    Elsewhere { passed: Addr },
    #[error("--admin-token-file {}: {source}", path.display())]
    Token { path: PathBuf, source: InvalidToken },
    #[error(
        "--admin {addr}: here that is no loopback address; use 127.0.0.1, or --admin-allow-remote with --admin-token-file"
    )]
    NotLoopback { addr: Addr },
}

impl Listener {
    /// Reads the token, and binds.
    ///
    /// # Errors
    ///
    /// [`BindError`], with the remedy.
    pub(crate) fn bind(wanted: &Wanted) -> Result<Self, BindError> {
        let access = Access::of(wanted)?;
        let socket = listener::Listener::bind(&wanted.addr, options())?;
        let ip = socket.addr().ip();
        // Whatever a name stands for.
        if !wanted.remote && ip.is_some_and(|ip| !ip.is_loopback()) {
            let addr = wanted.addr.clone();
            return Err(BindError::NotLoopback { addr });
        }
        Ok(Self { socket, access })
    }

    /// The same with a socket that another process bound.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Self::bind).
    pub(crate) fn inherit(
        wanted: &Wanted,
        bequest: Bequest,
        tenure: &Tenure,
    ) -> Result<Self, BindError> {
        let access = Access::of(wanted)?;
        let socket = listener::Listener::inherit(bequest, options(), tenure)?;
        Ok(Self { socket, access })
    }

    /// The same with a socket of a service manager, which must be where `wanted` says.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Self::bind).
    pub(crate) fn pass(
        wanted: Option<&Wanted>,
        bequest: Bequest,
        tenure: &Tenure,
    ) -> Result<Self, BindError> {
        let socket = listener::Listener::inherit(bequest, options(), tenure)?;
        let passed = socket.addr().clone();
        match wanted {
            Some(wanted) if wanted.addr == passed => Ok(Self {
                access: Access::of(wanted)?,
                socket,
            }),
            // Who may ask there is not for whoever binds to decide.
            _ => Err(BindError::Elsewhere { passed }),
        }
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &listener::Listener {
        &self.socket
    }
}

impl Access {
    /// Reads the token.
    fn of(wanted: &Wanted) -> Result<Self, BindError> {
        let token = wanted.token_file.as_ref().map(|path| {
            Token::read(path).map_err(|source| BindError::Token {
                path: path.clone(),
                source,
            })
        });
        Ok(Self {
            token: token.transpose()?,
            remote: wanted.remote,
        })
    }
}

fn options() -> ListenOptions {
    ListenOptions {
        sockets: NonZeroUsize::MIN,
        backlog: BACKLOG,
        owner_only: true,
        send_buffer_bytes: Some(SEND_BUFFER_BYTES),
        recv_buffer_bytes: Some(RECV_BUFFER_BYTES),
        ..ListenOptions::default()
    }
}
