//! What a peer of the endpoint may do with bytes: no head that two programs could read in two ways,
//! and no answer that is never taken.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::tally::{Tally, Unheard};

/// How long a peer may take none of the bytes that are there for it.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// How long a peer may take to close its side after the answer: closing before it has would reset
/// the connection, and what it had not read yet would be lost.
const LINGER: Duration = Duration::from_secs(1);
/// How much it may still send meanwhile.
const LINGER_BYTES: usize = 1 << 20;

/// A socket with those limits.
#[derive(Debug)]
pub(super) struct Stream<S> {
    socket: S,
    tally: Arc<Tally>,
    head: Head,
    /// Set while it takes nothing, or is about to close.
    limit: Option<Pin<Box<Sleep>>>,
    closing: Option<usize>,
}

impl<S> Stream<S> {
    pub(super) fn new(socket: S, tally: Arc<Tally>) -> Self {
        Self {
            socket,
            tally,
            head: Head::default(),
            limit: None,
            closing: None,
        }
    }

    /// Whether a wait that began with the first call since `limit` was cleared lasted too long.
    fn is_over(&mut self, after: Duration, cx: &mut Context<'_>) -> bool {
        let limit = self.limit.get_or_insert_with(|| Box::pin(sleep(after)));
        limit.as_mut().poll(cx).is_ready()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        if self.head.read(&buffer.filled()[before..]) {
            return Poll::Ready(Ok(()));
        }
        // Here, since hyper says nothing of a connection that failed before its first byte.
        self.tally.lose(Unheard::Malformed);
        Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        if written.is_ready() {
            self.limit = None;
        } else if self.is_over(WRITE_LIMIT, cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    /// Says that nothing more comes, and waits, within limits, until the peer says so too.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_none() {
            ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
            self.limit = None;
            self.closing = Some(0);
        }
        let mut scratch = [0; 4096];
        while self.closing.is_some_and(|bytes| bytes < LINGER_BYTES) {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let bytes = buffer.filled().len();
                    self.closing = self.closing.map(|before| before + bytes);
                }
                Poll::Pending if !self.is_over(LINGER, cx) => return Poll::Pending,
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The head of a request, read only for what parsers differ about: the end of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Head {
    /// Nothing came so far.
    #[default]
    Start,
    Line,
    /// A carriage return, after which nothing but a line feed may come.
    Return,
    LineEnd,
    LastReturn,
    /// What follows is none of the head.
    Complete,
}

impl Head {
    /// Takes in what came; false if it is no head that everybody reads in the same way.
    fn read(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            *self = match (*self, byte) {
                (Self::Complete, _) => return true,
                (_, 0) | (Self::Start, b'\r') => return false,
                (Self::Line, b'\r') => Self::Return,
                (Self::LineEnd, b'\r') => Self::LastReturn,
                (Self::Return, b'\n') => Self::LineEnd,
                (Self::LastReturn, b'\n') => Self::Complete,
                (_, b'\n') | (Self::Return | Self::LastReturn, _) => return false,
                _ => Self::Line,
            };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(bytes: &[u8]) -> bool {
        // However it is cut.
        let whole = Head::default().read(bytes);
        let mut head = Head::default();
        assert_eq!(bytes.chunks(1).all(|byte| head.read(byte)), whole);
        whole
    }

    #[test]
    fn a_head_has_one_kind_of_line_and_no_nul() {
        for head in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET",
            "",
            "POST / HTTP/1.1\r\n\r\na\nb\0c\r",
        ] {
            assert!(reads(head.as_bytes()), "{head:?}");
        }
        for head in [
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\r\n",
            "GET /\0 HTTP/1.1\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "\n",
        ] {
            assert!(!reads(head.as_bytes()), "{head:?}");
        }
    }
}
