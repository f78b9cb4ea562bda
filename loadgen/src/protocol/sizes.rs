//! How long messages are: one length, a range, or a list.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::random::Key;

/// The lengths of messages in bytes; each message has one of them by chance, all equally often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sizes {
    /// All the same.
    Fixed(NonZeroU32),
    /// From the first to the second, both included; the first is not larger.
    Range(NonZeroU32, NonZeroU32),
    /// One of these, at least one.
    List(Vec<NonZeroU32>),
}

impl Sizes {
    /// The largest.
    #[must_use]
    pub fn largest(&self) -> u32 {
        match self {
            Self::Fixed(bytes) | Self::Range(_, bytes) => bytes.get(),
            Self::List(all) => all.iter().max().map_or(1, |bytes| bytes.get()),
        }
    }

    /// The one that follows from `key`.
    #[inline]
    pub(crate) fn pick(&self, key: Key) -> u32 {
        match self {
            Self::Fixed(bytes) => bytes.get(),
            Self::Range(least, most) => least.get() + key.below(most.get() - least.get() + 1),
            Self::List(all) => {
                let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
                all.get(key.below(count) as usize)
                    .map_or(1, |bytes| bytes.get())
            }
        }
    }
}

impl std::fmt::Display for Sizes {
    /// As typed: `64`, `1..4096`, `64,1024`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(bytes) => write!(f, "{bytes}"),
            Self::Range(least, most) => write!(f, "{least}..{most}"),
            Self::List(all) => {
                let all: Vec<_> = all.iter().map(ToString::to_string).collect();
                f.write_str(&all.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(bytes: u32) -> NonZeroU32 {
        NonZeroU32::new(bytes).unwrap()
    }

    fn picked(sizes: &Sizes) -> std::collections::BTreeSet<u32> {
        let keys = (0..2_000).map(|index| Key::new(1, 0).with(index));
        keys.map(|key| sizes.pick(key)).collect()
    }

    #[test]
    fn every_size_occurs_and_no_other() {
        assert!(picked(&Sizes::Fixed(size(64))).into_iter().eq([64]));
        assert!(
            picked(&Sizes::Range(size(5), size(9)))
                .into_iter()
                .eq(5..=9)
        );
        let list = Sizes::List(vec![size(1), size(64), size(7)]);
        assert!(picked(&list).into_iter().eq([1, 7, 64]));
        assert_eq!(list.largest(), 64);
    }

    #[test]
    fn sizes_are_shown_as_they_are_typed() {
        let list = Sizes::List(vec![size(64), size(1_024)]);
        let range = Sizes::Range(size(1), size(4_096));
        assert_eq!(
            format!("{list} {range} {}", Sizes::Fixed(size(8))),
            "64,1024 1..4096 8"
        );
    }
}
