//! The sentence that a person would say about the run.

use serde_json::Value;

use super::{Report, Verdict};
use crate::Profile as Kind;
use crate::audit::RATE_REACHED;

/// How far fairness may fall short of the clients served for these to count as served evenly.
const EVEN: f64 = 0.9;

/// The share of the window that counts as "the whole run" for a client that waited.
const NEARLY_ALL: f64 = 0.9;

/// What the run means, in one to three sentences.
#[must_use]
pub(crate) fn conclude(report: &Report) -> String {
    let mut said = Vec::new();
    if report.interrupted {
        said.push("Interrupted: these are the figures so far.".to_owned());
    }
    said.extend(trust(report));
    said.push(service(report));
    said.extend(shape(report));
    said.extend(pace(report));
    said.join(" ")
}

/// Why not to believe it.
fn trust(report: &Report) -> Option<String> {
    let clients = &report.clients;
    if report.mismatches > 0 {
        return Some(format!(
            "INVALID: {} came back with other bytes than were sent.",
            counted(report.mismatches, "answer")
        ));
    }
    if clients.connected < clients.asked {
        return Some(format!(
            "INVALID: only {} of {} clients could connect.",
            clients.connected, clients.asked
        ));
    }
    let failed = report
        .audit
        .checks
        .iter()
        .find(|check| check.verdict == Verdict::Fail)?;
    Some(format!("INVALID: {} ({}).", failed.name, failed.told()))
}

/// Who was served.
fn service(report: &Report) -> String {
    let clients = &report.clients;
    let connected = clients.connected;
    match (clients.served, clients.starved) {
        (0, _) if report.requests.errors > 0 => format!(
            "Nobody was served: {} ended without an answer.",
            counted(report.requests.errors, "request")
        ),
        (0, _) if report.requests.timeouts > 0 => format!(
            "Nobody was served: all {} ran into the time limit.",
            counted(report.requests.timeouts, "request")
        ),
        (0, _) => format!(
            "Nobody was served: {} waited the whole run.",
            counted(u64::from(connected), "connected client")
        ),
        (served, 0) if served == connected && report.rate_per_s.is_none() => format!(
            "All {} were served, but before the window opened: see --warmup.",
            counted(u64::from(served), "client")
        ),
        (1, 0) if connected == 1 => "The one client was served.".to_owned(),
        (served, 0) if served == connected => format!("All {served} clients were served."),
        (served, 0) if served + silent(report) == connected => format!(
            "All {served} clients that asked were served; {} only stayed connected.",
            silent(report)
        ),
        (served, 0) => format!("{served} of {connected} connected clients were served."),
        (served, starved) => {
            let waited = if starved_all_along(report) {
                "waited the whole run"
            } else {
                "never got a byte"
            };
            let rest = if report.requests.answered == 0 {
                format!("the other {served} had their answers before the window opened")
            } else {
                let were = if served == 1 { "was" } else { "were" };
                format!("rtt describes only the {served} that {were} served")
            };
            format!("{starved} of {} clients {waited}; {rest}.", clients.asked)
        }
    }
}

/// Clients that are silent on purpose and got nothing, as they wanted.
fn silent(report: &Report) -> u32 {
    let idle = Kind::Idle.name();
    let silent = report.profiles.iter().filter(|kind| kind.name == idle);
    silent.map(|kind| kind.connected - kind.served).sum()
}

/// How an open loop fared.
fn pace(report: &Report) -> Option<String> {
    let schedule = report.schedule.as_ref()?;
    let short = schedule.rate_ratio.filter(|ratio| *ratio < RATE_REACHED)?;
    Some(format!(
        "The rate was not reached: {:.1} % of the requests due were answered in the window.",
        short * 100.0
    ))
}

/// Whether everybody who got nothing was connected for nearly all of the run.
fn starved_all_along(report: &Report) -> bool {
    let admission = report.latency.admission.as_ref();
    let waited_us = admission.and_then(|admission| admission.censored_above_us);
    waited_us.is_some_and(|us| us >= report.duration_s * 1e6 * NEARLY_ALL)
}

/// What the server looks like.
fn shape(report: &Report) -> Option<String> {
    let clients = &report.clients;
    let served = f64::from(clients.served);
    let effective = clients.effective?;
    // Clients of several kinds are not meant to get the same.
    let even = effective >= served * EVEN || !report.profiles.is_empty();
    let all_there = clients.connected == clients.asked && starved_all_along(report);
    // Where connections are replaced, more clients than there are workers get their turn.
    let limit = report.config.get("requests-per-conn");
    let stays = clients.lost == 0 && limit.is_none_or(Value::is_null);
    if clients.starved > 0 && stays && all_there {
        if let Some(overflows) = overflows(report) {
            return Some(format!(
                "The accept queue overflowed ({}), so that this may be the queue's limit, and not \
                 the server's.",
                counted(overflows, "time")
            ));
        }
        return Some(match clients.served {
            1 => "The server looks like it serves one client at a time.".to_owned(),
            served => format!("The server looks like a pool of {served}."),
        });
    }
    if !even {
        return Some(format!(
            "The answers are spread as if {effective:.1} clients had been served."
        ));
    }
    let errors = report.requests.errors;
    (errors > 0).then(|| format!("{} failed.", counted(errors, "request")))
}

