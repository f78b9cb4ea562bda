//! Where a server listens and a client connects: `host:port`, `[v6]:port`, `:port` or `unix:/path`.
//!
//! Parsing is pure; only [`Addr::resolve`] asks the system for a name.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

/// The longest path that fits into `sockaddr_un`, in bytes, without its closing NUL.
const UNIX_PATH_BYTES: usize = 107;

/// An address as typed, not yet resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Addr {
    /// A TCP endpoint.
    Tcp {
        /// A name or an IP address without brackets.
        host: String,
        /// 0 lets a server pick one.
        port: u16,
    },
    /// A Unix-domain stream socket.
    Unix(PathBuf),
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddr {
    /// None of the forms.
    #[error("expected host:port, [v6]:port, :port or unix:/path")]
    Form,
    /// The part after the last colon is no port.
    #[error("the port must be between 0 and 65535, not '{0}'")]
    Port(String),
    /// An IPv6 address needs brackets, or the brackets hold none.
    #[error("write an IPv6 address in brackets, as in [::1]:7007")]
    Brackets,
    /// The path is empty, or does not fit into a socket address.
    #[error("a socket path must have 1 to {UNIX_PATH_BYTES} bytes, this one has {0}")]
    Path(usize),
    /// Port 0 means "pick one", which only a server can do.
    #[error("the port must be between 1 and 65535; only a server can pick one by port 0")]
    NoPort,
}

impl Addr {
    /// Parses the address of a server to connect to, where port 0 makes no sense, nor a path where
    /// nobody can listen.
    ///
    /// # Errors
    ///
    /// [`InvalidAddr`] as for [`Addr::from_str`], [`InvalidAddr::NoPort`] for port 0, and
    /// [`InvalidAddr::Path`] for a path that is too long.
    pub fn parse_target(text: &str) -> Result<Self, InvalidAddr> {
        match text.parse()? {
            Self::Tcp { port: 0, .. } => Err(InvalidAddr::NoPort),
            Self::Unix(path) if path.as_os_str().len() > UNIX_PATH_BYTES => {
                Err(InvalidAddr::Path(path.as_os_str().len()))
            }
            addr => Ok(addr),
        }
    }

    /// All socket addresses of a TCP endpoint, in the system's order; none for a Unix path.
    ///
    /// # Errors
    ///
    /// When the name does not resolve.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Tcp { host, port } => Ok((host.as_str(), *port).to_socket_addrs()?.collect()),
            Self::Unix(_) => Ok(Vec::new()),
        }
    }
}

impl Default for Addr {
    /// `127.0.0.1:7007`, where all four programs meet when nothing is said.
    fn default() -> Self {
        Self::Tcp {
            host: Ipv4Addr::LOCALHOST.to_string(),
            port: 7007,
        }
    }
}

impl From<SocketAddr> for Addr {
    fn from(addr: SocketAddr) -> Self {
        Self::Tcp {
            host: addr.ip().to_string(),
            port: addr.port(),
        }
    }
}

impl FromStr for Addr {
    type Err = InvalidAddr;

    /// How long a path may be is a matter of the system, which whoever listens there will hear.
    fn from_str(text: &str) -> Result<Self, InvalidAddr> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.len() {
                0 => Err(InvalidAddr::Path(0)),
                _ => Ok(Self::Unix(path.into())),
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or(InvalidAddr::Form)?;
        let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
            Some(inside) => bracketed(inside)?,
            None if host.is_empty() => Ipv4Addr::LOCALHOST.to_string(),
            None if host.contains(':') => return Err(InvalidAddr::Brackets),
            None if host.chars().all(is_host_char) => host.to_owned(),
            None => return Err(InvalidAddr::Form),
        };
        // `u16::from_str` also takes a plus sign.
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let port = if digits { port.parse().ok() } else { None }
            .ok_or_else(|| InvalidAddr::Port(port.to_owned()))?;
        Ok(Self::Tcp { host, port })
    }
}

/// The address inside the brackets, which may carry a zone (`fe80::1%eth0`).
fn bracketed(inside: Option<&str>) -> Result<String, InvalidAddr> {
    let inside = inside.ok_or(InvalidAddr::Brackets)?;
    let bare = inside.split('%').next().unwrap_or(inside);
    bare.parse::<Ipv6Addr>()
        .map_err(|_| InvalidAddr::Brackets)?;
    Ok(inside.to_owned())
}

/// Letters in any script are left to the resolver; what is surely no host name is refused here.
fn is_host_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_')
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Addr {
    /// The IP address, when the host is one and not a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp { host, .. } => host.parse().ok(),
            Self::Unix(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tcp(host: &str, port: u16) -> Addr {
        Addr::Tcp {
            host: host.into(),
            port,
        }
    }

    #[test]
    fn every_form_is_read() {
        for (text, expected) in [
            ("127.0.0.1:7007", tcp("127.0.0.1", 7007)),
            ("localhost:1", tcp("localhost", 1)),
            (":0", tcp("127.0.0.1", 0)),
            ("[::]:65535", tcp("::", 65535)),
            ("[::1]:80", tcp("::1", 80)),
            ("[fe80::1%eth0]:7", tcp("fe80::1%eth0", 7)),
            ("unix:/run/echo.sock", Addr::Unix("/run/echo.sock".into())),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "", "7007", "host", "::1:80", "[::1]", "[]:1", "[x]:1", "[::1:1", "a b:1", "unix:",
        ] {
            assert!(text.parse::<Addr>().is_err(), "{text}");
        }
        for port in ["", "-1", "+1", "65536", "x", "1 "] {
            let expected = Err(InvalidAddr::Port(port.into()));
            assert_eq!(format!("h:{port}").parse::<Addr>(), expected);
        }
        assert_eq!(Addr::parse_target(":0"), Err(InvalidAddr::NoPort));
        assert_eq!(Addr::parse_target("unix:"), Err(InvalidAddr::Path(0)));
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_no_target() {
        let path = |length: usize| format!("unix:/{}", "x".repeat(length - 1));
        assert_eq!(Addr::parse_target(&path(107)), path(107).parse());
        assert_eq!(Addr::parse_target(&path(108)), Err(InvalidAddr::Path(108)));
        assert_eq!(path(108).parse(), Ok(Addr::Unix(path(108)[5..].into())));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(host in "[a-z][a-z0-9.-]{0,20}", port: u16) {
            let addr = tcp(&host, port);
            prop_assert_eq!(addr.to_string().parse(), Ok(addr));
        }

        #[test]
        fn an_ip_address_is_shown_and_read_back(ip: IpAddr, port: u16) {
            let addr = Addr::from(SocketAddr::new(ip, port));
            prop_assert_eq!(addr.to_string().parse(), Ok(addr));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            let _ = text.parse::<Addr>();
        }
    }
}
