//! What a client does between, during and after its requests: a value, and the named presets of
//! `--profile` that change it.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::random::{self, Key};

/// The most requests in flight on one connection.
pub const MAX_PIPELINE: u16 = 1_024;
/// Bytes per second of the profiles that are slow on purpose, unless told otherwise.
pub const SLOW_BYTES_PER_S: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");
/// Requests at once, and the pause after their answers, of [`Profile::Burst`].
const BURST: (NonZeroU16, Duration) = (
    NonZeroU16::new(16).expect("sixteen is not zero"),
    Duration::from_secs(1),
);

/// What a client does between, during and after its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behaviour {
    /// The pause between an answer and the next request; with a pipeline, between the answers of a
    /// whole burst and the next burst.
    pub think: Pause,
    /// Silence after the first answer on a connection.
    pub hold: Duration,
    /// Close after so many answers; without it a connection stays.
    pub requests_per_conn: Option<Reuse>,
    /// A client whose connection ended does not connect again.
    pub once: bool,
    /// Requests that may be in flight on a connection, at most [`MAX_PIPELINE`].
    pub pipeline: NonZeroU16,
    /// How much of a request is sent.
    pub sends: Sends,
    /// How fast it is sent.
    pub writes: Tempo,
    /// How fast answers are read.
    pub reads: Tempo,
}

/// How long a pause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pause {
    /// Always the same; zero is none.
    Constant(Duration),
    /// Exponentially distributed with this mean.
    Exponential(Duration),
}

/// How many answers a connection lives for: from the first number to the second, each by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reuse {
    /// At least so many.
    pub least: NonZeroU32,
    /// At most so many, not below `least`.
    pub most: NonZeroU32,
}

/// How much of a request is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sends {
    /// All of it.
    #[default]
    Whole,
    /// The first half; the rest never comes, as from a peer that vanished.
    Half,
    /// Nothing: the client only stays connected.
    Nothing,
}

/// How fast bytes are taken or given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tempo {
    /// As fast as the socket allows.
    #[default]
    Full,
    /// This many bytes per second, in small pieces.
    Slow(NonZeroU32),
}

/// A named kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Sends and reads as fast as it can: the behaviour as typed.
    Echo,
    /// Connects and says nothing.
    Idle,
    /// Reads its answers a few bytes at a time.
    SlowRead,
    /// Sends its requests a few bytes at a time.
    SlowWrite,
    /// Sends half a message and then nothing, as a peer that vanished.
    HalfOpen,
    /// Sends 16 requests at once, waits for all answers, pauses for a second.
    Burst,
}

/// The clients that share a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// What they do.
    pub profile: Profile,
    /// How many of them there are in relation to the others, at least 1.
    pub weight: NonZeroU32,
}

impl Default for Behaviour {
    /// A plain client: one request after the other for ever.
    fn default() -> Self {
        Self {
            think: Pause::Constant(Duration::ZERO),
            hold: Duration::ZERO,
            requests_per_conn: None,
            once: false,
            pipeline: NonZeroU16::MIN,
            sends: Sends::Whole,
            writes: Tempo::Full,
            reads: Tempo::Full,
        }
    }
}

impl Behaviour {
    /// Whether round trips tell something about the server: the client itself delays nothing.
    pub(crate) fn is_prompt(&self) -> bool {
        self.sends == Sends::Whole && self.writes == Tempo::Full && self.reads == Tempo::Full
    }

    /// Whether such a client sends on the schedule of an open loop. Who is slow on purpose could
    /// not keep it, and who pauses has times of its own.
    pub(crate) fn keeps_schedule(&self) -> bool {
        self.is_prompt() && self.think.is_zero()
    }
}

/// The place of each client among those that keep a schedule, when `kinds` says which of
/// `behaviours` is each one's own.
pub(crate) fn lanes(kinds: &[u8], behaviours: &[Behaviour]) -> Vec<u32> {
    let keeps = |kind: &u8| behaviours[usize::from(*kind)].keeps_schedule();
    let before = kinds.iter().scan(0, |count, kind| {
        let lane = *count;
        *count += u32::from(keeps(kind));
        Some(lane)
    });
    before.collect()
}

impl Pause {
    /// Whether there is none.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        match self {
            Self::Constant(length) | Self::Exponential(length) => length.is_zero(),
        }
    }

    /// The pause that follows from `key`.
    pub(crate) fn length(self, key: Key) -> Duration {
        match self {
            Self::Constant(length) => length,
            Self::Exponential(mean) => mean.mul_f64(random::exponential(key)),
        }
    }
}

impl std::fmt::Display for Pause {
    /// As typed: `5ms`, `exp:5ms`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Constant(length) => write!(f, "{}", cli::units::span(*length)),
            Self::Exponential(mean) => write!(f, "exp:{}", cli::units::span(*mean)),
        }
    }
}

impl Reuse {
    /// Always `answers`.
    #[must_use]
    pub const fn of(answers: NonZeroU32) -> Self {
        Self {
            least: answers,
            most: answers,
        }
    }

    /// The number that follows from `key`.
    pub(crate) fn answers(self, key: Key) -> u32 {
        let (least, most) = (self.least.get(), self.most.get());
        least + key.below((most - least).saturating_add(1))
    }
}

