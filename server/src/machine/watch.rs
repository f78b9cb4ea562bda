//! How long the present wait of a connection may last: which limit counts, since when, and whether
//! it is over. Pure: the driver says what time it is, as seldom as it likes.

use std::time::{Duration, Instant};

use super::Machine;
use crate::config::Limits;
use crate::registry::{LINGER, QUIET};

/// Which limit a wait has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The idle limit: nothing is begun, and the peer is silent.
    Idle,
    /// The idle limit in the midst of a message, for which there is a minimum rate too.
    Rest,
    /// The write limit: the peer has to take bytes.
    Write,
    /// The silence after which a drain closes a connection.
    Quiet,
    /// The bounded wait for the peer's close after our own.
    Linger,
}

impl Patience {
    /// How long it lasts; none means for ever.
    #[must_use]
    pub(crate) fn limit(self, limits: &Limits) -> Option<Duration> {
        match self {
            Self::Idle | Self::Rest => limits.idle_timeout,
            Self::Write => limits.write_timeout,
            Self::Quiet => Some(QUIET),
            Self::Linger => Some(LINGER),
        }
    }

    /// How long it may last at least; a driver that looks a few times within this does not let
    /// much more time pass.
    #[must_use]
    pub(crate) fn shortest(self, limits: &Limits) -> Option<Duration> {
        let grace = limits.min_rate.map(|rate| rate.grace);
        let grace = grace.filter(|_| self == Self::Rest);
        self.limit(limits).into_iter().chain(grace).min()
    }

    /// Whether bytes of the peer would end the wait.
    #[must_use]
    pub(crate) fn is_for_bytes(self) -> bool {
        matches!(self, Self::Idle | Self::Rest | Self::Quiet)
    }
}

/// Why a wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It outlasted its limit.
    TimedOut,
    /// The message that is waited for came at less than the minimum rate.
    TooSlow,
}

/// Watches over the waits of one connection.
#[derive(Debug)]
pub(crate) struct Watch {
    patience: Patience,
    since: Instant,
}

impl Watch {
    /// Over a connection that is new at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            patience: Patience::Idle,
            since: now,
        }
    }

    /// Which limit counts.
    #[must_use]
    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    /// Whether `machine` waits for something else by now, so that [`follow`](Self::follow) is due.
    #[must_use]
    pub(crate) fn is_outdated(&self, machine: &Machine) -> bool {
        self.patience != machine.patience()
    }

    /// Lets another limit count from `now` on, if another one holds.
    pub(crate) fn follow(&mut self, machine: &Machine, now: Instant) {
        if self.is_outdated(machine) {
            self.patience = machine.patience();
            self.since = now;
        }
    }

    /// Bytes moved, or the server itself made the connection wait: the limit counts anew.
    pub(crate) fn restart(&mut self, now: Instant) {
        // A peer that dribbles on must not prolong the bounded wait for its close.
        if self.patience != Patience::Linger {
            self.since = now;
        }
    }

    /// Whether the wait of `machine` has lasted too long, and why.
    #[must_use]
    pub(crate) fn verdict(
        &self,
        machine: &mut Machine,
        limits: &Limits,
        now: Instant,
    ) -> Option<Verdict> {
        if machine.rest_due(now).is_some_and(|due| now >= due) {
            return Some(Verdict::TooSlow);
        }
        let limit = self.patience.limit(limits)?;
        let waited = now.saturating_duration_since(self.since);
        (waited >= limit).then_some(Verdict::TimedOut)
    }

    /// Tells `machine`.
    pub(crate) fn give_up(&mut self, machine: &mut Machine, verdict: Verdict, now: Instant) {
        match verdict {
            Verdict::TimedOut => machine.timed_out(),
            Verdict::TooSlow => machine.too_slow(),
        }
        self.follow(machine, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, MinRate};
    use crate::mode::Mode;
    use crate::work::Work;
    use std::num::{NonZeroU32, NonZeroUsize};

    const SECOND: Duration = Duration::from_secs(1);

    /// Ten seconds of silence, five without taking anything, three and a hundred bytes a second for
    /// a line.
    fn limits() -> Limits {
        let mut limits = Config::new(Mode::Async, NonZeroUsize::MIN).limits;
        limits.idle_timeout = Some(10 * SECOND);
        limits.write_timeout = Some(5 * SECOND);
        limits.min_rate = Some(MinRate {
            bytes_per_s: NonZeroU32::new(100).unwrap(),
            grace: 3 * SECOND,
        });
        limits
    }

    /// What is watched, after `bytes` came and were echoed or not.
    fn watched(bytes: &[u8], echoed: bool, now: Instant) -> (Machine, Watch) {
        let mut machine = Machine::new(limits().min_rate);
        let mut watch = Watch::new(now);
        machine.received(bytes);
        machine.next(Work::None, bytes);
        if echoed {
            machine.wrote(bytes.len());
        }
        watch.follow(&machine, now);
        (machine, watch)
    }

    #[test]
    fn each_wait_has_its_own_limit() {
        let start = Instant::now();
        let late = |mut it: (Machine, Watch), seconds: u32| {
            let (machine, watch) = (&mut it.0, &it.1);
            let verdict = |after| watch.verdict(machine, &limits(), start + after * SECOND);
            [0, seconds - 1, seconds].map(verdict)
        };
        let timed_out = [None, None, Some(Verdict::TimedOut)];
        assert_eq!(late(watched(b"a line\n", true, start), 10), timed_out);
        assert_eq!(late(watched(b"a line\n", false, start), 5), timed_out);
        let too_slow = [None, None, Some(Verdict::TooSlow)];
        assert_eq!(late(watched(&[b'x'; 200], true, start), 5), too_slow);
        // A rate that is paid in advance is no leave to be silent.
        assert_eq!(late(watched(&[b'x'; 5000], true, start), 10), timed_out);
        // Who does not take his bytes is not slow to send.
        assert_eq!(late(watched(b"half a line", false, start), 5), timed_out);
    }

    #[test]
    fn another_wait_begins_anew() {
        let start = Instant::now();
        let (mut machine, mut watch) = watched(b"a line\n", true, start);
        machine.received(b"another");
        let then = start + 9 * SECOND;
        watch.follow(&machine, then);
        let mut verdict = |after| watch.verdict(&mut machine, &limits(), then + after * SECOND);
        assert_eq!([4, 5].map(&mut verdict), [None, Some(Verdict::TimedOut)]);
    }

    #[test]
    fn bytes_prolong_the_wait_for_bytes_but_not_that_for_the_close() {
        let (start, limits) = (Instant::now(), limits());
        let (mut machine, mut watch) = watched(b"a line\n", true, start);
        let mut is_over = |watch: &Watch, seconds: u32| {
            let verdict = watch.verdict(&mut machine, &limits, start + seconds * SECOND);
            verdict.is_some()
        };
        watch.restart(start + 9 * SECOND);
        assert!(!is_over(&watch, 18) && is_over(&watch, 19));
        let now = start + 19 * SECOND;
        watch.give_up(&mut machine, Verdict::TimedOut, now);
        machine.next(Work::None, b"");
        machine.finished();
        watch.follow(&machine, now);
        watch.restart(now + LINGER / 2);
        let verdict = watch.verdict(&mut machine, &limits, now + LINGER);
        assert_eq!(verdict, Some(Verdict::TimedOut));
    }
}
