//! What a case measured, what it should have been, and what follows: pure, so that every way to
//! fail is tested without a server.
//!
//! Figures of one name from several modes add up to one that is published: counts are summed, of
//! everything else the worst is kept. A zero is shown with what it proves.

use std::borrow::Cow;
use std::time::Duration;

use cli::units;
use serde::Serialize;

/// With n trials and no failure, the chance of a failure is at most this many n-ths, with a
/// certainty of 95 % (the rule of three).
const RULE_OF_THREE: f64 = 3.0;

/// One thing that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What it is, in words.
    pub name: Cow<'static, str>,
    /// How much; none when it could not be told, which is never a success.
    pub value: Option<f64>,
    /// Of what.
    pub unit: Unit,
    /// What it should be.
    pub goal: Goal,
    /// In how many attempts, where that gives it its meaning.
    pub trials: Option<u64>,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Whatever the name says.
    Count,
    /// Bytes.
    Bytes,
    /// Bytes per minute.
    BytesPerMinute,
    /// Seconds.
    Seconds,
    /// A part of one processor, or of a whole.
    Share,
    /// Events per second.
    PerSecond,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "limit")]
pub enum Goal {
    /// None of these may happen.
    Never,
    /// It must happen each time.
    Always,
    /// No more than this.
    AtMost(f64),
    /// It is published and judged by the reader.
    Known,
}

/// What follows from figures, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It did not run here; the reason says why.
    Skipped,
    /// As it should be.
    Pass,
    /// The run cannot tell.
    Inconclusive,
    /// The goal was missed.
    Fail,
    /// It could not be run.
    #[serde(rename = "could not run")]
    Broken,
}

impl Outcome {
    /// All of them, from the best to the worst.
    pub const ALL: [Self; 5] = [
        Self::Skipped,
        Self::Pass,
        Self::Inconclusive,
        Self::Fail,
        Self::Broken,
    ];
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Skipped => "skipped",
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
            Self::Broken => "could not run",
        })
    }
}

impl Figure {
    /// `failures` in `trials`, of which there should be none.
    #[must_use]
    pub fn never(name: impl Into<Cow<'static, str>>, failures: u64, trials: u64) -> Self {
        Self::new(name, Some(failures as f64), Unit::Count, Goal::Never).of(trials)
    }

    /// What should not be there at all, however often one looks.
    #[must_use]
    pub fn none(name: impl Into<Cow<'static, str>>, found: u64) -> Self {
        Self::new(name, Some(found as f64), Unit::Count, Goal::Never)
    }

    /// `successes` in `trials`, which should be all of them.
    #[must_use]
    pub fn always(name: impl Into<Cow<'static, str>>, successes: u64, trials: u64) -> Self {
        Self::new(name, Some(successes as f64), Unit::Count, Goal::Always).of(trials)
    }

    /// No more than `limit`.
    #[must_use]
    pub fn at_most(
        name: impl Into<Cow<'static, str>>,
        value: Option<f64>,
        limit: f64,
        unit: Unit,
    ) -> Self {
        Self::new(name, value, unit, Goal::AtMost(limit))
    }

    /// A time of no more than `limit`.
    #[must_use]
    pub fn within(
        name: impl Into<Cow<'static, str>>,
        time: Option<Duration>,
        limit: Duration,
    ) -> Self {
        let seconds = time.map(|time| time.as_secs_f64());
        Self::at_most(name, seconds, limit.as_secs_f64(), Unit::Seconds)
    }

    /// Published without a goal.
    #[must_use]
    pub fn known(name: impl Into<Cow<'static, str>>, value: Option<f64>, unit: Unit) -> Self {
        Self::new(name, value, unit, Goal::Known)
    }

    /// The same, with the attempts that give it its meaning.
    #[must_use]
    pub fn of(self, trials: u64) -> Self {
        Self {
            trials: Some(trials),
            ..self
        }
    }

