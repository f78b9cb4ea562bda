//! What a comparison found out: the document that `diff --format json` prints.

use serde::Serialize;

/// The version of the JSON form.
pub const SCHEMA: u32 = 1;

/// The comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What the other is compared with.
    pub a: Summary,
    /// What is compared.
    pub b: Summary,
    /// How the runs differ in what was asked or where they ran; only a forced comparison has any.
    pub unlike: Vec<String>,
    /// What makes the figures worth less than they seem.
    pub warnings: Vec<String>,
    /// Figure by figure.
    pub effects: Vec<Effect>,
}

/// A side in a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What it was called.
    pub name: String,
    /// How many runs it has.
    pub runs: usize,
}

/// How one figure differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// Its name, such as `rate_per_s` or `rtt.p99_us`.
    pub figure: String,
    /// Of A.
    pub a: Samples,
    /// Of B.
    pub b: Samples,
    /// The median of B divided by that of A; none where there is no conclusion.
    pub ratio: Option<f64>,
    /// The lower end of its 95 % interval.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// What it comes to.
    pub conclusion: Conclusion,
}

/// What is known of a figure on one side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Samples {
    /// The median; none when a run lacks the figure.
    pub median: Option<f64>,
    /// How many samples there are.
    pub count: usize,
    /// What a sample is.
    pub of: Unit,
}

/// What is a sample of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A run.
    Runs,
    /// A second of the only run: better than nothing, but it says nothing of how runs differ.
    Seconds,
}

/// What an effect comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conclusion {
    /// B has more of it.
    Higher,
    /// B has less of it.
    Lower,
    /// The interval contains "the same".
    NoDifference,
    /// A side has fewer than [`super::FEWEST`] samples.
    NotEnoughRuns,
    /// A run lacks the figure, or it is zero.
    NoFigure,
}
