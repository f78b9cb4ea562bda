//! Whether a goal is met: by the ratio to the reference within each round, and its interval.
//!
//! ```text
//! ours       o1 o2 o3 …    ln o − ½ (ln r + ln a) of each round ──▶ ratio and interval ─┐
//! reference  r1 r2 r3 …                                                                 ├▶ Verdict
//! and again  a1 a2 a3 …    ln a − ln r of each round ──▶ the control ───────────────────┘
//! ```
//!
//! What a round has in common drops out of the ratio. The reference is measured twice in each round:
//! the two say what noise there is, and their mean is steadier than one of them. A goal is missed only
//! if the whole interval lies on its wrong side. Pure.

use serde::{Deserialize, Serialize};

use super::goal::Relation;
use crate::compare::judge::{Conclusion, Effect, FEWEST_ROUNDS};
use crate::stats::Interval;

/// One figure in one round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Of our server.
    pub own: f64,
    /// Of the reference, and of the same once more; none where the figure stands by itself.
    pub reference: Option<[f64; 2]>,
}

/// What follows for a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The whole interval lies on the right side.
    Met,
    /// The interval holds the threshold: the goal is not missed for sure.
    NotDistinguishable,
    /// The whole interval lies on the wrong side.
    Missed,
    /// The reference differs from itself for sure and by more than a few percent: nothing can be said.
    ControlDiffers,
    /// Fewer rounds than an interval is good for.
    TooFewRounds,
    /// Too many runs could not be trusted, or the figure is not there.
    NotMeasured,
    /// Nobody wanted it, or what it takes is not there.
    Skipped,
}

/// A verdict and the figures behind it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The ratio to the reference, or the figure itself where there is none.
    pub found: Option<Interval>,
    /// The ratio of the reference to itself.
    pub control: Option<Interval>,
}

impl Judgement {
    /// A judgement without figures.
    #[must_use]
    pub fn none(verdict: Verdict) -> Self {
        Self {
            verdict,
            found: None,
            control: None,
        }
    }

    /// The judgement on `rounds`.
    #[must_use]
    pub fn of(relation: Relation, rounds: &[Round]) -> Self {
        let control = control(rounds);
        let found = Judgement {
            verdict: Verdict::NotMeasured,
            found: found(rounds),
            control: control.and_then(|control| control.ratio),
        };
        let verdict = match (found.found, control) {
            (None, _) => Verdict::NotMeasured,
            _ if rounds.len() < FEWEST_ROUNDS => Verdict::TooFewRounds,
            (_, Some(control)) if control.differs() => Verdict::ControlDiffers,
            (Some(interval), _) => relation.verdict(interval),
        };
        Self { verdict, ..found }
    }
}

impl Relation {
    /// The number that is not to be passed.
    #[must_use]
    pub fn threshold(self) -> f64 {
        match self {
            Self::AtLeast(threshold) | Self::AtMost(threshold) => threshold,
        }
    }

    fn verdict(self, Interval { low, high, .. }: Interval) -> Verdict {
        let (met, missed) = match self {
            Self::AtLeast(threshold) => (low >= threshold, high < threshold),
            Self::AtMost(threshold) => (high <= threshold, low > threshold),
        };
        match (met, missed) {
            (true, _) => Verdict::Met,
            (_, true) => Verdict::Missed,
            _ => Verdict::NotDistinguishable,
        }
    }
}

impl Verdict {
    /// As people read it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::NotDistinguishable => "not distinguishable",
            Self::Missed => "missed",
            Self::ControlDiffers => "control differs",
            Self::TooFewRounds => "too few pairs",
            Self::NotMeasured => "not measured",
            Self::Skipped => "skipped",
        }
    }

    /// Whether it says nothing of the goal although it was to.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(
            self,
            Self::ControlDiffers | Self::TooFewRounds | Self::NotMeasured
        )
    }
}

impl Round {
    /// How it compares: the logarithm of the ratio to the mean of the two references, or of the figure
    /// itself. None when a figure is not positive.
    #[must_use]
    pub fn log(&self) -> Option<f64> {
        let own = log(self.own)?;
        match self.reference {
            None => Some(own),
            Some([first, again]) => Some(own - (log(first)? + log(again)?) / 2.0),
        }
    }
}

/// The logarithms of all rounds; none without any, or if one has none.
#[must_use]
pub fn logs(rounds: &[Round]) -> Option<Vec<f64>> {
    let logs: Option<Vec<f64>> = rounds.iter().map(Round::log).collect();
    logs.filter(|logs| !logs.is_empty())
}

fn log(figure: f64) -> Option<f64> {
    (figure.is_finite() && figure > 0.0).then(|| figure.ln())
}

