//! What an experiment concludes: its claim holds, does not hold, or the run cannot tell.
//!
//! Pure: figures go in and a [`Ruling`] comes out, so that every way to fail is tested without a
//! server. An inconclusive run is never counted as a success.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The three possible ends of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// The figures are what the claim predicts.
    #[serde(rename = "holds")]
    Holds,
    /// The run cannot tell: too noisy, invalid, or cut short.
    #[serde(rename = "inconclusive")]
    Inconclusive,
    /// The figures contradict the claim.
    #[serde(rename = "does not hold")]
    DoesNotHold,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds => "holds",
            Self::Inconclusive => "inconclusive",
            Self::DoesNotHold => "does not hold",
        })
    }
}

/// A verdict and the figures behind it, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, with figures; one line without a full stop.
    pub reason: String,
}

impl Ruling {
    /// The figures are as predicted.
    pub fn holds(reason: impl Into<String>) -> Self {
        Self::new(Verdict::Holds, reason)
    }

    /// The figures contradict the prediction.
    pub fn does_not_hold(reason: impl Into<String>) -> Self {
        Self::new(Verdict::DoesNotHold, reason)
    }

    /// The run cannot tell.
    pub fn inconclusive(reason: impl Into<String>) -> Self {
        Self::new(Verdict::Inconclusive, reason)
    }

    fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            reason: reason.into(),
        }
    }

    /// The ruling on a claim of several parts, of which `objections` are those that failed: the
    /// first contradiction decides, then the first doubt; without either the claim holds.
    pub fn unless(objections: Vec<Self>, holds: impl Into<String>) -> Self {
        let further = objections.len().saturating_sub(1);
        let worst = objections
            .into_iter()
            .reduce(|worst, next| {
                if next.verdict > worst.verdict {
                    next
                } else {
                    worst
                }
            })
            .filter(|worst| worst.verdict != Verdict::Holds);
        match worst {
            None => Self::holds(holds),
            Some(worst) if further == 0 => worst,
            Some(worst) => Self::new(
                worst.verdict,
                format!("{} (and {further} more)", worst.reason),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contradiction_outweighs_a_doubt_and_a_doubt_outweighs_success() {
        let doubt = || Ruling::inconclusive("noisy");
        let wrong = || Ruling::does_not_hold("served 5");
        assert_eq!(Ruling::unless(vec![], "fine"), Ruling::holds("fine"));
        assert_eq!(Ruling::unless(vec![doubt()], "fine"), doubt());
        let both = Ruling::unless(vec![doubt(), wrong(), doubt()], "fine");
        assert_eq!(both, Ruling::does_not_hold("served 5 (and 2 more)"));
    }

    #[test]
    fn verdicts_are_words_in_json() {
        let words = [Verdict::Holds, Verdict::DoesNotHold, Verdict::Inconclusive];
        assert_eq!(
            serde_json::to_string(&words).unwrap(),
            r#"["holds","does not hold","inconclusive"]"#
        );
    }
}
