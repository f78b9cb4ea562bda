//! What USR1 asks for: how it goes, in the log.

use std::fmt;
use std::num::NonZeroU32;

use tracing::{field, info};

use crate::board::Counters;

/// One process that serves, and what it did since it was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing<S> {
    pub(crate) pid: u32,
    pub(crate) state: S,
    /// Whether new clients come to it.
    pub(crate) takes_clients: bool,
    pub(crate) counters: Counters,
}

/// Logs a line for each process and one for all of them; `totals` know the dead too.
pub(crate) fn log<S: fmt::Display>(
    standing: &[Standing<S>],
    totals: Counters,
    max_connections: NonZeroU32,
) {
    for Standing {
        pid,
        state,
        counters,
        ..
    } in standing
    {
        let Counters {
            accepted, requests, ..
        } = *counters;
        let connections = counters.open();
        info!(pid, %state, connections, accepted, requests, "status of a process");
    }
    let accepts = standing.iter().filter(|one| one.takes_clients);
    let accepts: Vec<_> = accepts.map(|one| one.counters.accepted).collect();
    let imbalance = imbalance(&accepts).map(|imbalance| field::display(format!("{imbalance:.2}")));
    let connections = totals.open();
    // Without `..`, so that no counter is forgotten.
    let Counters {
        accepted,
        closed,
        served,
        full,
        rejected,
        per_ip,
        idle,
        stalled,
        slow,
        failed,
        dismissed,
        panics,
        cut,
        requests,
        bytes,
    } = totals;
    info!(
        processes = standing.len(),
        imbalance,
        connections,
        max_connections,
        accepted,
        closed,
        served,
        full,
        rejected,
        per_ip,
        idle,
        stalled,
        slow,
        failed,
        dismissed,
        panics,
        cut,
        requests,
        bytes,
        "status"
    );
}

/// How unevenly clients come: the most that one process accepted, over the mean. None where that
/// says nothing.
fn imbalance(accepts: &[u64]) -> Option<f64> {
    let most = *accepts.iter().max()?;
    let all: u64 = accepts.iter().sum();
    (all > 0 && accepts.len() > 1).then(|| most as f64 * accepts.len() as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imbalance_is_the_most_over_the_mean() {
        assert_eq!(imbalance(&[3, 3, 3]), Some(1.0));
        assert_eq!(imbalance(&[0, 9, 0]), Some(3.0));
        assert_eq!([&[][..], &[0, 0], &[5]].map(imbalance), [None; 3]);
    }
}
