//! How did the server fare? A finding, and a fault of the run only where it was lost altogether.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Facts, Finding, verdict};
use crate::StopRule;
use crate::report::Verdict;
use crate::time::{micros, nanos};

/// When the kernel sends the first packet of a connection again, in seconds.
const SYN_RETRIES_S: [u64; 5] = [1, 2, 3, 4, 7];
/// How long after such a moment a connection still counts as due to it.
const SYN_CLUSTER: Duration = Duration::from_millis(250);

pub(super) fn server_lost(facts: &Facts<'_>) -> Finding {
    let (served, stranded) = (facts.report.clients.served, facts.collected.census.stranded);
    let good = served == 0 || stranded < served;
    let detail = format!("{stranded} of {served} served clients lost the server for good");
    (verdict(good, Verdict::Fail), detail)
}

pub(super) fn listen_queue(facts: &Facts<'_>) -> Finding {
    match facts.collected.trouble {
        None => (
            Verdict::Pass,
            "not applicable: the kernel does not tell".to_owned(),
        ),
        Some(trouble) => {
            let detail = format!(
                "{} overflows and {} drops of listeners on this machine",
                trouble.overflows, trouble.drops
            );
            let quiet = trouble.overflows + trouble.drops == 0;
            (verdict(quiet, Verdict::Warn), detail)
        }
    }
}

pub(super) fn syn_retransmits(facts: &Facts<'_>) -> Finding {
    let connect = &facts.collected.tally.connect;
    let clusters: Vec<_> = SYN_RETRIES_S
        .into_iter()
        .filter_map(|second| {
            let from = nanos(Duration::from_secs(second));
            let count = connect.count_between(from, from + nanos(SYN_CLUSTER));
            (count > 0).then(|| format!("{count} at {second} s"))
        })
        .collect();
    if clusters.is_empty() {
        let detail = "no connection waited for a repeated first packet".to_owned();
        return (Verdict::Pass, detail);
    }
    let detail = format!(
        "connections that waited for a repeated first packet, as with a full queue: {}",
        clusters.join(", ")
    );
    (Verdict::Warn, detail)
}

pub(super) fn starvation(facts: &Facts<'_>) -> Finding {
    let clients = facts.report.clients;
    let mut detail = format!(
        "{} of {} connected clients never got a byte",
        clients.starved, clients.connected
    );
    let longest = facts.collected.census.unadmitted.above_nanos;
    if let Some(above) = longest.filter(|_| clients.starved > 0) {
        let _ = write!(
            detail,
            " in more than {}",
            cli::units::micros(micros(above))
        );
    }
    if matches!(facts.config.stop, StopRule::Requests(_)) && clients.starved > 0 {
        detail.push_str("; a run by --requests ends with those who are served");
    }
    (verdict(clients.starved == 0, Verdict::Warn), detail)
}
