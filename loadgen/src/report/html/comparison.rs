//! Several runs on one page: what grows with the clients, and what a load costs in latency.

use std::collections::BTreeMap;

use cli::units::{micros, number};
use maud::{Markup, html};
use serde_json::Value;

use super::table::{Cell, Tone, table};
use super::timeline::names;
use super::{curves, details, verdict};
use crate::page::figure;
use crate::report::text::percentile;
use crate::report::{Latency, Report, Verdict};
use crate::samples::{P50, P99, P999};
use crate::svg::{self, Curve, Measure, SERIES_COLOURS, Series, Stroke};

/// Flags that make points of one line instead of lines of their own.
const ALONG: [&str; 7] = [
    "connections",
    "rate",
    "seed",
    "requests",
    "duration",
    "warmup",
    "threads",
];

/// A figure of a run.
type Figure = fn(&Report) -> Option<f64>;

/// The page of `reports`.
pub(super) fn body(reports: &[Report]) -> Markup {
    let lines = Lines::of(reports);
    html! {
        header {
            p class="kicker" { "loadgen · " (reports.len()) " runs" }
            (verdict::headline(&headline(reports)))
        }
        (overview(reports))
        (by_clients(reports, &lines))
        (by_load(reports, &lines))
        (percentiles(reports))
        (conditions(reports))
    }
}

fn headline(reports: &[Report]) -> String {
    let starved = reports.iter().filter(|r| r.clients.starved > 0).count();
    let invalid = reports
        .iter()
        .filter(|r| r.audit.verdict == Verdict::Fail)
        .count();
    let most = reports.iter().map(|r| r.clients.served).max().unwrap_or(0);
    let mut said = vec![match (reports.len(), starved) {
        (0, _) => "There is no run to show.".to_owned(),
        (_, 0) => format!("All clients were served in every run, up to {most} of them."),
        (all, starved) => format!(
            "Clients starved in {starved} of {all} runs; never more than {most} were served."
        ),
    }];
    if invalid > 0 {
        said.push(format!("{invalid} runs are INVALID."));
    }
    said.join(" ")
}

/// The latency that a promise would be about: from the due time if there is one.
fn promised(report: &Report) -> Option<&Latency> {
    let waits = &report.latency;
    waits.response.as_ref().or(waits.rtt.as_ref())
}

fn p99_us(report: &Report) -> Option<f64> {
    promised(report)?.p99_us
}

fn overview(reports: &[Report]) -> Markup {
    let heads = [
        "run", "clients", "served", "fairness", "req/s", "p50", "p99", "p99.9", "failed", "audit",
    ];
    let rows: Vec<Vec<Cell>> = reports.iter().enumerate().map(overview_row).collect();
    html! {
        section id="runs" {
            h2 { "All runs" }
            figure class="wide" {
                (table("All runs", &heads, &rows))
                figcaption { "Percentiles are those of the response where there is a schedule, and of the round trip otherwise. A run that starved clients or is invalid is marked: its figures describe only the clients that were served and must not be ranked." }
            }
        }
    }
}

fn overview_row((index, report): (usize, &Report)) -> Vec<Cell> {
    let clients = &report.clients;
    let tone = if verdict::doubtful(report) {
        Tone::Bad
    } else {
        Tone::Plain
    };
    let wait = |quantile, pick: fn(&Latency) -> Option<f64>| {
        Cell::or_dash(promised(report).map(|wait| percentile(wait, quantile, pick(wait))))
    };
    let audit = match report.audit.verdict {
        Verdict::Pass => "pass",
        Verdict::Warn => "warn",
        Verdict::Fail => "INVALID",
    };
    vec![
        format!("{} · {}", index + 1, report.target).into(),
        clients.asked.to_string().into(),
        Cell::toned(format!("{}/{}", clients.served, clients.asked), tone),
        Cell::or_dash(clients.fairness.map(|fairness| format!("{fairness:.2}"))),
        Cell::or_dash(report.rate_per_s.map(number)),
        wait(P50, |wait| wait.p50_us),
        wait(P99, |wait| wait.p99_us),
        wait(P999, |wait| wait.p999_us),
        number((report.requests.errors + report.requests.timeouts) as f64).into(),
        audit.into(),
    ]
}

