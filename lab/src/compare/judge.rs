//! Whether a server differs from the first: by paired differences over the rounds, and by more than
//! the first differs from itself.
//!
//! ```text
//! first  f1 f2 f3 …      ln(x/f) of each round ──▶ shift and its interval ─┐
//! other  x1 x2 x3 …                                                        ├▶ Conclusion
//! again  g1 g2 g3 …      ln(g/f) of each round ──▶ the noise floor ────────┘
//! ```
//!
//! What both have of a round in common (a machine that is busy just then) drops out of a pair. A
//! difference is called one if its interval leaves out "none" and it exceeds the noise floor. At five
//! rounds the interval alone would err in one case of sixteen, with the floor it is one of a hundred.
//! Pure.

use serde::{Deserialize, Serialize};

use crate::stats::Interval;

/// With fewer rounds no interval would be good for anything.
pub const FEWEST_ROUNDS: usize = 5;

/// The noise floor in standard errors of the first beside itself.
const FLOOR_ERRORS: f64 = 3.0;
/// The first may differ from itself by so much, in standard errors and as a logarithm (so about as a
/// share), before something must be wrong with the measurement.
const TOLERATED_ERRORS: f64 = 5.0;
const TOLERATED: f64 = 0.05;

/// What can be said of a figure of a server beside that of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conclusion {
    /// No difference that can be told from noise.
    NoDifference,
    /// More than the first.
    Higher,
    /// Less than the first.
    Lower,
    /// Fewer than [`FEWEST_ROUNDS`].
    TooFewRounds,
    /// Not every run has the figure, or it is not positive.
    NoFigure,
    /// The first differs from itself for sure, and by more than a few percent: what made it do so may
    /// as well make others differ.
    ControlDiffers,
    /// One of the two leaves clients unserved, fails them, or cannot be trusted.
    NotComparable,
    /// The lower one was held up by the load generator: it might be the higher one.
    GeneratorLimited,
}

/// A comparison of one figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// What it comes to.
    pub conclusion: Conclusion,
    /// The ratio to the first, where there is one.
    pub ratio: Option<Interval>,
    /// Ratios up to this one, and down to its inverse, mean nothing.
    pub noise_floor: Option<f64>,
}

/// The figure of one server, round by round.
pub type Rounds = Vec<Option<f64>>;

impl Effect {
    /// A figure of which nothing can be said.
    #[must_use]
    pub fn none(conclusion: Conclusion) -> Self {
        Self {
            conclusion,
            ratio: None,
            noise_floor: None,
        }
    }

    /// Compares `other` with `first`; `again` is the first once more.
    #[must_use]
    pub fn of(first: &Rounds, other: &Rounds, again: &Rounds) -> Self {
        let control = Self::of_control(first, again);
        let effect = Self::by_rounds(log_ratios(first, other));
        let exceeds = |floor: f64| effect.size() > floor.ln();
        let conclusion = match (effect.differs(), control.noise_floor) {
            (false, _) => effect.conclusion,
            (true, _) if control.differs() => Conclusion::ControlDiffers,
            (true, Some(floor)) if exceeds(floor) => effect.conclusion,
            (true, Some(_)) => Conclusion::NoDifference,
            (true, None) => control.conclusion,
        };
        Self {
            conclusion,
            noise_floor: control.noise_floor,
            ..effect
        }
    }

    /// Compares the first with itself: whether it may be believed, and what noise there is.
    #[must_use]
    pub fn of_control(first: &Rounds, again: &Rounds) -> Self {
        let logs = log_ratios(first, again);
        let errors = logs.as_deref().and_then(Errors::of);
        let effect = Self::by_rounds(logs);
        let tolerated = errors.map_or(TOLERATED, |errors| {
            TOLERATED.max(TOLERATED_ERRORS * errors.around_mean)
        });
        Self {
            conclusion: match effect.conclusion {
                Conclusion::Higher | Conclusion::Lower if effect.size() <= tolerated => {
                    Conclusion::NoDifference
                }
                conclusion => conclusion,
            },
            noise_floor: errors.map(|errors| (FLOOR_ERRORS * errors.around_none).exp()),
            ..effect
        }
    }

