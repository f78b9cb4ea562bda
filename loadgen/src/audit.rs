//! The run's view of itself: may its figures be believed?
//!
//! Each check is one function from the facts to a verdict. `fail` makes the run invalid, `warn` is
//! worth knowing. What the *server* did badly is a finding and never makes a run invalid.

use std::fmt::Write as _;
use std::time::Duration;

use crate::ceiling::{HIGH_SHARE, Point};
use crate::config::Pace;
use crate::engine::{Collected, EndedBy};
use crate::report::{Audit, Check, Report, Verdict};
use crate::samples::Samples;
use crate::time::{micros, nanos, seconds};
use crate::{Config, StopRule};

/// A thread that is on a processor for more than this share of the window may itself be what is
/// measured.
const HIGH_LOAD: f64 = 0.9;
/// How far the two sides of Little's law may be apart.
const LAW_TOLERANCE: f64 = 0.1;
/// The law needs that many round trips in the window, or its edges weigh too much.
const LAW_ROUND_TRIPS: f64 = 20.0;
/// A client that came later than this share of the window was not there for the whole of it.
const LAW_LATE_ARRIVAL: f64 = 0.05;
/// A run is invalid when more than this share of its schedule was late or unsent through the
/// generator's own lag, and worth a warning from the second share on.
const MOST_OWN_LATE: f64 = 0.05;
const SOME_OWN_LATE: f64 = 0.01;
/// The share of the requests due that must be answered for the rate to count as reached.
pub(crate) const RATE_REACHED: f64 = 0.99;
/// When the kernel sends the first packet of a connection again, in seconds.
const SYN_RETRIES_S: [u64; 5] = [1, 2, 3, 4, 7];
/// How long after such a moment a connection still counts as due to it.
const SYN_CLUSTER: Duration = Duration::from_millis(250);

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
    ("books-balance", books_balance),
    ("bytes-differ", bytes_differ),
    ("all-connected", all_connected),
    ("littles-law", littles_law),
    ("server-lost", server_lost),
    ("client-limits", client_limits),
    ("generator-load", generator_load),
    ("generator-ceiling", generator_ceiling),
    ("schedule-kept", schedule_kept),
    ("rate-reached", rate_reached),
    ("listen-queue", listen_queue),
    ("syn-retransmits", syn_retransmits),
    ("histogram-range", histogram_range),
    ("ended-early", ended_early),
    ("paused", paused),
    ("starvation", starvation),
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

fn books_balance(facts: &Facts<'_>) -> Finding {
    let r = &facts.report.requests;
    let samples = facts.round_trips();
    let slices: u64 = facts.report.intervals.iter().map(|i| i.answered).sum();
    let good = r.balance() && samples == r.answered && slices == r.answered;
    let detail = format!(
        "{} carried in + {} sent = {} answered + {} errors + {} timeouts + {} pending; \
         {samples} round trips, {slices} in intervals",
        r.carried_in, r.sent, r.answered, r.errors, r.timeouts, r.pending
    );
    (verdict(good, Verdict::Fail), detail)
}

fn bytes_differ(facts: &Facts<'_>) -> Finding {
    let mismatches = facts.report.mismatches;
    let compared = facts.config.verify && facts.config.protocol.is_verifiable();
    let protocol = facts.config.protocol.name();
    let detail = match (compared, mismatches) {
        (true, 0) => "every answered byte equals what was sent".to_owned(),
        (false, 0) if facts.config.verify => {
            format!("every answer ended as {protocol} says; what it says is not known beforehand")
        }
        (false, 0) => "not compared (--verify off); no answer was too long".to_owned(),
        (_, n) => format!("{n} answers differ from what was sent"),
    };
    (verdict(mismatches == 0, Verdict::Fail), detail)
}

