//! Clients: every one of them has a limit on reading, writing and connecting.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, SockRef, Socket, Type};

use super::{LIMIT, WORKERS};

/// Connects, and gives the socket its limits.
pub(crate) fn connect_to(addr: SocketAddr) -> io::Result<TcpStream> {
    with_limits(TcpStream::connect_timeout(&addr, LIMIT / 2)?)
}

fn with_limits(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The same from one of this machine's addresses.
pub(crate) fn connect_from(ip: Ipv4Addr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((ip, 0)).into())?;
    socket.connect_timeout(&server.into(), LIMIT / 2)?;
    with_limits(socket.into())
}

/// The same on a path. The stream is a Unix socket, which is read, written and half-closed by the
/// same calls, so that all that is done with clients here can be done with it.
pub(crate) fn connect_to_path(path: &Path) -> io::Result<TcpStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(TcpStream::from(OwnedFd::from(stream)))
}

/// Bytes without a pattern that a shifted or repeated piece would keep; the same seed gives the
/// same ones (xorshift64*).
pub(crate) fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 7);
    while bytes.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Sends `bytes`, which must fit into the sockets' buffers, and expects them back.
pub(crate) fn round_trip(client: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    client.write_all(bytes)?;
    let mut answer = vec![0; bytes.len()];
    client.read_exact(&mut answer)?;
    assert!(answer == bytes, "{} other bytes came back", answer.len());
    Ok(())
}

/// Writes and reads at the same time, half-closes, and returns all that came until the end.
pub(crate) fn converse(client: &TcpStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
    converse_in_chunks(client, bytes.chunks(64 * 1024))
}

/// The same with a write for each chunk.
pub(crate) fn converse_in_chunks<'a>(
    client: &TcpStream,
    chunks: impl Iterator<Item = &'a [u8]> + Send,
) -> io::Result<Vec<u8>> {
    thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for chunk in chunks {
                (&*client).write_all(chunk)?;
            }
            client.shutdown(std::net::Shutdown::Write)
        });
        let mut received = Vec::new();
        (&*client).read_to_end(&mut received)?;
        writer.join().unwrap()?;
        Ok(received)
    })
}

/// What comes until the end, and whether that end is a close in order: a reset is `None`.
pub(crate) fn end_of(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut received = Vec::new();
    match client.read_to_end(&mut received) {
        Ok(_) => Some(received),
        Err(error) => {
            let broken = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
            assert!(broken.contains(&error.kind()), "no end: {error}");
            None
        }
    }
}

/// A client who says something, half-closes, and hears it and the end in order.
pub(crate) fn visit(mut client: TcpStream) -> io::Result<()> {
    client.write_all(b"last words")?;
    client.shutdown(Shutdown::Write)?;
    let words = end_of(&mut client);
    assert_eq!(words.as_deref(), Some(&b"last words"[..]), "reset");
    Ok(())
}

/// Breaks the connection: the server hears no end, but a reset.
pub(crate) fn reset(client: TcpStream) {
    let socket = SockRef::from(&client);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
}

/// Whether neither bytes nor an end have arrived, asked without waiting.
pub(crate) fn has_nothing_to_read(client: &TcpStream) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let peeked = rustix::net::recv(client, &mut [0_u8], flags);
    matches!(peeked, Err(rustix::io::Errno::AGAIN))
}

/// Waits until at least `count` of the clients have something to read (or an end), and tells which.
pub(crate) fn wait_readable(clients: &[TcpStream], count: usize) -> Vec<usize> {
    let end = Instant::now() + LIMIT;
    // Those that are readable already would end each poll at once, so they leave the set.
    let mut readable: Vec<usize> = Vec::new();
    while readable.len() < count {
        let waiting: Vec<usize> = (0..clients.len())
            .filter(|index| !readable.contains(index))
            .collect();
        let mut fds: Vec<_> = waiting
            .iter()
            .map(|index| PollFd::new(&clients[*index], PollFlags::IN))
            .collect();
        let left = end.saturating_duration_since(Instant::now());
        let ready = poll(&mut fds, Some(&Timespec::try_from(left).unwrap())).unwrap();
        let got = readable.len();
        assert!(ready > 0, "{got} clients hear something, not {count}");
        let ready = fds.iter().map(|fd| !fd.revents().is_empty());
        readable.extend(
            waiting
                .iter()
                .zip(ready)
                .filter_map(|(index, is)| is.then_some(*index)),
        );
    }
    readable.sort_unstable();
    readable
}

