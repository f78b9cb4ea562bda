//! How to listen, and what accepted connections get of it.

use std::io;
use std::time::Duration;

use socket2::Socket;

use crate::config::Limits;

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
    /// Whether `[::]` leaves IPv4 to others (`IPV6_V6ONLY`).
    pub ipv6_only: bool,
}

impl Default for ListenOptions {
    /// As the command line's defaults have it.
    fn default() -> Self {
        Self {
            backlog: Limits::BACKLOG,
            nodelay: true,
            idle_timeout: Some(Limits::IDLE_TIMEOUT),
            write_timeout: Some(Limits::IDLE_TIMEOUT),
            ipv6_only: false,
        }
    }
}

impl ListenOptions {
    /// Sets on a TCP socket what Linux then hands down to each that it accepts, which saves
    /// connections the calls.
    pub(super) fn set_on_tcp(&self, socket: &Socket) -> io::Result<()> {
        socket.set_tcp_nodelay(self.nodelay)?;
        self.set_on_any(socket)
    }

    /// Sets on a Unix socket what [`Heirloom::hand_down`] then gives to each that it accepts.
    pub(super) fn set_on_unix(&self, socket: &Socket) -> io::Result<()> {
        self.set_on_any(socket)
    }

    fn set_on_any(&self, socket: &Socket) -> io::Result<()> {
        // Without it an urgent byte would be taken out of the stream and lost.
        socket.set_out_of_band_inline(true)?;
        socket.set_read_timeout(self.idle_timeout)?;
        socket.set_write_timeout(self.write_timeout)
    }
}

/// What a listening Unix socket has, and the kernel does not hand down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heirloom {
    idle_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl Heirloom {
    /// Of a listener, which may have come from another process.
    pub(super) fn of(listener: &Socket) -> io::Result<Self> {
        Ok(Self {
            idle_timeout: listener.read_timeout()?,
            write_timeout: listener.write_timeout()?,
        })
    }

    /// Gives it to a connection.
    pub(super) fn hand_down(self, socket: &Socket) -> io::Result<()> {
        socket.set_out_of_band_inline(true)?;
        socket.set_read_timeout(self.idle_timeout)?;
        socket.set_write_timeout(self.write_timeout)
    }
}
