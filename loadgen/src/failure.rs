//! What can go wrong between a client and its server, by kind.
//!
//! A closed set: a new kind is one line in [`Failure::ALL`] and one name.

use rustix::io::Errno;

/// One kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody listens there.
    Refused,
    /// The kernel gave up waiting for the connection.
    ConnectTimeout,
    /// There is no way to the host.
    Unreachable,
    /// The kernel connected the socket to itself: nobody listens on that local port.
    SelfConnect,
    /// The queue of a Unix-domain listener is full.
    QueueFull,
    /// This machine has no local port left for the target.
    NoLocalPort,
    /// An address that connections were to come from is none of this machine's any more.
    NotOurs,
    /// This process may open no more files.
    TooManyOpenFiles,
    /// The server closed the connection while a request was in flight.
    Closed,
    /// The server closed the connection between two requests.
    ClosedIdle,
    /// The connection was reset while a request was in flight.
    Reset,
    /// The connection was reset between two requests.
    ResetIdle,
    /// The answer's bytes differ from the request's.
    Mismatch,
    /// More bytes came back than were sent.
    TooManyBytes,
    /// The request's time limit passed.
    Timeout,
    /// Anything else.
    Other,
}

impl Failure {
    /// How many kinds there are.
    pub(crate) const COUNT: usize = Self::ALL.len();

    /// All kinds, in the order of their declaration.
    pub(crate) const ALL: [Self; 16] = [
        Self::Refused,
        Self::ConnectTimeout,
        Self::Unreachable,
        Self::SelfConnect,
        Self::QueueFull,
        Self::NoLocalPort,
        Self::NotOurs,
        Self::TooManyOpenFiles,
        Self::Closed,
        Self::ClosedIdle,
        Self::Reset,
        Self::ResetIdle,
        Self::Mismatch,
        Self::TooManyBytes,
        Self::Timeout,
        Self::Other,
    ];

    /// The name in the report, in kebab-case.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::ConnectTimeout => "connect-timeout",
            Self::Unreachable => "unreachable",
            Self::SelfConnect => "self-connect",
            Self::QueueFull => "queue-full",
            Self::NoLocalPort => "no-local-port",
            Self::NotOurs => "not-our-address",
            Self::TooManyOpenFiles => "too-many-open-files",
            Self::Closed => "closed",
            Self::ClosedIdle => "closed-idle",
            Self::Reset => "reset",
            Self::ResetIdle => "reset-idle",
            Self::Mismatch => "mismatch",
            Self::TooManyBytes => "too-many-bytes",
            Self::Timeout => "timeout",
            Self::Other => "other",
        }
    }

    /// What the limit is and how to raise it, when this is a limit of the *client's* machine and
    /// says nothing about the server.
    pub(crate) const fn remedy(self) -> Option<&'static str> {
        match self {
            Self::NoLocalPort => Some(
                "no local port left: widen net.ipv4.ip_local_port_range, give more addresses to \
                 --bind, or open fewer connections",
            ),
            Self::NotOurs => Some("an address of --bind is none of this machine's any more"),
            Self::TooManyOpenFiles => {
                Some("no file descriptor left: raise the limit (ulimit -n) or lower --connections")
            }
            _ => None,
        }
    }

    /// Sorts the error of a `connect`.
    pub(crate) fn of_connect(errno: Errno) -> Self {
        match errno {
            Errno::CONNREFUSED | Errno::CONNRESET | Errno::NOENT => Self::Refused,
            Errno::TIMEDOUT => Self::ConnectTimeout,
            Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::NETDOWN => Self::Unreachable,
            Errno::ADDRNOTAVAIL | Errno::ADDRINUSE => Self::NoLocalPort,
            Errno::AGAIN => Self::QueueFull,
            Errno::MFILE | Errno::NFILE => Self::TooManyOpenFiles,
            _ => Self::Other,
        }
    }

    /// Sorts the error of a `bind` to a source without a port.
    pub(crate) fn of_bind(errno: Errno) -> Self {
        match errno {
            Errno::ADDRNOTAVAIL => Self::NotOurs,
            other => Self::of_connect(other),
        }
    }

    /// Sorts the error of a `send` or `recv` on an established connection.
    pub(crate) fn of_transfer(errno: Errno) -> Self {
        match errno {
            Errno::CONNRESET | Errno::PIPE | Errno::CONNABORTED => Self::Reset,
            Errno::TIMEDOUT | Errno::HOSTUNREACH | Errno::NETUNREACH => Self::Unreachable,
            _ => Self::Other,
        }
    }

    /// The same failure on a connection with nothing in flight.
    pub(crate) const fn while_idle(self) -> Self {
        match self {
            Self::Closed => Self::ClosedIdle,
            Self::Reset => Self::ResetIdle,
            other => other,
        }
    }
}

/// A count for each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures([u64; Failure::COUNT]);

impl Failures {
    /// Counts one.
    pub(crate) fn add(&mut self, kind: Failure) {
        self.0[kind as usize] += 1;
    }

    /// Adds the counts of another thread.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    /// The kinds that happened, each with its count.
    pub(crate) fn seen(&self) -> impl Iterator<Item = (Failure, u64)> {
        Failure::ALL
            .into_iter()
            .zip(self.0)
            .filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_the_order_of_the_declaration_and_names_differ() {
        let mut names = std::collections::BTreeSet::new();
        for (place, kind) in Failure::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            assert!(names.insert(kind.name()), "{}", kind.name());
        }
    }

    #[test]
    fn limits_of_the_client_are_told_from_failures_of_the_server() {
        assert!(
            Failure::of_connect(Errno::ADDRNOTAVAIL)
                .remedy()
                .is_some_and(|r| r.contains("port_range"))
        );
        assert!(
            Failure::of_connect(Errno::MFILE)
                .remedy()
                .is_some_and(|r| r.contains("ulimit"))
        );
        assert_eq!(Failure::of_connect(Errno::CONNREFUSED).remedy(), None);
    }
}
