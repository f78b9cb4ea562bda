//! The figures as a table: a line of names, then one row for each run. Histograms, intervals and
//! single clients are not in it.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula. Such text gets
//! an apostrophe in front, so that the name of a server cannot run anything.

use csv::Writer;

use super::{Latency, Report, Verdict};

/// One cell: its name in the first line, and how it is filled.
type Column = (&'static str, fn(&Report) -> String);

const COLUMNS: &[Column] = &[
    ("started_unix_s", |r| r.started_unix_s.to_string()),
    ("target", |r| defused(&r.target)),
    ("version", |r| defused(&r.tool.version)),
    ("kernel", |r| defused(&r.machine.kernel)),
    ("cpus", |r| r.machine.cpus.to_string()),
    ("seed", |r| r.seed.to_string()),
    ("merged", |r| r.merged.to_string()),
    ("interrupted", |r| r.interrupted.to_string()),
    ("config", config),
    ("duration_s", |r| r.duration_s.to_string()),
    ("clients_asked", |r| r.clients.asked.to_string()),
    ("clients_connected", |r| r.clients.connected.to_string()),
    ("clients_served", |r| r.clients.served.to_string()),
    ("clients_starved", |r| r.clients.starved.to_string()),
    ("clients_lost", |r| r.clients.lost.to_string()),
    ("fairness", |r| cell(r.clients.fairness)),
    ("effective", |r| cell(r.clients.effective)),
    ("rate_per_s", |r| cell(r.rate_per_s)),
    ("carried_in", |r| r.requests.carried_in.to_string()),
    ("sent", |r| r.requests.sent.to_string()),
    ("answered", |r| r.requests.answered.to_string()),
    ("errors", |r| r.requests.errors.to_string()),
    ("timeouts", |r| r.requests.timeouts.to_string()),
    ("pending", |r| r.requests.pending.to_string()),
    ("late", |r| r.requests.late.to_string()),
    ("unsent", |r| r.requests.unsent.to_string()),
    ("late_answers", |r| r.requests.late_answers.to_string()),
    ("mismatches", |r| r.mismatches.to_string()),
    ("bytes_sent", |r| r.bytes.sent.to_string()),
    ("bytes_received", |r| r.bytes.received.to_string()),
    ("audit", |r| word(r.audit.verdict)),
    ("audit_unusual", unusual),
    ("gates_failed", gates_failed),
    ("error_kinds", error_kinds),
    ("server_cpu_us_per_request", |r| {
        cell(r.server.as_ref().and_then(|s| s.cpu_us_per_request))
    }),
    ("server_rss_bytes", |r| {
        cell(r.server.as_ref().map(|s| s.rss_bytes))
    }),
    ("server_threads", |r| {
        cell(r.server.as_ref().map(|s| s.threads))
    }),
    ("offered_per_s", |r| {
        cell(r.schedule.and_then(|s| s.offered_per_s))
    }),
    ("rate_ratio", |r| {
        cell(r.schedule.and_then(|s| s.rate_ratio))
    }),
];

/// A part of the columns of a wait: what follows the name of the wait, and how it is filled.
type Figure = (&'static str, fn(&Latency) -> String);

/// The figures of each wait; together with its name they are columns.
const FIGURES: &[Figure] = &[
    ("count", |l| l.count.to_string()),
    ("censored", |l| l.censored.to_string()),
    ("censored_above_us", |l| cell(l.censored_above_us)),
    ("mean_us", |l| cell(l.mean_us)),
    ("p50_us", |l| cell(l.p50_us)),
    ("p90_us", |l| cell(l.p90_us)),
    ("p99_us", |l| cell(l.p99_us)),
    ("p999_us", |l| cell(l.p999_us)),
    ("max_us", |l| cell(l.max_us)),
];

/// The table of `reports`, one row each, in their order.
///
/// # Panics
///
/// Never: memory takes every row, and all have the same number of cells.
#[must_use]
pub fn render(reports: &[Report]) -> String {
    let mut table = Writer::from_writer(Vec::new());
    table.write_record(names()).expect("memory takes the names");
    for report in reports {
        table
            .write_record(cells(report))
            .expect("each row has a cell for each name");
    }
    let bytes = table.into_inner().expect("memory is flushed");
    String::from_utf8(bytes).expect("every cell is text")
}

fn names() -> Vec<String> {
    let mut names: Vec<_> = COLUMNS.iter().map(|(name, _)| (*name).to_owned()).collect();
    for wait in ["connect", "admission", "rtt", "response", "lag"] {
        names.extend(FIGURES.iter().map(|(figure, _)| format!("{wait}_{figure}")));
    }
    names
}

fn cells(report: &Report) -> Vec<String> {
    let mut cells: Vec<_> = COLUMNS.iter().map(|(_, fill)| fill(report)).collect();
    let all = &report.latency;
    for wait in [
        &all.connect,
        &all.admission,
        &all.rtt,
        &all.response,
        &all.lag,
    ] {
        let fill = |(_, figure): &Figure| wait.as_ref().map(figure);
        cells.extend(FIGURES.iter().map(|f| fill(f).unwrap_or_default()));
    }
    cells
}

/// A figure, or nothing.
fn cell(figure: Option<impl ToString>) -> String {
    figure.map_or(String::new(), |figure| figure.to_string())
}

/// Text that no spreadsheet takes for a formula.
fn defused(text: &str) -> String {
    // A tab or a return in front is skipped by some before they look for the sign.
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Warn => "warn",
        Verdict::Fail => "fail",
    }
    .to_owned()
}

/// What was asked for, as `flag=value` pairs.
fn config(report: &Report) -> String {
    let given = report.config.iter().filter(|(_, value)| !value.is_null());
    let pairs = given.map(|(key, value)| match value.as_str() {
        Some(text) => format!("{key}={text}"),
        None => format!("{key}={value}"),
    });
    defused(&pairs.collect::<Vec<_>>().join(" "))
}

fn unusual(report: &Report) -> String {
    let checks = report.audit.checks.iter();
    let names = checks.filter(|check| check.verdict > Verdict::Pass);
    let names: Vec<_> = names.map(|check| check.name.as_str()).collect();
    defused(&names.join(" "))
}

fn gates_failed(report: &Report) -> String {
    let gates = report.gates.iter();
    let names = gates.filter(|gate| gate.verdict == Verdict::Fail);
    let names: Vec<_> = names.map(|gate| gate.name.as_str()).collect();
    defused(&names.join("; "))
}

fn error_kinds(report: &Report) -> String {
    let kinds = report.errors.iter();
    let counts: Vec<_> = kinds
        .map(|(kind, count)| format!("{kind}={count}"))
        .collect();
    defused(&counts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn rows(text: &str) -> Vec<csv::StringRecord> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(text.as_bytes());
        reader.records().map(Result::unwrap).collect()
    }

    fn value(text: &str, name: &str) -> String {
        let rows = rows(text);
        let at = rows[0].iter().position(|cell| cell == name).unwrap();
        rows[1][at].to_owned()
    }

    #[test]
    fn a_run_is_a_line_below_its_names() {
        let text = render(&[sample::starved()]);
        let rows = rows(&text);
        let pairs = rows[0].iter().zip(&rows[1]);
        let filled = pairs.filter(|(_, cell)| !cell.is_empty());
        let shown: Vec<_> = filled
            .map(|(name, cell)| format!("{name}={cell}"))
            .collect();
        insta::assert_snapshot!(shown[..13].join(" "), @"started_unix_s=1700000000 target=127.0.0.1:7007 version=0.1.0 kernel=6.18.0 cpus=2 seed=1 merged=1 interrupted=false config=connections=50 duration_s=10 clients_asked=50 clients_connected=50 clients_served=4");
        insta::assert_snapshot!(shown[13..31].join(" "), @"clients_starved=46 clients_lost=0 fairness=0.08 effective=4 rate_per_s=95100 carried_in=50 sent=951000 answered=951000 errors=0 timeouts=0 pending=50 late=0 unsent=0 late_answers=4 mismatches=0 bytes_sent=60864000 bytes_received=60864000 audit=warn");
        insta::assert_snapshot!(shown[31..].join(" "), @"audit_unusual=starvation connect_count=50 connect_censored=0 connect_mean_us=40 connect_p50_us=140 connect_max_us=1500 admission_count=4 admission_censored=46 admission_censored_above_us=11000000 admission_mean_us=40 rtt_count=951000 rtt_censored=46 rtt_censored_above_us=11000000 rtt_mean_us=40 rtt_p50_us=37.2 rtt_p90_us=74.4 rtt_p99_us=148.8");
    }

    #[test]
    fn several_runs_share_the_names() {
        let text = render(&[sample::starved(), sample::healthy()]);
        let rows = rows(&text);
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|row| row.len() == rows[0].len()));
    }

    #[test]
    fn hostile_names_stay_cells_and_run_nothing() {
        for name in [
            "=cmd()",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "a,\"b\"\n<script>",
            "\u{1b}[2J",
        ] {
            let mut report = sample::healthy();
            report.target = name.to_owned();
            report.machine.kernel = name.to_owned();
            report.errors.insert(name.to_owned(), 1);
            report.audit.checks[0].name = name.to_owned();
            report.audit.checks[0].verdict = Verdict::Warn;
            report.config = serde_json::Map::from_iter([(name.to_owned(), name.into())]);
            let text = render(&[report]);
            assert_eq!(rows(&text).len(), 2, "{name}");
            for cell in ["target", "kernel", "config", "error_kinds", "audit_unusual"] {
                let shown = value(&text, cell);
                assert!(
                    !shown.starts_with(['=', '+', '-', '@', '\t']),
                    "{cell}: {shown}"
                );
                assert!(
                    shown.trim_start_matches('\'').starts_with(name),
                    "{cell}: {shown}"
                );
            }
        }
    }
}
