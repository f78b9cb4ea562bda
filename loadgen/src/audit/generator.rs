//! May the generator or its machine be what was measured, and not the server?

use super::{Facts, Finding, verdict};
use crate::Config;
use crate::ceiling::{HIGH_SHARE, Point};
use crate::report::{Report, Verdict};

/// A thread that works on a processor for more than this share of the window may itself be what is
/// measured; looking at the clock until a request is due is no work.
const HIGH_LOAD: f64 = 0.9;
/// A run is invalid when more than this share of its schedule was late or unsent through the
/// generator's own lag, and worth a warning from the second share on.
const MOST_OWN_LATE: f64 = 0.05;
const SOME_OWN_LATE: f64 = 0.01;

pub(super) fn client_limits(facts: &Facts<'_>) -> Finding {
    let hit: Vec<_> = facts
        .collected
        .tally
        .failures
        .seen()
        .filter_map(|(kind, count)| Some(format!("{count} × {}", kind.remedy()?)))
        .collect();
    if hit.is_empty() {
        return (Verdict::Pass, "no limit of this machine was hit".to_owned());
    }
    let detail = format!("this machine, not the server: {}", hit.join("; "));
    (Verdict::Warn, detail)
}

pub(super) fn generator_load(facts: &Facts<'_>) -> Finding {
    match facts.collected.load {
        None => (Verdict::Pass, "not applicable: no window".to_owned()),
        Some(load) => {
            let detail = format!(
                "the busiest generator thread had work for {:.0} % of the window",
                load * 100.0
            );
            (verdict(load <= HIGH_LOAD, Verdict::Warn), detail)
        }
    }
}

pub(super) fn generator_ceiling(facts: &Facts<'_>) -> Finding {
    match ceiling_share(facts.config, facts.report) {
        Err(why) => (Verdict::Pass, format!("not applicable: {why}")),
        Ok((share, point)) => {
            let detail = format!(
                "{:.0} % of what the generator could do with {} connections and a server that \
                 costs nothing",
                share * 100.0,
                point.connections
            );
            (verdict(share <= HIGH_SHARE, Verdict::Warn), detail)
        }
    }
}

/// The rate as a share of the ceiling for as many clients as were served, or why there is none.
pub(super) fn ceiling_share(config: &Config, report: &Report) -> Result<(f64, Point), String> {
    crate::ceiling::comparable(config)?;
    let ceiling = config.ceiling.as_ref();
    let ceiling = ceiling.ok_or("no ceiling is known; run `loadgen selftest` once")?;
    ceiling.of_here(&report.tool, &report.machine)?;
    let rate = report.rate_per_s.ok_or("no window")?;
    let near = ceiling.nearest(report.clients.served);
    let point = near.ok_or("no ceiling for so many clients")?;
    if point.threads != config.threads.get() {
        let (there, here) = (point.threads, config.threads);
        return Err(format!("the ceiling is of {there} threads, not of {here}"));
    }
    Ok((rate / point.rate_per_s, point))
}

/// The generator's own delays; what the server held up is a finding and no fault of the run.
pub(super) fn schedule_kept(facts: &Facts<'_>) -> Finding {
    let (Some(schedule), Some(lag)) = (&facts.report.schedule, &facts.report.latency.lag) else {
        return (Verdict::Pass, "not applicable: no schedule".to_owned());
    };
    let own = schedule.own_late + schedule.own_unsent;
    let share = own as f64 / schedule.due.max(1) as f64;
    let shown = |value: Option<f64>| value.map_or("unknown".to_owned(), cli::units::micros);
    let detail = format!(
        "{own} of {} due requests late or unsent by the generator itself; its lag is p50 {}, \
         p99 {}, max {}; {} late for any reason",
        schedule.due,
        shown(lag.p50_us),
        shown(lag.p99_us),
        shown(lag.max_us),
        facts.report.requests.late,
    );
    let found = if share > MOST_OWN_LATE {
        Verdict::Fail
    } else if share > SOME_OWN_LATE {
        Verdict::Warn
    } else {
        Verdict::Pass
    };
    (found, detail)
}
