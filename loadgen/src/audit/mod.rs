//! The run's view of itself: may its figures be believed?
//!
//! Each check is one function from the facts to a verdict. `fail` makes the run invalid, `warn` is
//! worth knowing. What the *server* did badly is a finding and never makes a run invalid.
//!
//! The checks stand by the question that they answer: do the figures agree ([`books`]), was it the
//! run that was asked for ([`asked`]), was it the generator that was measured ([`generator`]), and
//! how did the [`server`] fare?

mod asked;
mod books;
mod generator;
mod server;

use crate::Config;
use crate::engine::Collected;
use crate::report::{Audit, Check, Report, Verdict};

pub(crate) use asked::RATE_REACHED;

/// What the checks look at.
struct Facts<'a> {
    config: &'a Config,
    collected: &'a Collected,
    report: &'a Report,
}

impl Facts<'_> {
    /// All round trips, those of clients that are slow on purpose included.
    fn round_trips(&self) -> u64 {
        let prompt = self.report.latency.rtt.as_ref().map_or(0, |rtt| rtt.count);
        let behaviours = self.config.behaviours();
        let kinds = behaviours.iter().zip(&self.collected.tally.kinds);
        let slow = kinds.filter(|(behaviour, _)| !behaviour.is_prompt());
        prompt + slow.map(|(_, kind)| kind.rtt.count()).sum::<u64>()
    }
}

/// What a check says, and the figures behind it.
type Finding = (Verdict, String);

/// The name of a check, and how to do it.
type Rule = (&'static str, fn(&Facts<'_>) -> Finding);

/// All checks, in the order of the report.
const CHECKS: [Rule; 16] = [
    ("books-balance", books::books_balance),
    ("bytes-differ", books::bytes_differ),
    ("all-connected", asked::all_connected),
    ("littles-law", books::littles_law),
    ("server-lost", server::server_lost),
    ("client-limits", generator::client_limits),
    ("generator-load", generator::generator_load),
    ("generator-ceiling", generator::generator_ceiling),
    ("schedule-kept", generator::schedule_kept),
    ("rate-reached", asked::rate_reached),
    ("listen-queue", server::listen_queue),
    ("syn-retransmits", server::syn_retransmits),
    ("histogram-range", books::histogram_range),
    ("ended-early", asked::ended_early),
    ("paused", asked::paused),
    ("starvation", server::starvation),
];

/// Runs all checks.
pub(crate) fn audit(config: &Config, collected: &Collected, report: &Report) -> Audit {
    let facts = Facts {
        config,
        collected,
        report,
    };
    let checks: Vec<_> = CHECKS
        .iter()
        .map(|(name, check)| {
            let (verdict, detail) = check(&facts);
            Check {
                name: (*name).to_owned(),
                verdict,
                detail,
            }
        })
        .collect();
    let verdict = checks.iter().map(|check| check.verdict).max();
    Audit {
        verdict: verdict.unwrap_or(Verdict::Pass),
        checks,
    }
}

/// `Pass` where `good`, else `bad`.
fn verdict(good: bool, bad: Verdict) -> Verdict {
    if good { Verdict::Pass } else { bad }
}

#[cfg(test)]
mod tests;
