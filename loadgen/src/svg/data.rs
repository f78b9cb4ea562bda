//! What the pictures show, as values.

use serde::{Deserialize, Serialize};

/// One client; times in seconds after the start of what is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// When it began to wait.
    pub since_s: f64,
    /// When its first byte came back, if one did.
    pub first_byte_s: Option<f64>,
    /// When its connection ended, if it did.
    pub ended_s: Option<f64>,
}

/// How many clients of one server were served and how many waited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bar {
    /// Whose clients.
    pub name: String,
    /// Clients that got at least one byte.
    pub served: u32,
    /// Clients that were connected and got none.
    pub waiting: u32,
    /// What else is worth saying, such as the CPU time.
    pub note: String,
}

/// One server's clients served against clients offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedLine {
    /// The server.
    pub name: String,
    /// (clients offered, clients served), by the number offered.
    pub points: Vec<(u32, u32)>,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stroke {
    /// Without gaps.
    #[default]
    Solid,
    /// In dashes, where it is to be compared with a solid line.
    Dashed,
}

/// One distribution of waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Whose waits.
    pub name: String,
    /// (share of the waits that were at most this long, microseconds), both ascending.
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub stroke: Stroke,
    /// The share of the waits that ended at all; beyond it the others are still waiting.
    pub ended: Option<f64>,
}

/// One line of a chart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What it shows.
    pub name: String,
    /// Points in the order of the line; without a y there is a gap.
    pub points: Vec<(f64, Option<f64>)>,
    /// The places among `points` of those that are drawn hollow, because they mean less than the
    /// others.
    pub hollow: Vec<usize>,
    /// How it is drawn.
    pub stroke: Stroke,
}

/// What an axis of a chart measures; it decides the scale and the labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// Seconds from 0.
    Seconds,
    /// An amount from 0.
    Amount,
    /// A wait in microseconds, on a logarithmic scale.
    Wait,
    /// A number of something that grows by ratios, each of them labelled.
    Count,
}

/// How waits are spread, moment by moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Heat {
    /// The end of the last column, in seconds.
    pub end_s: f64,
    /// The lower end of the lowest row and the upper end of the highest one, in microseconds; the
    /// rows between have equal ratios.
    pub waits_us: (f64, f64),
    /// How many waits fell into each row from the bottom, for columns of equal length.
    pub columns: Vec<Vec<u64>>,
}
