//! The report for people: what matters first, one sentence last.

use std::fmt::Write as _;

use cli::units::{bytes, micros, number};

use super::{Latency, Profile, Report, Schedule, Server, Verdict, sentence};
use crate::gates;
use crate::samples::{P50, P90, P99, P999, Quantile};

/// Width of the first column and of each percentile.
const NAME: usize = 11;
const CELL: usize = 8;

/// The report as lines of text, ending in a newline.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    for line in [clients(report), throughput(report), heading()] {
        push(&mut text, &line);
    }
    let waits = &report.latency;
    for (name, latency) in [
        ("connect", &waits.connect),
        ("admission", &waits.admission),
        ("rtt", &waits.rtt),
        ("response", &waits.response),
        ("lag", &waits.lag),
    ] {
        if let Some(latency) = latency {
            push(&mut text, &wait(name, latency));
        }
    }
    push(&mut text, &requests(report));
    if let Some(kept) = &report.schedule {
        push(&mut text, &schedule(report, kept));
    }
    for profile in &report.profiles {
        push(&mut text, &kind(profile));
    }
    if let Some(server) = &report.server {
        push(&mut text, &server_side(report, server));
    }
    if !report.errors.is_empty() {
        push(&mut text, &errors(report));
    }
    audit(&mut text, report);
    text.push('\n');
    push(&mut text, &sentence::conclude(report));
    text
}

/// Appends a line.
fn push(text: &mut String, line: &str) {
    text.push_str(&visible(line.trim_end()));
    text.push('\n');
}

/// A line whose control characters are escaped. Names come from servers and files, and none of
/// them may speak to the terminal.
#[must_use]
pub fn visible(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        if c.is_control() {
            text.extend(c.escape_debug());
        } else {
            text.push(c);
        }
    }
    text
}

fn clients(report: &Report) -> String {
    let c = &report.clients;
    let mut line = format!(
        "{:NAME$} {} asked  {} connected  {} served",
        "clients", c.asked, c.connected, c.served
    );
    if c.starved > 0 {
        let _ = write!(line, "  {} NEVER SERVED", c.starved);
    }
    if c.lost > 0 {
        let _ = write!(line, "  {} lost", c.lost);
    }
    if let (Some(fairness), Some(effective)) = (c.fairness, c.effective) {
        let _ = write!(
            line,
            "   fairness {fairness:.2} (= {effective:.1} of {})",
            c.asked
        );
    }
    line
}

fn throughput(report: &Report) -> String {
    let rate = report
        .rate_per_s
        .map_or("none".to_owned(), |rate| format!("{} req/s", number(rate)));
    let per_second = if report.duration_s > 0.0 {
        report.bytes.total() as f64 / report.duration_s
    } else {
        0.0
    };
    let mut line = format!(
        "{:NAME$} {rate}   {}/s     errors {}   mismatches {}",
        "throughput",
        bytes(whole(per_second)),
        report.requests.errors,
        report.mismatches
    );
    if report.requests.timeouts > 0 {
        let _ = write!(line, "   timeouts {}", report.requests.timeouts);
    }
    line
}

/// A figure that is a number of bytes, without its fraction.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, and the figure is for people"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

fn heading() -> String {
    let mut line = format!("{:NAME$}", "");
    for name in ["p50", "p90", "p99", "p99.9", "max", "count"] {
        let _ = write!(line, " {name:<CELL$}");
    }
    line
}

fn wait(name: &str, latency: &Latency) -> String {
    let mut line = format!("{name:NAME$}");
    for (quantile, value) in [
        (P50, latency.p50_us),
        (P90, latency.p90_us),
        (P99, latency.p99_us),
        (P999, latency.p999_us),
    ] {
        let _ = write!(line, " {:<CELL$}", percentile(latency, quantile, value));
    }
    let longest = match latency.max_us {
        Some(max) => micros(max),
        None => beyond(latency),
    };
    let _ = write!(line, " {longest:<CELL$} {}", latency.count);
    if latency.censored > 0 {
        let _ = write!(line, " + {} still waiting", latency.censored);
    }
    line
}

/// One percentile of `latency`: its value, a bound where it falls among those still waiting, or a
/// dash where too few waits were measured to tell.
pub(super) fn percentile(latency: &Latency, quantile: Quantile, value: Option<f64>) -> String {
    let rank = quantile.rank(latency.count + latency.censored);
    match value {
        Some(value) => micros(value),
        None if rank > latency.count => beyond(latency),
        None => "-".to_owned(),
    }
}