/// The ratio, or the figure itself: that is not paired with anything, so its median is all there is.
fn found(rounds: &[Round]) -> Option<Interval> {
    let paired = rounds.iter().all(|round| round.reference.is_some());
    if paired {
        return Interval::of_shift(&logs(rounds)?).map(Interval::exp);
    }
    let figures: Vec<f64> = rounds.iter().map(|round| round.own).collect();
    Interval::of_median(&figures)
}

/// The reference beside itself, where there is one.
fn control(rounds: &[Round]) -> Option<Effect> {
    let both: Option<Vec<[f64; 2]>> = rounds.iter().map(|round| round.reference).collect();
    let both = both.filter(|both| !both.is_empty())?;
    let of = |which: usize| both.iter().map(|pair| pair.get(which).copied()).collect();
    let effect = Effect::of_control(&of(0), &of(1));
    (effect.conclusion != Conclusion::NoFigure).then_some(effect)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::goal::Relation::{AtLeast, AtMost};
    use crate::suite::simulation::rounds;

    fn alone(figures: &[f64]) -> Vec<Round> {
        let round = |&own: &f64| Round {
            own,
            reference: None,
        };
        figures.iter().map(round).collect()
    }

    #[test]
    fn a_goal_is_missed_only_when_the_whole_interval_is_on_the_wrong_side() {
        let of =
            |ratio: f64, relation| Judgement::of(relation, &rounds(3, 12, ratio, 0.01)).verdict;
        assert_eq!(of(1.1, AtLeast(0.98)), Verdict::Met);
        assert_eq!(of(0.98, AtLeast(0.98)), Verdict::NotDistinguishable);
        assert_eq!(of(0.9, AtLeast(0.98)), Verdict::Missed);
        assert_eq!(of(0.9, AtMost(1.03)), Verdict::Met);
        assert_eq!(of(1.03, AtMost(1.03)), Verdict::NotDistinguishable);
        assert_eq!(of(1.1, AtMost(1.03)), Verdict::Missed);
    }

    #[test]
    fn a_machine_of_two_speeds_drops_out() {
        let found = Judgement::of(AtLeast(0.9), &rounds(1, 8, 1.0, 0.0));
        let interval = found.found.unwrap();
        assert!((interval.low - 1.0).abs() < 1e-9 && (interval.high - 1.0).abs() < 1e-9);
        assert_eq!(found.control.map(|it| (it.middle * 1e9).round()), Some(1e9));
    }

    #[test]
    fn where_the_reference_differs_from_itself_nothing_is_said() {
        let mut rounds = rounds(1, 8, 2.0, 0.01);
        for round in &mut rounds {
            if let Some([_, again]) = &mut round.reference {
                *again *= 1.5;
            }
        }
        let found = Judgement::of(AtLeast(1.0), &rounds);
        assert_eq!(found.verdict, Verdict::ControlDiffers);
        assert!(
            found.found.is_some(),
            "it is shown, and nothing is said of it"
        );
    }

    #[test]
    fn a_figure_without_a_reference_is_judged_by_its_median() {
        let of = |figures: &[f64]| Judgement::of(AtMost(256.0), &alone(figures)).verdict;
        assert_eq!(of(&[100.0, 120.0, 110.0, 90.0, 100.0, 130.0]), Verdict::Met);
        assert_eq!(
            of(&[300.0, 320.0, 310.0, 290.0, 300.0, 330.0]),
            Verdict::Missed
        );
        assert_eq!(
            of(&[100.0, 300.0, 110.0, 290.0, 100.0, 330.0]),
            Verdict::NotDistinguishable
        );
        // Nothing at all for a connection is less than anything.
        assert_eq!(of(&[0.0; 6]), Verdict::Met);
    }

    #[test]
    fn too_few_rounds_and_missing_figures_say_nothing() {
        let few = Judgement::of(AtLeast(0.5), &rounds(1, 4, 1.0, 0.01));
        assert_eq!(few.verdict, Verdict::TooFewRounds);
        assert!(few.found.is_some());
        let verdict = |rounds: &[Round]| Judgement::of(AtLeast(0.5), rounds).verdict;
        assert_eq!(verdict(&[]), Verdict::NotMeasured);
        let mut broken = rounds(1, 6, 1.0, 0.01);
        broken[2].own = 0.0;
        assert_eq!(verdict(&broken), Verdict::NotMeasured);
        assert_eq!(verdict(&alone(&[f64::NAN; 6])), Verdict::NotMeasured);
    }

    /// By simulation: who is exactly at the threshold is called missed in about one case of forty.
    #[test]
    fn who_is_as_good_as_the_reference_is_seldom_said_to_be_worse() {
        let missed = (0..1000_u64).filter(|seed| {
            let rounds = rounds(*seed, 8, 1.0, 0.04);
            Judgement::of(AtLeast(1.0), &rounds).verdict == Verdict::Missed
        });
        let missed = missed.count();
        assert!(missed < 45, "{missed} of 1000");
    }
}
