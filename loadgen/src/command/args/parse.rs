//! Values as people type them, beyond those that all four command lines share.

use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;
use std::time::Duration;

use cli::units;
use loadgen::schedule::{RATES, Rate};
use loadgen::{MAX_DURATION, MAX_MESSAGE_BYTES, Pause, Profile, Reuse, Share, Sizes};

/// `64`, `1..4096` or `64,1KiB,64KiB`.
pub(super) fn sizes(text: &str) -> Result<Sizes, String> {
    let one = |text: &str| {
        let bytes = units::size(1..=u64::from(MAX_MESSAGE_BYTES))(text).ok()?;
        NonZeroU32::new(u32::try_from(bytes).ok()?)
    };
    let sizes = if let Some((least, most)) = text.split_once("..") {
        let both = one(least).zip(one(most));
        both.filter(|(least, most)| least <= most)
            .map(|(least, most)| Sizes::Range(least, most))
    } else if text.contains(',') {
        let all: Option<Vec<_>> = text.split(',').map(one).collect();
        all.map(Sizes::List)
    } else {
        one(text).map(Sizes::Fixed)
    };
    sizes.ok_or_else(|| {
        let most = units::bytes(u64::from(MAX_MESSAGE_BYTES));
        format!("must be sizes from 1 B to {most}: one, a range such as 1..4096, or a list such as 64,1KiB")
    })
}

/// `2000`, `10k`, or `1k:20k` for a ramp.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let one = units::rate(RATES);
    let rate = match text.split_once(':') {
        None => one(text).map(Rate::Constant),
        Some((from, to)) => one(from).and_then(|from| Ok(Rate::Ramp(from, one(to)?))),
    };
    rate.map_err(|_| {
        "must be a rate from one a day to 1e9 per second, such as 200 or 10k, or two for a ramp, \
         such as 1k:20k"
            .to_owned()
    })
}

/// `5ms`, or `exp:5ms` for exponential pauses of that mean.
pub(super) fn pause(text: &str) -> Result<Pause, String> {
    let one = units::duration(Duration::ZERO..=MAX_DURATION);
    match text.strip_prefix("exp:") {
        None => one(text).map(Pause::Constant),
        Some(mean) => one(mean).map(Pause::Exponential),
    }
    .map_err(|why| format!("{why}, or exp:5ms for exponential pauses of that mean"))
}

/// `3` or `1..10`.
pub(super) fn reuse(text: &str) -> Result<Reuse, String> {
    let one = |text: &str| {
        units::count(1..=u32::MAX)(text)
            .ok()
            .and_then(NonZeroU32::new)
    };
    let reuse = match text.split_once("..") {
        None => one(text).map(Reuse::of),
        Some((least, most)) => {
            let both = one(least).zip(one(most));
            both.filter(|(least, most)| least <= most)
                .map(|(least, most)| Reuse { least, most })
        }
    };
    let most = u32::MAX;
    reuse
        .ok_or_else(|| format!("must be a whole number from 1 to {most}, or a range such as 1..10"))
}

/// `idle`, or `echo=45` for 45 parts of the clients.
pub(super) fn share(text: &str) -> Result<Share, String> {
    let (name, weight) = text.split_once('=').unwrap_or((text, "1"));
    let profile = Profile::ALL
        .into_iter()
        .find(|profile| profile.name() == name);
    let weight = units::count(1..=1_000_000_u32)(weight).ok();
    let share = profile.zip(weight.and_then(NonZeroU32::new));
    let share = share.map(|(profile, weight)| Share { profile, weight });
    share.ok_or_else(|| {
        let names = Profile::ALL.map(Profile::name).join(", ");
        format!("must be profiles with weights from 1 to 1000000, such as echo=45,idle=5; profiles are {names}")
    })
}

/// A whole number as large as a run may count to.
pub(super) fn total(text: &str) -> Result<NonZeroU64, String> {
    let count = units::count(1..=1_000_000_000_000_000_u64)(text)?;
    NonZeroU64::new(count).ok_or_else(|| "must not be 0".to_owned())
}