impl std::fmt::Display for Reuse {
    /// As typed: `3`, `1..10`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.least == self.most {
            write!(f, "{}", self.least)
        } else {
            write!(f, "{}..{}", self.least, self.most)
        }
    }
}

impl Profile {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 6] = [
        Self::Echo,
        Self::Idle,
        Self::SlowRead,
        Self::SlowWrite,
        Self::HalfOpen,
        Self::Burst,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Idle => "idle",
            Self::SlowRead => "slow-read",
            Self::SlowWrite => "slow-write",
            Self::HalfOpen => "half-open",
            Self::Burst => "burst",
        }
    }

    /// What such a client does, where the others do as `base` says; slow ones move
    /// `slow_bytes_per_s`.
    #[must_use]
    pub fn change(self, base: Behaviour, slow_bytes_per_s: NonZeroU32) -> Behaviour {
        let slow = Tempo::Slow(slow_bytes_per_s);
        match self {
            Self::Echo => base,
            Self::Idle => Behaviour {
                sends: Sends::Nothing,
                ..base
            },
            Self::SlowRead => Behaviour {
                reads: slow,
                ..base
            },
            Self::SlowWrite => Behaviour {
                writes: slow,
                ..base
            },
            Self::HalfOpen => Behaviour {
                sends: Sends::Half,
                ..base
            },
            Self::Burst => Behaviour {
                pipeline: BURST.0,
                think: Pause::Constant(BURST.1),
                ..base
            },
        }
    }
}

/// Which of `shares` each of `clients` clients belongs to: in proportion to the weights, and mixed
/// as evenly as whole clients allow, whatever their number.
pub(crate) fn deal(shares: &[Share], clients: u32) -> Vec<u8> {
    let total: i64 = shares
        .iter()
        .map(|share| i64::from(share.weight.get()))
        .sum();
    let mut credit = vec![0_i64; shares.len()];
    let mut next = || {
        for (credit, share) in credit.iter_mut().zip(shares) {
            *credit += i64::from(share.weight.get());
        }
        // The first of those who wait longest, so that equal weights take turns in order.
        let best = (0..shares.len()).rev().max_by_key(|place| credit[*place])?;
        credit[best] -= total;
        u8::try_from(best).ok()
    };
    (0..clients).map(|_| next().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shares(weights: &[u32]) -> Vec<Share> {
        let weight = |w: &u32| NonZeroU32::new(*w).unwrap();
        let shares = weights.iter().zip(Profile::ALL.into_iter().cycle());
        shares
            .map(|(w, profile)| Share {
                profile,
                weight: weight(w),
            })
            .collect()
    }

    fn counts(weights: &[u32], clients: u32) -> Vec<usize> {
        let dealt = deal(&shares(weights), clients);
        (0..weights.len())
            .map(|place| dealt.iter().filter(|p| usize::from(**p) == place).count())
            .collect()
    }

    #[test]
    fn clients_are_dealt_by_weight() {
        assert_eq!(counts(&[45, 5], 50), [45, 5]);
        assert_eq!(counts(&[45, 5], 10), [9, 1]);
        assert_eq!(deal(&shares(&[1, 1]), 4), [0, 1, 0, 1]);
        assert_eq!(deal(&[], 3), [0, 0, 0]);
    }

    #[test]
    fn only_who_can_keep_a_schedule_has_a_place_in_it() {
        let slow = NonZeroU32::MIN;
        let all = Profile::ALL.map(|profile| profile.change(Behaviour::default(), slow));
        let keeping: Vec<_> = all.iter().map(Behaviour::keeps_schedule).collect();
        assert_eq!(keeping, [true, false, false, false, false, false]);
        assert_eq!(lanes(&[0, 1, 0, 5, 0], &all), [0, 1, 1, 2, 2]);
    }

    #[test]
    fn ranges_reach_both_ends() {
        let reuse = Reuse {
            least: NonZeroU32::new(2).unwrap(),
            most: NonZeroU32::new(4).unwrap(),
        };
        let seen: std::collections::BTreeSet<_> = (0..100)
            .map(|index| reuse.answers(Key::new(1, 1).with(index)))
            .collect();
        assert!(seen.into_iter().eq([2, 3, 4]));
    }

    #[test]
    fn an_exponential_pause_has_the_mean_asked_for() {
        let pause = Pause::Exponential(Duration::from_millis(2));
        let keys = (0..50_000).map(|index| Key::new(1, 1).with(index));
        let sum: Duration = keys.map(|key| pause.length(key)).sum();
        let mean_us = sum.as_secs_f64() * 1e6 / 50_000.0;
        assert!((mean_us - 2_000.0).abs() < 40.0, "{mean_us}");
    }

    proptest! {
        #[test]
        fn no_share_is_ever_off_by_more_than_the_number_of_shares(
            weights in prop::collection::vec(1_u32..100, 1..6), clients in 1_u32..300
        ) {
            let total: u32 = weights.iter().sum();
            for (count, weight) in counts(&weights, clients).into_iter().zip(&weights) {
                let fair = f64::from(clients) * f64::from(*weight) / f64::from(total);
                prop_assert!((count as f64 - fair).abs() < weights.len() as f64);
            }
        }
    }
}
