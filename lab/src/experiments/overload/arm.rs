//! What became of the requests under one policy.

use std::time::Duration;

use serde::Serialize;

use super::PATIENCE;
use crate::load::Measured;
use crate::stats::{self, Line};
use loadgen::ClientRecord;

/// What a server does with those who come when all workers are busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Policy {
    /// All wait, and stay until they are answered.
    Wait,
    /// All may wait, and leave when their patience ends.
    Leave,
    /// Nobody waits.
    Reject,
    /// A few wait.
    Bounded,
}

/// Into so many parts the arrivals are divided, to see who is served.
pub(super) const QUARTERS: usize = 4;

/// What became of the requests.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Arm {
    pub(super) policy: Policy,
    pub(super) asked: usize,
    pub(super) answered: usize,
    /// Answered before the client's patience ended.
    pub(super) in_time: usize,
    /// Requests that the server worked on, whoever was still there.
    pub(super) worked_on: u64,
    /// Answers in a second, from the first arrival to the last answer.
    pub(super) throughput_per_s: Option<f64>,
    /// The share in time, of all who came in each quarter.
    pub(super) in_time_shares: Vec<f64>,
    /// Of those who were answered in the second half, the share in time.
    pub(super) punctual_share: Option<f64>,
    /// By how many seconds the wait of those who are answered grows in each second of arrivals.
    pub(super) growth_s_per_s: Option<f64>,
    /// The longest wait, from the connection to the answer.
    pub(super) longest_ms: Option<f64>,
    /// Arrival and wait of the answered ones, in seconds and milliseconds.
    #[serde(skip)]
    pub(super) points: Vec<(f64, f64)>,
    #[serde(skip)]
    pub(super) invalid: Option<String>,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    pub(super) came_s: f64,
    pub(super) response_s: Option<f64>,
}

impl Policy {
    pub(super) const ALL: [Self; 4] = [Self::Wait, Self::Leave, Self::Reject, Self::Bounded];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Wait => "all wait",
            Self::Leave => "all wait, and leave",
            Self::Reject => "nobody waits",
            Self::Bounded => "few wait",
        }
    }

    /// What the server is told; `queue` is how many are few.
    pub(super) fn flags(self, queue: &str) -> [&str; 4] {
        let (queue, on_full) = match self {
            // The rest is in the accept queue, whose end is far away.
            Self::Wait | Self::Leave => (queue, "wait"),
            Self::Reject => ("0", "reject"),
            Self::Bounded => (queue, "reject"),
        };
        ["--queue", queue, "--on-full", on_full]
    }
}

impl Arm {
    /// Of a run whose requests came within `arrivals` and of which the server worked on so many.
    pub(super) fn of(
        policy: Policy,
        measured: &Measured,
        (arrivals, worked_on): (Duration, u64),
    ) -> Self {
        let visits: Vec<Visit> = measured.clients.iter().filter_map(Visit::of).collect();
        Self {
            worked_on,
            invalid: measured.invalid(),
            ..Self::of_visits(policy, &visits, arrivals)
        }
    }

    pub(super) fn of_visits(policy: Policy, visits: &[Visit], arrivals: Duration) -> Self {
        let answered = visits.iter().filter_map(|visit| {
            let response_s = visit.response_s?;
            Some((visit.came_s, response_s * 1e3))
        });
        let mut points: Vec<(f64, f64)> = answered.collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ends = points.iter().map(|(came_s, ms)| came_s + ms / 1e3);
        let end_s = ends.fold(0.0, f64::max);
        let half_s = arrivals.as_secs_f64() / 2.0;
        let late_half: Vec<&Visit> = visits.iter().filter(|it| it.came_s >= half_s).collect();
        let count = |of: fn(&Visit) -> bool| late_half.iter().filter(|it| of(it)).count() as f64;
        Self {
            policy,
            asked: visits.len(),
            answered: points.len(),
            in_time: visits.iter().filter(|it| it.is_in_time()).count(),
            worked_on: 0,
            throughput_per_s: stats::share(points.len() as f64, end_s),
            in_time_shares: in_time_shares(visits, arrivals),
            punctual_share: stats::share(
                count(Visit::is_in_time),
                count(|it| it.response_s.is_some()),
            ),
            growth_s_per_s: Line::through(&points).map(|line| line.slope / 1e3),
            longest_ms: points.iter().map(|(_, ms)| *ms).reduce(f64::max),
            points,
            invalid: None,
        }
    }

    /// The share in time of all who came in the second half.
    pub(super) fn late_half_in_time(&self) -> f64 {
        let (_, late) = self.in_time_shares.split_at(QUARTERS / 2);
        late.iter().sum::<f64>() / late.len() as f64
    }
}

impl Visit {
    fn of(client: &ClientRecord) -> Option<Self> {
        let came = client.connected_at?;
        let response = client.first_byte_at.and_then(|at| at.checked_sub(came));
        Some(Self {
            came_s: came.as_secs_f64(),
            response_s: response.map(|response| response.as_secs_f64()),
        })
    }

    fn is_in_time(&self) -> bool {
        self.response_s
            .is_some_and(|response_s| response_s <= PATIENCE.as_secs_f64())
    }
}

/// The share in time of those who came in each quarter.
fn in_time_shares(visits: &[Visit], arrivals: Duration) -> Vec<f64> {
    let quarter_s = arrivals.as_secs_f64() / QUARTERS as f64;
    let of = |quarter: usize| {
        let from = quarter as f64 * quarter_s;
        // A connection may be established a moment after the last quarter.
        let until = match quarter + 1 {
            QUARTERS => f64::INFINITY,
            next => next as f64 * quarter_s,
        };
        let came = visits
            .iter()
            .filter(|it| (from..until).contains(&it.came_s));
        let (all, in_time) = came.fold((0.0, 0.0), |(all, in_time), visit| {
            (all + 1.0, in_time + f64::from(u8::from(visit.is_in_time())))
        });
        stats::share(in_time, all).unwrap_or(0.0)
    };
    (0..QUARTERS).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRIVALS: Duration = Duration::from_secs(2);

    fn visits(response_s: impl Fn(f64) -> Option<f64>) -> Vec<Visit> {
        let came = (0..200).map(|place| f64::from(place) / 100.0);
        came.map(|came_s| Visit {
            came_s,
            response_s: response_s(came_s),
        })
        .collect()
    }

    #[test]
    fn a_queue_that_grows_is_seen_in_its_slope_and_in_who_is_in_time() {
        let growing = visits(|came_s| Some(0.01 + came_s / 2.0));
        let arm = Arm::of_visits(Policy::Wait, &growing, ARRIVALS);
        assert!((arm.growth_s_per_s.unwrap() - 0.5).abs() < 1e-9);
        assert_eq!((arm.answered, arm.in_time), (200, 39));
        assert_eq!(arm.in_time_shares[1..], [0.0, 0.0, 0.0]);
        assert_eq!(arm.punctual_share, Some(0.0));
        // The last comes after 1.99 s, and waits for half of that.
        assert!((arm.throughput_per_s.unwrap() - 200.0 / 2.995).abs() < 0.1);
    }

    #[test]
    fn who_is_turned_away_is_neither_answered_nor_late() {
        let half = visits(|came_s| (!(0.5..1.5).contains(&came_s)).then_some(0.02));
        let arm = Arm::of_visits(Policy::Reject, &half, ARRIVALS);
        assert_eq!(arm.in_time_shares, [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(
            (arm.punctual_share, arm.late_half_in_time()),
            (Some(1.0), 0.5)
        );
    }
}
