//! What the kernel says of listening sockets, asked over netlink (`sock_diag`, as `ss` does): the
//! only way to see from outside how long a listener's queue may get.
//!
//! A dump of the listeners alone is cheap, however many connections there are. The bytes are taken
//! apart in pure functions; only [`ask`] and its callers talk to the kernel.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::listeners::{Listener, Place};

const HEADER_BYTES: usize = 16;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`: all that match, not one.
const REQUEST_ALL: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

const AF_UNIX: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
/// A set with the one state `TCP_LISTEN` in it; Unix-domain sockets use the same numbers.
const LISTENING: u32 = 1 << 10;

/// `inet_diag_msg` and `unix_diag_msg`, before their attributes.
const INET_BYTES: usize = 72;
const UNIX_BYTES: usize = 16;
const INET_DIAG_SKV6ONLY: u16 = 11;
const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_VFS: u16 = 1;
const UNIX_DIAG_RQLEN: u16 = 4;
/// `UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_RQLEN`.
const SHOW: u32 = 0x13;

/// A dump fits into a few of these.
const BUFFER_BYTES: usize = 64 << 10;
/// The kernel answers at once; this only keeps a surprise from holding a run up.
const PATIENCE: Duration = Duration::from_secs(1);

/// All TCP listeners of this network namespace.
///
/// # Errors
///
/// When the kernel has no such interface or refuses it.
pub(super) fn tcp() -> io::Result<Vec<Listener>> {
    let mut found = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let mut request = vec![family, IPPROTO_TCP, 0, 0];
        request.extend(LISTENING.to_ne_bytes());
        request.extend([0; 48]); // Any addresses, any ports.
        found.extend(ask(&request)?.iter().filter_map(|body| inet(body)));
    }
    Ok(found)
}

/// All Unix-domain listeners of this network namespace.
///
/// # Errors
///
/// As for [`tcp`].
pub(super) fn unix() -> io::Result<Vec<Listener>> {
    let mut request = vec![AF_UNIX, 0, 0, 0];
    for word in [LISTENING, 0, SHOW, 0, 0] {
        request.extend(word.to_ne_bytes());
    }
    Ok(ask(&request)?
        .iter()
        .filter_map(|body| unix_domain(body))
        .collect())
}

/// Sends one request and returns the body of each answer.
fn ask(request: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    rustix::net::send(&socket, &framed(request), SendFlags::empty())?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut bodies = Vec::new();
    loop {
        let (received, _) = rustix::io::retry_on_intr(|| {
            rustix::net::recv(&socket, &mut *buffer, RecvFlags::empty())
        })?;
        if received == 0 || !take_messages(&buffer[..received], &mut bodies)? {
            return Ok(bodies);
        }
    }
}

/// `body` behind the header of a request.
fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_BYTES + body.len()).unwrap_or(u32::MAX);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(REQUEST_ALL.to_ne_bytes());
    message.extend([0; 8]); // No sequence number, and the kernel fills in who asks.
    message.extend(body);
    message
}

/// Takes the messages of one datagram apart; false when the last one is among them.
fn take_messages(mut datagram: &[u8], bodies: &mut Vec<Vec<u8>>) -> io::Result<bool> {
    while let Some(length) = word(datagram, 0) {
        let length = length as usize;
        let Some(body) = datagram.get(HEADER_BYTES..length) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        match half(datagram, 4) {
            Some(NLMSG_DONE) => return Ok(false),
            Some(NLMSG_ERROR) => return Err(refusal(body)),
            _ => bodies.push(body.to_vec()),
        }
        datagram = datagram.get(aligned(length)..).unwrap_or_default();
    }
    Ok(true)
}

/// The kernel's error in an `nlmsgerr`, which is negated there.
fn refusal(body: &[u8]) -> io::Error {
    let code = word(body, 0).map_or(0, u32::cast_signed);
    io::Error::from_raw_os_error(code.saturating_neg())
}

fn inet(body: &[u8]) -> Option<Listener> {
    let port = u16::from_be_bytes(body.get(4..6)?.try_into().ok()?);
    let ip: IpAddr = match *body.first()? {
        AF_INET => Ipv4Addr::from(<[u8; 4]>::try_from(body.get(8..12)?).ok()?).into(),
        AF_INET6 => Ipv6Addr::from(<[u8; 16]>::try_from(body.get(8..24)?).ok()?).into(),
        _ => return None,
    };
    let v6_only = attribute(body.get(INET_BYTES..)?, INET_DIAG_SKV6ONLY);
    Some(Listener {
        place: Place::Tcp {
            ip,
            port,
            v6_only: v6_only.is_some_and(|value| value.first() == Some(&1)),
        },
        inode: word(body, 68)?.into(),
        backlog: Some(word(body, 60)?),
    })
}

fn unix_domain(body: &[u8]) -> Option<Listener> {
    let attributes = body.get(UNIX_BYTES..)?;
    let file = attribute(attributes, UNIX_DIAG_VFS);
    let name = attribute(attributes, UNIX_DIAG_NAME);
    Some(Listener {
        place: Place::Unix {
            file: file.and_then(|vfs| Some((word(vfs, 0)?, word(vfs, 4)?))),
            path: name.and_then(path),
        },
        inode: word(body, 4)?.into(),
        backlog: attribute(attributes, UNIX_DIAG_RQLEN).and_then(|lengths| word(lengths, 4)),
    })
}

/// The path in a socket's name; the abstract ones, which begin with a NUL, have none.
fn path(name: &[u8]) -> Option<PathBuf> {
    let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
    let text = std::str::from_utf8(&name[..end]).ok()?;
    (!text.is_empty()).then(|| text.into())
}

/// The value of the attribute `kind`.
fn attribute(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    while let (Some(length), Some(found)) = (half(attributes, 0), half(attributes, 2)) {
        let value = attributes.get(4..usize::from(length))?;
        if found == kind {
            return Some(value);
        }
        attributes = attributes.get(aligned(length.into())..).unwrap_or_default();
    }
    None
}

/// Everything in netlink begins at a multiple of four bytes.
const fn aligned(bytes: usize) -> usize {
    bytes.saturating_add(3) & !3
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    word.try_into().ok().map(u32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let half = bytes.get(at..at.checked_add(2)?)?;
    half.try_into().ok().map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_length_of_a_queue_is_told() {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).unwrap();
        socket.listen(77).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        let all = tcp().unwrap();
        let found = all
            .iter()
            .find(|l| matches!(l.place, Place::Tcp { port: p, .. } if p == port));
        let found = found.unwrap();
        assert_eq!(found.backlog, Some(77));
        assert!(found.inode > 0);
    }

    #[test]
    fn a_unix_listener_is_told_with_its_queue() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&file).unwrap();
        let all = unix().unwrap();
        let named = all
            .iter()
            .find(|l| matches!(&l.place, Place::Unix { path: Some(p), .. } if *p == file));
        assert!(named.unwrap().backlog.is_some_and(|limit| limit > 0));
    }

    #[test]
    fn a_refusal_is_an_error_with_its_reason() {
        let mut message = 20_u32.to_ne_bytes().to_vec();
        message.extend(NLMSG_ERROR.to_ne_bytes());
        message.extend([0; 10]);
        message.extend((-13_i32).to_ne_bytes());
        let error = take_messages(&message, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parsers_panic(bytes: Vec<u8>, kind: u16) {
            let _ = take_messages(&bytes, &mut Vec::new());
            let _ = (attribute(&bytes, kind), inet(&bytes), unix_domain(&bytes));
        }
    }
}