/// Bytes with the escapes of C: `PING\r\n`, `\x00\x01`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            let plain = if byte == b'\\' {
                escape(&mut rest)
            } else {
                Some(byte)
            };
            bytes
                .push(plain.ok_or("must be text with the escapes \\r \\n \\t \\0 \\\\ and \\xHH")?);
        }
        Ok(Self(bytes))
    }
}

fn escape(rest: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    match rest.next()? {
        b'r' => Some(b'\r'),
        b'n' => Some(b'\n'),
        b't' => Some(b'\t'),
        b'0' => Some(0),
        b'\\' => Some(b'\\'),
        b'x' => {
            let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
            u8::try_from(high * 16 + low).ok()
        }
        _ => None,
    }
}

/// `Name: value`, without anything that would end the field.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let is_token = |name: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        !name.is_empty() && name.bytes().all(allowed)
    };
    let field = text
        .split_once(':')
        .map(|(name, value)| (name, value.trim()));
    field
        .filter(|(name, value)| is_token(name) && !value.contains(['\r', '\n', '\0']))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "must be a field such as 'Accept: text/plain'".to_owned())
}

/// A path that begins with a slash and has no blank in it.
pub(super) fn path(text: &str) -> Result<String, String> {
    let is_one = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic());
    is_one
        .then(|| text.to_owned())
        .ok_or_else(|| "must be a path such as /index.html?a=b, without blanks".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_one_a_range_or_a_list() {
        let shown = |text| sizes(text).map(|sizes| sizes.to_string());
        assert_eq!(shown("1KiB").unwrap(), "1024");
        assert_eq!(shown("1..64KiB").unwrap(), "1..65536");
        assert_eq!(shown("64,1k,7").unwrap(), "64,1000,7");
        for wrong in ["", "0", "9..1", "1..", "64,", "17MiB", "1..17MiB", "-1"] {
            assert!(shown(wrong).unwrap_err().contains("1..4096"), "{wrong}");
        }
    }

    #[test]
    fn a_rate_may_be_a_ramp() {
        assert_eq!(rate("2k"), Ok(Rate::Constant(2_000.0)));
        assert_eq!(rate("1:1M"), Ok(Rate::Ramp(1.0, 1e6)));
        for wrong in ["0", "1:", ":1", "1:2:3", "nan", "1e10"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn pauses_and_reuse_are_what_they_look_like() {
        let ms = Duration::from_millis(5);
        assert_eq!(pause("5ms"), Ok(Pause::Constant(ms)));
        assert_eq!(pause("exp:5ms"), Ok(Pause::Exponential(ms)));
        assert!(pause("exp:").is_err() && pause("5").is_err());
        assert_eq!(reuse("3").unwrap().to_string(), "3");
        assert_eq!(reuse("1..10").unwrap().to_string(), "1..10");
        assert!(reuse("0").is_err() && reuse("9..1").is_err());
    }

    #[test]
    fn profiles_have_weights() {
        let idle = share("idle").unwrap();
        assert_eq!((idle.profile, idle.weight.get()), (Profile::Idle, 1));
        assert_eq!(share("echo=45").unwrap().weight.get(), 45);
        for wrong in ["", "echo=", "echo=0", "fast", "echo=45=5"] {
            assert!(share(wrong).unwrap_err().contains("slow-read"), "{wrong}");
        }
    }

    #[test]
    fn bytes_may_be_escaped() {
        let bytes = |text: &str| text.parse::<Bytes>().map(|bytes| bytes.0);
        assert_eq!(bytes("PING\\r\\n").unwrap(), b"PING\r\n");
        assert_eq!(
            bytes("\\x00\\xfF\\\\\\t\\0").unwrap(),
            [0, 255, b'\\', b'\t', 0]
        );
        for wrong in ["\\", "\\q", "\\x", "\\x1", "\\xg0"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_and_paths_cannot_smuggle_lines() {
        assert_eq!(
            header("A:  b c ").unwrap(),
            ("A".to_owned(), "b c".to_owned())
        );
        for wrong in ["A", ": b", "A b: c", "A: b\r\nC: d", "A\n: b"] {
            assert!(header(wrong).is_err(), "{wrong:?}");
        }
        assert!(path("/a?b=c").is_ok());
        for wrong in ["", "a", "/a b", "/a\r\nX: y"] {
            assert!(path(wrong).is_err(), "{wrong:?}");
        }
    }
}
