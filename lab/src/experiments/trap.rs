//! Why nobody notices: the usual figures of a starved pool are as good as those of a happy one.

use std::num::NonZeroU32;
use std::time::Duration;

use cli::units::{micros, number};
use serde::Serialize;

use super::{CLIENTS, POOL, SETTLE, WORKERS};
use crate::bench::{Bench, Failure};
use crate::exhibit::{Bars, Cell, Curves, Exhibit, Table, Tone};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::latency;
use crate::load::{Load, Measured};
use crate::neighbours::Neighbours;
use crate::stats::Spread;
use crate::subject::Subject;
use crate::verdict::{Ruling, Verdict, Zones};
use loadgen::svg::{Bar, Curve};

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "trap",
    chapter: Chapter::Serving,
    question: "Would your load test tell you that most of your clients get nothing?",
    claim: "A pool of 4 workers under 50 clients that stay reports a rate and a p99 like those under \
            4 clients, although 46 clients never get a byte.",
    prediction: "4 clients keep 4 workers busy in both cases, so rate and p99 stay the same. Two \
                 runs of the same thing differ on a busy machine, the p99 by up to 3 times: so the \
                 rate is at least half of before and the p99 at most 3 times. Would the 50 share the \
                 workers, each would wait for 50 / 4 turns, and the latency be 12.5 times as long: \
                 beyond 10 times it shows. Those who never get an answer have no latency, so no percentile shows them.",
    method: "The same pool of 4 threads, started afresh for each run, under 4, 50, 50 and 4 clients \
             that send, wait for the echo and send again; then async under 50. Rate and percentiles \
             are those of the answers, as the usual tools compute them.",
    lesson: "Ask every load test how many clients were served, and how long the first answer took \
             for each of them. A rate and a percentile describe the survivors.",
    fault: Fault {
        what: "The server is async in place of a pool, so that everybody is served.",
        symptom: "50 of 50",
    },
    run,
};

/// How long each run is measured in the short form.
const WINDOW: Duration = Duration::from_millis(800);
/// How often each number of clients is measured, by turns and back.
const ROUNDS: usize = 2;
/// As many clients as workers: everybody is happy.
const FEW: NonZeroU32 = NonZeroU32::new(4).expect("4 is not 0");
/// What somebody who looks at the rate would notice.
const NOTICED_RATE_SHARE: f64 = 0.5;
/// How many times as long a p99 is as good as before, and what somebody would notice: if all clients
/// shared the workers they would wait 50 / 4 times as long.
const P99_TIMES: Zones = Zones {
    enough: 3.0,
    wrong: 10.0,
};
/// Two runs of the same thing that differ by more than this, relative to their middle, say nothing.
const TOO_NOISY: f64 = 0.5;

/// One number of clients on the pool.
#[derive(Clone, Debug, Serialize)]
struct Side {
    name: String,
    clients: u32,
    served: Vec<u32>,
    rate_per_s: Option<Spread>,
    p50_us: Option<Spread>,
    p99_us: Option<Spread>,
    effective: Option<f64>,
    #[serde(skip)]
    first_wait: String,
    #[serde(skip)]
    invalid: Option<String>,
    #[serde(skip)]
    curve: Vec<(f64, f64)>,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    watched_s: f64,
    /// Processors that others kept busy meanwhile, if that disturbs.
    others_cores: Option<f64>,
    few: Side,
    many: Side,
    cure: Side,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let window = bench.window(WINDOW);
    let load = |clients| Load::busy(clients, window).after(SETTLE);
    let mode = if bench.faulted() { "async" } else { POOL };
    let pool = Subject::own(mode, WORKERS).named(format!("pool of {WORKERS}"));
    let since = Neighbours::now();
    let (mut few, mut many) = (Vec::new(), Vec::new());
    for round in 0..bench.repeats(ROUNDS) {
        let there = [FEW, CLIENTS];
        let back = [CLIENTS, FEW];
        for clients in if round % 2 == 0 { there } else { back } {
            let measured = bench.measure(&pool, &load(clients))?;
            let side = if clients == FEW { &mut few } else { &mut many };
            side.push(measured);
        }
    }
    let cure = bench.measure(&Subject::own("async", WORKERS), &load(CLIENTS))?;
    let figures = Figures {
        watched_s: (SETTLE + window).as_secs_f64(),
        others_cores: since.and_then(|since| since.disturbed_since()),
        few: side(&pool.name, &few),
        many: side(&pool.name, &many),
        cure: side("async", &[cure]),
    };
    let ruling = judge(&figures);
    Ok(Finding {
        headline: headline(&figures, ruling.verdict),
        ruling,
        exhibits: vec![
            Exhibit::Table(table(&figures)),
            Exhibit::Bars(bars(&figures)),
            Exhibit::Curves(curves(&figures)),
        ],
        figures: figures_of(&figures),
    })
}

