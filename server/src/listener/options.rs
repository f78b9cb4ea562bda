//! How to listen, and what accepted connections get of it.

use std::io;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use cli::units;
use rustix::fs::Mode;
use socket2::{Domain, Socket, TcpKeepalive, Type};

use crate::config::Limits;

/// How to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Sockets at the same address, among which the kernel deals (`SO_REUSEPORT` if several).
    pub sockets: NonZeroUsize,
    /// Length of the accept queue of each; exactly this many and one more clients connect without an
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
    /// Whether and when the kernel asks a silent peer whether it is still there.
    pub keepalive: Option<Keepalive>,
    /// How long sent bytes may stay unacknowledged (`TCP_USER_TIMEOUT`), in whole milliseconds; by
    /// default the kernel gives up after about a quarter of an hour.
    pub user_timeout: Option<Duration>,
    /// What the kernel may keep of what a connection sent, in bytes (`SO_RCVBUF`); by default it
    /// decides by itself.
    pub recv_buffer_bytes: Option<usize>,
    /// What it may keep of what a connection has not taken yet, in bytes (`SO_SNDBUF`).
    pub send_buffer_bytes: Option<usize>,
    /// Whether nobody but this user may connect to a Unix socket (mode 0600, whatever the umask).
    pub owner_only: bool,
}

/// TCP keepalive: when the kernel asks a silent peer whether it is still there, and when it gives
/// up. What is not said is the system's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first question, in whole seconds (`TCP_KEEPIDLE`).
    pub idle: Duration,
    /// From one question to the next, in whole seconds (`TCP_KEEPINTVL`).
    pub interval: Option<Duration>,
    /// Questions without an answer that end the connection (`TCP_KEEPCNT`).
    pub count: Option<u32>,
}

impl Keepalive {
    /// The longest time that the kernel takes for either, in seconds.
    const MOST_SECONDS: u64 = 32_767;
    /// The most questions that it takes.
    const MOST_COUNT: u32 = 127;
}

impl FromStr for Keepalive {
    type Err = String;

    /// Reads `IDLE`, `IDLE,INTERVAL` or `IDLE,INTERVAL,COUNT`, such as `1m,10s,3`.
    fn from_str(text: &str) -> Result<Self, String> {
        let time = |text: &str| {
            let time = units::parse_duration(text)?;
            let is_whole = time.subsec_nanos() == 0;
            (is_whole && (1..=Self::MOST_SECONDS).contains(&time.as_secs())).then_some(time)
        };
        let count = units::count(1..=Self::MOST_COUNT);
        let mut parts = text.split(',');
        let idle = parts.next().and_then(time);
        let interval = parts.next().map(time);
        let count = parts.next().map(|text| count(text).ok());
        match (idle, interval, count, parts.next()) {
            (Some(idle), None | Some(Some(_)), None | Some(Some(_)), None) => Ok(Self {
                idle,
                interval: interval.flatten(),
                count: count.flatten(),
            }),
            _ => Err(format!(
                "must be IDLE[,INTERVAL[,COUNT]], such as 1m,10s,3, with times in whole seconds up to {}s and up to {} questions",
                Self::MOST_SECONDS,
                Self::MOST_COUNT,
            )),
        }
    }
}

impl Default for ListenOptions {
    /// As the command line's defaults have it.
    fn default() -> Self {
        Self {
            sockets: NonZeroUsize::MIN,
            backlog: Limits::BACKLOG,
            nodelay: true,
            idle_timeout: Some(Limits::IDLE_TIMEOUT),
            write_timeout: Some(Limits::IDLE_TIMEOUT),
            ipv6_only: false,
            keepalive: None,
            user_timeout: None,
            recv_buffer_bytes: None,
            send_buffer_bytes: None,
            owner_only: false,
        }
    }
}

impl ListenOptions {
    /// Sets on a TCP socket what Linux then hands down to each that it accepts, which saves
    /// connections the calls.
    pub(super) fn set_on_tcp(&self, socket: &Socket) -> io::Result<()> {
        socket.set_tcp_nodelay(self.nodelay)?;
        if let Some(Keepalive {
            idle,
            interval,
            count,
        }) = self.keepalive
        {
            let mut wanted = TcpKeepalive::new().with_time(idle);
            wanted = interval.map_or(wanted.clone(), |interval| wanted.with_interval(interval));
            wanted = count.map_or(wanted.clone(), |count| wanted.with_retries(count));
            socket.set_tcp_keepalive(&wanted)?;
        }
        if self.user_timeout.is_some() {
            socket.set_tcp_user_timeout(self.user_timeout)?;
        }
        // Before it listens, since the window that a peer is offered depends on it.
        if let Some(bytes) = self.recv_buffer_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        self.set_on_any(socket)
    }

    /// Sets on a Unix socket what [`Heirloom::hand_down`] then gives to each that it accepts.
    pub(super) fn set_on_unix(&self, socket: &Socket) -> io::Result<()> {
        if self.owner_only {
            // Before it is bound: its file is made with the mode that the socket has, so that there
            // is no moment at which others could connect.
            rustix::fs::fchmod(socket, Mode::RUSR | Mode::WUSR)?;
        }
        self.set_on_any(socket)
    }

    fn set_on_any(&self, socket: &Socket) -> io::Result<()> {
        if let Some(bytes) = self.send_buffer_bytes {
            socket.set_send_buffer_size(bytes)?;
        }
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
    /// None if it is what every socket has.
    send_buffer_bytes: Option<usize>,
}

impl Heirloom {
    /// Of a listener, which may have come from another process.
    pub(super) fn of(listener: &Socket) -> io::Result<Self> {
        let usual = Socket::new(Domain::UNIX, Type::STREAM, None)?.send_buffer_size()?;
        let bytes = listener.send_buffer_size()?;
        Ok(Self {
            idle_timeout: listener.read_timeout()?,
            write_timeout: listener.write_timeout()?,
            // The kernel tells twice what was asked for, since it counts its own needs too.
            send_buffer_bytes: (bytes != usual).then_some(bytes / 2),
        })
    }

    /// Gives it to a connection.
    pub(super) fn hand_down(self, socket: &Socket) -> io::Result<()> {
        if let Some(bytes) = self.send_buffer_bytes {
            socket.set_send_buffer_size(bytes)?;
        }
        socket.set_out_of_band_inline(true)?;
        socket.set_read_timeout(self.idle_timeout)?;
        socket.set_write_timeout(self.write_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keepalive_is_read_as_far_as_it_is_said() {
        let seconds = Duration::from_secs;
        let read = |text: &str| text.parse::<Keepalive>();
        let keepalive = |idle, interval, count| Keepalive {
            idle: seconds(idle),
            interval: Option::map(interval, seconds),
            count,
        };
        assert_eq!(read("1m"), Ok(keepalive(60, None, None)));
        assert_eq!(read("1m,10s"), Ok(keepalive(60, Some(10), None)));
        assert_eq!(
            read("32767s,1s,127"),
            Ok(keepalive(32_767, Some(1), Some(127)))
        );
        for wrong in [
            "",
            "0",
            "0s",
            "1500ms",
            "32768s",
            "1m,",
            "1m,0s",
            "1m,10s,",
            "1m,10s,0",
            "1m,10s,128",
            "1m,10s,3,4",
            "1m,3",
            "60",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
