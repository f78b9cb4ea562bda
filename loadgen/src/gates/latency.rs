//! Promises about a figure of a latency: `p99<2ms`, `admission.max<=1s`.

use std::time::Duration;

use crate::report::{Latency, Report};
use crate::samples::{P50, P90, P99, P999, Quantile};

/// A figure of a latency and the limit below which it stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LatencyRule {
    /// None means the one that a user would feel: response in an open loop, else rtt.
    wait: Option<Wait>,
    figure: Figure,
    /// `<=` and not `<`.
    pub(super) may_equal: bool,
    pub(super) limit: Duration,
}

/// The waits of a report by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Connect,
    Admission,
    Rtt,
    Response,
    Lag,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    Percentile(Quantile),
    Mean,
    Max,
}

impl LatencyRule {
    /// Reads `[LATENCY.]FIGURE<TIME`; none for any other text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (what, limit) = text.split_once('<')?;
        let (may_equal, limit) = match limit.strip_prefix('=') {
            Some(limit) => (true, limit),
            None => (false, limit),
        };
        let (wait, figure) = match what.split_once('.') {
            Some((wait, figure)) if Wait::named(wait).is_some() => (Wait::named(wait), figure),
            _ => (None, what),
        };
        Some(Self {
            wait,
            figure: Figure::named(figure)?,
            may_equal,
            limit: cli::units::parse_duration(limit).filter(|limit| !limit.is_zero())?,
        })
    }

    /// The figure in microseconds; none when `report` has no such figure.
    pub(super) fn value_us(self, report: &Report) -> Option<f64> {
        let wait = self.wait.unwrap_or_else(|| Wait::felt(report));
        wait.of(report).and_then(|latency| self.figure.of(latency))
    }
}

impl Wait {
    fn named(name: &str) -> Option<Self> {
        match name {
            "connect" => Some(Self::Connect),
            "admission" => Some(Self::Admission),
            "rtt" => Some(Self::Rtt),
            "response" => Some(Self::Response),
            "lag" => Some(Self::Lag),
            _ => None,
        }
    }

    fn of(self, report: &Report) -> Option<&Latency> {
        let all = &report.latency;
        match self {
            Self::Connect => all.connect.as_ref(),
            Self::Admission => all.admission.as_ref(),
            Self::Rtt => all.rtt.as_ref(),
            Self::Response => all.response.as_ref(),
            Self::Lag => all.lag.as_ref(),
        }
    }

    /// The one that a user of the server would feel.
    fn felt(report: &Report) -> Self {
        // An open loop without a single answer has a schedule, but no responses.
        if report.schedule.is_some() || report.latency.response.is_some() {
            Self::Response
        } else {
            Self::Rtt
        }
    }
}

impl Figure {
    fn named(name: &str) -> Option<Self> {
        match name {
            "mean" => Some(Self::Mean),
            "max" => Some(Self::Max),
            _ => Quantile::percent(name.strip_prefix('p')?).map(Self::Percentile),
        }
    }

    /// Its value; none when it does not exist.
    fn of(self, latency: &Latency) -> Option<f64> {
        match self {
            // The mean of those who were served says nothing about those who were not.
            Self::Mean => latency.mean_us.filter(|_| latency.censored == 0),
            Self::Max => latency.max_us,
            Self::Percentile(quantile) => latency.percentile_us(quantile),
        }
    }
}

impl Latency {
    /// The wait in microseconds that this share of all waits does not exceed: from the document
    /// where it says it, else from its histogram, by the same rules.
    pub(crate) fn percentile_us(&self, quantile: Quantile) -> Option<f64> {
        let said = [
            (P50, self.p50_us),
            (P90, self.p90_us),
            (P99, self.p99_us),
            (P999, self.p999_us),
        ];
        match said.into_iter().find(|(known, _)| known.is(quantile)) {
            Some((_, value)) => value,
            None => self.samples().ok()?.quantile_us(quantile, self.censored),
        }
    }
}
