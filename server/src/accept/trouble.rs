//! What an error of `accept` means, and how to bear a shortage: with pauses, and a word now and then.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tracing::warn;

/// The first pause when the system is short of something; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause, and with it the longest time to notice that the shortage is over.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// At most one line a second says that the system is short.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// What to do about an error of `accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Nobody is there: wait for the next.
    Wait,
    /// That connection broke before it was taken: go on at once.
    Retry,
    /// The system is short of descriptors or memory: pause, then go on.
    Pause,
    /// The listening was ended: accept no more.
    End,
    /// The listener is unusable.
    GiveUp,
}

/// What an error number of `accept(2)` means.
#[must_use]
pub(crate) fn classify(error: Errno) -> Remedy {
    match error {
        Errno::AGAIN => Remedy::Wait,
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Remedy::Pause,
        Errno::INVAL => Remedy::End,
        Errno::BADF | Errno::NOTSOCK | Errno::FAULT => Remedy::GiveUp,
        // Linux passes errors of the new connection on: all of its network errors, a firewall's
        // EPERM, and whatever comes next. None of them is about the listener.
        _ => Remedy::Retry,
    }
}

/// When somebody of this process last said that the system is short of something.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<Option<Instant>>);

impl Complaints {
    /// Whether it may be said at `now`; then it counts as said.
    pub(crate) fn may(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may = last.is_none_or(|last| now.saturating_duration_since(last) >= LOG_EVERY);
        if may {
            *last = Some(now);
        }
        may
    }
}

/// Remembers how long the system has been short of something.
#[derive(Debug)]
pub(crate) struct Shortage {
    pause: Duration,
}

impl Shortage {
    pub(crate) fn new() -> Self {
        Self { pause: FIRST_PAUSE }
    }

    /// Another failure at `now`; says so if it was not said lately, and how long to pause.
    pub(crate) fn again(
        &mut self,
        error: &io::Error,
        complaints: &Complaints,
        now: Instant,
    ) -> Duration {
        if complaints.may(now) {
            warn!(%error, "cannot take more connections for now; raise the limit (ulimit -n) or lower --max-connections");
        }
        let pause = self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        pause
    }

    /// It works again.
    pub(crate) fn over(&mut self) {
        self.pause = FIRST_PAUSE;
    }
}

/// The remedy for an error of `accept`.
pub(crate) fn remedy(error: &io::Error) -> Remedy {
    error.raw_os_error().map_or(Remedy::GiveUp, |number| {
        classify(Errno::from_raw_os_error(number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_accept_has_its_remedy() {
        for (remedy, errors) in [
            (Remedy::Wait, &[Errno::AGAIN][..]),
            (
                Remedy::Pause,
                &[Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM],
            ),
            (Remedy::End, &[Errno::INVAL]),
            (Remedy::GiveUp, &[Errno::BADF, Errno::NOTSOCK, Errno::FAULT]),
            (
                Remedy::Retry,
                &[
                    Errno::CONNABORTED,
                    Errno::INTR,
                    Errno::PERM,
                    Errno::PROTO,
                    Errno::NETDOWN,
                    Errno::NOPROTOOPT,
                    Errno::HOSTDOWN,
                    Errno::NONET,
                    Errno::HOSTUNREACH,
                    Errno::OPNOTSUPP,
                    Errno::NETUNREACH,
                    Errno::TIMEDOUT,
                ],
            ),
        ] {
            assert!(
                errors.iter().all(|error| classify(*error) == remedy),
                "{remedy:?}"
            );
        }
    }

    #[test]
    fn a_shortage_pauses_longer_and_longer_and_is_logged_seldom() {
        let (mut shortage, start) = (Shortage::new(), Instant::now());
        let (error, complaints) = (io::Error::from_raw_os_error(24), Complaints::default());
        let mut again = |now| shortage.again(&error, &complaints, now);
        let pauses: Vec<_> = (0..8).map(|_| again(start).as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 500, 500]);
        shortage.over();
        assert_eq!(shortage.again(&error, &complaints, start), FIRST_PAUSE);
        let other = Complaints::default();
        let said =
            [0, 0, 999, 1000, 1500, 2000].map(|ms| other.may(start + Duration::from_millis(ms)));
        assert_eq!(said, [true, false, false, true, false, true]);
    }
}
