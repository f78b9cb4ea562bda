//! Was it the run that was asked for: all clients, all requests, the rate, the whole time?

use std::fmt::Write as _;

use super::{Facts, Finding, verdict};
use crate::StopRule;
use crate::engine::EndedBy;
use crate::report::Verdict;

/// The share of the requests due that must be answered for the rate to count as reached.
pub(crate) const RATE_REACHED: f64 = 0.99;

/// A connection that the kernel completed and the server never took up is none that was asked for.
pub(super) fn all_connected(facts: &Facts<'_>) -> Finding {
    let clients = facts.report.clients;
    let cut_off = facts.collected.census.cut_off;
    let mut detail = format!("{} of {} connected", clients.connected, clients.asked);
    if cut_off > 0 {
        let _ = write!(
            detail,
            "; {cut_off} lost the connection before their first byte and could not connect again"
        );
    }
    let missing = missing_requests(facts);
    if let Some((ended, asked)) = missing {
        let _ = write!(
            detail,
            "; clients gave up connecting after {ended} of {asked} requests"
        );
    }
    let good = clients.connected >= clients.asked && cut_off == 0 && missing.is_none();
    (verdict(good, Verdict::Fail), detail)
}

/// Requests that ended and requests asked for, where a run by number ran out of clients that could
/// still connect. With `--once` clients leave by plan.
fn missing_requests(facts: &Facts<'_>) -> Option<(u64, u64)> {
    let by_number = matches!(facts.config.stop, StopRule::Requests(_));
    if !by_number || facts.config.behaviour.once || facts.collected.ended_by.is_some() {
        return None;
    }
    let requests = facts.report.requests;
    let ended = requests.answered + requests.errors + requests.timeouts;
    let asked = facts.config.own_requests()?.get();
    (ended < asked).then_some((ended, asked))
}

pub(super) fn rate_reached(facts: &Facts<'_>) -> Finding {
    let Some(schedule) = &facts.report.schedule else {
        return (Verdict::Pass, "not applicable: no schedule".to_owned());
    };
    let Some(ratio) = schedule.rate_ratio else {
        return (Verdict::Pass, "not applicable: nothing was due".to_owned());
    };
    let detail = format!(
        "{:.1} % of the requests due were answered in the window; {} were never sent",
        ratio * 100.0,
        facts.report.requests.unsent
    );
    (verdict(ratio >= RATE_REACHED, Verdict::Warn), detail)
}

pub(super) fn ended_early(facts: &Facts<'_>) -> Finding {
    let (verdict, detail) = match facts.collected.ended_by {
        None => (Verdict::Pass, "no"),
        Some(EndedBy::Hand) => (Verdict::Warn, "a signal or a key ended the run"),
        Some(EndedBy::Deadline) => (Verdict::Warn, "--deadline ended the run"),
        Some(EndedBy::NobodyThere) => (Verdict::Warn, "nobody listens any more"),
    };
    (verdict, detail.to_owned())
}

pub(super) fn paused(facts: &Facts<'_>) -> Finding {
    let detail = format!(
        "sending was held up by hand for {:.1} s",
        facts.collected.paused.as_secs_f64()
    );
    (
        verdict(facts.collected.paused.is_zero(), Verdict::Warn),
        detail,
    )
}
