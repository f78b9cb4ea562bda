//! The run's view of itself: may its figures be believed?
//!
//! Each check is one function from the facts to a verdict. `fail` makes the run invalid, `warn` is
//! worth knowing. What the *server* did badly is a finding and never makes a run invalid.

use std::fmt::Write as _;
use std::time::Duration;

use crate::engine::Collected;
use crate::report::{Audit, Check, Report, Verdict};
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

/// What a check says, and the figures behind it.
type Finding = (Verdict, String);

/// The name of a check, and how to do it.
type Rule = (&'static str, fn(&Facts<'_>) -> Finding);

/// All checks, in the order of the report.
const CHECKS: [Rule; 11] = [
    ("books-balance", books_balance),
    ("bytes-differ", bytes_differ),
    ("all-connected", all_connected),
    ("littles-law", littles_law),
    ("server-lost", server_lost),
    ("client-limits", client_limits),
    ("generator-load", generator_load),
    ("listen-queue", listen_queue),
    ("syn-retransmits", syn_retransmits),
    ("histogram-range", histogram_range),
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
    let samples = facts.report.latency.rtt.as_ref().map_or(0, |rtt| rtt.count);
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
    let detail = match (facts.config.verify, mismatches) {
        (true, 0) => "every answered byte equals what was sent".to_owned(),
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
    let good = clients.connected >= clients.asked && cut_off == 0;
    (verdict(good, Verdict::Fail), detail)
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
                "rate × (mean round trip + think) = {found:.2} for {served} clients served"
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
    let served = f64::from(report.clients.served);
    let window = seconds(census.presence_nanos) / served;
    let answered = report.requests.answered as f64;
    let opened = tally.opened().and_then(|opened| opened.elapsed());
    let opened_s = opened.map_or(0.0, |opened| opened.as_secs_f64());
    let arrival_s = seconds(census.last_arrival_nanos) - opened_s;
    let cycle_s = seconds(tally.rtt.sum_nanos() + tally.paused_nanos) / answered;
    if !behaviour.hold.is_zero() || behaviour.requests_per_conn.is_some() {
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
        Ok((found, served))
    }
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
    let clamped = tally.connect.clamped() + tally.admission.clamped() + tally.rtt.clamped();
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