    fn new(name: impl Into<Cow<'static, str>>, value: Option<f64>, unit: Unit, goal: Goal) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            goal,
            trials: None,
        }
    }

    /// What follows from it. Nothing that was tried proves nothing.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let Some(value) = self.value else {
            return match self.goal {
                Goal::Known => Outcome::Pass,
                _ => Outcome::Inconclusive,
            };
        };
        let trials = self.trials.map(|trials| trials as f64);
        let reached = match self.goal {
            Goal::Known => true,
            _ if trials == Some(0.0) => return Outcome::Inconclusive,
            Goal::Never => value == 0.0,
            Goal::Always => Some(value) == trials,
            Goal::AtMost(limit) => value <= limit,
        };
        if reached {
            Outcome::Pass
        } else {
            Outcome::Fail
        }
    }

    /// This and the same of another mode as one.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        let both = self.value.zip(other.value);
        let trials = self.trials.zip(other.trials);
        let summed = matches!(self.goal, Goal::Never | Goal::Always);
        Self {
            value: both.map(|(a, b)| if summed { a + b } else { a.max(b) }),
            trials: trials.map(|(a, b)| a + b),
            // Limits may differ from mode to mode; the table shows the widest and the cases their own.
            goal: match (self.goal, other.goal) {
                (Goal::AtMost(a), Goal::AtMost(b)) => Goal::AtMost(a.max(b)),
                (goal, _) => goal,
            },
            ..self
        }
    }

    /// What was measured, for people.
    #[must_use]
    pub fn measured(&self) -> String {
        let Some(value) = self.value else {
            return "no figure".into();
        };
        let value_text = self.unit.show(value);
        match (self.goal, self.trials) {
            (Goal::Never, Some(trials)) if value == 0.0 => {
                let bound = trials as f64 / RULE_OF_THREE;
                match trials {
                    0 => "0 of 0".into(),
                    // Below that the bound says less than nothing.
                    1..=3 => format!("0 of {trials}"),
                    _ => format!(
                        "0 of {}, at most 1 in {}",
                        count(trials as f64),
                        count(bound.floor())
                    ),
                }
            }
            (_, Some(trials)) => format!("{value_text} of {}", count(trials as f64)),
            (_, None) => value_text,
        }
    }

    /// What it should be, for people.
    #[must_use]
    pub fn goal_text(&self) -> String {
        match self.goal {
            Goal::Never => "0".into(),
            Goal::Always => "all".into(),
            Goal::AtMost(limit) => format!("≤ {}", self.unit.show(limit)),
            Goal::Known => "-".into(),
        }
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Count => count(value),
            Self::Bytes => bytes(value),
            Self::BytesPerMinute => format!("{}/min", bytes(value)),
            Self::Seconds => units::micros(value * 1e6),
            Self::Share => format!("{:.2} %", value * 100.0),
            Self::PerSecond => format!("{value:.2}/s"),
        }
    }
}

/// A count: exactly while that can be read.
fn count(value: f64) -> String {
    if value < 100_000.0 {
        format!("{value:.0}")
    } else if value < 1e9 {
        units::number(value)
    } else {
        format!("{:.1}G", value / 1e9)
    }
}

/// A number of bytes that may be negative.
fn bytes(value: f64) -> String {
    // Memory does not reach beyond 2^53.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and no memory is that large"
    )]
    let text = units::bytes(value.abs().round() as u64);
    let sign = if value <= -0.5 { "-" } else { "" };
    format!("{sign}{text}")
}

/// The worst of them: what a case with these figures comes to. Without any there is nothing to tell.
#[must_use]
pub fn outcome(figures: &[Figure]) -> Outcome {
    let worst = figures.iter().map(Figure::outcome).max();
    worst.unwrap_or(Outcome::Inconclusive)
}

/// Figures of one name from several modes.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// All of them as one.
    pub figure: Figure,
    /// The worst of their outcomes: limits may differ from mode to mode, so the sum does not tell.
    pub outcome: Outcome,
    /// How many modes it comes from.
    pub modes: usize,
}

