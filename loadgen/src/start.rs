//! `--start-at`: when several generators are to begin at once. Pure: the clock is passed in.
//!
//! This is the one place where the wall clock counts, because it is all that several machines have
//! in common; how well they agree is up to NTP. No wait is measured with it.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use crate::MAX_DURATION;

/// When a run is to begin, as typed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StartAt {
    /// At this time, in seconds since 1970.
    Unix(f64),
    /// So long from now.
    In(Duration),
}

/// The text is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a time with its zone such as 2026-01-02T03:04:05Z or 2026-01-02T04:04:05.5+01:00, \
     seconds since 1970 such as 1767323045.5, or +5s for five seconds from now"
)]
pub struct InvalidStart;

/// The time is none at which a run can begin.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum UnusableStart {
    /// It is over.
    #[error(
        "--start-at {} was {} ago; give a later time, and the same one to all generators",
        Clock(*unix_s),
        Span(*late_s)
    )]
    Past {
        /// The time, in seconds since 1970.
        unix_s: f64,
        /// For how long, in seconds.
        late_s: f64,
    },
    /// It is too far away to be meant.
    #[error(
        "--start-at {} is {} from now; give a time within {}",
        Clock(*unix_s),
        Span(*ahead_s),
        Span(MAX_DURATION.as_secs_f64())
    )]
    TooFar {
        /// The time, in seconds since 1970.
        unix_s: f64,
        /// How far, in seconds.
        ahead_s: f64,
    },
}

impl StartAt {
    /// The time in seconds since 1970 when it is `now_unix_s`.
    ///
    /// # Errors
    ///
    /// [`UnusableStart`] when that is past, or more than a day away.
    ///
    /// ```
    /// use loadgen::StartAt;
    ///
    /// let start: StartAt = "2026-01-02T03:04:05Z".parse()?;
    /// assert_eq!(start.moment(1_767_323_000.0), Ok(1_767_323_045.0));
    /// let late = start.moment(1_767_323_047.5).unwrap_err();
    /// assert!(late.to_string().contains("was 2.5s ago"));
    /// # Ok::<(), loadgen::InvalidStart>(())
    /// ```
    pub fn moment(self, now_unix_s: f64) -> Result<f64, UnusableStart> {
        let unix_s = match self {
            Self::Unix(unix_s) => unix_s,
            Self::In(wait) => now_unix_s + wait.as_secs_f64(),
        };
        let ahead_s = unix_s - now_unix_s;
        if (0.0..=MAX_DURATION.as_secs_f64()).contains(&ahead_s) {
            Ok(unix_s)
        } else if ahead_s < 0.0 {
            let late_s = -ahead_s;
            Err(UnusableStart::Past { unix_s, late_s })
        } else {
            Err(UnusableStart::TooFar { unix_s, ahead_s })
        }
    }
}

impl FromStr for StartAt {
    type Err = InvalidStart;

    fn from_str(text: &str) -> Result<Self, InvalidStart> {
        let found = match text.strip_prefix('+') {
            Some(wait) => cli::units::parse_duration(wait).map(Self::In),
            None => seconds(text).or_else(|| rfc3339(text)).map(Self::Unix),
        };
        found.ok_or(InvalidStart)
    }
}

impl fmt::Display for StartAt {
    /// In a form that is read back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(unix_s) => write!(f, "@{unix_s:.6}"),
            Self::In(wait) => write!(f, "+{}", humantime::format_duration(*wait)),
        }
    }
}

/// `1767323045.5` or `@1767323045.5`: digits and a fraction, nothing that only a float can say.
fn seconds(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('@').unwrap_or(text);
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    digits.parse().ok().filter(|_| plain)
}

/// `2026-01-02T03:04:05Z`, with a fraction or an offset from UTC if need be.
fn rfc3339(text: &str) -> Option<f64> {
    const OFFSET_BYTES: usize = "+00:00".len();
    let (local, offset_s) = match text.strip_suffix('Z') {
        Some(local) => (local, 0.0),
        None => {
            let (local, zone) = text.split_at_checked(text.len().checked_sub(OFFSET_BYTES)?)?;
            (local, offset(zone)?)
        }
    };
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let since = local.duration_since(UNIX_EPOCH).ok()?;
    Some(since.as_secs_f64() - offset_s)
}

