//! One client of the probe: a non-blocking socket and the part it plays.
//!
//! It does what its socket allows and remembers what happened. When it does that, and what it
//! means, is decided elsewhere; it never waits.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::failure::Failure;
use crate::protocol::{Answer, Fate, Parser, Wire};

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It connects and says nothing.
    Silent,
    /// It sends a request, and after the answer it keeps the connection and is silent.
    Whole,
    /// The same, but it ends its sending side after the request.
    WholeThenEnd,
    /// It sends a byte of its request when it is nudged, and never the last.
    Slow,
}

/// An answer that came in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The one that was asked for.
    Good,
    /// One that says that the request failed.
    Bad(Failure),
}

/// One client. Times count from the beginning of its connection.
#[derive(Debug)]
pub(super) struct Peer {
    /// None once it has ended.
    socket: Option<OwnedFd>,
    part: Part,
    number: u32,
    begun: Instant,
    /// Bytes of the request, those that may be written and those that were.
    whole: usize,
    allowed: usize,
    written: usize,
    read: u32,
    parser: Option<Parser>,
    connected: Option<Duration>,
    reply: Option<(Reply, Duration)>,
    ended: Option<(Failure, Duration)>,
}

impl Peer {
    /// Begins to connect client `number` to `address`.
    ///
    /// # Errors
    ///
    /// When this machine has no socket or no port for it; what the server does is no error.
    pub(super) fn open(
        address: &SockAddr,
        number: u32,
        part: Part,
        wire: &Wire,
    ) -> std::io::Result<Self> {
        let socket = Socket::new(address.domain(), Type::STREAM.nonblocking(), None)?;
        if address.domain() != Domain::UNIX {
            // A byte now and then shall go out as such.
            socket.set_tcp_nodelay(true)?;
        }
        let whole = wire.request_bytes((number, 0));
        let mut peer = Self {
            socket: None,
            part,
            number,
            begun: Instant::now(),
            whole,
            allowed: match part {
                Part::Silent => 0,
                Part::Whole | Part::WholeThenEnd => whole,
                Part::Slow => 1,
            },
            written: 0,
            read: 0,
            parser: wire.parser(),
            connected: None,
            reply: None,
            ended: None,
        };
        let begun = socket.connect(address);
        peer.socket = Some(socket.into());
        match begun.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)) {
            Ok(()) => peer.connected = Some(peer.age()),
            Err(Errno::INPROGRESS) => {}
            Err(errno @ (Errno::ADDRNOTAVAIL | Errno::NOBUFS)) => return Err(errno.into()),
            Err(errno) => peer.end(Failure::of_connect(errno)),
        }
        Ok(peer)
    }

    fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// When its connection stood.
    pub(super) fn connected(&self) -> Option<Duration> {
        self.connected
    }

    /// Its answer and when that was complete.
    pub(super) fn reply(&self) -> Option<(Reply, Duration)> {
        self.reply
    }

    /// How and when its connection ended.
    pub(super) fn ended(&self) -> Option<(Failure, Duration)> {
        self.ended
    }

    /// Whether nothing is left to wait for: it has its answer, or none can come.
    pub(super) fn is_settled(&self) -> bool {
        self.reply.is_some() || self.ended.is_some()
    }

    /// Whether it does now what its part is, for as long as the server lets it.
    pub(super) fn is_in_place(&self) -> bool {
        let plays = match self.part {
            Part::Silent => self.connected.is_some(),
            Part::Whole | Part::WholeThenEnd => self.reply.is_some(),
            Part::Slow => self.written > 0,
        };
        plays && self.ended.is_none()
    }

    /// Lets a slow client send one byte more, but not the last one.
    pub(super) fn nudge(&mut self) {
        if self.part == Part::Slow && self.allowed == self.written {
            self.allowed = (self.allowed + 1).min(self.whole.saturating_sub(1));
        }
    }

    /// Its socket and what it waits for; none when it has ended.
    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let writes = self.connected.is_none() || self.written < self.allowed;
        let flags = if writes {
            PollFlags::IN | PollFlags::OUT
        } else {
            PollFlags::IN
        };
        Some((self.socket.as_ref()?.as_fd(), flags))
    }

    /// Does what its socket allows; `buffer` is for what comes.
    pub(super) fn step(&mut self, wire: &mut Wire, buffer: &mut [u8]) {
        if self.connected.is_none() {
            self.finish_connect();
        }
        if self.connected.is_some() && self.written < self.allowed {
            self.write(wire);
        }
        if self.connected.is_some() {
            self.end_sending();
            self.read(wire, buffer);
        }
    }

    fn finish_connect(&mut self) {
        let Some(socket) = &self.socket else { return };
        let fate = rustix::net::sockopt::socket_error(socket).and_then(|result| result);
        if matches!(fate, Ok(()) | Err(Errno::CONNRESET)) && !met_itself(socket) {
            // Who resets had accepted.
            self.connected = Some(self.age());
        }
        match fate {
            Ok(()) if self.connected.is_some() => {}
            Ok(()) => self.end(Failure::Refused),
            // Asking took the error from the socket: a read would find a plain end.
            Err(Errno::CONNRESET) => self.end(Failure::Reset),
            Err(errno) => self.end(Failure::of_connect(errno)),
        }
    }

    fn write(&mut self, wire: &mut Wire) {
        let Some(socket) = &self.socket else { return };
        let (from, to) = (self.written, self.allowed);
        let sent = wire.lend((self.number, 0), from, |bytes| {
            let bytes = &bytes[..to - from];
            rustix::io::retry_on_intr(|| rustix::net::send(socket, bytes, SendFlags::NOSIGNAL))
        });
        match sent {
            Ok(bytes) => self.written += bytes,
            // Whatever came before the connection broke is still to be read.
            Err(_) => self.allowed = self.written,
        }
    }

    /// Ends the sending side of a client that does so, when its request is out.
    fn end_sending(&self) {
        let Some(socket) = &self.socket else { return };
        if self.part == Part::WholeThenEnd && self.written == self.whole {
            // A connection that broke is found by the read; twice is as good as once.
            let _ = rustix::net::shutdown(socket, Shutdown::Write);
        }
    }

    fn read(&mut self, wire: &Wire, buffer: &mut [u8]) {
        while let Some(socket) = &self.socket {
            match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
                Ok((0, _)) => self.at_end(wire),
                Ok((bytes, _)) => self.take(wire, &buffer[..bytes]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(errno) => self.end(Failure::of_transfer(errno)),
            }
        }
    }

    fn wants_answer(&self) -> bool {
        matches!(self.part, Part::Whole | Part::WholeThenEnd) && self.reply.is_none()
    }

    fn take(&mut self, wire: &Wire, bytes: &[u8]) {
        if !self.wants_answer() {
            return;
        }
        let (_, fate) = wire.take((self.number, 0), self.answer(), bytes);
        self.conclude(fate);
    }

    fn at_end(&mut self, wire: &Wire) {
        if self.wants_answer() {
            let fate = wire.at_end(self.answer());
            self.conclude(fate);
        }
        self.end(Failure::Closed);
    }

    fn answer(&mut self) -> Answer<'_> {
        Answer {
            read: &mut self.read,
            parser: self.parser.as_mut(),
            written: u32::try_from(self.written).unwrap_or(u32::MAX),
            verify: true,
        }
    }

    fn conclude(&mut self, fate: Fate) {
        match fate {
            Fate::More => {}
            Fate::Complete | Fate::CompleteAndLast => self.reply = Some((Reply::Good, self.age())),
            Fate::Refused(kind) => self.reply = Some((Reply::Bad(kind), self.age())),
            Fate::Wrong(kind) => self.end(kind),
        }
    }

    /// Ends the connection; the first reason counts.
    fn end(&mut self, why: Failure) {
        let age = self.age();
        self.ended.get_or_insert((why, age));
        self.socket = None;
    }
}

/// Whether the kernel connected the socket to itself: nobody listens on that local port.
fn met_itself(socket: &OwnedFd) -> bool {
    let socket = SockRef::from(socket);
    match (socket.local_addr(), socket.peer_addr()) {
        (Ok(local), Ok(peer)) => local.as_socket().is_some() && local == peer,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Ending, Exchange, Protocol};
    use std::io::Read as _;
    use std::net::TcpListener;

    #[test]
    fn a_slow_client_never_sends_its_last_byte() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = SockAddr::from(listener.local_addr().unwrap());
        let mut wire = Protocol::Exchange(Exchange {
            send: b"abc\n".to_vec(),
            ending: Ending::Until(b"\n".to_vec()),
        })
        .wire(1);
        let mut peer = Peer::open(&address, 1, Part::Slow, &wire).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        assert!(!peer.is_in_place());
        for _ in 0..9 {
            peer.step(&mut wire, &mut [0; 16]);
            peer.nudge();
        }
        assert!(peer.is_in_place() && !peer.is_settled());
        drop(peer);
        let mut received = Vec::new();
        accepted.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"abc");
    }
}
