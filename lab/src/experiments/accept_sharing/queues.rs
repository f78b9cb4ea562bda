//! One queue in front of all workers against a queue in front of each, under the same arrivals.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Serialize;

use super::{WORKERS, Way};
use crate::bench::{Bench, Failure};
use crate::latency;
use crate::load::{Load, Measured};
use crate::plan::erlang::Mmc;
use crate::stats;
use crate::subject::Subject;

/// The mean of the exponential services.
pub(super) const SERVICE: Duration = Duration::from_millis(5);
/// How busy the workers are.
pub(super) const LOAD: f64 = 0.8;
/// Over how long clients come.
const ARRIVALS: Duration = Duration::from_millis(4_000);
/// How much longer is watched, for those who came last.
const AFTERWARDS: Duration = Duration::from_millis(700);
/// The queues begin empty: who came in the first part of the time, as a share, is not looked at.
const BEGINNING: f64 = 0.2;

/// The waits of one arrangement.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Queue {
    pub(super) accept: Way,
    /// Clients that were answered.
    pub(super) answered: usize,
    /// Clients that were not, to the end.
    pub(super) unanswered: usize,
    /// The mean wait, without the service, in milliseconds.
    pub(super) wait_ms: Option<f64>,
    /// The time within which 99 % had their answer, the service included, in milliseconds.
    pub(super) p99_ms: Option<f64>,
    /// What M/M/W, or W times M/M/1, predicts for the wait.
    pub(super) predicted_wait_ms: Option<f64>,
    /// The same for the 99 %.
    pub(super) predicted_p99_ms: Option<f64>,
    /// The distribution of the responses.
    #[serde(skip)]
    pub(super) curve: Vec<(f64, f64)>,
    #[serde(skip)]
    pub(super) invalid: Option<String>,
}

/// Puts the same arrivals on a shared listener and on a listener for each worker, at the same time.
pub(super) fn all(bench: &mut Bench) -> Result<Vec<Queue>, Failure> {
    let ways = [Way::Shared, Way::Reuseport];
    let work = format!("io=exp:{}ms", SERVICE.as_millis());
    let mut servers = Vec::new();
    for accept in ways {
        let flags = ["--accept", accept.flag(bench), "--work", &work];
        let subject = Subject::own("process-pool", WORKERS).with(&flags);
        servers.push(bench.start(&subject.named(accept.to_string()))?);
    }
    let arrivals = bench.window(ARRIVALS);
    let load = Load::busy(clients(arrivals), arrivals + AFTERWARDS)
        .scattered(arrivals)
        .one_request_each()
        .once();
    let measured = bench.load_all(&servers, &load)?;
    for server in servers {
        drop(server.stop());
    }
    let measured = ways.into_iter().zip(measured);
    Ok(measured
        .map(|(accept, measured)| queue(accept, &measured, arrivals))
        .collect())
}

/// As many as keep the workers busy for [`LOAD`] of the time.
fn clients(arrivals: Duration) -> NonZeroU32 {
    let per_worker = arrivals.as_secs_f64() / SERVICE.as_secs_f64() * LOAD;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some thousands"
    )]
    let clients = (per_worker * WORKERS as f64) as u32;
    NonZeroU32::new(clients).unwrap_or(NonZeroU32::MIN)
}

fn queue(accept: Way, measured: &Measured, arrivals: Duration) -> Queue {
    let service_ms = SERVICE.as_secs_f64() * 1e3;
    let beginning = arrivals.mul_f64(BEGINNING);
    let looked_at = measured
        .clients
        .iter()
        .filter(|client| client.connected_at.is_some_and(|at| at >= beginning));
    let responses: Vec<Option<f64>> = looked_at
        .map(|client| {
            let response = client.first_byte_at?.checked_sub(client.connected_at?)?;
            Some(response.as_secs_f64() * 1e3)
        })
        .collect();
    let answered: Vec<f64> = responses.iter().copied().flatten().collect();
    let workers = match accept {
        Way::Reuseport => 1,
        Way::Shared | Way::Handoff => WORKERS,
    };
    let model = model(workers);
    let mean = stats::share(answered.iter().sum(), answered.len() as f64);
    Queue {
        accept,
        answered: answered.len(),
        unanswered: responses.len() - answered.len(),
        wait_ms: mean.map(|mean| mean - service_ms),
        p99_ms: stats::quantile(&answered, 0.99),
        predicted_wait_ms: model.map(|model| model.wait_s() * 1e3),
        predicted_p99_ms: model.map(|model| model.response_quantile_s(0.99) * 1e3),
        curve: latency::curve(&measured.report.latency.admission),
        invalid: measured.invalid(),
    }
}

/// One queue in front of so many workers.
fn model(workers: usize) -> Option<Mmc> {
    let count = NonZeroU32::new(u32::try_from(workers).ok()?)?;
    let service_s = SERVICE.as_secs_f64();
    Mmc::new(count, LOAD * workers as f64 / service_s, service_s).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_queues_are_predicted_to_wait_five_times_as_long_as_one() {
        let wait = |workers| model(workers).unwrap().wait_s();
        let ratio = wait(1) / wait(WORKERS);
        assert!((ratio - 5.365).abs() < 0.01, "{ratio}");
    }
}
