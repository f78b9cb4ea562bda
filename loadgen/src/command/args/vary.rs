//! One setting of a run with several values: what a sweep goes over and a search looks for.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use cli::units;
use loadgen::schedule::{RATES, Rate};
use loadgen::{MAX_CONNECTIONS, MAX_MESSAGE_BYTES, Sizes};

use super::Args;

/// More values than this are a mistake.
const MOST_VALUES: usize = 1_000;

/// A setting and its values, as typed: `connections=1..64`, `size=64,1KiB`, `rate=1k,2k`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Over {
    /// Clients.
    Connections(Vec<u32>),
    /// Bytes of a message.
    Size(Vec<NonZeroU32>),
    /// Requests per second.
    Rate(Vec<f64>),
}

impl FromStr for Over {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, values) = text.split_once('=').unwrap_or((text, ""));
        let found = match name {
            "connections" => numbers(values, MAX_CONNECTIONS.into()).map(|all| {
                Self::Connections(all.into_iter().filter_map(|n| n.try_into().ok()).collect())
            }),
            "size" => numbers(values, MAX_MESSAGE_BYTES.into()).map(|all| {
                let bytes = all.into_iter().filter_map(|n| u32::try_from(n).ok());
                Self::Size(bytes.filter_map(NonZeroU32::new).collect())
            }),
            "rate" => values
                .split(',')
                .map(|value| rate(value).ok())
                .collect::<Option<Vec<_>>>()
                .map(Self::Rate),
            _ => None,
        };
        found
            .filter(|over| over.len() <= MOST_VALUES)
            .ok_or_else(|| {
                "must be connections=, size= or rate= with values, such as connections=1,10,100 or \
             connections=1..64 (doubling), size=64,1KiB,64KiB, rate=1k,2k,5k"
                    .to_owned()
            })
    }
}

/// A list of whole numbers from 1 to `most`; `A..B` is A and its doubles up to B.
fn numbers(text: &str, most: u64) -> Option<Vec<u64>> {
    let one = |text: &str| units::size(1..=most)(text).ok();
    match text.split_once("..") {
        None => text.split(',').map(one).collect(),
        Some((from, to)) => {
            let (from, to) = one(from).zip(one(to)).filter(|(from, to)| from <= to)?;
            let doubles = std::iter::successors(Some(from), |n| n.checked_mul(2));
            let mut all: Vec<_> = doubles.take_while(|n| *n < to).collect();
            all.push(to);
            Some(all)
        }
    }
}

/// `200`, `10k`: a constant rate.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    units::rate(RATES)(text)
}

impl Over {
    /// The name of the setting.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Connections(_) => "connections",
            Self::Size(_) => "size",
            Self::Rate(_) => "rate",
        }
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Connections(all) => all.len(),
            Self::Size(all) => all.len(),
            Self::Rate(all) => all.len(),
        }
    }

    /// `args` with each of the values, and how that is called.
    pub(crate) fn apply(&self, args: &Args) -> Vec<(String, Args)> {
        match self {
            Self::Connections(all) => {
                let with = |n: &u32| (n.to_string(), args.clone().with_connections(*n));
                all.iter().map(with).collect()
            }
            Self::Size(all) => {
                let with = |n: &NonZeroU32| (n.to_string(), args.clone().with_size(*n));
                all.iter().map(with).collect()
            }
            Self::Rate(all) => {
                let with = |rate: &f64| (rate.to_string(), args.clone().with_rate(*rate));
                all.iter().map(with).collect()
            }
        }
    }
}

impl Args {
    /// The same with so many clients, and no more threads than that.
    fn with_connections(mut self, connections: u32) -> Self {
        self.connections = connections;
        let most = usize::try_from(connections).unwrap_or(usize::MAX);
        self.threads = self.threads.map(|threads| threads.min(most));
        self
    }

    fn with_size(mut self, bytes: NonZeroU32) -> Self {
        self.protocol.size = Some(Sizes::Fixed(bytes));
        self
    }

    /// The same as an open loop with this rate.
    pub(crate) fn with_rate(mut self, per_s: f64) -> Self {
        self.behaviour.rate = Some(Rate::Constant(per_s));
        self
    }

    /// Whether a rate was typed.
    pub(crate) const fn has_rate(&self) -> bool {
        self.behaviour.rate.is_some()
    }

    /// The same with this window, unless it was said when the run ends.
    pub(crate) fn or_duration(mut self, length: Duration) -> Self {
        if self.duration.is_none() && self.requests.is_none() {
            self.duration = Some(length);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_doublings_are_read() {
        let over = |text: &str| text.parse::<Over>();
        assert_eq!(
            over("connections=1..6"),
            Ok(Over::Connections(vec![1, 2, 4, 6]))
        );
        assert_eq!(over("connections=9,3"), Ok(Over::Connections(vec![9, 3])));
        assert_eq!(over("rate=1k,0.5"), Ok(Over::Rate(vec![1_000.0, 0.5])));
        let sizes = over("size=64,1KiB").unwrap();
        assert_eq!((sizes.name(), sizes.len()), ("size", 2));
        for wrong in [
            "",
            "connections",
            "connections=",
            "connections=0",
            "connections=1..",
            "connections=9..1",
            "connections=1,,2",
            "connections=1000001",
            "size=17MiB",
            "rate=0",
            "rate=1..5",
            "threads=1",
        ] {
            let why = over(wrong).unwrap_err();
            assert!(why.contains("connections=1..64"), "{wrong}: {why}");
        }
    }
}