fn side(name: &str, runs: &[Measured]) -> Side {
    let rtt = |share| {
        let of =
            |run: &Measured| latency::of_the_answered_us(run.report.latency.rtt.as_ref(), share);
        Spread::of_all(runs.iter().map(of))
    };
    let last = runs.last();
    Side {
        name: name.to_owned(),
        clients: last.map_or(0, |run| run.report.clients.asked),
        served: runs.iter().map(|run| run.report.clients.served).collect(),
        rate_per_s: Spread::of_all(runs.iter().map(|run| run.report.rate_per_s)),
        p50_us: rtt(0.5),
        p99_us: rtt(0.99),
        effective: last.and_then(|run| run.report.clients.effective),
        first_wait: last.map_or_else(String::new, first_wait),
        invalid: runs.iter().find_map(Measured::invalid),
        curve: latency::curve(
            runs.iter()
                .filter_map(|run| run.report.latency.rtt.as_ref()),
        ),
    }
}

impl Side {
    fn least_served(&self) -> u32 {
        self.served.iter().copied().min().unwrap_or(0)
    }
}

/// The median wait for the first byte over all clients, also those who still wait.
fn first_wait(run: &Measured) -> String {
    let admission = run.report.latency.admission.as_ref();
    match admission.map(|wait| (wait.p50_us, wait.censored_above_us)) {
        Some((Some(us), _)) => micros(us),
        Some((None, Some(us))) => format!(">{}", micros(us)),
        _ => "-".to_owned(),
    }
}

fn headline(figures: &Figures, verdict: Verdict) -> String {
    let served = figures.many.least_served();
    let hidden = match verdict {
        Verdict::Holds => ", and neither the rate nor the p99 shows it",
        Verdict::Inconclusive | Verdict::DoesNotHold => "",
    };
    format!(
        "A pool of {WORKERS} serves {served} of {CLIENTS} clients that stay. The other {} get \
         nothing{hidden}.",
        CLIENTS.get() - served
    )
}

fn judge(figures: &Figures) -> Ruling {
    let Figures {
        few, many, cure, ..
    } = figures;
    let mut objections: Vec<Ruling> = [few, many, cure].into_iter().filter_map(doubt).collect();
    let expected = [(few, FEW), (many, FEW), (cure, CLIENTS)];
    objections.extend(
        expected
            .into_iter()
            .filter_map(|(side, clients)| miscount(side, clients.get())),
    );
    objections.extend(noticed(figures).map(|ruling| ruling.beside(figures.others_cores)));
    let shown = |spread: Option<Spread>, show: fn(f64) -> String| {
        spread.map_or_else(|| "-".to_owned(), |spread| show(spread.median))
    };
    Ruling::unless(
        objections,
        format!(
            "with {CLIENTS} clients {} answers/s and p99 {} (with {FEW}: {} and {}), but {} of \
             {CLIENTS} clients served",
            shown(many.rate_per_s, number),
            shown(many.p99_us, micros),
            shown(few.rate_per_s, number),
            shown(few.p99_us, micros),
            many.least_served()
        ),
    )
}

/// Why the figures of one side say nothing, if so.
fn doubt(side: &Side) -> Option<Ruling> {
    let clients = side.clients;
    if let Some(why) = &side.invalid {
        return Some(Ruling::inconclusive(format!(
            "{}, {clients} clients: {why}",
            side.name
        )));
    }
    let (Some(rate), Some(_)) = (side.rate_per_s, side.p99_us) else {
        return Some(Ruling::inconclusive(format!(
            "{}, {clients} clients: no rate or no p99",
            side.name
        )));
    };
    (rate.relative() > TOO_NOISY).then(|| {
        Ruling::inconclusive(format!(
            "the machine is too noisy: two runs with {clients} clients differ by more than their median"
        ))
    })
}

/// A run that served another number of clients than it should.
fn miscount(side: &Side, expected: u32) -> Option<Ruling> {
    let served = side.served.iter().find(|served| **served != expected)?;
    Some(Ruling::does_not_hold(format!(
        "{} served {served} of {} clients, not {expected}",
        side.name, side.clients
    )))
}

/// What would have told somebody who looks at rate and p99 that something is wrong.
fn noticed(figures: &Figures) -> Option<Ruling> {
    let (before, after) = (
        figures.few.rate_per_s?.median,
        figures.many.rate_per_s?.median,
    );
    if after < before * NOTICED_RATE_SHARE {
        return Some(Ruling::does_not_hold(format!(
            "the rate fell from {} to {} a second, which one would notice",
            number(before),
            number(after)
        )));
    }
    let (before_us, after_us) = (figures.few.p99_us?.median, figures.many.p99_us?.median);
    P99_TIMES.objection(
        after_us / before_us,
        format!(
            "the p99 went from {} to {}, which one would notice",
            micros(before_us),
            micros(after_us)
        ),
    )
}