/// "Longer than this", for what has not ended.
pub(super) fn beyond(latency: &Latency) -> String {
    latency
        .censored_above_us
        .map_or("-".to_owned(), |above| format!(">{}", short(above)))
}

/// Microseconds without a fraction of zeros: `10s` instead of `10.0s`.
fn short(us: f64) -> String {
    let text = micros(us);
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let value = &text[..text.len() - unit.len()];
    let value = if value.contains('.') {
        value.trim_end_matches('0').trim_end_matches('.')
    } else {
        value
    };
    format!("{value}{unit}")
}

fn requests(report: &Report) -> String {
    let r = &report.requests;
    let mut line = format!(
        "{:NAME$} {} carried in  {} sent  {} answered  {} pending",
        "requests", r.carried_in, r.sent, r.answered, r.pending
    );
    if r.late_answers > 0 {
        let _ = write!(line, "  {} answered too late", r.late_answers);
    }
    line
}

fn schedule(report: &Report, kept: &Schedule) -> String {
    let rate = kept.offered_per_s.map_or("none".to_owned(), number);
    let ratio = kept
        .rate_ratio
        .map_or("-".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0));
    let r = &report.requests;
    format!(
        "{:NAME$} {} due ({rate}/s)  {ratio} answered  {} late  {} unsent",
        "schedule", kept.due, r.late, r.unsent
    )
}

fn kind(profile: &Profile) -> String {
    let mut line = format!(
        "{:NAME$} {} asked  {} connected  {} served",
        profile.name, profile.asked, profile.connected, profile.served
    );
    if profile.starved > 0 {
        let _ = write!(line, "  {} NEVER SERVED", profile.starved);
    }
    if let Some(rtt) = &profile.rtt {
        let p50 = percentile(rtt, P50, rtt.p50_us);
        let p99 = percentile(rtt, P99, rtt.p99_us);
        let _ = write!(
            line,
            "  {} answered  p50 {p50}  p99 {p99}",
            profile.answered
        );
    }
    line
}

fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

fn server_side(report: &Report, server: &Server) -> String {
    let share = if report.duration_s > 0.0 {
        server.cpu_s / report.duration_s * 100.0
    } else {
        0.0
    };
    let mut line = format!("{:NAME$} {} cpu {share:.0} %", "server", server.command);
    if let Some(us) = server.cpu_us_per_request {
        let _ = write!(line, " ({}/request)", micros(us));
    }
    let _ = write!(
        line,
        "  {}  {} in {}",
        bytes(server.rss_bytes),
        counted(u64::from(server.threads), "thread", "threads"),
        counted(server.pids.len() as u64, "process", "processes")
    );
    line
}

fn errors(report: &Report) -> String {
    let kinds = report.errors.iter().map(|(kind, count)| {
        let example = report.examples.get(kind);
        let example = example.map_or(String::new(), |text| format!(" ({text})"));
        format!("{kind} {count}{example}")
    });
    let kinds: Vec<_> = kinds.collect();
    format!("{:NAME$} {}", "errors", kinds.join("  "))
}

/// The verdict, then what is not as it should be.
fn audit(text: &mut String, report: &Report) {
    let word = match report.audit.verdict {
        Verdict::Pass => "pass",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL: this run is INVALID",
    };
    let checks = report.audit.checks.len();
    push(text, &format!("{:NAME$} {word} ({checks} checks)", "audit"));
    let unusual = report
        .audit
        .checks
        .iter()
        .filter(|c| c.verdict > Verdict::Pass);
    for check in unusual {
        let word = match check.verdict {
            Verdict::Fail => "FAIL",
            _ => "warn",
        };
        push(
            text,
            &format!("{:NAME$} {word} {}: {}", "", check.name, check.told()),
        );
    }
    for gate in report.gates.iter().filter(|g| g.verdict == Verdict::Fail) {
        let line = format!("{:NAME$} FAIL {}", "gate", gates::sentence(gate));
        push(text, &line);
    }
}