/// How often listeners of this machine found their queue full. Whoever came then believes to be
/// connected, and the server may never have heard of him.
pub(super) fn overflows(report: &Report) -> Option<u64> {
    let overflows = report.server.as_ref()?.listen_overflows;
    (overflows > 0).then_some(overflows)
}

fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Clients, Server, sample};

    fn served(served: u32, starved: u32, effective: f64) -> String {
        let mut report = sample::starved();
        report.clients = Clients {
            served,
            starved,
            effective: Some(effective),
            ..report.clients
        };
        conclude(&report)
    }

    #[test]
    fn it_says_who_was_served() {
        insta::assert_snapshot!(served(50, 0, 50.0), @"All 50 clients were served.");
        insta::assert_snapshot!(served(50, 0, 4.0), @"All 50 clients were served. The answers are spread as if 4.0 clients had been served.");
        insta::assert_snapshot!(served(4, 46, 4.0), @"46 of 50 clients waited the whole run; rtt describes only the 4 that were served. The server looks like a pool of 4.");
        insta::assert_snapshot!(served(1, 49, 1.0), @"49 of 50 clients waited the whole run; rtt describes only the 1 that was served. The server looks like it serves one client at a time.");
        insta::assert_snapshot!(served(10, 0, 10.0), @"10 of 50 connected clients were served.");
        insta::assert_snapshot!(served(20, 30, 9.0), @"30 of 50 clients waited the whole run; rtt describes only the 20 that were served. The server looks like a pool of 20.");
    }

    #[test]
    fn an_uneven_pool_is_a_pool_unless_its_clients_take_turns() {
        let mut report = sample::starved();
        report.clients.effective = Some(2.4);
        insta::assert_snapshot!(conclude(&report), @"46 of 50 clients waited the whole run; rtt describes only the 4 that were served. The server looks like a pool of 4.");
        report
            .config
            .insert("requests-per-conn".to_owned(), 1.into());
        insta::assert_snapshot!(conclude(&report), @"46 of 50 clients waited the whole run; rtt describes only the 4 that were served. The answers are spread as if 2.4 clients had been served.");
    }

    #[test]
    fn who_may_never_have_reached_the_server_does_not_make_it_look_like_a_pool() {
        let mut report = sample::starved();
        report.server = Some(Server {
            listen_overflows: 1,
            ..sample::server("echo")
        });
        insta::assert_snapshot!(conclude(&report), @"46 of 50 clients waited the whole run; rtt describes only the 4 that were served. The accept queue overflowed (1 time), so that this may be the queue's limit, and not the server's.");
    }

    #[test]
    fn it_does_not_speak_of_round_trips_that_nobody_made() {
        let mut report = sample::starved();
        report.requests.answered = 0;
        insta::assert_snapshot!(conclude(&report), @"46 of 50 clients waited the whole run; the other 4 had their answers before the window opened. The server looks like a pool of 4.");
    }

    #[test]
    fn late_comers_do_not_make_a_server_look_like_a_pool() {
        let mut report = sample::starved();
        if let Some(admission) = &mut report.latency.admission {
            admission.censored_above_us = Some(45e3);
        }
        insta::assert_snapshot!(conclude(&report), @"46 of 50 clients never got a byte; rtt describes only the 4 that were served.");
    }

    #[test]
    fn it_says_why_not_to_believe_the_run() {
        let mut report = sample::healthy();
        report.clients.connected = 10;
        report.clients.served = 10;
        insta::assert_snapshot!(conclude(&report), @"INVALID: only 10 of 50 clients could connect. All 10 clients were served.");
        report.mismatches = 1;
        insta::assert_snapshot!(conclude(&report), @"INVALID: 1 answer came back with other bytes than were sent. All 10 clients were served.");
        let mut report = sample::healthy();
        report.audit.checks[0].verdict = Verdict::Fail;
        report.interrupted = true;
        insta::assert_snapshot!(conclude(&report), @"Interrupted: these are the figures so far. INVALID: books-balance (they do). All 50 clients were served.");
    }

    #[test]
    fn it_says_that_nobody_was_served() {
        let mut report = sample::healthy();
        report.clients = Clients {
            served: 0,
            starved: 50,
            fairness: None,
            effective: None,
            ..report.clients
        };
        insta::assert_snapshot!(conclude(&report), @"Nobody was served: 50 connected clients waited the whole run.");
        report.requests.timeouts = 50;
        insta::assert_snapshot!(conclude(&report), @"Nobody was served: all 50 requests ran into the time limit.");
        report.requests.errors = 1;
        insta::assert_snapshot!(conclude(&report), @"Nobody was served: 1 request ended without an answer.");
    }

    #[test]
    fn it_says_that_everything_happened_before_the_window() {
        let mut report = sample::healthy();
        (report.rate_per_s, report.clients.effective) = (None, None);
        insta::assert_snapshot!(conclude(&report), @"All 50 clients were served, but before the window opened: see --warmup.");
    }
}
