//! Which listening sockets of this machine a target's connections arrive at.
//!
//! Asked over netlink, or read from `/proc/net` where that is refused; the queue's limit is then
//! unknown. Matching is pure.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use socket2::SockAddr;

use super::diag;

/// A listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    /// Where it listens.
    pub(super) place: Place,
    /// Its number, by which its owners are found.
    pub(super) inode: u64,
    /// How many connections its queue may hold; none when the kernel does not tell.
    pub(super) backlog: Option<u32>,
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On a port.
    Tcp {
        /// One address, or all of a family.
        ip: IpAddr,
        /// The port.
        port: u16,
        /// Whether `[::]` leaves connections over IPv4 to others.
        v6_only: bool,
    },
    /// On a file.
    Unix {
        /// The file's number, cut to 32 bits, and its device in the kernel's form.
        file: Option<(u32, u32)>,
        /// The path as the server said it.
        path: Option<PathBuf>,
    },
}

/// A target's address that is on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A port.
    Tcp(SocketAddr),
    /// A file.
    Unix(PathBuf),
}

impl Endpoint {
    /// The endpoint behind `address`; none when that is on another machine.
    pub(super) fn of(address: &SockAddr) -> Option<Self> {
        if let Some(path) = address.as_pathname() {
            return Some(Self::Unix(path.to_owned()));
        }
        address
            .as_socket()
            .filter(|socket| is_ours(socket.ip()))
            .map(Self::Tcp)
    }

    /// The listeners that connections to this endpoint arrive at.
    pub(super) fn listeners(&self) -> Vec<Listener> {
        match self {
            Self::Tcp(address) => {
                let all = diag::tcp().unwrap_or_else(|_| tables());
                at_address(&all, *address)
            }
            Self::Unix(path) => {
                let all = diag::unix().unwrap_or_else(|_| {
                    unix_table(&fs::read_to_string("/proc/net/unix").unwrap_or_default())
                });
                at_path(&all, path)
            }
        }
    }
}

/// Whether `ip` is an address of this machine: only then can a socket be bound to it.
pub(crate) fn is_ours(ip: IpAddr) -> bool {
    ip.is_unspecified() || UdpSocket::bind((ip, 0)).is_ok()
}

/// Who listens at exactly `address`, or else at all addresses.
fn at_address(all: &[Listener], address: SocketAddr) -> Vec<Listener> {
    // Connecting to "all addresses" means this machine.
    let wanted = match address.ip().to_canonical() {
        ip if ip == Ipv4Addr::UNSPECIFIED => Ipv4Addr::LOCALHOST.into(),
        ip if ip == Ipv6Addr::UNSPECIFIED => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let rank = |listener: &Listener| match listener.place {
        Place::Tcp { port, .. } if port != address.port() => None,
        Place::Tcp { ip, .. } if ip.to_canonical() == wanted => Some(0),
        Place::Tcp { ip, .. } if ip.is_unspecified() && ip.is_ipv4() == wanted.is_ipv4() => Some(1),
        Place::Tcp { ip, v6_only, .. } if ip.is_unspecified() && ip.is_ipv6() && !v6_only => {
            Some(2)
        }
        _ => None,
    };
    let Some(best) = all.iter().filter_map(rank).min() else {
        return Vec::new();
    };
    let nearest = all.iter().filter(|listener| rank(listener) == Some(best));
    nearest.cloned().collect()
}

/// Who listens on the file at `path`: the file counts, however its path was written; where it does
/// not help (layered file systems number files anew), the path does.
fn at_path(all: &[Listener], path: &Path) -> Vec<Listener> {
    let wanted = fs::metadata(path).ok().map(|file| kernel_number(&file));
    let same_file = |listener: &&Listener| matches!(&listener.place, Place::Unix { file, .. } if file.is_some() && *file == wanted);
    let found: Vec<_> = all.iter().filter(same_file).cloned().collect();
    if !found.is_empty() {
        return found;
    }
    let same_path = |listener: &&Listener| matches!(&listener.place, Place::Unix { path: Some(p), .. } if p == path);
    all.iter().filter(same_path).cloned().collect()
}

/// The number of a file and of its device as the kernel writes them in `unix_diag_vfs`.
fn kernel_number(file: &fs::Metadata) -> (u32, u32) {
    let low = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    let device = file.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    (low(file.ino()), major << 20 | minor)
}

/// The TCP listeners in `/proc/net`.
fn tables() -> Vec<Listener> {
    let read = |name| fs::read_to_string(name).unwrap_or_default();
    let mut all = tcp_table(&read("/proc/net/tcp"));
    all.extend(tcp_table(&read("/proc/net/tcp6")));
    all
}

/// The listeners in `/proc/net/tcp` or `/proc/net/tcp6`, whose lines are
/// `0: 0100007F:1B5F 00000000:0000 0A queues timer retransmits uid timeout inode …`.
fn tcp_table(text: &str) -> Vec<Listener> {
    const LISTEN: &str = "0A";
    let listener = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let (ip, port) = fields.get(1)?.split_once(':')?;
        let place = Place::Tcp {
            ip: hex_ip(ip)?,
            port: u16::from_str_radix(port, 16).ok()?,
            v6_only: false,
        };
        let inode = fields.get(9)?.parse().ok()?;
        (*fields.get(3)? == LISTEN).then_some(Listener {
            place,
            inode,
            backlog: None,
        })
    };
    text.lines().filter_map(listener).collect()
}

