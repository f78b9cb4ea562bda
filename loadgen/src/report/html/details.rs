//! What stands behind the figures: profiles, the server's side, failures, audit.

use cli::units::{bytes, micros, number};
use maud::{Markup, html};

use super::table::{Cell, Tone, badge, list, table};
use super::waits;
use crate::report::{Profile, Report, Schedule, Server, Tcp};

/// All of it, as far as the report has it.
pub(super) fn sections(report: &Report) -> Markup {
    html! {
        (profiles(&report.profiles))
        (server(report))
        (books(report))
        (audit(report))
    }
}

fn profiles(profiles: &[Profile]) -> Markup {
    if profiles.is_empty() {
        return html! {};
    }
    let heads = ["", "asked", "connected", "served", "starved", "answers"];
    let rows: Vec<Vec<Cell>> = profiles.iter().map(profile).collect();
    let round_trips: Vec<Vec<Cell>> = profiles
        .iter()
        .filter_map(|profile| Some(waits::row(&profile.name, profile.rtt.as_ref()?)))
        .collect();
    html! {
        section id="profiles" {
            h2 { "Which clients did what?" }
            figure class="wide" {
                (table("Profiles", &heads, &rows))
                figcaption { "Clients that are slow on purpose are in no other figure of this page." }
            }
            @if !round_trips.is_empty() {
                figure class="wide" { h3 { "Round trips by profile" } (table("Round trips by profile", &waits::HEADS, &round_trips)) }
            }
        }
    }
}

fn profile(profile: &Profile) -> Vec<Cell> {
    let tone = if profile.starved > 0 {
        Tone::Bad
    } else {
        Tone::Plain
    };
    vec![
        profile.name.as_str().into(),
        profile.asked.to_string().into(),
        profile.connected.to_string().into(),
        profile.served.to_string().into(),
        Cell::toned(profile.starved.to_string(), tone),
        profile.answered.to_string().into(),
    ]
}

fn server(report: &Report) -> Markup {
    let mut entries = Vec::new();
    entries.extend(
        report
            .server
            .iter()
            .flat_map(|server| processes(server, report)),
    );
    entries.extend(report.tcp.iter().flat_map(connections));
    if entries.is_empty() {
        return html! {};
    }
    html! {
        section id="server" {
            h2 { "What did it cost the server?" }
            (list(&entries))
        }
    }
}

fn processes(server: &Server, report: &Report) -> Vec<(&'static str, String)> {
    let pids: Vec<String> = server.pids.iter().map(u32::to_string).collect();
    let cpu = server.cpu_us_per_request.map_or(String::new(), |us| {
        format!(", {} for each answer", micros(us))
    });
    let share = 100.0 * server.cpu_s / report.duration_s;
    let share = Some(share).filter(|share| share.is_finite());
    let share = share.map_or(String::new(), |share| {
        format!(" ({share:.0} % of one processor)")
    });
    vec![
        (
            "Processes",
            format!("{} ({})", server.command, pids.join(", ")),
        ),
        (
            "Processor time",
            format!("{:.2} s{share}{cpu}", server.cpu_s),
        ),
        ("Memory", bytes(server.rss_bytes)),
        ("Threads", server.threads.to_string()),
        (
            "Context switches",
            format!(
                "{} to wait, {} forced",
                number(server.voluntary_switches as f64),
                number(server.involuntary_switches as f64)
            ),
        ),
        (
            "Listener",
            format!(
                "{}{} overflows, {} dropped",
                server
                    .backlog
                    .map_or(String::new(), |n| format!("queue of {n}, ")),
                server.listen_overflows,
                server.listen_drops
            ),
        ),
    ]
}

fn connections(tcp: &Tcp) -> Vec<(&'static str, String)> {
    vec![(
        "TCP",
        format!(
            "round trip of the kernel p50 {}, max {}; {} segments sent again ({} connections looked at)",
            micros(tcp.rtt_p50_us),
            micros(tcp.rtt_max_us),
            tcp.retransmits,
            tcp.connections
        ),
    )]
}

/// Where every request went.
fn books(report: &Report) -> Markup {
    let r = &report.requests;
    let mut entries = vec![(
        "Requests",
        format!(
            "{} carried in + {} sent = {} answered + {} failed + {} timed out + {} pending",
            r.carried_in, r.sent, r.answered, r.errors, r.timeouts, r.pending
        ),
    )];
    if r.late_answers > 0 {
        let late = format!("{} came after the end and count nowhere", r.late_answers);
        entries.push(("Late answers", late));
    }
    let traffic = format!(
        "{} sent, {} received",
        bytes(report.bytes.sent),
        bytes(report.bytes.received)
    );
    entries.push(("Bytes", traffic));
    entries.extend(
        report
            .schedule
            .map(|schedule| ("Schedule", kept(&schedule, report))),
    );
    html! {
        section id="requests" {
            h2 { "Where did every request go?" }
            (list(&entries))
            (errors(report))
        }
    }
}

fn kept(schedule: &Schedule, report: &Report) -> String {
    let offered = schedule.offered_per_s.map_or("-".to_owned(), number);
    let ratio = schedule
        .rate_ratio
        .map_or("-".to_owned(), |ratio| format!("{:.1} %", 100.0 * ratio));
    format!(
        "{} due ({offered} per second), {ratio} answered; {} sent late ({} by the generator itself), {} not sent ({} by the generator itself)",
        schedule.due,
        report.requests.late,
        schedule.own_late,
        report.requests.unsent,
        schedule.own_unsent
    )
}

fn errors(report: &Report) -> Markup {
    if report.errors.is_empty() {
        return html! {};
    }
    let rows: Vec<Vec<Cell>> = report
        .errors
        .iter()
        .map(|(kind, count)| {
            let example = report.examples.get(kind).cloned();
            vec![
                kind.as_str().into(),
                count.to_string().into(),
                Cell::or_dash(example),
            ]
        })
        .collect();
    html! {
        figure class="wide" {
            h3 { "Failures by kind" }
            (table("Failures by kind", &["", "how often", "one of them"], &rows))
            figcaption { "Failures are in no latency." }
        }
    }
}

fn audit(report: &Report) -> Markup {
    let mut checks: Vec<_> = report.audit.checks.iter().collect();
    checks.sort_by_key(|check| std::cmp::Reverse(check.verdict));
    html! {
        section id="audit" {
            h2 { "May the figures be believed?" }
            ul class="checks" {
                @for gate in &report.gates {
                    li {
                        (badge(gate.verdict, "")) " " strong { (gate.name) }
                        ": measured " (gate.value.map_or("nothing".to_owned(), number)) ", the limit is " (number(gate.limit))
                    }
                }
                @for check in checks {
                    li { (badge(check.verdict, "")) " " strong { (check.name) } ": " (check.told()) }
                }
            }
        }
    }
}
