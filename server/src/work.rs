//! What a message costs before it is echoed. Pure: no clock, no socket, so it is tested exactly.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest cost of one message.
const LONGEST: Duration = Duration::from_secs(3600);

/// What must happen before the bytes go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Nothing: they go back at once.
    Free,
    /// A pretended downstream call; a thread sleeps, a reactor sets a timer.
    Wait(Duration),
    /// Computation; it burns the caller's core unless the driver offloads it.
    Compute(Duration),
}

/// Echo the first `take` bytes of the input once `cost` is paid, then ask again with the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many bytes of the input this step answers; at least 1 for a non-empty input.
    pub take: usize,
    /// What they cost.
    pub cost: Cost,
}

/// The pretended work of the server, charged once per `\n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// A plain echo.
    #[default]
    None,
    /// Processor time per message.
    Compute(Duration),
    /// Waiting time per message.
    Wait(Duration),
    /// Waiting time per message, exponentially distributed around this mean.
    WaitExponential(Duration),
}

/// All that was heard on a connection so far, as one number: what a random cost follows from.
///
/// Neither who serves a message nor when is in it. So whoever knows what a client says knows what
/// it costs, in every mode, and a simulation can pay the same costs as the server did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard(u64);

impl Default for Heard {
    /// Nothing yet.
    fn default() -> Self {
        // The offset basis of FNV-1a, which makes even the first zero byte count.
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Heard {
    /// FNV-1a (Fowler, Noll, Vo): byte by byte, so that the cuts of the stream leave no trace.
    fn hear(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

impl Work {
    /// How much of `input`, which follows what was `heard`, to answer next, and at what cost.
    ///
    /// A line costs once, when its `\n` arrives, so the sum does not depend on how TCP cut the
    /// stream. Where the cost is random it follows from this line and those before it.
    #[must_use]
    pub fn step(self, input: &[u8], heard: &mut Heard) -> Step {
        let newline = match self {
            Self::None => None,
            _ => memchr::memchr(b'\n', input),
        };
        let take = newline.map_or(input.len(), |newline| newline + 1);
        if let Self::WaitExponential(_) = self {
            heard.hear(&input[..take]);
        }
        let cost = newline.map_or(Cost::Free, |_| self.cost(*heard));
        Step { take, cost }
    }

    fn cost(self, heard: Heard) -> Cost {
        match self {
            Self::None => Cost::Free,
            Self::Compute(time) => Cost::Compute(time),
            Self::Wait(time) => Cost::Wait(time),
            Self::WaitExponential(mean) => Cost::Wait(exponential(mean, heard.0)),
        }
    }
}

/// The inverse of the exponential distribution at a point that `draw` picks.
fn exponential(mean: Duration, draw: u64) -> Duration {
    // The upper 53 bits, shifted by a half: strictly between 0 and 1, so the logarithm is finite.
    let uniform = ((scramble(draw) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    mean.mul_f64(-uniform.ln())
}

/// SplitMix64 (Steele, Lea, Flood 2014): neighbouring inputs give unrelated outputs.
fn scramble(input: u64) -> u64 {
    let mut z = input
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The text names no work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be none, cpu=DURATION, io=DURATION or io=exp:MEAN, with durations up to 1h")]
pub struct InvalidWork;

impl FromStr for Work {
    type Err = InvalidWork;

    fn from_str(text: &str) -> Result<Self, InvalidWork> {
        let time = |text| {
            cli::units::parse_duration(text)
                .filter(|time| *time <= LONGEST)
                .ok_or(InvalidWork)
        };
        match text.split_once('=') {
            None if text == "none" => Ok(Self::None),
            Some(("cpu", rest)) => time(rest).map(Self::Compute),
            Some(("io", rest)) => match rest.strip_prefix("exp:") {
                Some(mean) => time(mean).map(Self::WaitExponential),
                None => time(rest).map(Self::Wait),
            },
            _ => Err(InvalidWork),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::None => f.write_str("none"),
            Self::Compute(time) => write!(f, "cpu={}", cli::units::span(time)),
            Self::Wait(time) => write!(f, "io={}", cli::units::span(time)),
            Self::WaitExponential(mean) => write!(f, "io=exp:{}", cli::units::span(mean)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    /// The costs of a stream that arrives in pieces of the given lengths, and the bytes answered.
    fn charge(work: Work, stream: &[u8], cuts: &[usize]) -> (Vec<Cost>, usize) {
        let (mut costs, mut answered, mut from) = (Vec::new(), 0, 0);
        let mut heard = Heard::default();
        let ends = cuts
            .iter()
            .map(|cut| cut % (stream.len() + 1))
            .chain([stream.len()]);
        let mut ends: Vec<_> = ends.collect();
        ends.sort_unstable();
        for end in ends {
            while from < end {
                let step = work.step(&stream[from..end], &mut heard);
                assert!(step.take > 0);
                from += step.take;
                answered += step.take;
                costs.extend((step.cost != Cost::Free).then_some(step.cost));
            }
        }
        (costs, answered)
    }

    #[test]
    fn what_is_typed_is_shown_and_read_back() {
        for text in ["none", "cpu=1ms", "io=5ms", "io=exp:2ms", "io=0s"] {
            assert_eq!(text.parse::<Work>().unwrap().to_string(), text);
        }
        for text in [
            "", "cpu", "cpu=", "cpu=5", "io=exp:", "io=exp", "gpu=1ms", "cpu=-1ms", "io=2h",
        ] {
            assert_eq!(text.parse::<Work>(), Err(InvalidWork), "{text}");
        }
    }

    #[test]
    fn a_plain_echo_answers_all_at_once() {
        let mut heard = Heard::default();
        assert_eq!(
            Work::None.step(b"a\nb\n", &mut heard),
            Step {
                take: 4,
                cost: Cost::Free
            }
        );
        assert_eq!(
            Work::Wait(MS).step(b"a\nb\n", &mut heard),
            Step {
                take: 2,
                cost: Cost::Wait(MS)
            }
        );
        assert_eq!(
            Work::Compute(MS).step(b"ab", &mut heard),
            Step {
                take: 2,
                cost: Cost::Free
            }
        );
    }

    #[test]
    fn exponential_costs_have_their_mean_and_their_median() {
        let sample: Vec<f64> = (0..100_000)
            .map(|draw| exponential(MS, draw).as_secs_f64() * 1e3)
            .collect();
        let mean = sample.iter().sum::<f64>() / sample.len() as f64;
        let below = sample
            .iter()
            .filter(|x| **x < std::f64::consts::LN_2)
            .count();
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!((49_000..51_000).contains(&below), "{below}");
    }

    #[test]
    fn costs_of_neighbouring_messages_are_as_random_as_any() {
        // One byte each, so that a line differs from the one before by its place alone.
        let (costs, _) = charge(Work::WaitExponential(MS), &[b'\n'; 20_000], &[]);
        let costs: Vec<f64> = costs.iter().map(in_ms).collect();
        let mean = costs.iter().sum::<f64>() / costs.len() as f64;
        let next_to_each_other: Vec<f64> = costs.windows(2).map(|two| two[0] * two[1]).collect();
        let product = next_to_each_other.iter().sum::<f64>() / next_to_each_other.len() as f64;
        assert!((mean - 1.0).abs() < 0.04, "{mean}");
        assert!((product - mean * mean).abs() < 0.04, "{product}");
    }

    #[test]
    fn the_same_conversation_costs_the_same_and_another_costs_something_else() {
        let costs = |stream: &[u8]| charge(Work::WaitExponential(MS), stream, &[]).0;
        assert_eq!(costs(b"a\nb\n"), costs(b"a\nb\n"));
        assert_ne!(costs(b"a\nb\n")[1], costs(b"c\nb\n")[1]);
        assert_ne!(costs(b"a\na\n")[0], costs(b"a\na\n")[1]);
    }

    fn in_ms(cost: &Cost) -> f64 {
        match cost {
            Cost::Wait(time) => time.as_secs_f64() * 1e3,
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn the_cost_does_not_depend_on_how_tcp_cut_the_stream(
            stream in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(any::<usize>(), 0..20),
        ) {
            let lines = stream.iter().filter(|b| **b == b'\n').count();
            for work in [Work::Wait(MS), Work::Compute(MS), Work::WaitExponential(MS)] {
                let whole = charge(work, &stream, &[]);
                prop_assert_eq!(whole.0.len(), lines);
                prop_assert_eq!(whole.1, stream.len());
                prop_assert_eq!(charge(work, &stream, &cuts), whole);
            }
        }
    }
}
