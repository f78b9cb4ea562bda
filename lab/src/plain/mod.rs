//! The floor of each strategy: echo servers as small as they can be written, to measure ours against.
//!
//! ```text
//! lab @part plain-epoll ADDR WORKERS ──▶ the ready line ──▶ read, write, read, write …
//! ```
//!
//! Each is what a programmer writes who wants the strategy and nothing else: no limits, no time
//! limits, no counting, no draining, no log. What ours costs more than such a one is the price of all
//! that. They read as much at once, listen with as long a queue and send small answers at once as ours
//! do, so that nothing but the server differs. The floor of a load generator is the `client`; one that
//! speaks HTTP is answered by `http`.

mod blocking;
pub(crate) mod client;
mod epoll;
mod http;
mod tasks;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;

use rustix::net::sockopt::set_tcp_nodelay;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::part;
use crate::subject::{Launch, Subject};

/// Bytes that are read at once by whoever has a buffer for each connection.
const BUFFER_BYTES: usize = 16 << 10;
/// How many connections may wait to be accepted; the kernel may allow fewer.
const BACKLOG: i32 = 4096;

/// A server without anything.
#[derive(Clone, Copy, Debug)]
pub struct Plain {
    /// As typed.
    pub name: &'static str,
    /// What it is, in a few words.
    pub what: &'static str,
    /// Serves on the listener for ever; the number is that of its workers, where it has any.
    serve: fn(&TcpListener, NonZeroUsize) -> io::Result<()>,
}

/// The one with the least to do.
pub(crate) const EPOLL: Plain = Plain {
    name: "plain-epoll",
    what: "one thread with an epoll set and one buffer",
    serve: epoll::serve::<epoll::Echo>,
};

/// The same for whoever speaks HTTP; it is no echo server, and so none of [`ALL`].
pub(crate) const HTTP: Plain = Plain {
    name: "plain-http",
    what: "one thread with an epoll set that has one answer for each request head",
    serve: epoll::serve::<http::Http>,
};

/// All echo servers.
pub const ALL: &[Plain] = &[
    EPOLL,
    Plain {
        name: "plain-threads",
        what: "a std thread and a buffer for each connection",
        serve: blocking::threads,
    },
    Plain {
        name: "plain-threadpool",
        what: "a connection each for --workers threads of the crate threadpool",
        serve: blocking::threadpool,
    },
    Plain {
        name: "plain-rayon",
        what: "a connection each for --workers threads of rayon",
        serve: blocking::rayon,
    },
    Plain {
        name: "plain-processes",
        what: "a connection each for --workers processes, forked before (std)",
        serve: blocking::processes,
    },
    Plain {
        name: "plain-tokio",
        what: "a tokio task and a buffer for each connection, on --workers threads",
        serve: tasks::serve,
    },
];

/// The echo server of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Plain> {
    ALL.iter().find(|known| known.name == name)
}

/// The program of that name, whatever it answers.
pub(crate) fn part(name: &str) -> Option<&'static Plain> {
    [&HTTP]
        .into_iter()
        .chain(ALL)
        .find(|known| known.name == name)
}

impl Plain {
    /// The server with `workers` workers, where it has any.
    #[must_use]
    pub fn subject(&self, workers: usize) -> Subject {
        let told = [self.name, "127.0.0.1:0", &workers.to_string()];
        Subject {
            name: self.name.to_owned(),
            launch: Launch::Part(told.map(str::to_owned).to_vec()),
        }
    }

    /// Is the server, in the process that was started for it: `args` are an address and the number of
    /// workers. Ends only with its process, or when nothing can be served any more.
    ///
    /// # Errors
    ///
    /// When the arguments are others, or the system does not let it listen or accept.
    pub(crate) fn play(&self, args: &[String]) -> io::Result<u8> {
        let (addr, workers) = told(args).ok_or_else(|| {
            let form = format!("is started as '{} ADDR WORKERS'", self.name);
            io::Error::new(io::ErrorKind::InvalidInput, form)
        })?;
        let listener = TcpListener::bind(addr)?;
        // The standard library has a shorter queue; asking again makes it longer.
        rustix::net::listen(&listener, BACKLOG)?;
        // Accepted connections take this over from the listener.
        set_tcp_nodelay(&listener, true)?;
        take_all_descriptors();
        part::say(&json!({
            "event": "listening",
            "addr": listener.local_addr()?,
            "pid": std::process::id(),
        }))?;
        (self.serve)(&listener, workers)?;
        Ok(cli::exit::SUCCESS)
    }
}

fn told(args: &[String]) -> Option<(SocketAddr, NonZeroUsize)> {
    let [addr, workers] = args else { return None };
    Some((addr.parse().ok()?, workers.parse().ok()?))
}

/// As many connections as the system allows; without them it serves fewer.
fn take_all_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    let _ = setrlimit(Resource::Nofile, all);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_found() {
        let names: HashSet<&str> = ALL.iter().map(|known| known.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(names.iter().all(|name| find(name).is_some()));
        assert!(find("plain-fortran").is_none());
        assert!(
            find(HTTP.name).is_none() && part(HTTP.name).is_some(),
            "it does not echo"
        );
    }

    #[test]
    fn what_is_started_otherwise_says_how_it_is_started() {
        let args = |args: &[&str]| args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>();
        for wrong in [&[][..], &["127.0.0.1:0", "0"], &["nowhere", "1"]] {
            let error = find("plain-epoll").unwrap().play(&args(wrong)).unwrap_err();
            assert_eq!(
                error.to_string(),
                "is started as 'plain-epoll ADDR WORKERS'"
            );
        }
    }
}
