//! Several runs on one page: what grows with the clients, and what a load costs in latency.

use cli::units::{micros, number};
use maud::{Markup, html};

use super::lines::{Figure, Lines};
use super::table::{Cell, Tone, table};
use super::timeline::names;
use super::{conditions, curves, verdict};
use crate::page::figure;
use crate::report::text::percentile;
use crate::report::{Latency, Report, Verdict};
use crate::samples::{P50, P99, P999};
use crate::svg::{self, Curve, Measure, SERIES_COLOURS, Series, Stroke};

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
        (commands(reports))
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
                (picture(("Clients served", &format!("A line that turns flat is a limit: no more clients than that get anything. {HOLLOW}")), ("clients", Measure::Count), ("clients served", Measure::Count), &against_all(lines.series(reports, asked, (asked, served)))))
                (draw("Throughput", "Compare it with the picture of those served: a rate that does not suffer may have been bought with clients that wait.", ("answers per second", Measure::Amount), |run| run.rate_per_s))
                (draw("p99", "A gap is a percentile that falls among clients that are still waiting, or that too few answers support.", ("time to the answer", Measure::Wait), p99_us))
            }
        }
    }
}

/// The same lines with that of a server that serves as many as come.
fn against_all(mut lines: Vec<Series>) -> Vec<Series> {
    let mut asked: Vec<f64> = lines
        .iter()
        .flat_map(|line| &line.points)
        .map(|(x, _)| *x)
        .collect();
    asked.sort_by(f64::total_cmp);
    lines.push(Series {
        name: "all who come".to_owned(),
        points: asked
            .into_iter()
            .map(|clients| (clients, Some(clients)))
            .collect(),
        stroke: Stroke::Dashed,
        ..Series::default()
    });
    lines
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

fn commands(reports: &[Report]) -> Markup {
    html! {
        section id="conditions" {
            h2 { "Under what conditions?" }
            ol { @for report in reports { li { (conditions::command_line(report)) } } }
            p class="kicker" {
                "All documents are in this file: the element with the id " code { "report" } "."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines::tests::run;
    use super::*;

    #[test]
    fn what_does_not_differ_is_not_drawn() {
        let same = body(&[run(4, 64), run(4, 64)]).into_string();
        let more = body(&[run(4, 64), run(50, 64)]).into_string();
        assert!(!same.contains("What do more clients get?"));
        assert!(more.contains("What do more clients get?"));
    }
}
