//! Sizes, durations, rates and counts as people type and read them.
//!
//! The parsers are meant for clap's `value_parser`: each takes the permitted range and names it
//! when the value lies outside. Sizes are decimal (`64k` is 64000) unless binary is said
//! (`64KiB`); durations need a unit, except `0`.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// A parser for whole numbers within `range`.
///
/// ```
/// let workers = cli::units::count(1..=64_u32);
/// assert_eq!(workers("4"), Ok(4));
/// assert_eq!(workers("0"), Err("must be a whole number from 1 to 64".into()));
/// ```
pub fn count<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Clone,
{
    move |text| {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let value = text
            .parse()
            .ok()
            .filter(|value| digits && range.contains(value));
        value.ok_or_else(|| {
            format!(
                "must be a whole number from {} to {}",
                range.start(),
                range.end()
            )
        })
    }
}

/// A parser for sizes in bytes: `64`, `64k` (64000), `64KiB` (65536), `1MiB`.
///
/// ```
/// let size = cli::units::size(1..=1 << 20);
/// assert_eq!(size("64KiB"), Ok(65536));
/// assert_eq!(size("0"), Err("must be a size from 1 B to 1 MiB, such as 64, 64k or 64KiB".into()));
/// ```
pub fn size(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> + Clone {
    move |text| {
        let value = parse_size::parse_size(text)
            .ok()
            .filter(|value| range.contains(value));
        value.ok_or_else(|| {
            let (low, high) = (bytes(*range.start()), bytes(*range.end()));
            format!("must be a size from {low} to {high}, such as 64, 64k or 64KiB")
        })
    }
}

/// A parser for durations: `200us`, `5ms`, `1m 30s`, `0`.
///
/// ```
/// use std::time::Duration;
///
/// let wait = cli::units::duration(Duration::ZERO..=Duration::from_secs(60));
/// assert_eq!(wait("200us"), Ok(Duration::from_micros(200)));
/// assert_eq!(wait("5"), Err("must be a duration from 0s to 1m, such as 200us, 5ms or 10s".into()));
/// ```
pub fn duration(
    range: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| {
        let value = parse_duration(text).filter(|value| range.contains(value));
        value.ok_or_else(|| {
            let (low, high) = (span(*range.start()), span(*range.end()));
            format!("must be a duration from {low} to {high}, such as 200us, 5ms or 10s")
        })
    }
}

/// A duration with its unit; `None` when it is none.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

/// A parser for rates per second: `0.5`, `200`, `10k`, `1.5M`.
///
/// ```
/// let rate = cli::units::rate(0.1..=1e9);
/// assert_eq!(rate("10k"), Ok(10_000.0));
/// assert!(rate("-1").is_err());
/// ```
pub fn rate(range: RangeInclusive<f64>) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |text| {
        let (digits, factor) = match text.as_bytes().last() {
            Some(b'k') => (&text[..text.len() - 1], 1e3),
            Some(b'M') => (&text[..text.len() - 1], 1e6),
            _ => (text, 1.0),
        };
        let value = digits.parse::<f64>().ok().map(|value| value * factor);
        let (low, high) = (range.start(), range.end());
        value.filter(|value| range.contains(value)).ok_or_else(|| {
            format!("must be a rate from {low} to {high} per second, such as 200 or 10k")
        })
    }
}

/// A number of bytes for people: `64 B`, `1.5 KiB`, `2 GiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{} {unit}", trimmed(value))
}

/// A number for people: `950`, `95.1k`, `1.2M`.
#[must_use]
pub fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 999_950.0 {
        format!("{:.1}M", value / 1e6)
    } else if magnitude >= 999.5 {
        format!("{:.1}k", value / 1e3)
    } else {
        trimmed(value)
    }
}

/// Microseconds for people, with three significant digits: `37.2us`, `1.02s`.
#[must_use]
pub fn micros(us: f64) -> String {
    let (value, unit) = match us {
        us if us < 999.5 => (us, "us"),
        us if us < 999_500.0 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    let digits = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}{unit}")
}

/// A duration as it can be typed again: `10s`, `1m 30s`, `200us`.
#[must_use]
pub fn span(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// One decimal, unless it is a zero.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_outside_the_range_name_it() {
        let parse = count(1..=8_u16);
        for text in [
            "0",
            "9",
            "-1",
            "+1",
            "",
            "1e9",
            "NaN",
            "0x4",
            " 1",
            "4.0",
            "99999999999999999999",
        ] {
            assert_eq!(
                parse(text),
                Err("must be a whole number from 1 to 8".into()),
                "{text}"
            );
        }
    }

    #[test]
    fn decimal_and_binary_sizes_differ() {
        let parse = size(0..=u64::MAX);
        assert_eq!(
            (parse("64k"), parse("64K"), parse("64KiB")),
            (Ok(64_000), Ok(64_000), Ok(65_536))
        );
        assert_eq!(parse("1MiB"), Ok(1 << 20));
        assert!(parse("x").is_err() && parse("").is_err() && parse("-1").is_err());
    }

    #[test]
    fn durations_need_a_unit() {
        let parse = duration(Duration::ZERO..=Duration::MAX);
        assert_eq!(parse("0"), Ok(Duration::ZERO));
        assert_eq!(parse("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(
            ["5", "1e3ms", "-3s", "", "ms"]
                .iter()
                .all(|text| parse(text).is_err())
        );
    }

    #[test]
    fn rates_are_finite_and_positive() {
        let parse = rate(0.001..=1e9);
        assert_eq!(
            (parse("10k"), parse("1.5M"), parse("0.5")),
            (Ok(1e4), Ok(1.5e6), Ok(0.5))
        );
        assert!(
            ["NaN", "inf", "0", "-1", "k", ""]
                .iter()
                .all(|text| parse(text).is_err())
        );
    }

    #[test]
    fn people_read_three_digits() {
        assert_eq!(
            ["37.2us", "1.02ms", "12.3ms", "999us", "1.00ms", "1.50s"].map(str::to_owned),
            [
                micros(37.2),
                micros(1_020.0),
                micros(12_345.0),
                micros(999.0),
                micros(999.6),
                micros(1_500_000.0),
            ]
        );
        assert_eq!(
            ["64 B", "1.5 KiB", "1 MiB"].map(str::to_owned),
            [bytes(64), bytes(1536), bytes(1 << 20)]
        );
        assert_eq!(
            ["950", "95.1k", "1.2M", "0.5"].map(str::to_owned),
            [
                number(950.0),
                number(95_100.0),
                number(1_200_000.0),
                number(0.5),
            ]
        );
    }

    proptest! {
        #[test]
        fn a_shown_duration_is_read_back(micros in 0_u64..1 << 50) {
            let duration = Duration::from_micros(micros);
            prop_assert_eq!(parse_duration(&span(duration)), Some(duration));
        }
    }
}
