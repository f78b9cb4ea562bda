//! How fast a message must come once it has begun: what tells a slow client from a quiet one.
//!
//! The rule is that of Apache's mod_reqtimeout (`RequestReadTimeout header=5,MinRate=100`), with a
//! line in the place of a request: a message that has begun must be complete within the grace, and
//! every byte of it that has come prolongs that by its time at the minimum rate. Between messages a
//! client may be quiet for as long as the idle limit allows. Pure: time is passed in.

use std::time::{Duration, Instant};

use crate::config::MinRate;

/// The pace of one connection.
#[derive(Debug)]
pub(super) struct Pace {
    rate: MinRate,
    /// Bytes that have come of a message which is not complete.
    begun_bytes: u64,
    /// When the server first waited for its rest; what it did before is not the peer's fault.
    waited_since: Option<Instant>,
}

impl Pace {
    pub(super) fn new(rate: MinRate) -> Self {
        Self {
            rate,
            begun_bytes: 0,
            waited_since: None,
        }
    }

    /// These bytes came.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        match memchr::memrchr(b'\n', bytes) {
            Some(end) => {
                self.begun_bytes = (bytes.len() - end - 1) as u64;
                self.waited_since = None;
            }
            None => self.begun_bytes = self.begun_bytes.saturating_add(bytes.len() as u64),
        }
    }

    /// Whether a message has begun and is not complete.
    pub(super) fn is_amid(&self) -> bool {
        self.begun_bytes > 0
    }

    /// When the rest of the message must be there, which the server waits for at `now`; none if
    /// nothing is begun, or that is out of sight.
    pub(super) fn due(&mut self, now: Instant) -> Option<Instant> {
        if !self.is_amid() {
            return None;
        }
        let since = *self.waited_since.get_or_insert(now);
        since.checked_add(self.rate.allowance(self.begun_bytes))
    }
}

impl MinRate {
    /// How long a message may take of which `bytes` have come.
    #[must_use]
    fn allowance(self, bytes: u64) -> Duration {
        const NANOS_PER_S: u64 = 1_000_000_000;
        let rate = u64::from(self.bytes_per_s.get());
        let seconds = Duration::from_secs(bytes / rate);
        // A remainder is below 2^32, so the product does not overflow.
        let rest = Duration::from_nanos(bytes % rate * NANOS_PER_S / rate);
        self.grace.saturating_add(seconds).saturating_add(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::num::NonZeroU32;

    const GRACE: Duration = Duration::from_secs(5);

    fn rate(bytes_per_s: u32) -> MinRate {
        MinRate {
            bytes_per_s: NonZeroU32::new(bytes_per_s).unwrap(),
            grace: GRACE,
        }
    }

    /// Whether a client is ever late that sends `piece` at these times.
    fn is_late(rate: MinRate, piece: &[u8], times: impl Iterator<Item = Duration>) -> bool {
        let start = Instant::now();
        let mut pace = Pace::new(rate);
        times.into_iter().any(|time| {
            let now = start + time;
            let late = pace.due(now).is_some_and(|due| now >= due);
            pace.received(piece);
            // The server waits for more at once.
            pace.due(now);
            late
        })
    }

    fn every(pause: Duration) -> impl Iterator<Item = Duration> {
        (1..1000).map(move |number| pause * number)
    }

    #[test]
    fn a_slow_client_is_told_from_a_quiet_one() {
        let minute = Duration::from_secs(60);
        assert!(!is_late(rate(100), b"quiet for long\n", every(minute)));
        assert!(is_late(rate(100), b"x", every(minute / 6)), "a slowloris");
        assert!(is_late(rate(100), b"ends\nbegins", every(minute)));
        // Once more than the rate and once less, without any end of a line.
        let second = Duration::from_secs(1);
        assert!(!is_late(rate(100), &[b'x'; 101], every(second)));
        assert!(is_late(rate(100), &[b'x'; 99], every(second)));
    }

    #[test]
    fn the_time_before_the_server_waits_is_its_own() {
        let (start, mut pace) = (Instant::now(), Pace::new(rate(1)));
        pace.received(b"a\nb");
        let later = start + 1000 * GRACE;
        assert_eq!(
            pace.due(later),
            Some(later + GRACE + Duration::from_secs(1))
        );
        // And it is measured from the first wait of each message.
        assert_eq!(pace.due(later + GRACE), pace.due(later));
        pace.received(b"\nccc");
        let due = later + 2 * GRACE + Duration::from_secs(3);
        assert_eq!(pace.due(later + GRACE), Some(due));
    }

    proptest! {
        #[test]
        fn the_rest_is_due_after_the_grace_and_the_time_of_what_came(
            per_s in 1_u32..,
            pieces in proptest::collection::vec(
                proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'x')], 0..50), 0..50),
        ) {
            let (now, mut pace) = (Instant::now(), Pace::new(rate(per_s)));
            for piece in &pieces {
                pace.received(piece);
            }
            let stream = pieces.concat();
            let open = stream.iter().rev().take_while(|byte| **byte != b'\n').count();
            let seconds = open as f64 / f64::from(per_s);
            match pace.due(now) {
                None => prop_assert_eq!(open, 0),
                Some(due) => {
                    prop_assert!(open > 0);
                    let wait = (due - now).as_secs_f64();
                    prop_assert!((wait - GRACE.as_secs_f64() - seconds).abs() < 1e-6);
                }
            }
        }

        #[test]
        fn who_keeps_the_rate_is_never_late_and_who_does_not_is(
            per_s in 1_u32..1_000_000,
            bytes in 1_usize..1000,
            slower in 1.01_f64..100.0,
        ) {
            let piece = vec![b'x'; bytes];
            let fair = Duration::from_secs_f64(bytes as f64 / f64::from(per_s));
            // A pause that the grace does not cover is no steady rate.
            prop_assume!(fair < GRACE / 2);
            prop_assert!(!is_late(rate(per_s), &piece, every(fair)));
            let steps = (1..).map(|number| fair.mul_f64(slower) * number);
            prop_assert!(is_late(rate(per_s), &piece, steps));
        }

        #[test]
        fn no_size_and_no_rate_overflows(bytes: u64, per_s in 1_u32..) {
            prop_assert!(rate(per_s).allowance(bytes) >= GRACE);
        }
    }
}
