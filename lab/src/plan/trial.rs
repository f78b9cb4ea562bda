//! A plan tried out on the simulation: for what the formulas do not say, the percentiles of a closed
//! population and those of queues that belong to one reactor each.

use std::num::NonZeroUsize;

use serde::Serialize;

use super::demand::Figure;
use super::simulation::{Fate, Nanos, Queue, Request, play};
use super::sizing::Share;
use super::station::Station;
use crate::dice::Dice;
use crate::stats;

/// About how many requests are played.
const REQUESTS: f64 = 50_000.0;
/// The part of the time that is not counted, since the queue is empty at first: one of so many.
const FILLING: u64 = 10;
/// More clients than this take too long, and are an open queue to many digits.
const MOST_CLIENTS: u64 = 200_000;

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// Requests that were counted.
    pub requests: usize,
    /// Their mean response in milliseconds.
    pub response_ms: f64,
    /// The figure of the response that was promised, in milliseconds.
    pub promised_ms: Option<f64>,
}

/// Plays the clients of one machine; none where requests wait in no queue, or there are too many
/// clients.
pub(super) fn of(station: &Station<'_>, each: &Share, seed: u64) -> Option<Trial> {
    if each.clients > MOST_CLIENTS {
        return None;
    }
    let (workers, service_s) = station.served_by(each)?;
    let span = nanos(REQUESTS / each.rate_per_s);
    let clients = clients(station, each, (nanos(service_s), span), seed);
    let queue = if station.is_partitioned() {
        Queue::ByTurns
    } else {
        Queue::Shared
    };
    let workers = NonZeroUsize::new(usize::try_from(workers).ok()?)?;
    let counted = span / FILLING..span;
    let fates = play(&clients, workers, queue).into_iter().flatten();
    let responses: Vec<f64> = fates
        .filter_map(|fate| match fate {
            Fate::Served(served) if counted.contains(&served.due) => {
                Some(served.response() as f64 / 1e6)
            }
            Fate::Served(_) | Fate::Refused(_) => None,
        })
        .collect();
    let mean_ms = responses.iter().sum::<f64>() / responses.len() as f64;
    let promise = station.demand.promise.as_ref();
    let promised_ms = promise.and_then(|slo| match slo.figure {
        Figure::Mean => Some(mean_ms),
        Figure::Quantile(share) => stats::quantile(&responses, share),
    });
    (!responses.is_empty()).then_some(Trial {
        requests: responses.len(),
        response_ms: mean_ms,
        promised_ms,
    })
}

/// What each client asks within `span`: after a think time of its own each time, or on a schedule.
fn clients(
    station: &Station<'_>,
    each: &Share,
    (service, span): (Nanos, Nanos),
    seed: u64,
) -> Vec<Vec<Request>> {
    let closed = station.demand.is_closed();
    let gap = if closed {
        station.demand.think.as_secs_f64() * 1e9
    } else {
        each.clients as f64 / each.rate_per_s * 1e9
    };
    let client = |index: u64| {
        let mut dice = Dice::of_one(seed, index);
        let mut now = 0;
        let mut requests = Vec::new();
        loop {
            // Who does not think at all still asks only after the answer: without a pause it would be due
            // from the start.
            let pause = dice.exponential(gap).max(1);
            let service = dice.exponential(service as f64);
            // In a closed loop the service is time that the client does not think, too.
            now += pause + if closed { service } else { 0 };
            if now >= span {
                return requests;
            }
            requests.push(Request {
                due: if closed { 0 } else { now },
                pause: if closed { pause } else { 0 },
                service,
            });
        }
    };
    (0..each.clients).map(client).collect()
}

fn nanos(seconds: f64) -> Nanos {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a span of time; what is too long becomes the longest"
    )]
    let nanos = (seconds * 1e9) as Nanos;
    nanos
}
