//! A report to try the exporters on: 50 clients on a pool of 4.

use super::*;

/// Waits of `count` served clients; `censored` others waited 11 s in vain.
fn waits(count: u64, censored: u64, p50_us: Option<f64>) -> Latency {
    Latency {
        count,
        censored,
        censored_above_us: (censored > 0).then_some(11e6),
        mean_us: Some(40.0),
        p50_us,
        p90_us: p50_us.filter(|_| count >= 100).map(|us| us * 2.0),
        p99_us: p50_us.filter(|_| count >= 1_000).map(|us| us * 4.0),
        p999_us: None,
        max_us: (censored == 0).then_some(1_500.0),
        histogram: "HISTE".to_owned(),
    }
}

fn check(name: &str, verdict: Verdict, detail: &str) -> Check {
    Check {
        name: name.to_owned(),
        verdict,
        detail: detail.to_owned(),
    }
}

fn latencies() -> Latencies {
    Latencies {
        connect: Some(waits(50, 0, Some(140.0))),
        admission: Some(waits(4, 46, None)),
        rtt: Some(waits(951_000, 46, Some(37.2))),
        response: None,
        lag: None,
    }
}

fn audit() -> Audit {
    Audit {
        verdict: Verdict::Warn,
        checks: vec![
            check("books-balance", Verdict::Pass, "they do"),
            check("starvation", Verdict::Warn, "46 of 50 never got a byte"),
        ],
    }
}

/// The headline: four are served well, and the others wait.
pub(crate) fn starved() -> Report {
    Report {
        schema: SCHEMA,
        tool: Tool {
            version: "0.1.0".to_owned(),
        },
        target: "127.0.0.1:7007".to_owned(),
        config: serde_json::Map::from_iter([("connections".to_owned(), 50.into())]),
        machine: Machine {
            cpus: 2,
            kernel: "6.18.0".to_owned(),
        },
        seed: 1,
        interrupted: false,
        duration_s: 10.0,
        clients: Clients {
            asked: 50,
            connected: 50,
            served: 4,
            starved: 46,
            lost: 0,
            fairness: Some(0.08),
            effective: Some(4.0),
        },
        requests: Requests {
            carried_in: 50,
            sent: 951_000,
            answered: 951_000,
            pending: 50,
            late_answers: 4,
            ..Requests::default()
        },
        bytes: Bytes {
            sent: 60_864_000,
            received: 60_864_000,
        },
        mismatches: 0,
        rate_per_s: Some(95_100.0),
        latency: latencies(),
        intervals: Vec::new(),
        errors: BTreeMap::new(),
        audit: audit(),
        gates: vec![Gate {
            name: "at-least-one-served".to_owned(),
            limit: 1.0,
            value: Some(4.0),
            verdict: Verdict::Pass,
        }],
        examples: BTreeMap::new(),
        schedule: None,
        profiles: Vec::new(),
        server: None,
        tcp: None,
        lives: Vec::new(),
        started_unix_s: 1_700_000_000.0,
        merged: 1,
    }
}

/// Everybody is served and nothing is unusual.
pub(crate) fn healthy() -> Report {
    let mut report = starved();
    report.clients = Clients {
        served: 50,
        starved: 0,
        fairness: Some(1.0),
        effective: Some(50.0),
        ..report.clients
    };
    report.latency.admission = Some(waits(50, 0, Some(200.0)));
    report.latency.rtt = Some(waits(951_000, 0, Some(37.2)));
    report.audit.verdict = Verdict::Pass;
    report.audit.checks.truncate(1);
    report
}

/// What was seen of a server's processes, which are called like that.
pub(crate) fn server(name: &str) -> Server {
    Server {
        pids: vec![1, 2],
        command: name.to_owned(),
        cpu_s: 1.0,
        cpu_us_per_request: Some(10.0),
        rss_bytes: 1 << 20,
        threads: 4,
        voluntary_switches: 10,
        involuntary_switches: 1,
        backlog: Some(128),
        listen_overflows: 0,
        listen_drops: 0,
    }
}
