//! What USR1 asks for: how it goes, in the log.

use tracing::{field, info};

use super::{State, Status, WorkerStatus};
use crate::board::info_counters;

/// Logs a line for each process and one for all of them.
pub(crate) fn log(status: &Status) {
    for WorkerStatus {
        pid,
        state,
        connections,
        accepted,
        requests,
        sandbox,
        ..
    } in &status.workers
    {
        info!(pid, %state, connections, accepted, requests, %sandbox, "status of a process");
    }
    // A server that drains takes none, whoever of it serves.
    let accepts = status
        .workers
        .iter()
        .filter(|one| one.state == State::Ready);
    let accepts: Vec<_> = accepts.map(|one| one.accepted).collect();
    let imbalance = imbalance(&accepts).map(|imbalance| field::display(format!("{imbalance:.2}")));
    info_counters!(
        {
            processes = status.workers.len(),
            imbalance,
            connections = status.counters.open(),
            queued = status.connections.queued,
            fresh = status.connections.fresh,
            answered = status.connections.answered,
            max_connections = status.max_connections,
        }
        status.counters, {}
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
