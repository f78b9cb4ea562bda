//! What the kernel does to those who wait at a listening socket that is closed: bare sockets, without
//! a server that takes care.

use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use serde::Serialize;

use super::WORKERS;

/// How many wait.
pub(super) const CLIENTS: u32 = 64;
/// How long a client waits for the end of its connection.
const LIMIT: Duration = Duration::from_secs(10);
/// Where Linux says whether those who wait at a closed socket go to another one.
const MIGRATES: &str = "/proc/sys/net/ipv4/tcp_migrate_req";

/// Sockets of the same address, one of which is closed while clients wait.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Closing {
    /// Whether each holder has a socket of its own (SO_REUSEPORT), or all share one.
    pub(super) own_sockets: bool,
    /// Clients that the others accepted.
    pub(super) accepted: u32,
    /// Clients whose connection was reset.
    pub(super) reset: u32,
}

/// Whether this machine passes on who waits at a socket that is closed, so that nobody is lost.
pub(super) fn migrates() -> bool {
    std::fs::read_to_string(MIGRATES).is_ok_and(|text| text.trim() != "0")
}

/// Closes one of several handles of a shared socket, and one of several sockets.
pub(super) fn all() -> io::Result<Vec<Closing>> {
    let shared = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let handles = (1..WORKERS).map(|_| shared.try_clone());
    let mut handles = handles.collect::<io::Result<Vec<_>>>()?;
    handles.push(shared);
    let first = own_socket(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let SocketAddr::V4(addr) = first.local_addr()? else {
        return Err(io::Error::other("an IPv4 socket has another address"));
    };
    let mut sockets = vec![first];
    for _ in 1..WORKERS {
        sockets.push(own_socket(addr)?);
    }
    Ok(vec![close_one(handles, false)?, close_one(sockets, true)?])
}

/// A listening socket that does not mind others at its address.
fn own_socket(addr: SocketAddrV4) -> io::Result<TcpListener> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    bind(&socket, &addr)?;
    listen(&socket, CLIENTS.cast_signed())?;
    Ok(socket.into())
}

/// Lets clients connect, closes the last of `listeners`, and has the others accept all they can.
fn close_one(mut listeners: Vec<TcpListener>, own_sockets: bool) -> io::Result<Closing> {
    let addr = match listeners.first() {
        Some(listener) => listener.local_addr()?,
        None => return Err(io::Error::other("nobody listens")),
    };
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let client = TcpStream::connect(addr)?;
        client.set_read_timeout(Some(LIMIT))?;
        clients.push(client);
    }
    drop(listeners.pop());
    let mut accepted = 0;
    for listener in &listeners {
        listener.set_nonblocking(true)?;
        // Each is closed at once, which is the end that its client waits for.
        accepted += (0..CLIENTS)
            .map_while(|_| listener.accept().ok())
            .map(|_| 1)
            .sum::<u32>();
    }
    let mut reset = 0;
    for mut client in clients {
        match client.read(&mut [0]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => reset += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(Closing {
        own_sockets,
        accepted,
        reset,
    })
}
