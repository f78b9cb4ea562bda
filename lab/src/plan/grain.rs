//! What a client of each mode holds, and for how long: the one thing that decides a plan.

use server::Mode;

/// How long a client keeps what serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// One of a fixed number of workers, from its first byte to its last: whoever comes when all are
    /// taken waits until somebody leaves.
    Seat,
    /// A worker that is made for it.
    Own,
    /// One of a fixed number of workers, for each request.
    Request,
    /// Nothing while a request waits, and a processor while it computes.
    Nothing,
}

impl Grain {
    /// That of `mode`.
    #[must_use]
    pub const fn of(mode: Mode) -> Self {
        match mode {
            Mode::Sequential | Mode::ThreadPool | Mode::Rayon | Mode::ProcessPool => Self::Seat,
            Mode::ThreadPerConnection | Mode::ProcessPerConnection => Self::Own,
            Mode::ReadyPool => Self::Request,
            Mode::Async | Mode::Epoll | Mode::IoUring => Self::Nothing,
        }
    }

    /// Whether `mode` has a queue for each of its processors rather than one for all: a connection
    /// belongs to one reactor.
    #[must_use]
    pub const fn is_partitioned(mode: Mode) -> bool {
        matches!(mode, Mode::Epoll | Mode::IoUring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;

    #[test]
    fn it_is_what_the_server_says_of_its_capacity() {
        let workers = NonZeroUsize::new(4).unwrap();
        for mode in Mode::ALL {
            let capacity = mode.plan(workers).capacity(1_000);
            let few = Grain::of(*mode) == Grain::Seat;
            assert_eq!(capacity <= 4, few, "{mode:?}");
        }
    }
}