/// The runs sorted into lines: those that differ in nothing but how many clients there are and how
/// much they ask for are points of one line.
struct Lines {
    names: Vec<String>,
    members: Vec<Vec<usize>>,
}

impl Lines {
    fn of(reports: &[Report]) -> Self {
        let mut flags: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for (flag, value) in reports.iter().flat_map(|report| &report.config) {
            let values = flags.entry(flag).or_default();
            if !ALONG.contains(&flag.as_str()) && !values.contains(&value) {
                values.push(value);
            }
        }
        flags.retain(|_, values| values.len() > 1);
        let mut lines = Self {
            names: Vec::new(),
            members: Vec::new(),
        };
        for (index, report) in reports.iter().enumerate() {
            lines.add(index, name(report, flags.keys().copied()));
        }
        lines
    }

    fn add(&mut self, index: usize, name: String) {
        match self.names.iter().position(|known| *known == name) {
            Some(line) => self.members[line].push(index),
            None => {
                self.names.push(name);
                self.members.push(vec![index]);
            }
        }
    }

    /// The lines along which `along` changes, in its order; without an x a run has no place.
    fn series(&self, reports: &[Report], along: Figure, (x, y): (Figure, Figure)) -> Vec<Series> {
        let lines = self.names.iter().zip(&self.members);
        let lines = lines.filter_map(|(name, members)| {
            let runs = members.iter().map(|index| &reports[*index]);
            let mut runs: Vec<_> = runs
                .filter_map(|run| Some((along(run)?, x(run)?, run)))
                .collect();
            runs.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (first, last) = (runs.first()?.0, runs.last()?.0);
            let doubtful = runs
                .iter()
                .enumerate()
                .filter(|(_, run)| verdict::doubtful(run.2));
            (first < last).then(|| Series {
                name: name.clone(),
                points: runs.iter().map(|(_, x, run)| (*x, y(run))).collect(),
                hollow: doubtful.map(|(place, _)| place).collect(),
                ..Series::default()
            })
        });
        lines.collect()
    }

    /// Whether `along` changes along any line.
    fn change(&self, reports: &[Report], along: Figure) -> bool {
        !self.series(reports, along, (along, along)).is_empty()
    }
}

/// The target and those flags in which the runs differ.
fn name<'a>(report: &Report, flags: impl Iterator<Item = &'a str>) -> String {
    let mut name = report.target.clone();
    for (flag, value) in flags.filter_map(|flag| Some((flag, report.config.get(flag)?))) {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        name.push_str(&format!(" {flag} {value}"));
    }
    name
}

/// What is said below the pictures in which a run may mean less than the others.
const HOLLOW: &str = "A hollow point is a run that starved clients or is invalid.";

/// What grows with the number of clients; nothing where it is the same in all runs.
fn by_clients(reports: &[Report], lines: &Lines) -> Markup {
    let asked: Figure = |report| Some(f64::from(report.clients.asked));
    let served: Figure = |run| Some(f64::from(run.clients.served)).filter(|served| *served > 0.0);
    if !lines.change(reports, asked) {
        return html! {};
    }
    let draw = |title: &str, caption: &str, y: (&str, Measure), figure: Figure| {
        let series = lines.series(reports, asked, (asked, figure));
        let caption = format!("{caption} {HOLLOW}");
        picture((title, &caption), ("clients", Measure::Count), y, &series)
    };
    html! {
        section id="clients" {
            h2 { "What do more clients get?" }
            div class="exhibits" {
                (draw("Clients served", "A line that turns flat is a limit: no more clients than that get anything.", ("clients served", Measure::Count), served))
                (draw("Throughput", "Compare it with the picture of those served: a rate that does not suffer may have been bought with clients that wait.", ("answers per second", Measure::Amount), |run| run.rate_per_s))
                (draw("p99", "A gap is a percentile that falls among clients that are still waiting, or that too few answers support.", ("time to the answer", Measure::Wait), p99_us))
            }
        }
    }
}

