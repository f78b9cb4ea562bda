//! The descriptors of the endpoint, of which it always has some to spare.
//!
//! The echo may take every descriptor that the process has, and it takes each that becomes free. So
//! spare ones are held: to accept, one is given up for an instant, and a connection that ends leaves
//! its own behind as the next spare one, without it ever being free.

use std::io;
use std::net::TcpStream as StdTcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::DupFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// How many are held: for those who are let in while others have not left yet.
const SPARE_DESCRIPTORS: usize = 4;

/// The spare descriptors. Clones are the same ones.
#[derive(Clone, Debug)]
pub(super) struct Spares {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// What they all lead to, which is nothing.
    dummy: OwnedFd,
    held: Mutex<Vec<OwnedFd>>,
}

impl Spares {
    /// As many as there shall be, or as there are.
    ///
    /// # Errors
    ///
    /// When there is none at all.
    pub(super) fn new() -> io::Result<Self> {
        let dummy = eventfd(0, EventfdFlags::CLOEXEC)?;
        let held = Mutex::default();
        let inner = Arc::new(Inner { dummy, held });
        let spares = Self { inner };
        spares.refill();
        Ok(spares)
    }

    /// Gives one up; false if there was none.
    pub(super) fn give_up(&self) -> bool {
        self.with(|held| held.pop()).is_some()
    }

    /// Takes what is missing, as far as there are free ones.
    pub(super) fn refill(&self) {
        self.with(|held| {
            while held.len() < SPARE_DESCRIPTORS {
                let Ok(spare) = self.inner.dummy.try_clone() else {
                    break;
                };
                held.push(spare);
            }
        });
    }

    /// Makes a connection's descriptor a spare one, which closes it, if one is missing.
    pub(super) fn keep(&self, mut socket: OwnedFd) {
        self.with(|held| {
            let kept = held.len() < SPARE_DESCRIPTORS;
            if kept && rustix::io::dup3(&self.inner.dummy, &mut socket, DupFlags::CLOEXEC).is_ok() {
                held.push(socket);
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vec<OwnedFd>) -> T) -> T {
        // Nobody panics with it; if so, it would still be whole.
        let held = self.inner.held.lock();
        act(&mut held.unwrap_or_else(PoisonError::into_inner))
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Socket {
    /// Some until it is dropped.
    kind: Option<Kind>,
    spares: Spares,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// A connection that was accepted, on a path or on a port.
    ///
    /// # Errors
    ///
    /// When the runtime cannot watch it.
    pub(super) fn new(fd: OwnedFd, is_unix: bool, spares: Spares) -> io::Result<Self> {
        let kind = if is_unix {
            Kind::Unix(UnixStream::from_std(StdUnixStream::from(fd))?)
        } else {
            Kind::Tcp(TcpStream::from_std(StdTcpStream::from(fd))?)
        };
        let kind = Some(kind);
        Ok(Self { kind, spares })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let fd = match self.kind.take() {
            Some(Kind::Tcp(socket)) => socket.into_std().map(OwnedFd::from),
            Some(Kind::Unix(socket)) => socket.into_std().map(OwnedFd::from),
            None => return,
        };
        if let Ok(fd) = fd {
            self.spares.keep(fd);
        }
    }
}

/// Either kind by the traits of the runtime, which both have.
trait Both: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Both for S {}

impl Socket {
    fn both(&mut self) -> io::Result<Pin<&mut dyn Both>> {
        match &mut self.kind {
            Some(Kind::Tcp(socket)) => Ok(Pin::new(socket)),
            Some(Kind::Unix(socket)) => Ok(Pin::new(socket)),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.both()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.both()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.both()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.both()?.poll_shutdown(cx)
    }
}