/// Figures of one name as one, in the order in which the names first appear.
#[must_use]
pub fn together<'a>(figures: impl IntoIterator<Item = &'a Figure>) -> Vec<Published> {
    let mut sums: Vec<Published> = Vec::new();
    for figure in figures {
        let outcome = figure.outcome();
        match sums.iter_mut().find(|sum| sum.figure.name == figure.name) {
            Some(sum) => {
                sum.figure = sum.figure.clone().with(figure);
                sum.outcome = sum.outcome.max(outcome);
                sum.modes += 1;
            }
            None => sums.push(Published {
                figure: figure.clone(),
                outcome,
                modes: 1,
            }),
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_goal_is_reached_missed_or_cannot_be_told() {
        let of = |figure: Figure| figure.outcome();
        assert_eq!(of(Figure::never("lost", 0, 10)), Outcome::Pass);
        assert_eq!(of(Figure::never("lost", 1, 10)), Outcome::Fail);
        assert_eq!(of(Figure::never("lost", 0, 0)), Outcome::Inconclusive);
        assert_eq!(of(Figure::none("left over", 0)), Outcome::Pass);
        assert_eq!(of(Figure::none("left over", 1)), Outcome::Fail);
        assert_eq!(of(Figure::always("back", 9, 10)), Outcome::Fail);
        assert_eq!(of(Figure::always("back", 10, 10)), Outcome::Pass);
        assert_eq!(of(Figure::always("back", 0, 0)), Outcome::Inconclusive);
        let cpu = |value| of(Figure::at_most("cpu", value, 0.1, Unit::Share));
        assert_eq!(
            [cpu(Some(0.1)), cpu(Some(0.11)), cpu(None)],
            [Outcome::Pass, Outcome::Fail, Outcome::Inconclusive]
        );
        assert_eq!(of(Figure::known("p99", None, Unit::Seconds)), Outcome::Pass);
    }

    #[test]
    fn nothing_measured_is_no_success() {
        assert_eq!(outcome(&[]), Outcome::Inconclusive);
        let figures = [Figure::never("a", 0, 1), Figure::never("b", 1, 1)];
        assert_eq!(outcome(&figures), Outcome::Fail);
        assert_eq!(outcome(&figures[..1]), Outcome::Pass);
    }

    #[test]
    fn a_zero_is_shown_with_what_it_proves() {
        let zero = |trials| Figure::never("lost", 0, trials).measured();
        assert_eq!(zero(300), "0 of 300, at most 1 in 100");
        assert_eq!(zero(3_000_000), "0 of 3.0M, at most 1 in 1.0M");
        assert_eq!((zero(3), zero(0)), ("0 of 3".into(), "0 of 0".into()));
        assert_eq!(Figure::never("lost", 2, 300).measured(), "2 of 300");
    }

    #[test]
    fn figures_are_shown_with_their_units() {
        let shown = |value, unit| Figure::known("x", Some(value), unit).measured();
        assert_eq!(shown(0.0123, Unit::Share), "1.23 %");
        assert_eq!(shown(0.25, Unit::Seconds), "250ms");
        assert_eq!(shown(-2048.0, Unit::BytesPerMinute), "-2 KiB/min");
        assert_eq!(shown(512.4, Unit::Bytes), "512 B");
        assert_eq!(shown(0.5, Unit::PerSecond), "0.50/s");
        let limit = Figure::at_most("x", None, 0.25, Unit::Seconds);
        assert_eq!(
            (limit.goal_text(), limit.measured()),
            ("≤ 250ms".into(), "no figure".into())
        );
    }

    #[test]
    fn counts_of_modes_add_up_and_of_times_the_worst_is_kept() {
        let time = |ms| {
            Figure::within(
                "p99",
                Some(Duration::from_millis(ms)),
                Duration::from_secs(1),
            )
        };
        let figures = [
            Figure::never("lost", 1, 10),
            time(5),
            Figure::never("lost", 2, 20),
            time(3),
        ];
        let sums = together(&figures);
        assert_eq!(sums.len(), 2);
        assert_eq!(sums[0].figure, Figure::never("lost", 3, 30));
        assert_eq!(sums[1].figure, time(5));
        assert_eq!((sums[0].outcome, sums[1].modes), (Outcome::Fail, 2));
    }

    #[test]
    fn a_mode_that_misses_its_own_limit_is_seen_beside_one_with_a_wider_one() {
        let memory = |value, limit| Figure::at_most("memory", Some(value), limit, Unit::Bytes);
        let sum = &together(&[memory(600.0, 512.0), memory(900.0, 1024.0)])[0];
        assert_eq!(sum.outcome, Outcome::Fail);
    }

    #[test]
    fn one_mode_without_a_figure_leaves_none_for_all() {
        let known = Figure::at_most("cpu", Some(0.1), 0.5, Unit::Share);
        let unknown = Figure::at_most("cpu", None, 0.5, Unit::Share);
        let sum = &together(&[known, unknown.clone()])[0];
        assert_eq!(
            (&sum.figure, sum.outcome),
            (&unknown, Outcome::Inconclusive)
        );
    }

    proptest! {
        /// One failure in one mode is a failure of all together.
        #[test]
        fn no_sum_hides_a_failure(counts in proptest::collection::vec((0_u64..3, 1_u64..50), 1..8)) {
            let all = |make: fn(u64, u64) -> Figure| -> (Vec<Published>, Outcome) {
                let figures: Vec<Figure> = counts.iter().map(|(bad, n)| make(*bad, *n)).collect();
                let worst = outcome(&figures);
                (together(&figures), worst)
            };
            let (sum, worst) = all(|bad, n| Figure::never("lost", bad, n));
            prop_assert_eq!((sum[0].figure.outcome(), sum[0].outcome), (worst, worst));
            let (sum, worst) = all(|bad, n| Figure::always("served", n - bad.min(n), n));
            prop_assert_eq!((sum[0].figure.outcome(), sum[0].outcome), (worst, worst));
        }
    }
}