/// `+01:30` in seconds: how far local clocks are ahead of UTC.
fn offset(zone: &str) -> Option<f64> {
    let (sign, clock) = match zone.split_at_checked(1)? {
        ("+", clock) => (1.0, clock),
        ("-", clock) => (-1.0, clock),
        _ => return None,
    };
    let (hours, minutes) = clock.split_once(':')?;
    let part = |text: &str, most: u32| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        let value = text.parse::<u32>().ok()?;
        (digits && value <= most).then_some(value)
    };
    Some(sign * f64::from(part(hours, 23)? * 3600 + part(minutes, 59)? * 60))
}

/// A time for people.
struct Clock(f64);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = Duration::try_from_secs_f64(self.0).ok();
        match since.and_then(|since| UNIX_EPOCH.checked_add(since)) {
            // humantime writes years of four digits only.
            Some(time) if self.0 < 2.5e11 => {
                write!(f, "{}", humantime::format_rfc3339_millis(time))
            }
            _ => write!(f, "{} seconds after 1970", self.0),
        }
    }
}

/// A number of seconds for people.
struct Span(f64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PATIENCE: f64 = 120.0;
        match Duration::try_from_secs_f64(self.0) {
            Ok(span) if self.0 >= PATIENCE => {
                let whole = Duration::from_secs(span.as_secs());
                write!(f, "{}", humantime::format_duration(whole))
            }
            _ => write!(f, "{:.1}s", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unix(text: &str) -> f64 {
        match text.parse() {
            Ok(StartAt::Unix(unix_s)) => unix_s,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn one_moment_can_be_written_in_many_ways() {
        for text in [
            "2026-01-02T03:04:05.5Z",
            "2026-01-02T03:04:05.5+00:00",
            "2026-01-02T04:34:05.5+01:30",
            "2026-01-01T22:04:05.5-05:00",
            "1767323045.5",
            "@1767323045.5",
        ] {
            assert!((unix(text) - 1_767_323_045.5).abs() < 1e-6, "{text}");
        }
        assert_eq!("+5s".parse(), Ok(StartAt::In(Duration::from_secs(5))));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "@",
            ".",
            "+",
            "-5s",
            "5s",
            "now",
            "1e9",
            "inf",
            "NaN",
            "-1",
            "++5s",
            "2026-01-02",
            "2026-01-02T03:04:05",
            "2026-01-02T03:04:05+1:00",
            "2026-01-02T03:04:05+24:00",
            "2026-01-02T03:04:05+01:60",
            "2026-01-02T03:04:05 01:00",
            "2026-13-02T03:04:05Z",
        ] {
            assert_eq!(text.parse::<StartAt>(), Err(InvalidStart), "{text}");
        }
    }

    #[test]
    fn a_run_begins_neither_in_the_past_nor_in_a_week() {
        let now = 1_767_323_045.0;
        assert_eq!(
            StartAt::In(Duration::from_secs(5)).moment(now),
            Ok(now + 5.0)
        );
        assert_eq!(StartAt::Unix(now).moment(now), Ok(now));
        let past = StartAt::Unix(now - 3.25)
            .moment(now)
            .unwrap_err()
            .to_string();
        assert!(
            past.contains("2026-01-02T03:04:01.750Z was 3.2s ago"),
            "{past}"
        );
        let far = StartAt::Unix(now + 90_000.0)
            .moment(now)
            .unwrap_err()
            .to_string();
        assert!(
            far.contains("is 1day 1h from now") && far.contains("within 1day"),
            "{far}"
        );
        let absurd = StartAt::Unix(1e300).moment(now).unwrap_err().to_string();
        assert!(absurd.lines().count() == 1, "{absurd}");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(unix_s in 0.0_f64..4e9) {
            let shown = StartAt::Unix(unix_s).to_string();
            prop_assert!((unix(&shown) - unix_s).abs() < 1e-5);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".*", tail in "[0-9TZ:+.-]{0,30}") {
            let _ = text.parse::<StartAt>();
            let _ = format!("2026-01-02{tail}").parse::<StartAt>();
        }

        #[test]
        fn no_time_makes_the_message_panic(bits: u64, now in 0.0_f64..4e9) {
            let unix_s = f64::from_bits(bits);
            match StartAt::Unix(unix_s).moment(now) {
                Ok(moment) => prop_assert!(moment >= now),
                Err(why) => prop_assert!(!why.to_string().is_empty()),
            }
        }
    }
}
