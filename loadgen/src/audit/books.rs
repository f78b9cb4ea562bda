//! Do the figures of the run agree with each other, and with the bytes that came?

use super::{Facts, Finding, verdict};
use crate::config::Pace;
use crate::engine::Collected;
use crate::report::Verdict;
use crate::samples::Samples;
use crate::time::seconds;

/// How far the two sides of Little's law may be apart.
const LAW_TOLERANCE: f64 = 0.1;
/// The law needs that many round trips in the window, or its edges weigh too much.
const LAW_ROUND_TRIPS: f64 = 20.0;
/// A client that came later than this share of the window was not there for the whole of it.
const LAW_LATE_ARRIVAL: f64 = 0.05;

pub(super) fn books_balance(facts: &Facts<'_>) -> Finding {
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

pub(super) fn bytes_differ(facts: &Facts<'_>) -> Finding {
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

/// In a closed loop each served client is always either waiting or thinking, so that the rate
/// times the mean of both is the number of clients. Waits that the window cuts at its two edges
/// are counted with the part inside.
pub(super) fn littles_law(facts: &Facts<'_>) -> Finding {
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

pub(super) fn histogram_range(facts: &Facts<'_>) -> Finding {
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
