//! To whom clients are dealt that come one after the other, when there is nothing to do.

use std::time::Duration;

use serde::Serialize;

use super::{WORKERS, Way};
use crate::admin;
use crate::bench::{Bench, Failure};
use crate::soak::census;
use crate::soak::client::Client;
use crate::subject::Subject;

/// How many clients come.
pub(super) const CLIENTS: u32 = 200;
/// How long a client may wait for its answer, and the counters for what they count.
const LIMIT: Duration = Duration::from_secs(10);

/// Whether clients stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stay {
    /// Each stays until the last has come.
    Long,
    /// Each leaves before the next one comes.
    Short,
}

/// Who took them.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Deal {
    pub(super) accept: Way,
    pub(super) stay: Stay,
    /// Connections accepted, by worker.
    pub(super) accepted: Vec<u64>,
    /// [`chi_square`] of them.
    pub(super) chi_square: f64,
}

/// Deals out clients that stay and clients that leave, in each way.
pub(super) fn all(bench: &mut Bench) -> Result<Vec<Deal>, Failure> {
    let mut deals = Vec::new();
    for accept in Way::ALL {
        for stay in [Stay::Long, Stay::Short] {
            deals.push(deal(bench, accept, stay)?);
        }
    }
    Ok(deals)
}

fn deal(bench: &mut Bench, accept: Way, stay: Stay) -> Result<Deal, Failure> {
    let server = bench.start(
        &Subject::own("process-pool", WORKERS)
            .with(&["--worker-mode", "epoll", "--accept", accept.flag(bench)])
            .with(&admin::FLAGS),
    )?;
    bench.narrator.now(&format!(
        "{CLIENTS} clients one after the other, --accept {accept}"
    ));
    let come = || -> std::io::Result<Vec<u64>> {
        let mut staying = Vec::new();
        for number in 0..CLIENTS {
            let mut client = Client::connect(server.ready.addr, number.into(), LIMIT)?;
            client.round_trip()?;
            match stay {
                Stay::Long => staying.push(client),
                Stay::Short => drop(client.finish()?),
            }
        }
        let admin = admin::of(&server)?;
        let mut accepted = Vec::new();
        let _ = census::until(&server, LIMIT, || {
            let workers = admin::status(admin).map(|status| status.workers);
            accepted = workers.map_or_else(
                |_| Vec::new(),
                |of| of.iter().map(|worker| worker.accepted).collect(),
            );
            accepted.iter().sum::<u64>() == u64::from(CLIENTS)
        });
        Ok(accepted)
    };
    let accepted = come().map_err(Failure::system("deal clients out"))?;
    drop(server.stop());
    Ok(Deal {
        accept,
        stay,
        chi_square: chi_square(&accepted),
        accepted,
    })
}

/// How far counts are from equal ones: the squares of the differences over the mean. Where a die
/// decides it is about the number of workers less one.
pub(super) fn chi_square(counts: &[u64]) -> f64 {
    let mean = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    let square = |count: &u64| (*count as f64 - mean).powi(2) / mean;
    counts.iter().map(square).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_counts_are_no_distance_apart_and_all_for_one_are_far() {
        assert!(chi_square(&[50, 50, 50, 50]).abs() < 1e-9);
        assert!((chi_square(&[200, 0, 0, 0]) - 600.0).abs() < 1e-9);
    }
}
