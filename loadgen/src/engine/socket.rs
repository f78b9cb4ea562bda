//! The few system calls on a client's socket.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Socket, Type};

use super::target::{Route, is_tcp};
use crate::failure::Failure;

/// Begins a connection along `route` without waiting for it: the socket becomes writable when its
/// fate is known, at once on a path.
///
/// # Errors
///
/// The failure's kind and the system's error.
pub(super) fn connect(route: Route<'_>) -> Result<OwnedFd, (Failure, Errno)> {
    let socket = open(route).map_err(|errno| (Failure::of_connect(errno), errno))?;
    if let Some(source) = route.source {
        bind(&socket, source).map_err(|errno| (Failure::of_bind(errno), errno))?;
    }
    match socket.connect(route.address).map_err(errno) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err((Failure::of_connect(error), error)),
    }
}

fn open(route: Route<'_>) -> Result<Socket, Errno> {
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(route.address.domain(), kind, None).map_err(errno)?;
    if is_tcp(route.address) {
        // Without this a message in two pieces waits 40 ms for the peer's delayed acknowledgement.
        socket.set_tcp_nodelay(true).map_err(errno)?;
    }
    Ok(socket)
}

/// Sets where the connection comes from. The kernel picks the port when it knows the destination
/// too: picked here, it would be taken for all destinations, and 28,000 would be the end.
fn bind(socket: &Socket, source: IpAddr) -> Result<(), Errno> {
    setsockopt(socket, IpBindAddressNoPort, &true)
        .map_err(|error| Errno::from_raw_os_error(error as i32))?;
    let any_port = SocketAddr::new(source, 0);
    socket.bind(&any_port.into()).map_err(errno)
}

/// What became of a connection under way.
///
/// # Errors
///
/// The failure's kind, and the system's error where there is one.
pub(super) fn fate(socket: &OwnedFd) -> Result<(), (Failure, Errno)> {
    match rustix::net::sockopt::socket_error(socket).and_then(|result| result) {
        // Who does not listen refuses; who resets had accepted. The first write will tell.
        Ok(()) | Err(Errno::CONNRESET) => {}
        Err(error) => return Err((Failure::of_connect(error), error)),
    }
    // Connecting to a local port that nobody listens on may by chance pick the same local port:
    // the socket then talks to itself, and echoes perfectly.
    let socket = socket2::SockRef::from(socket);
    match (socket.local_addr(), socket.peer_addr()) {
        (Ok(local), Ok(peer)) if local.as_socket().is_some() && local == peer => {
            Err((Failure::SelfConnect, Errno::CONNREFUSED))
        }
        _ => Ok(()),
    }
}

/// Writes what the socket takes.
///
/// # Errors
///
/// The system's error; [`Errno::AGAIN`] when it takes nothing now.
#[inline]
pub(super) fn send(socket: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    rustix::io::retry_on_intr(|| rustix::net::send(&socket, bytes, SendFlags::NOSIGNAL))
}

/// Reads what is there; 0 bytes mean that the peer has closed.
///
/// # Errors
///
/// The system's error; [`Errno::AGAIN`] when nothing is there.
#[inline]
pub(super) fn recv(socket: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match rustix::net::recv(&socket, &mut *buffer, RecvFlags::empty()) {
            Ok((bytes, _)) => return Ok(bytes),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use socket2::Domain;
    use std::net::TcpListener;
    use std::time::Duration;

    const PATIENCE: Timespec = Timespec {
        tv_sec: 20,
        tv_nsec: 0,
    };

    fn connect_from(source: &str, to: SocketAddr) -> Result<SocketAddr, (Failure, Errno)> {
        let socket = connect(Route {
            address: &to.into(),
            source: Some(source.parse().unwrap()),
        })?;
        let mut wanted = [PollFd::new(&socket, PollFlags::OUT)];
        assert_eq!(poll(&mut wanted, Some(&PATIENCE)).unwrap(), 1);
        fate(&socket)?;
        let local = socket2::SockRef::from(&socket).local_addr().unwrap();
        Ok(local.as_socket().unwrap())
    }

    fn over_ipv6() -> Option<TcpListener> {
        let listener = TcpListener::bind("[::1]:0");
        let skipped = |error: &std::io::Error| println!("SKIPPED: no IPv6 here: {error}");
        listener.inspect_err(skipped).ok()
    }

    #[test]
    fn small_writes_are_not_held_back() {
        let (old, new) = (TcpListener::bind("127.0.0.1:0").unwrap(), over_ipv6());
        let over_ipv4 = [None, Some([127, 0, 0, 2].into())].map(|source| (&old, source));
        let over_ipv6 = new.iter().map(|listener| (listener, None));
        for (listener, source) in over_ipv4.into_iter().chain(over_ipv6) {
            let address = &listener.local_addr().unwrap().into();
            let socket = connect(Route { address, source }).unwrap();
            assert!(socket2::SockRef::from(&socket).tcp_nodelay().unwrap());
        }
    }

    #[test]
    fn a_connection_comes_from_where_it_is_told_to() {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let local = connect_from("127.0.0.77", ([127, 0, 0, 1], port).into()).unwrap();
        assert_eq!(local.ip().to_string(), "127.0.0.77");
        assert_ne!(local.port(), 0);
    }

    #[test]
    fn ipv6_has_sources_too() {
        let Some(listener) = over_ipv6() else { return };
        let local = connect_from("::1", listener.local_addr().unwrap()).unwrap();
        assert_eq!(local.ip().to_string(), "::1");
    }

    #[test]
    fn an_address_that_is_not_ours_is_told_from_a_lack_of_ports() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let (kind, errno) = connect_from("192.0.2.1", to).unwrap_err();
        assert_eq!((kind, errno), (Failure::NotOurs, Errno::ADDRNOTAVAIL));
        assert_eq!(Failure::of_connect(errno), Failure::NoLocalPort);
    }

    /// A port is taken for one destination only: two sockets share it when they differ in that.
    #[test]
    fn a_bound_source_takes_its_port_late() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        bind(&socket, [127, 0, 0, 1].into()).unwrap();
        let local = socket.local_addr().unwrap().as_socket().unwrap();
        assert_eq!(local.port(), 0);
    }

    #[test]
    fn a_socket_that_met_itself_is_not_connected() {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&any.into()).unwrap();
        socket.connect(&socket.local_addr().unwrap()).unwrap();
        let (kind, _) = fate(&socket.into()).unwrap_err();
        assert_eq!(kind, Failure::SelfConnect);
    }

    #[test]
    fn who_resets_had_accepted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket
            .connect(&listener.local_addr().unwrap().into())
            .unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let linger = socket2::SockRef::from(&accepted).set_linger(Some(Duration::ZERO));
        linger.unwrap();
        drop(accepted);
        let mut wanted = [PollFd::new(&socket, PollFlags::IN)];
        assert_eq!(poll(&mut wanted, Some(&PATIENCE)).unwrap(), 1);
        let socket = OwnedFd::from(socket);
        assert!(fate(&socket).is_ok());
        assert_eq!(send(&socket, b"x"), Err(Errno::PIPE));
    }
}