    /// What the rounds say by themselves.
    fn by_rounds(logs: Option<Vec<f64>>) -> Self {
        let Some(logs) = logs else {
            return Self::none(Conclusion::NoFigure);
        };
        let Some(shift) = Interval::of_shift(&logs) else {
            return Self::none(Conclusion::TooFewRounds);
        };
        Self {
            conclusion: match shift {
                _ if logs.len() < FEWEST_ROUNDS => Conclusion::TooFewRounds,
                Interval { low, .. } if low > 0.0 => Conclusion::Higher,
                Interval { high, .. } if high < 0.0 => Conclusion::Lower,
                _ => Conclusion::NoDifference,
            },
            ratio: Some(shift.exp()),
            noise_floor: None,
        }
    }

    /// Whether it is called a difference.
    #[must_use]
    pub fn differs(&self) -> bool {
        matches!(self.conclusion, Conclusion::Higher | Conclusion::Lower)
    }

    /// How large the difference is, whichever way, as a logarithm.
    fn size(&self) -> f64 {
        self.ratio.map_or(0.0, |ratio| ratio.middle.ln().abs())
    }
}

/// Standard errors of a mean.
#[derive(Clone, Copy, Debug)]
struct Errors {
    /// From the distances to 0, where the truth is known to be: a shift counts as noise.
    around_none: f64,
    /// From the distances to the mean itself.
    around_mean: f64,
}

impl Errors {
    /// None with fewer than two values.
    fn of(logs: &[f64]) -> Option<Self> {
        let count = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / count;
        let squares = |around: f64| logs.iter().map(|log| (log - around).powi(2)).sum::<f64>();
        (logs.len() > 1).then(|| Self {
            around_none: (squares(0.0) / count / count).sqrt(),
            around_mean: (squares(mean) / (count - 1.0) / count).sqrt(),
        })
    }
}

/// The logarithms of the ratios, round by round; none when one has no figure, or none above 0.
fn log_ratios(first: &Rounds, other: &Rounds) -> Option<Vec<f64>> {
    // A round that was cut short has no pair.
    let pairs = first.iter().zip(other);
    pairs
        .map(|(first, other)| log_ratio(*first, *other))
        .collect()
}