fn table(figures: &Figures) -> Table {
    let header = [
        "",
        "clients",
        "answers/s",
        "p50",
        "p99",
        "served",
        "first answer, median",
    ];
    let median = |spread: Option<Spread>, show: fn(f64) -> String| {
        spread.map_or_else(|| "-".to_owned(), |spread| show(spread.median))
    };
    let row = |side: &Side| {
        let starved = side.least_served() < side.clients;
        let tone = if starved { Tone::Bad } else { Tone::Good };
        vec![
            side.name.as_str().into(),
            side.clients.to_string().into(),
            median(side.rate_per_s, number).into(),
            median(side.p50_us, micros).into(),
            median(side.p99_us, micros).into(),
            Cell::toned(format!("{}/{}", side.least_served(), side.clients), tone),
            Cell::toned(side.first_wait.clone(), tone),
        ]
    };
    Table {
        title: "What the usual figures say, and what they leave out".into(),
        caption: "Rate, p50 and p99 describe the answers. Only the last two columns, which the \
                  usual tools do not print, know of those who got none."
            .into(),
        header: header.map(str::to_owned).to_vec(),
        rows: [&figures.few, &figures.many, &figures.cure]
            .map(row)
            .to_vec(),
    }
}

fn bars(figures: &Figures) -> Bars {
    let bar = |side: &Side| Bar {
        name: format!("{}, {} clients", side.name, side.clients),
        served: side.least_served(),
        waiting: side.clients - side.least_served(),
        note: side
            .p99_us
            .map_or_else(String::new, |p99| format!("p99 {}", micros(p99.median))),
    };
    Bars {
        title: "Who got an answer".into(),
        caption: "Blue clients were served, hatched ones were connected, sent their request and \
                  got nothing. The p99 on the right knows only the blue ones."
            .into(),
        bars: [&figures.few, &figures.many, &figures.cure]
            .map(bar)
            .to_vec(),
    }
}

fn curves(figures: &Figures) -> Curves {
    let curve = |side: &Side| Curve {
        name: format!("{}, {} clients", side.name, side.clients),
        points: side.curve.clone(),
        ..Curve::default()
    };
    Curves {
        title: "Latency of the answers".into(),
        caption: format!(
            "The usual latency picture. It has no place for those who never got an answer: the \
             curve of the starved pool describes {} of its {} clients.",
            figures.many.least_served(),
            figures.many.clients
        ),
        curves: [&figures.few, &figures.many, &figures.cure]
            .map(curve)
            .to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(clients: u32, served: u32, rate: f64, p99: f64) -> Side {
        Side {
            name: "pool".into(),
            clients,
            served: vec![served, served],
            rate_per_s: Spread::of([rate]),
            p50_us: Spread::of([40.0]),
            p99_us: Spread::of([p99]),
            effective: Some(4.0),
            first_wait: String::new(),
            invalid: None,
            curve: vec![],
        }
    }

    fn figures() -> Figures {
        Figures {
            watched_s: 1.0,
            others_cores: None,
            few: side(4, 4, 50_000.0, 90.0),
            many: side(50, 4, 52_000.0, 80.0),
            cure: side(50, 50, 60_000.0, 900.0),
        }
    }

    #[test]
    fn good_figures_for_a_starved_pool_are_the_trap() {
        let ruling = judge(&figures());
        assert_eq!(ruling.verdict, Verdict::Holds, "{ruling:?}");
    }

    #[test]
    fn figures_that_give_the_starvation_away_contradict_the_claim() {
        let mut slow = figures();
        slow.many.rate_per_s = Spread::of([20_000.0]);
        assert_eq!(judge(&slow).verdict, Verdict::DoesNotHold);
        let mut late = figures();
        late.many.p99_us = Spread::of([901.0]);
        assert_eq!(judge(&late).verdict, Verdict::DoesNotHold);
        let mut disturbed = late.clone();
        disturbed.others_cores = Some(1.0);
        assert_eq!(judge(&disturbed).verdict, Verdict::Inconclusive);
        late.many.p99_us = Spread::of([300.0]);
        assert_eq!(judge(&late).verdict, Verdict::Inconclusive);
        late.many.p99_us = Spread::of([270.0]);
        assert_eq!(judge(&late).verdict, Verdict::Holds);
    }

    #[test]
    fn a_pool_that_serves_another_number_contradicts_the_claim() {
        let mut five = figures();
        five.many.served = vec![4, 5];
        assert_eq!(judge(&five).reason, "pool served 5 of 50 clients, not 4");
        let mut starved = figures();
        starved.cure.served = vec![49];
        assert_eq!(judge(&starved).verdict, Verdict::DoesNotHold);
    }

    #[test]
    fn noise_and_invalid_runs_prove_nothing() {
        let mut noisy = figures();
        noisy.few.rate_per_s = Spread::of([10_000.0, 50_000.0]);
        assert_eq!(judge(&noisy).verdict, Verdict::Inconclusive);
        let mut invalid = figures();
        invalid.many.invalid = Some("the run is invalid".into());
        assert_eq!(judge(&invalid).verdict, Verdict::Inconclusive);
        let mut silent = figures();
        silent.many.rate_per_s = None;
        assert_eq!(judge(&silent).verdict, Verdict::Inconclusive);
    }
}
