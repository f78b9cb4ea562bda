//! What the pictures show, as values.

/// One client; times in seconds after the start of what is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span {
    /// When it began to wait.
    pub since_s: f64,
    /// When its first byte came back, if one did.
    pub first_byte_s: Option<f64>,
    /// When its connection ended, if it did.
    pub ended_s: Option<f64>,
}

/// How many clients of one server were served and how many waited.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedLine {
    /// The server.
    pub name: String,
    /// (clients offered, clients served), by the number offered.
    pub points: Vec<(u32, u32)>,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stroke {
    /// Without gaps.
    #[default]
    Solid,
    /// In dashes, where it is to be compared with a solid line.
    Dashed,
}

/// One distribution of waits.
#[derive(Clone, Debug, Default, PartialEq)]
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