/// An address as `/proc/net` writes it: words of the machine's own order in hexadecimal.
fn hex_ip(text: &str) -> Option<IpAddr> {
    let words = text.as_bytes().chunks(8).map(|chunk| {
        let digits = std::str::from_utf8(chunk).ok()?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    });
    let bytes = words.collect::<Option<Vec<_>>>()?.concat();
    if let Ok(v4) = <[u8; 4]>::try_from(&*bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(&*bytes).ok().map(IpAddr::from)
}

/// The listeners in `/proc/net/unix`, whose lines are
/// `0000: references protocol flags type state inode path`.
fn unix_table(text: &str) -> Vec<Listener> {
    const ACCEPTS: u32 = 0x1_0000;
    let listener = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let flags = u32::from_str_radix(fields.get(3)?, 16).ok()?;
        let path = Some(fields.get(7..)?.join(" ")).filter(|path| !path.is_empty());
        (flags & ACCEPTS != 0).then_some(Listener {
            place: Place::Unix {
                file: None,
                path: path.map(PathBuf::from),
            },
            inode: fields.get(6)?.parse().ok()?,
            backlog: None,
        })
    };
    text.lines().filter_map(listener).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    fn at(ip: &str, inode: u64) -> Listener {
        listener(ip, inode, false)
    }

    fn listener(ip: &str, inode: u64, v6_only: bool) -> Listener {
        let place = Place::Tcp {
            ip: ip.parse().unwrap(),
            port: 7,
            v6_only,
        };
        Listener {
            place,
            inode,
            backlog: None,
        }
    }

    fn found(all: &[Listener], address: &str) -> Vec<u64> {
        let all = at_address(all, address.parse().unwrap());
        all.iter().map(|listener| listener.inode).collect()
    }

    #[test]
    fn the_nearest_listener_is_meant() {
        let all = [
            at("127.0.0.1", 1),
            at("0.0.0.0", 2),
            at("::", 3),
            at("::1", 4),
        ];
        assert_eq!(found(&all, "127.0.0.1:7"), [1]);
        assert_eq!(found(&all, "127.0.0.2:7"), [2]);
        assert_eq!(found(&all, "[::1]:7"), [4]);
        assert_eq!(found(&all, "[fe80::1]:7"), [3]);
        assert_eq!(found(&all, "0.0.0.0:7"), [1]);
        assert!(found(&all, "127.0.0.1:8").is_empty());
    }

    #[test]
    fn listeners_that_share_a_port_are_all_meant() {
        let all = [at("0.0.0.0", 1), at("0.0.0.0", 2), at("10.0.0.1", 3)];
        assert_eq!(found(&all, "127.0.0.1:7"), [1, 2]);
    }

    #[test]
    fn all_of_ipv6_takes_ipv4_too_unless_it_says_otherwise() {
        assert_eq!(found(&[at("::", 1)], "127.0.0.1:7"), [1]);
        assert!(found(&[listener("::", 1, true)], "127.0.0.1:7").is_empty());
        assert_eq!(found(&[at("::ffff:127.0.0.1", 1)], "127.0.0.1:7"), [1]);
    }

    #[test]
    fn tables_are_read() {
        let line = "   1: 0100007F:1B5F 00000000:0000 0A 00000000:00000000 00:00000000 00000000  \
                    1000        0 4242 1 0 100 0 0 10 0";
        let connected = line.replace(" 0A ", " 01 ");
        let found = tcp_table(&format!("  sl  local_address\n{line}\n{connected}\n"));
        let place = Place::Tcp {
            ip: [127, 0, 0, 1].into(),
            port: 7007,
            v6_only: false,
        };
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].place, found[0].inode), (&place, 4242));
        let v6 = hex_ip("00000000000000000000000001000000");
        assert_eq!(v6, Some(Ipv6Addr::LOCALHOST.into()));
        let unix = "Num RefCount\n0000: 00000002 00000000 00010000 0001 01 77 /run/a b\n\
                    0000: 00000003 00000000 00000000 0001 03 78 /run/c\n";
        let found = unix_table(unix);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].inode, 77);
    }

    #[test]
    fn both_sources_agree_on_this_machine() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Endpoint::Tcp(address).listeners();
        let read = at_address(&tables(), address);
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].inode, read[0].inode);
    }

    #[test]
    fn a_file_is_found_however_its_path_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("socket");
        let _listener = UnixListener::bind(&file).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for path in [file, link] {
            let endpoint = Endpoint::of(&SockAddr::unix(&path).unwrap()).unwrap();
            assert_eq!(endpoint.listeners().len(), 1, "{}", path.display());
        }
    }

    #[test]
    fn other_machines_are_not_looked_at() {
        assert!(is_ours([127, 0, 0, 1].into()));
        // Reserved for documentation: nobody has it.
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 7));
        assert_eq!(Endpoint::of(&elsewhere.into()), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_tables_panic(text in ".*") {
            let _ = (tcp_table(&text), unix_table(&text), hex_ip(&text));
        }
    }
}