/// A connection that the kernel completed and the server never took up is none that was asked for.
fn all_connected(facts: &Facts<'_>) -> Finding {
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

/// In a closed loop each served client is always either waiting or thinking, so that the rate
/// times the mean of both is the number of clients. Waits that the window cuts at its two edges
/// are counted with the part inside.
fn littles_law(facts: &Facts<'_>) -> Finding {
    match law_sides(facts) {
        Err(why) => (Verdict::Pass, format!("not applicable: {why}")),
        Ok((found, served)) => {
            let off = (found - served).abs() / served;
            let detail = format!(
                "rate × (mean round trip + think) = {found:.2} for {served} requests at once by \
                 the clients served"
            );
            (verdict(off <= LAW_TOLERANCE, Verdict::Fail), detail)
        }
    }
}

/// Clients by the law and clients served, or why the law does not apply.
fn law_sides(facts: &Facts<'_>) -> Result<(f64, f64), &'static str> {
    let Collected { tally, census, .. } = facts.collected;
    let report = facts.report;
    let behaviour = facts.config.behaviour;
    let pipeline = f64::from(behaviour.pipeline.get());
    let served = f64::from(report.clients.served);
    let window = seconds(census.presence_nanos) / served;
    let answered = report.requests.answered as f64;
    let opened = tally.opened().and_then(|opened| opened.elapsed());
    let opened_s = opened.map_or(0.0, |opened| opened.as_secs_f64());
    let arrival_s = seconds(census.last_arrival_nanos) - opened_s;
    let cycle_s = seconds(tally.rtt.sum_nanos() + tally.paused_nanos) / answered;
    if facts.config.pace != Pace::Closed {
        Err("an open loop")
    } else if !facts.config.profiles.is_empty() {
        Err("clients of several kinds")
    } else if !collected_is_steady(facts) {
        Err("it was held up by hand")
    } else if pipeline > 1.0 && !behaviour.think.is_zero() {
        Err("bursts with pauses")
    } else if !behaviour.hold.is_zero() || behaviour.requests_per_conn.is_some() {
        Err("connections hold or are replaced")
    } else if report.clients.lost > 0 || report.requests.timeouts + report.requests.errors > 0 {
        Err("connections were lost")
    } else if report.requests.answered == 0 || window <= 0.0 {
        Err("nothing was answered in the window")
    } else if arrival_s > window * LAW_LATE_ARRIVAL {
        Err("not every served client was there for the whole window")
    } else if cycle_s * LAW_ROUND_TRIPS > window {
        Err("too few round trips for each client")
    } else {
        let inside = tally.rtt.sum_nanos() + tally.paused_nanos + census.unfinished_nanos;
        let found = seconds(inside.saturating_sub(tally.before_window_nanos)) / window;
        Ok((found, served * pipeline))
    }
}

fn collected_is_steady(facts: &Facts<'_>) -> bool {
    facts.collected.paused.is_zero()
}

fn server_lost(facts: &Facts<'_>) -> Finding {
    let (served, stranded) = (facts.report.clients.served, facts.collected.census.stranded);
    let good = served == 0 || stranded < served;
    let detail = format!("{stranded} of {served} served clients lost the server for good");
    (verdict(good, Verdict::Fail), detail)
}

fn client_limits(facts: &Facts<'_>) -> Finding {
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

fn generator_load(facts: &Facts<'_>) -> Finding {
    match facts.collected.load {
        None => (Verdict::Pass, "not applicable: no window".to_owned()),
        Some(load) => {
            let detail = format!(
                "the busiest generator thread used {:.0} % of a processor",
                load * 100.0
            );
            (verdict(load <= HIGH_LOAD, Verdict::Warn), detail)
        }
    }
}

fn generator_ceiling(facts: &Facts<'_>) -> Finding {
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
fn ceiling_share(config: &Config, report: &Report) -> Result<(f64, Point), String> {
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
fn schedule_kept(facts: &Facts<'_>) -> Finding {
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

fn rate_reached(facts: &Facts<'_>) -> Finding {
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

fn ended_early(facts: &Facts<'_>) -> Finding {
    let (verdict, detail) = match facts.collected.ended_by {
        None => (Verdict::Pass, "no"),
        Some(EndedBy::Hand) => (Verdict::Warn, "a signal or a key ended the run"),
        Some(EndedBy::Deadline) => (Verdict::Warn, "--deadline ended the run"),
        Some(EndedBy::NobodyThere) => (Verdict::Warn, "nobody listens any more"),
    };
    (verdict, detail.to_owned())
}

fn paused(facts: &Facts<'_>) -> Finding {
    let detail = format!(
        "sending was held up by hand for {:.1} s",
        facts.collected.paused.as_secs_f64()
    );
    (
        verdict(facts.collected.paused.is_zero(), Verdict::Warn),
        detail,
    )
}

fn listen_queue(facts: &Facts<'_>) -> Finding {
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

fn syn_retransmits(facts: &Facts<'_>) -> Finding {
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

fn histogram_range(facts: &Facts<'_>) -> Finding {
    let tally = &facts.collected.tally;
    let response = tally
        .kept
        .as_ref()
        .map_or(0, |kept| kept.response.clamped());
    let waits = [&tally.connect, &tally.admission, &tally.rtt];
    let clamped = waits.into_iter().map(Samples::clamped).sum::<u64>() + response;
    let detail = format!("{clamped} waits were longer than the hour that can be recorded");
    (verdict(clamped == 0, Verdict::Warn), detail)
}

fn starvation(facts: &Facts<'_>) -> Finding {
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

#[cfg(test)]
mod tests;
