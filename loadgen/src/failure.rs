//! What can go wrong between a client and its server, by kind.
//!
//! A closed set: a new kind is one line in [`Failure::ALL`] and one name.

use rustix::io::Errno;

use crate::protocol::RequestId;

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
    /// The answer is none in the protocol that is spoken.
    BadAnswer,
    /// HTTP: the answer says that the request was wrong.
    Status4xx,
    /// HTTP: the answer says that the server failed.
    Status5xx,
    /// The request's time limit passed.
    Timeout,
    /// The request was in flight behind another, whose failure ended the connection.
    Abandoned,
    /// Anything else.
    Other,
}

impl Failure {
    /// How many kinds there are.
    pub(crate) const COUNT: usize = Self::ALL.len();

    /// All kinds, in the order of their declaration.
    pub(crate) const ALL: [Self; 20] = [
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
        Self::BadAnswer,
        Self::Status4xx,
        Self::Status5xx,
        Self::Timeout,
        Self::Abandoned,
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
            Self::BadAnswer => "bad-answer",
            Self::Status4xx => "status-4xx",
            Self::Status5xx => "status-5xx",
            Self::Timeout => "timeout",
            Self::Abandoned => "abandoned",
            Self::Other => "other",
        }
    }

    /// What the limit is and how to raise it, when this is a limit of the *client's* machine and
    /// says nothing about the server.
    pub(crate) const fn remedy(self) -> Option<&'static str> {
        match self {
            Self::NoLocalPort => Some(
                "no local port left: give more addresses to --bind, widen \
                 net.ipv4.ip_local_port_range, or open fewer connections",
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

/// One case of a failure, so that a count is more than a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Example {
    /// Client and number of the request; 0 before its first one.
    pub(crate) request: RequestId,
    /// What the system said, where it was the system.
    pub(crate) errno: Option<Errno>,
}

impl std::fmt::Display for Example {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (number, sequence) = self.request;
        write!(f, "client {number}")?;
        if sequence > 0 {
            write!(f, ", request {sequence}")?;
        }
        match self.errno {
            Some(errno) => write!(f, ": {}", std::io::Error::from(errno)),
            None => Ok(()),
        }
    }
}

/// A count for each kind, and its first case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    counts: [u64; Failure::COUNT],
    examples: [Option<Example>; Failure::COUNT],
}

impl Failures {
    /// Counts one.
    pub(crate) fn add(&mut self, kind: Failure, request: RequestId) {
        self.counts[kind as usize] += 1;
        self.examples[kind as usize].get_or_insert(Example {
            request,
            errno: None,
        });
    }

    /// Remembers what the system said of the first case of `kind`, if that was just counted.
    pub(crate) fn explain(&mut self, kind: Failure, errno: Errno) {
        if let (1, Some(example)) = (
            self.counts[kind as usize],
            &mut self.examples[kind as usize],
        ) {
            example.errno = Some(errno);
        }
    }

    /// Adds the counts of another thread.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
        for (example, more) in self.examples.iter_mut().zip(other.examples) {
            *example = example.or(more);
        }
    }

    /// The kinds that happened, each with its count.
    pub(crate) fn seen(&self) -> impl Iterator<Item = (Failure, u64)> {
        Failure::ALL
            .into_iter()
            .zip(self.counts)
            .filter(|(_, count)| *count > 0)
    }

    /// The kinds that happened, each with its first case.
    pub(crate) fn examples(&self) -> impl Iterator<Item = (Failure, Example)> {
        let all = Failure::ALL.into_iter().zip(self.examples);
        all.filter_map(|(kind, example)| Some((kind, example?)))
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
    fn each_kind_has_its_first_case_as_an_example() {
        let mut failures = Failures::default();
        failures.add(Failure::Reset, (3, 17));
        failures.explain(Failure::Reset, Errno::CONNRESET);
        failures.add(Failure::Reset, (4, 1));
        failures.explain(Failure::Reset, Errno::PIPE);
        let mut other = Failures::default();
        other.add(Failure::Refused, (5, 0));
        other.add(Failure::Reset, (6, 2));
        failures.merge(&other);
        let told: Vec<_> = failures
            .examples()
            .map(|(kind, example)| format!("{}: {example}", kind.name()))
            .collect();
        assert_eq!(
            told,
            [
                "refused: client 5",
                "reset: client 3, request 17: Connection reset by peer (os error 104)"
            ]
        );
        assert!(
            failures
                .seen()
                .eq([(Failure::Refused, 1), (Failure::Reset, 3)])
        );
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
