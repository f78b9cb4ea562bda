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

    /// What it is when others kept so many processors busy meanwhile, if that disturbs: a time or a
    /// rate that is not as predicted is a doubt then. Not for what is counted.
    #[must_use]
    pub(crate) fn beside(self, others_cores: Option<f64>) -> Self {
        match others_cores {
            Some(cores) if self.verdict != Verdict::Holds => Self::inconclusive(format!(
                "{}, but others kept {cores:.1} processors busy",
                self.reason
            )),
            _ => self,
        }
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

/// The borders of a figure that decides about a claim: enough for it, contradicting it, and a doubt
/// between the two, where a noisy machine may be the reason. Their order says which way is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Zones {
    /// Bears the claim out from here on.
    pub enough: f64,
    /// Contradicts it beyond this.
    pub wrong: f64,
}

impl Zones {
    /// What is to be said against the claim of a figure that `found` puts into words; what is not a
    /// number is a doubt.
    pub fn objection(self, figure: f64, found: impl Into<String>) -> Option<Ruling> {
        let more_is_better = self.enough >= self.wrong;
        let (enough, wrong) = if more_is_better {
            (figure >= self.enough, figure < self.wrong)
        } else {
            (figure <= self.enough, figure > self.wrong)
        };
        match (enough, wrong) {
            (true, _) => None,
            (_, true) => Some(Ruling::does_not_hold(found)),
            _ => Some(Ruling::inconclusive(found)),
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
    fn a_figure_decides_in_three_zones_whichever_way_is_better() {
        let verdict = |enough, wrong, figure| {
            let objection = Zones { enough, wrong }.objection(figure, "5 of 7");
            objection.map_or(Verdict::Holds, |ruling| ruling.verdict)
        };
        let (no, doubt) = (Verdict::DoesNotHold, Verdict::Inconclusive);
        for (figure, expected) in [(2.0, Verdict::Holds), (1.9, doubt), (1.3, doubt), (1.2, no)] {
            assert_eq!(verdict(2.0, 1.3, figure), expected, "{figure}");
        }
        for (figure, expected) in [
            (3.0, Verdict::Holds),
            (3.1, doubt),
            (10.0, doubt),
            (10.1, no),
        ] {
            assert_eq!(verdict(3.0, 10.0, figure), expected, "{figure}");
        }
        assert_eq!(verdict(3.0, 10.0, f64::NAN), doubt);
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