/// Opens `offered` clients that send a byte each, and returns the `expected` ones that are
/// answered first and the others, of which none is.
pub(crate) fn served(
    addr: SocketAddr,
    offered: usize,
    expected: usize,
) -> io::Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let mut clients = Vec::new();
    for _ in 0..offered {
        let mut client = connect_to(addr)?;
        client.write_all(b"?")?;
        clients.push(client);
    }
    let lucky = wait_readable(&clients, expected);
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for (index, mut client) in clients.into_iter().enumerate() {
        if lucky.contains(&index) {
            client.read_exact(&mut [0])?;
            inside.push(client);
        } else {
            outside.push(client);
        }
    }
    assert_only_these_are_served(&mut inside, &outside)?;
    Ok((inside, outside))
}

/// A further conversation with those inside gives the server every chance to serve the others.
pub(crate) fn assert_only_these_are_served(
    inside: &mut [TcpStream],
    outside: &[TcpStream],
) -> io::Result<()> {
    for client in inside {
        round_trip(client, b"still there?")?;
    }
    for client in outside {
        assert!(has_nothing_to_read(client), "a client too many is served");
    }
    Ok(())
}

/// Clients of a pool with a queue: as many served as there are workers, and as many waiting.
pub(crate) fn inside_and_queued(addr: SocketAddr) -> (Vec<TcpStream>, Vec<TcpStream>) {
    let mut clients: Vec<_> = (0..2 * WORKERS)
        .map(|_| connect_to(addr).unwrap())
        .collect();
    for client in &mut clients {
        client.write_all(b"free").unwrap();
    }
    let inside = wait_readable(&clients, WORKERS);
    let (mut served, mut queued) = (Vec::new(), Vec::new());
    for (index, mut client) in clients.into_iter().enumerate() {
        if inside.contains(&index) {
            client.read_exact(&mut [0; 4]).unwrap();
            served.push(client);
        } else {
            queued.push(client);
        }
    }
    (served, queued)
}

/// Whether the server ends it, in order or not, within `time`, while it offers whatever is taken and
/// reads nothing: a pause of the server is then no room that stays.
pub(crate) fn has_ended_within_though_it_offers(time: Duration, client: &TcpStream) -> bool {
    let offer = vec![b'x'; 64 << 10];
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap();
        let mut fds = [PollFd::new(client, PollFlags::OUT | PollFlags::RDHUP)];
        if poll(&mut fds, Some(&left)).unwrap() == 0 {
            return false;
        }
        if fds[0].revents() != PollFlags::OUT {
            return true;
        }
        assert!(Instant::now() < end + LIMIT, "the server takes all of it");
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let _ = rustix::net::send(client, &offer, flags);
    }
}

/// Writes from the start of `bytes` until the socket takes no more, and returns how many it took.
pub(crate) fn until_stalled(client: &TcpStream, bytes: &[u8]) -> usize {
    /// A server that is merely slow would only make the test an easier one.
    const STALL: Duration = Duration::from_millis(300);
    let stall = Timespec::try_from(STALL).unwrap();
    let mut taken = 0;
    loop {
        let mut fds = [PollFd::new(client, PollFlags::OUT)];
        if poll(&mut fds, Some(&stall)).unwrap() == 0 {
            return taken;
        }
        let rest = &bytes[taken..];
        assert!(!rest.is_empty(), "the socket takes everything");
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::net::send(client, rest, flags) {
            Ok(count) => taken += count,
            Err(error) => assert_eq!(error, rustix::io::Errno::AGAIN),
        }
    }
}
