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
    /// Whether others had the processors meanwhile: then a limit that was missed proves nothing.
    pub disturbed: bool,
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

    /// The same, measured while others had the processors.
    #[must_use]
    pub fn disturbed(self) -> Self {
        Self {
            disturbed: true,
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
            disturbed: false,
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
        match (reached, self.goal) {
            (true, _) => Outcome::Pass,
            (false, Goal::AtMost(_)) if self.disturbed && self.unit.is_of_time() => {
                Outcome::Inconclusive
            }
            (false, _) => Outcome::Fail,
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
            disturbed: self.disturbed || other.disturbed,
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
    /// Whether it grows when others have the processors: nobody counts more, takes more memory or
    /// uses more of a processor because of that.
    #[must_use]
    pub fn is_of_time(self) -> bool {
        self == Self::Seconds
    }

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
mod tests;
