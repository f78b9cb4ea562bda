//! How long a client waits before it counts as one that is not served. Pure arithmetic.
//!
//! A verdict "not served" is a wait that was given up, and on a busy machine any wait can be a
//! hiccup. So the wait is long compared with the answers that did come, and there are two of them.

use std::collections::VecDeque;
use std::time::Duration;

/// How many answers are remembered.
const REMEMBERED: usize = 31;
/// The first wait is as long as this many usual answers, but not longer than [`LONGEST`] for it.
const ANSWERS: u32 = 20;
const LONGEST: Duration = Duration::from_secs(3);
/// A slow server's usual answers always fit into the first wait this often.
const AT_LEAST_ANSWERS: u32 = 3;
/// The second wait is so many of the least first waits, and no shorter than the first.
const SECOND: u32 = 3;

/// The waits, which follow the answers seen so far.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    least: Duration,
    recent: VecDeque<Duration>,
}

impl Patience {
    /// Waits of `least` and more.
    pub(super) fn new(least: Duration) -> Self {
        Self {
            least,
            recent: VecDeque::with_capacity(REMEMBERED),
        }
    }

    /// A client that nobody hindered was answered after this time.
    pub(super) fn note(&mut self, answer: Duration) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(answer);
    }

    /// The usual time to an answer; none before the first.
    pub(super) fn usual(&self) -> Option<Duration> {
        let mut sorted: Vec<_> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// The wait after which a client is suspected not to be served.
    pub(super) fn first(&self) -> Duration {
        let usual = self.usual().unwrap_or_default();
        let long = usual.saturating_mul(ANSWERS).min(LONGEST);
        self.least
            .max(long)
            .max(usual.saturating_mul(AT_LEAST_ANSWERS))
    }

    /// The wait after the first one that makes it certain.
    pub(super) fn second(&self) -> Duration {
        self.first().max(self.least.saturating_mul(SECOND))
    }

    /// Both.
    pub(super) fn both(&self) -> Duration {
        self.first() + self.second()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEAST: Duration = Duration::from_millis(300);

    fn patience(answers_ms: &[u64]) -> Patience {
        let mut patience = Patience::new(LEAST);
        answers_ms
            .iter()
            .for_each(|ms| patience.note(Duration::from_millis(*ms)));
        patience
    }

    #[test]
    fn it_is_long_compared_with_the_usual_answer() {
        for (answers, first_ms, both_ms) in [
            (&[][..], 300, 1_200),
            (&[1, 1, 1], 300, 1_200),
            (&[50, 50, 50], 1_000, 2_000),
            (&[1, 50, 9_000], 1_000, 2_000),
            (&[900], 3_000, 6_000),
            (&[5_000], 15_000, 30_000),
        ] {
            let patience = patience(answers);
            assert_eq!(
                patience.first(),
                Duration::from_millis(first_ms),
                "{answers:?}"
            );
            assert_eq!(patience.both(), Duration::from_millis(both_ms));
        }
    }

    #[test]
    fn old_answers_are_forgotten() {
        let mut answers = vec![900; REMEMBERED];
        answers.extend([1; REMEMBERED]);
        assert_eq!(patience(&answers).usual(), Some(Duration::from_millis(1)));
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_shorter_than_asked(answers in prop::collection::vec(0_u64..100_000, 0..99)) {
            let patience = patience(&answers);
            prop_assert!(patience.first() >= LEAST);
            prop_assert!(patience.first() >= 3 * patience.usual().unwrap_or_default());
        }
    }
}