/// Latency against the rate that was reached: the picture of a server's knee.
fn by_load(reports: &[Report], lines: &Lines) -> Markup {
    let offered: Figure = |run| run.schedule?.offered_per_s;
    let reached: Figure = |run| run.rate_per_s;
    if !lines.change(reports, offered) {
        return html! {};
    }
    let draw = |title: &str, figure: Figure| {
        let caption = format!(
            "Across is what was answered and not what was asked for: beyond its knee a server \
             answers no more, and only the waiting grows. {HOLLOW}"
        );
        let series = lines.series(reports, offered, (reached, figure));
        let x = ("answers per second", Measure::Amount);
        picture((title, &caption), x, ("response", Measure::Wait), &series)
    };
    let kept_up = lines.series(
        reports,
        offered,
        (offered, |run| Some(100.0 * run.schedule?.rate_ratio?)),
    );
    html! {
        section id="load" {
            h2 { "What does load cost in latency?" }
            div class="exhibits" {
                (draw("p50 against the rate reached", |run| promised(run)?.p50_us))
                (draw("p99 against the rate reached", p99_us))
                (picture(("Kept up", "Where the line leaves 100 %, the server answers less than it is asked."), ("requests per second due", Measure::Amount), ("% answered", Measure::Amount), &kept_up))
            }
        }
    }
}

fn picture(
    (title, caption): (&str, &str),
    x: (&str, Measure),
    y: (&str, Measure),
    series: &[Series],
) -> Markup {
    figure(title, caption, &svg::chart(x, y, series), &names(series))
}

/// The curves of as many runs as there are colours, spread over all of them.
fn percentiles(reports: &[Report]) -> Markup {
    let several: Vec<Curve> = reports
        .iter()
        .enumerate()
        .step_by(reports.len().div_ceil(SERIES_COLOURS).max(1))
        .filter_map(|(index, run)| {
            let name = format!("{} · {} clients", index + 1, run.clients.asked);
            curves::curve(&name, promised(run)?, Stroke::Solid)
        })
        .collect();
    if several.is_empty() {
        return html! {};
    }
    let longest = several
        .iter()
        .flat_map(|curve| &curve.points)
        .map(|(_, us)| *us);
    let caption = format!(
        "{} of {} runs; the longest of these waits took {}.",
        several.len(),
        reports.len(),
        micros(longest.fold(0.0, f64::max))
    );
    html! {
        section id="percentiles" {
            h2 { "How slow are the slow ones?" }
            div class="exhibits" { (curves::picture("Latency by percentile", &several, &caption)) }
        }
    }
}

fn conditions(reports: &[Report]) -> Markup {
    html! {
        section id="conditions" {
            h2 { "Under what conditions?" }
            ol { @for report in reports { li { (details::command_line(report)) } } }
            p class="kicker" {
                "All documents are in this file: the element with the id " code { "report" } "."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn run(connections: u32, size: u32) -> Report {
        let mut report = sample::healthy();
        report.clients.asked = connections;
        report
            .config
            .insert("connections".into(), connections.into());
        report.config.insert("size".into(), size.into());
        report
    }

    #[test]
    fn runs_that_differ_in_clients_only_are_one_line() {
        let reports = [run(50, 64), run(4, 64), run(4, 1460)];
        let lines = Lines::of(&reports);
        assert_eq!(
            lines.names,
            ["127.0.0.1:7007 size 64", "127.0.0.1:7007 size 1460"]
        );
        let asked: Figure = |run| Some(f64::from(run.clients.asked));
        let series = lines.series(&reports, asked, (asked, |run| run.rate_per_s));
        assert_eq!(series.len(), 1, "one run alone is no line");
        assert_eq!(
            series[0].points,
            [(4.0, Some(95_100.0)), (50.0, Some(95_100.0))]
        );
    }

    #[test]
    fn a_run_that_starved_clients_is_a_hollow_point() {
        let mut reports = [run(4, 64), run(50, 64)];
        reports[1].clients.starved = 46;
        let asked: Figure = |run| Some(f64::from(run.clients.asked));
        let series = Lines::of(&reports).series(&reports, asked, (asked, asked));
        assert_eq!(series[0].hollow, [1]);
    }

    #[test]
    fn what_does_not_differ_is_not_drawn() {
        let same = body(&[run(4, 64), run(4, 64)]).into_string();
        let more = body(&[run(4, 64), run(50, 64)]).into_string();
        assert!(!same.contains("What do more clients get?"));
        assert!(more.contains("What do more clients get?"));
    }
}
