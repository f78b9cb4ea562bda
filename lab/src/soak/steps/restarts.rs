//! Workers are replaced in order, or because they hang: clients must not notice.

use std::collections::HashSet;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::{Duration, Instant};

use loadgen::report::Report;
use loadgen::{Config, Pause, Reuse, StopRule};
use rustix::process::{Pid, Signal, kill_process};

use super::nonzero;
use crate::soak::case::{ANSWER_LIMIT, Case, Site};
use crate::soak::census::until;
use crate::soak::client::Client;
use crate::soak::figure::{Figure, Unit};
use crate::soak::load::failures;
use crate::soak::matrix::{self, WORKERS};
use crate::soak::sockets;
use crate::soak::step::{Need, Pace, Step, Trouble};
use crate::usage;

/// Rolling restarts.
pub(super) const RESTARTS: Step = Step {
    name: "restarts",
    claim: "A rolling restart refuses nobody, resets nobody and loses no answer.",
    method: "Clients that leave after some answers and come back, while the server gets HUP again as \
             soon as it says that all workers are new.",
    modes: matrix::supervised,
    pace: Pace::Alone,
    // A server without this flag has no orderly replacement of workers, by whatever cause.
    needs: &[Need::Flag("--max-requests")],
    run: restarts,
};

/// Workers are replaced after so many requests.
pub(super) const RECYCLING: Step = Step {
    name: "recycling",
    claim: "Workers that are replaced after so many requests refuse nobody, reset nobody and lose no \
            answer.",
    method: "Clients that leave after some answers and come back, on workers of 500 requests each.",
    modes: matrix::supervised,
    pace: Pace::Alone,
    needs: &[Need::Flag("--max-requests")],
    run: recycling,
};

/// A worker that stands still.
pub(super) const HANG: Step = Step {
    name: "hang",
    claim: "A worker that stands still is found out and replaced, and the others serve meanwhile.",
    method: "One worker gets SIGSTOP; a new client is served by the others again and again.",
    modes: matrix::supervised,
    pace: Pace::Together,
    needs: &[Need::Flag("--hang-timeout"), Need::Minutes],
    run: hang,
};

/// How long the next client may wait for whom the kernel has woken the one that stands still; the
/// others look out by themselves every second.
const WAIT: Duration = Duration::from_secs(3);
/// What the server says when a restart is over.
pub(super) const RESTARTED: &str = "restarted: all workers are new";
/// How long a restart may take: the old workers serve their clients on, to the deadline of a drain.
pub(super) const RESTART_LIMIT: Duration = Duration::from_secs(30);

fn restarts(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    let wanted: usize = case.size(2, 15);
    case.serve(&[], |site| {
        let config = comers_and_goers(case, site);
        let clients = config.connections.get();
        let (report, (done, longest)) = case.while_loaded(&config, |watch| {
            let _ = watch.until(ANSWER_LIMIT, |progress| progress.served >= clients);
            let mut longest = Duration::ZERO;
            for number in 1..=wanted {
                case.go_on()?;
                let begun = Instant::now();
                site.server.signal(Signal::HUP)?;
                if !site.server.log().wait_for(RESTARTED, number, RESTART_LIMIT) {
                    case.note(format!("restart {number} is not over after its limit"));
                    return Ok((number - 1, longest));
                }
                longest = longest.max(begun.elapsed());
            }
            Ok((wanted, longest))
        })?;
        let mut figures = nothing_lost(case, &report);
        figures.extend([
            Figure::always("restarts", done as u64, wanted as u64),
            Figure::known(
                "longest restart",
                Some(longest.as_secs_f64()),
                Unit::Seconds,
            ),
        ]);
        Ok(figures)
    })
}

fn recycling(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    const LIFE: (&str, &str) = ("--max-requests", "500");
    let requests = case.size(4_000, 500_000);
    case.serve(&[LIFE.0, LIFE.1], |site| {
        let workers = || -> HashSet<u32> {
            let households = usage::households_of(site.server.pid()).into_iter();
            households
                .filter_map(|household| household.first().copied())
                .collect()
        };
        let before = workers();
        let mut config = comers_and_goers(case, site);
        config.behaviour.think = Pause::Constant(Duration::ZERO);
        config.stop = StopRule::Requests(NonZeroU64::new(requests).unwrap_or(NonZeroU64::MIN));
        let report = case.run(&config)?;
        let mut figures = nothing_lost(case, &report);
        // Who serves how many is the kernel's choice, so not everybody need have come to an end; and
        // who has may still be ending.
        let replaced = until(&site.server, RESTART_LIMIT, || {
            !before.is_subset(&workers())
        });
        figures.push(Figure::always(
            "workers were replaced",
            u64::from(replaced),
            1,
        ));
        Ok(figures)
    })
}

/// Clients that leave after some answers and come back; no more than workers.
pub(super) fn comers_and_goers(case: &Case<'_>, site: &Site) -> Config {
    let clients = u32::try_from(WORKERS.get()).unwrap_or(1);
    let mut config = case.load(&site.server, nonzero(clients));
    config.behaviour.think = Pause::Constant(Duration::from_millis(1));
    config.behaviour.requests_per_conn = Some(Reuse {
        least: NonZeroU32::MIN,
        most: nonzero(20),
    });
    config
}

pub(super) fn nothing_lost(case: &Case<'_>, report: &Report) -> Vec<Figure> {
    for (kind, count) in &report.errors {
        case.note(format!("{count} × {kind}"));
    }
    let requests = report.requests;
    vec![
        Figure::never(
            "answers lost, connections refused or reset",
            failures(report),
            requests.sent,
        ),
        Figure::never(
            "answers with wrong bytes",
            report.mismatches,
            requests.answered,
        ),
    ]
}

fn hang(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    const TIMEOUT: Duration = Duration::from_secs(10);
    /// The beat is looked at now and then, and a stopped process does not heed ABRT.
    const SLACK: Duration = Duration::from_secs(20);
    let flag = cli::units::span(TIMEOUT);
    case.serve(&["--hang-timeout", &flag], |site| {
        let (master, addr) = (site.server.pid(), site.server.ready.addr);
        let mut inside = site.client(0)?;
        inside.round_trip()?;
        let port = inside.port()?;
        let owners = sockets::owners(master, addr);
        let owner = owners.iter().find(|(_, ports)| ports.contains(&port));
        let Some(victim) = owner.and_then(|(pid, _)| Pid::from_raw(i32::try_from(*pid).ok()?))
        else {
            return Err(Trouble::Skip("nobody seems to own a connection".into()));
        };
        let begun = Instant::now();
        kill_process(victim, Signal::STOP).map_err(std::io::Error::from)?;
        let (mut served, mut asked, mut longest) = (0, 0, Duration::ZERO);
        let replaced = until(&site.server, TIMEOUT + SLACK, || {
            asked += 1;
            let asked_at = Instant::now();
            // It may wait until the stopped worker is replaced: the kernel may have woken that one.
            let client = Client::connect(addr, asked, TIMEOUT + SLACK);
            let answered = client.is_ok_and(|mut client| client.round_trip().is_ok());
            served += u64::from(answered);
            longest = longest.max(asked_at.elapsed());
            let gone = !usage::family_of(master).contains(&victim.as_raw_pid().cast_unsigned());
            gone && sockets::listeners(master, addr) >= WORKERS.get()
        });
        let took = replaced.then(|| begun.elapsed());
        Ok(vec![
            Figure::always("new clients served meanwhile", served, asked),
            Figure::within("longest wait of a new client", Some(longest), WAIT),
            Figure::within("until the worker is replaced", took, TIMEOUT + SLACK),
        ])
    })
}