/// What people must know of a report that they do not see: the promises that were not kept, and the
/// sentence that the report ends with. One line.
#[must_use]
pub fn in_short(report: &Report) -> String {
    let broken = report.gates.iter().filter(|g| g.verdict == Verdict::Fail);
    let mut said: Vec<_> = broken
        .map(|gate| format!("FAIL {};", gates::sentence(gate)))
        .collect();
    said.push(sentence::conclude(report));
    said.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{BETWEEN, sample};

    #[test]
    fn the_starved_are_in_the_first_line_and_in_the_last() {
        insta::assert_snapshot!(render(&sample::starved()), @r"
        clients     50 asked  50 connected  4 served  46 NEVER SERVED   fairness 0.08 (= 4.0 of 50)
        throughput  95.1k req/s   11.6 MiB/s     errors 0   mismatches 0
                    p50      p90      p99      p99.9    max      count
        connect     140us    -        -        -        1.50ms   50
        admission   >11s     >11s     >11s     >11s     >11s     4 + 46 still waiting
        rtt         37.2us   74.4us   149us    -        >11s     951000 + 46 still waiting
        requests    50 carried in  951000 sent  951000 answered  50 pending  4 answered too late
        audit       warn (2 checks)
                    warn starvation: 46 of 50 never got a byte

        46 of 50 clients waited the whole run; rtt describes only the 4 that were served. The server looks like a pool of 4.
        ");
    }

    #[test]
    fn a_run_with_nothing_unusual_is_short() {
        insta::assert_snapshot!(render(&sample::healthy()), @r"
        clients     50 asked  50 connected  50 served   fairness 1.00 (= 50.0 of 50)
        throughput  95.1k req/s   11.6 MiB/s     errors 0   mismatches 0
                    p50      p90      p99      p99.9    max      count
        connect     140us    -        -        -        1.50ms   50
        admission   200us    -        -        -        1.50ms   50
        rtt         37.2us   74.4us   149us    -        1.50ms   951000
        requests    50 carried in  951000 sent  951000 answered  50 pending  4 answered too late
        audit       pass (1 checks)

        All 50 clients were served.
        ");
    }

    #[test]
    fn failures_are_said_loudly() {
        let mut report = sample::healthy();
        report.errors.insert("mismatch".to_owned(), 3);
        report.requests.errors = 3;
        report.mismatches = 3;
        report.clients.lost = 2;
        report.audit.verdict = Verdict::Fail;
        report.audit.checks[0].verdict = Verdict::Fail;
        report.gates[0].verdict = Verdict::Fail;
        insta::assert_snapshot!(render(&report), @r"
        clients     50 asked  50 connected  50 served  2 lost   fairness 1.00 (= 50.0 of 50)
        throughput  95.1k req/s   11.6 MiB/s     errors 3   mismatches 3
                    p50      p90      p99      p99.9    max      count
        connect     140us    -        -        -        1.50ms   50
        admission   200us    -        -        -        1.50ms   50
        rtt         37.2us   74.4us   149us    -        1.50ms   951000
        requests    50 carried in  951000 sent  951000 answered  50 pending  4 answered too late
        errors      mismatch 3
        audit       FAIL: this run is INVALID (1 checks)
                    FAIL books-balance: they do
        gate        FAIL at-least-one-served: 4, at least 1

        INVALID: 3 answers came back with other bytes than were sent. All 50 clients were served. 3 requests failed.
        ");
    }

    #[test]
    fn hostile_names_do_not_reach_the_terminal() {
        let mut report = sample::starved();
        let name = "\u{1b}[2J\nall is well\r";
        report.errors.insert(name.to_owned(), 1);
        report.audit.checks[1].detail = name.to_owned();
        report.gates[0].name = name.to_owned();
        report.gates[0].verdict = Verdict::Fail;
        let text = render(&report);
        assert!(
            !text.contains(['\u{1b}', '\r']) && !text.contains("\nall"),
            "{text}"
        );
    }

    #[test]
    fn of_many_generators_some_are_shown() {
        let mut report = sample::starved();
        let said = |count: u32| (1..=count).map(|n| format!("{n} lost")).collect::<Vec<_>>();
        report.audit.checks[1].detail = said(51).join(BETWEEN);
        let text = render(&report);
        assert!(
            text.contains(": 1 lost | 2 lost | 3 lost | and 48 more\n"),
            "{text}"
        );
        report.audit.checks[1].detail = said(3).join(BETWEEN);
        assert!(render(&report).contains(": 1 lost | 2 lost | 3 lost\n"));
    }

    #[test]
    fn bounds_have_no_useless_zeros() {
        let shown = [10e6, 11.04e6, 100_000.0, 100.0, 1_050_000.0].map(short);
        assert_eq!(shown, ["10s", "11s", "100ms", "100us", "1.05s"]);
    }
}