fn log_ratio(first: Option<f64>, other: Option<f64>) -> Option<f64> {
    let positive = |figure: Option<f64>| figure.filter(|value| value.is_finite() && *value > 0.0);
    Some((positive(other)? / positive(first)?).ln())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    /// Figures at this level, with normal noise that has this deviation.
    fn noisy(dice: &mut Dice, count: usize, level: f64, noise: f64) -> Rounds {
        let figure = |_| Some(level * (noise * dice.normal()).exp());
        (0..count).map(figure).collect()
    }

    /// How many of `trials` comparisons at this level are `so`, with 3 % noise.
    fn trials(trials: u64, rounds: usize, level: f64, so: impl Fn(&[Rounds; 3]) -> bool) -> usize {
        let found = (0..trials).filter(|trial| {
            let mut dice = Dice::of(trial * 7919 + 1);
            let mut side = |level| noisy(&mut dice, rounds, level, 0.03);
            so(&[side(1e4), side(1e4 * level), side(1e4)])
        });
        found.count()
    }

    fn judged([first, other, again]: &[Rounds; 3]) -> Effect {
        Effect::of(first, other, again)
    }

    #[test]
    fn a_against_a_is_no_difference() {
        for rounds in [5, 12] {
            let same = trials(200, rounds, 1.0, |sides| {
                judged(sides).conclusion == Conclusion::NoDifference
            });
            assert!(same >= 190, "{same} of 200 with {rounds} rounds");
        }
    }

    #[test]
    fn the_control_is_hardly_ever_taken_for_another_server() {
        let found = (0..200).filter(|trial| {
            let mut dice = Dice::of(trial * 7919 + 1);
            let mut side = || noisy(&mut dice, 5, 1e4, 0.1);
            Effect::of_control(&side(), &side()).differs()
        });
        let found = found.count();
        assert!(found <= 4, "{found} of 200 with 10 % of noise");
    }

    #[test]
    fn ten_percent_under_three_percent_of_noise_are_found_in_all() {
        for (level, expected) in [(1.1, Conclusion::Higher), (1.0 / 1.1, Conclusion::Lower)] {
            let found = |rounds| {
                trials(200, rounds, level, |sides| {
                    judged(sides).conclusion == expected
                })
            };
            assert_eq!(found(12), 200);
            // Of five rounds all must agree: about nine in ten are found.
            let found = found(5);
            assert!(found >= 165, "{found} of 200 with five rounds");
        }
    }

    #[test]
    fn what_a_round_does_to_both_drops_out() {
        let busy = [1.0, 0.5, 0.9, 0.2, 0.7];
        let side =
            |level: f64| -> Rounds { busy.iter().map(|share| Some(level * share)).collect() };
        let found = Effect::of(&side(100.0), &side(103.0), &side(100.0));
        assert_eq!(found.conclusion, Conclusion::Higher);
        assert!(
            found
                .ratio
                .is_some_and(|ratio| (ratio.middle - 1.03).abs() < 1e-9)
        );
    }

    const FIRST: [f64; 5] = [100.0, 101.0, 99.0, 100.0, 102.0];

    fn rounds(values: [f64; 5]) -> Rounds {
        values.map(Some).to_vec()
    }

    #[test]
    fn what_is_not_larger_than_the_noise_floor_is_no_difference() {
        let other = FIRST.map(|value| value * 1.02);
        let quiet = [100.0, 102.0, 98.0, 101.0, 101.5];
        assert_eq!(
            Effect::of(&rounds(FIRST), &rounds(other), &rounds(quiet)).conclusion,
            Conclusion::Higher
        );
        let noisy = [104.0, 107.0, 97.0, 104.0, 106.0];
        assert_eq!(
            Effect::of(&rounds(FIRST), &rounds(other), &rounds(noisy)).conclusion,
            Conclusion::NoDifference
        );
    }

    #[test]
    fn where_the_first_differs_from_itself_nobody_differs_from_it() {
        let (other, again) = (
            FIRST.map(|value| value * 2.0),
            FIRST.map(|value| value * 1.5),
        );
        let found = Effect::of(&rounds(FIRST), &rounds(other), &rounds(again));
        assert_eq!(found.conclusion, Conclusion::ControlDiffers);
    }

    #[test]
    fn a_control_that_differs_by_little_only_raises_the_floor() {
        let again = FIRST.map(|value| value * 1.03);
        let of = |level: f64| {
            Effect::of(
                &rounds(FIRST),
                &rounds(FIRST.map(|value| value * level)),
                &rounds(again),
            )
        };
        let found = of(1.03);
        assert_eq!(found.conclusion, Conclusion::NoDifference);
        let floor = (3.0 * 1.03_f64.ln() / 5_f64.sqrt()).exp();
        assert!(
            found
                .noise_floor
                .is_some_and(|found| (found - floor).abs() < 1e-9)
        );
        assert_eq!(of(1.05).conclusion, Conclusion::Higher);
        assert_eq!(of(0.95).conclusion, Conclusion::Lower);
    }

    #[test]
    fn a_missing_figure_and_too_few_rounds_say_nothing() {
        let other = rounds(FIRST.map(|value| value * 2.0));
        let mut holes = other.clone();
        holes[2] = None;
        let of =
            |other: &Rounds, again: &Rounds| Effect::of(&rounds(FIRST), other, again).conclusion;
        assert_eq!(of(&holes, &rounds(FIRST)), Conclusion::NoFigure);
        assert_eq!(of(&other, &holes), Conclusion::NoFigure);
        holes[2] = Some(0.0);
        assert_eq!(of(&holes, &rounds(FIRST)), Conclusion::NoFigure);
        let four = Effect::of(&rounds(FIRST), &other[..4].to_vec(), &rounds(FIRST));
        assert_eq!(four.conclusion, Conclusion::TooFewRounds);
        assert!(
            four.ratio.is_some(),
            "it is shown, and nothing is said of it"
        );
        let never = Effect::of(&vec![], &vec![], &vec![]);
        assert_eq!(never, Effect::none(Conclusion::TooFewRounds));
    }
}
