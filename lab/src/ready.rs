//! The first line of a server's stdout, ours or a plain one's: it listens, here, and this is what it
//! can do.

use std::net::SocketAddr;

use serde::Deserialize;

/// What a server says once it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its standing workers, if it said so.
    pub workers: Option<usize>,
    /// How many clients that stay it can serve at once, if it said so.
    pub capacity: Option<usize>,
    /// Its own idea of its process, if it said so.
    pub pid: Option<u32>,
}

#[derive(Deserialize)]
struct Line {
    event: String,
    addr: SocketAddr,
    workers: Option<usize>,
    capacity: Option<usize>,
    pid: u32,
}

impl Ready {
    /// A server of which nothing is known but its address.
    #[must_use]
    pub fn at(addr: SocketAddr) -> Self {
        Self {
            addr,
            workers: None,
            capacity: None,
            pid: None,
        }
    }

    /// Reads the line; `None` if it is another one.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let line: Line = serde_json::from_str(line).ok()?;
        (line.event == "listening").then_some(Self {
            addr: line.addr,
            workers: line.workers,
            capacity: line.capacity,
            pid: Some(line.pid),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_is_read_and_others_are_not() {
        let line = r#"{"event":"listening","addr":"127.0.0.1:4242","mode":"thread-pool","workers":4,"capacity":4,"pid":17}"#;
        let ready = Ready::parse(line).unwrap();
        assert_eq!(
            (ready.addr.port(), ready.capacity, ready.pid),
            (4242, Some(4), Some(17))
        );
        assert_eq!(Ready::parse(&line.replace("listening", "stopped")), None);
        assert_eq!(Ready::parse("listening on 127.0.0.1:4242"), None);
    }
}
