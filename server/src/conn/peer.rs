//! Whoever is on the other side of a connection.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;

use serde::{Deserialize, Serialize};

// The kinds of peers in words, and where kind and port are in the last one.
const V4: u64 = 1;
const V6: u64 = 2;
const PROCESS: u64 = 3;
const SOME_PROCESS: u64 = 4;
const UNKNOWN: u64 = 5;
const KIND_BIT: u32 = 48;
const PORT_BIT: u32 = 32;

/// Whoever is on the other side, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Peer {
    /// On TCP.
    Inet(SocketAddr),
    /// On a Unix socket: the process that connected, where the kernel tells.
    Unix {
        /// Its number.
        pid: Option<i32>,
    },
    /// Gone before its address was asked for.
    Unknown,
}

impl Peer {
    /// Its address, where it has one.
    pub(crate) fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Inet(addr) => Some(addr.ip()),
            Self::Unix { .. } | Self::Unknown => None,
        }
    }

    /// As words, for memory that is read while it is written. The last says of which kind it is;
    /// zeroes are nobody.
    pub(crate) fn to_words(self) -> [u64; 3] {
        let (kind, ip, port, rest) = match self {
            Self::Inet(SocketAddr::V4(addr)) => (V4, addr.ip().to_bits().into(), addr.port(), 0),
            Self::Inet(SocketAddr::V6(addr)) => {
                (V6, addr.ip().to_bits(), addr.port(), addr.scope_id())
            }
            Self::Unix { pid: Some(pid) } => (PROCESS, 0, 0, pid.cast_unsigned()),
            Self::Unix { pid: None } => (SOME_PROCESS, 0, 0, 0),
            Self::Unknown => (UNKNOWN, 0, 0, 0),
        };
        // Neither half is more than a word.
        let [high, low] = [ip >> 64, ip & u128::from(u64::MAX)]
            .map(|half| u64::try_from(half).unwrap_or_default());
        let last = kind << KIND_BIT | u64::from(port) << PORT_BIT | u64::from(rest);
        [high, low, last]
    }

    /// The one that was put into these words; none if none was.
    pub(crate) fn from_words([high, low, last]: [u64; 3]) -> Option<Self> {
        let port = u16::try_from(last >> PORT_BIT & u64::from(u16::MAX)).ok()?;
        let rest = u32::try_from(last & u64::from(u32::MAX)).ok()?;
        Some(match last >> KIND_BIT {
            V4 => {
                let ip = Ipv4Addr::from_bits(u32::try_from(low).ok()?);
                Self::Inet((ip, port).into())
            }
            V6 => {
                let ip = Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low));
                Self::Inet(SocketAddrV6::new(ip, port, 0, rest).into())
            }
            PROCESS => Self::Unix {
                pid: Some(rest.cast_signed()),
            },
            SOME_PROCESS => Self::Unix { pid: None },
            UNKNOWN => Self::Unknown,
            _ => return None,
        })
    }

    /// That of a socket, as the kernel knows it; it may be gone already.
    pub(crate) fn of(socket: &impl AsFd) -> Self {
        let peer = rustix::net::getpeername(socket).ok().flatten();
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        peer.map_or(Self::Unknown, Self::Inet)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(addr) => addr.fmt(f),
            Self::Unix { pid: Some(pid) } => write!(f, "process {pid}"),
            Self::Unix { pid: None } => f.write_str("a process"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_can_be_put_into_words_and_zeroes_are_nobody() {
        let link = SocketAddrV6::new("fe80::1234".parse().unwrap(), 65535, 0, 7);
        for peer in [
            Peer::Inet("192.0.2.255:1".parse().unwrap()),
            Peer::Inet("[2001:db8::1]:7007".parse().unwrap()),
            Peer::Inet("[::ffff:192.0.2.255]:1".parse().unwrap()),
            Peer::Inet(link.into()),
            Peer::Unix {
                pid: Some(i32::MAX),
            },
            Peer::Unix { pid: None },
            Peer::Unknown,
        ] {
            assert_eq!(Peer::from_words(peer.to_words()), Some(peer));
        }
        assert_eq!(Peer::from_words([0; 3]), None);
    }
}
