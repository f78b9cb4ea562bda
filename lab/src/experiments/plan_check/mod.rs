//! The planner against the server: what is foreseen for a pool is what is then measured.
//!
//! Chance is taken out of the comparison: the simulation plays the very arrivals and services that
//! the measurement has, since both follow from its seed. What is left is the model's error.

mod judge;
mod show;

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use loadgen::schedule::Arrivals;
use serde::Serialize;
use server::work::Work;

use super::{POOL, WORKERS};
use crate::bench::{Bench, Failure};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::load::{Load, Measured};
use crate::neighbours::Neighbours;
use crate::plan::calibrate::hold;
use crate::plan::erlang::Mmc;
use crate::plan::replay::{self, nanos};
use crate::plan::sampling::{Interval, Window};
use crate::plan::simulation::{Fate, Nanos, Queue, Request, Served, play};
use crate::process::ServerProcess;
use crate::subject::Subject;

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "plan-check",
    chapter: Chapter::Cost,
    question: "Can one foresee how long clients wait?",
    claim: "A pool that takes one request at a time is the queue M/M/c of the textbooks: a \
            simulation on the same seeds foretells its mean wait within 15 %, and Erlang's formula \
            as well as chance allows; and a pool that owns connections serves in steps of W.",
    prediction: "4 workers, services around 10 ms, Poisson arrivals at 50, 70, 80 and 90 % of what \
                 they can do: by C/(cμ - λ) those who come wait 0.9, 3.6, 7.5 and 20 ms on average, \
                 a window of some seconds more or less than that by chance. 12 clients that stay \
                 for 0.4 s on a pool of 4 are served at floor(i/4) × 0.4 s.",
    method: "First it is measured what a request costs a worker besides its service: 4 workers \
             divided by the answers per second of a saturated pool, minus the service. Then five \
             ready-pools of 4 threads, all at the same time, under an open loop of 400 connections \
             each, one of them at 20 % where next to nobody waits: its response beyond the services is what \
             the way there and back takes. Wait = response - service - way. The simulation plays \
             the same due times and the same services; Erlang's formula is held against the range \
             of 799 windows with other seeds.",
    lesson: "Below 70 % waits are short and a plan need not be exact; beyond 90 % every percent \
             counts, and a window of some seconds says little about the mean of all time. Plan with \
             the formula, and leave room.",
    fault: Fault {
        what: "The servers are started with one worker less than the plan says.",
        symptom: "in the simulation",
    },
    run,
};

/// One request at a time, first come first served: a queue in front of W workers.
const MODE: &str = "ready-pool";
/// So many that two requests of one client seldom meet.
const CLIENTS: NonZeroU32 = NonZeroU32::new(400).expect("400 is not 0");
/// The mean service: a hundred times what a request costs besides, and still 300 a second.
const SERVICE: Duration = Duration::from_millis(10);
/// Shares of what the workers can do.
const LOADS: [f64; 4] = [0.5, 0.7, 0.8, 0.9];
/// A load at which next to nobody waits.
const QUIET: f64 = 0.2;
/// Everybody is connected, and the queue is about as long as it will be.
const WARMUP: Duration = Duration::from_millis(500);
/// How long is measured, in the short form.
const WINDOW: Duration = Duration::from_millis(8_500);
/// Windows with other seeds, beyond all of which a further one lies in 1 of 400 cases.
const WINDOWS: u32 = 799;
/// Clients on the pool that owns connections: three steps.
const STEPPING: NonZeroU32 = NonZeroU32::new(12).expect("12 is not 0");
/// How long each stays.
const HOLD: Duration = Duration::from_millis(400);
/// How long they are watched: until the last have left.
const STEPS_WINDOW: Duration = Duration::from_millis(1_300);

/// One load.
#[derive(Clone, Debug, Default, Serialize)]
struct Row {
    /// Share of what the workers can do.
    load: f64,
    rate_per_s: f64,
    answers: u64,
    measured_wait_ms: Option<f64>,
    simulated_wait_ms: f64,
    /// Measured over simulated, minus 1.
    error: Option<f64>,
    /// The same of each round.
    errors: Vec<f64>,
    erlang_wait_ms: f64,
    /// In which chance lets the mean of such a window lie.
    interval: Option<Interval>,
    #[serde(skip)]
    invalid: Option<String>,
}

/// The pool that owns connections.
#[derive(Clone, Debug, Default, Serialize)]
struct Steps {
    hold_s: f64,
    predicted_s: Vec<f64>,
    measured_s: Vec<f64>,
    #[serde(skip)]
    invalid: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Figures {
    workers: usize,
    service_ms: f64,
    /// What a request costs a worker besides, before and after.
    hold_us: [f64; 2],
    /// What the way there and back takes.
    way_us: Option<f64>,
    /// Processors that others used meanwhile, if that is enough to disturb.
    others_cores: Option<f64>,
    window_s: f64,
    loads: Vec<Row>,
    /// Of each round.
    steps: Vec<Steps>,
}

/// What is asked of the pools at all loads.
#[derive(Clone, Copy, Debug)]
struct Design {
    workers: NonZeroUsize,
    /// What a request costs a worker besides its service.
    hold: Duration,
    window: Duration,
    seed: u64,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let workers = NonZeroUsize::new(WORKERS).unwrap_or(NonZeroUsize::MIN);
    let before = hold(bench, workers)?.unwrap_or_default();
    let seeds = bench.seed..=bench.seed.saturating_add(bench.repeats(1) as u64 - 1);
    let mut rounds = Vec::new();
    for seed in seeds {
        rounds.push(round(
            bench,
            &Design {
                workers,
                hold: before,
                window: bench.window(WINDOW),
                seed,
            },
        )?);
    }
    let after = hold(bench, workers)?.unwrap_or_default();
    let figures = Figures {
        workers: WORKERS,
        service_ms: SERVICE.as_secs_f64() * 1e3,
        hold_us: [before, after].map(|hold| hold.as_secs_f64() * 1e6),
        window_s: bench.window(WINDOW).as_secs_f64(),
        ..pooled(rounds)
    };
    Ok(Finding {
        ruling: judge::judge(&figures),
        headline: show::headline(&figures),
        exhibits: show::exhibits(&figures),
        figures: figures_of(&figures),
    })
}

/// All loads at the same time, with one seed; what all rounds have in common is left out.
fn round(bench: &mut Bench, design: &Design) -> Result<Figures, Failure> {
    let shares = [QUIET].into_iter().chain(LOADS);
    let loads: Vec<Load> = shares.map(|share| design.load(share)).collect();
    let stepping = Load::busy(STEPPING, STEPS_WINDOW)
        .quiet(HOLD)
        .one_request_each()
        .once();
    let servers = start(bench, loads.len())?;
    let pairs: Vec<_> = servers
        .iter()
        .zip(loads.iter().chain([&stepping]))
        .collect();
    let neighbours = Neighbours::now();
    let usual = std::mem::replace(&mut bench.seed, design.seed);
    let measured = bench.load_each(&pairs);
    bench.seed = usual;
    let others_cores = neighbours.and_then(|before| before.disturbed_since());
    for server in servers {
        drop(server.stop());
    }
    let mut measured = measured?;
    let of_steps = measured.pop();
    let (way_s, loads) = rows(design, &loads, &measured);
    Ok(Figures {
        way_us: way_s.map(|way_s| way_s * 1e6),
        others_cores,
        loads,
        steps: of_steps
            .iter()
            .map(|it| steps(design.workers, it))
            .collect(),
        ..Figures::default()
    })
}

/// The rounds as one: means over all of them, and the worst of what disturbed.
fn pooled(rounds: Vec<Figures>) -> Figures {
    let worst = |of: fn(&Figures) -> Option<f64>| rounds.iter().filter_map(of).reduce(f64::max);
    let (way_us, others_cores) = (worst(|it| it.way_us), worst(|it| it.others_cores));
    let row = |place: usize| {
        let all: Vec<&Row> = rounds.iter().filter_map(|it| it.loads.get(place)).collect();
        let mean = |of: fn(&Row) -> Option<f64>| {
            let values: Option<Vec<f64>> = all.iter().map(|row| of(row)).collect();
            values.map(|values| values.iter().sum::<f64>() / values.len() as f64)
        };
        let measured_wait_ms = mean(|row| row.measured_wait_ms);
        let simulated_wait_ms = mean(|row| Some(row.simulated_wait_ms)).unwrap_or(f64::NAN);
        Row {
            answers: all.iter().map(|row| row.answers).sum(),
            measured_wait_ms,
            simulated_wait_ms,
            error: measured_wait_ms.map(|wait_ms| wait_ms / simulated_wait_ms - 1.0),
            errors: all.iter().filter_map(|row| row.error).collect(),
            invalid: all.iter().find_map(|row| row.invalid.clone()),
            ..all.first().copied().cloned().unwrap_or_default()
        }
    };
    Figures {
        way_us,
        others_cores,
        loads: (0..LOADS.len()).map(row).collect(),
        steps: rounds.iter().flat_map(|it| it.steps.clone()).collect(),
        ..Figures::default()
    }
}

/// A pool for each of `queues` loads, and one that owns connections.
fn start(bench: &mut Bench, queues: usize) -> Result<Vec<ServerProcess>, Failure> {
    let workers = WORKERS - usize::from(bench.faulted());
    let work = Work::WaitExponential(SERVICE).to_string();
    let queue = Subject::own(MODE, workers).with(&["--work", &work]);
    let subjects = std::iter::repeat_n(queue, queues).chain([Subject::own(POOL, workers)]);
    subjects.map(|subject| bench.start(&subject)).collect()
}

impl Design {
    /// What a worker needs for a request on average.
    fn service_s(&self) -> f64 {
        (SERVICE + self.hold).as_secs_f64()
    }

    fn rate_per_s(&self, share: f64) -> f64 {
        share * self.workers.get() as f64 / self.service_s()
    }

    fn load(&self, share: f64) -> Load {
        Load::busy(CLIENTS, self.window)
            .after(WARMUP)
            .at(self.rate_per_s(share), Arrivals::Poisson)
    }

    /// The requests that end in the window, by the simulation.
    fn simulate(&self, load: &Load) -> Vec<Served> {
        let work = Work::WaitExponential(SERVICE);
        let mut clients = replay::requests(load, self.seed, work).unwrap_or_default();
        let all = clients.iter_mut().flatten();
        all.for_each(|request| request.service += nanos(self.hold));
        let window = nanos(load.warmup)..nanos(load.warmup + load.window);
        let fates = play(&clients, self.workers, Queue::Shared);
        let served = fates.into_iter().flatten().filter_map(|fate| match fate {
            Fate::Served(served) => Some(served),
            Fate::Refused(_) => None,
        });
        served
            .filter(|served| window.contains(&served.ended))
            .collect()
    }

    /// In which chance lets the mean wait of such a window lie.
    fn interval(&self, share: f64) -> Option<Interval> {
        let window = Window {
            arrivals_per_s: self.rate_per_s(share),
            service: nanos(SERVICE),
            hold: nanos(self.hold),
            workers: self.workers,
            from: nanos(WARMUP),
            until: nanos(WARMUP + self.window),
        };
        window.interval(self.seed, WINDOWS)
    }

    fn erlang(&self, share: f64) -> Option<Mmc> {
        let workers = NonZeroU32::try_from(self.workers).ok()?;
        Mmc::new(workers, self.rate_per_s(share), self.service_s()).ok()
    }

    fn row(&self, share: f64, load: &Load, measured: &Measured, way_s: Option<f64>) -> Row {
        let served = self.simulate(load);
        let simulated_s = mean_s(&served, Served::wait);
        let wait_s = response_s(measured)
            .zip(way_s)
            .map(|(response_s, way_s)| response_s - way_s - mean_s(&served, service));
        Row {
            load: share,
            rate_per_s: self.rate_per_s(share),
            answers: measured.report.requests.answered,
            measured_wait_ms: wait_s.map(|wait_s| wait_s * 1e3),
            simulated_wait_ms: simulated_s * 1e3,
            error: wait_s.map(|wait_s| wait_s / simulated_s - 1.0),
            errors: Vec::new(),
            erlang_wait_ms: self.erlang(share).map_or(f64::NAN, |it| it.wait_s() * 1e3),
            interval: self.interval(share),
            invalid: measured.invalid(),
        }
    }
}

/// What the way there and back takes, from the load at which nobody waits, and the other loads.
fn rows(design: &Design, loads: &[Load], measured: &[Measured]) -> (Option<f64>, Vec<Row>) {
    let mut pairs = loads.iter().zip(measured);
    let quiet = pairs.next();
    let way_s = quiet.and_then(|(load, measured)| {
        let foreseen_s = mean_s(&design.simulate(load), Served::response);
        Some(response_s(measured)? - foreseen_s)
    });
    let rows = LOADS
        .into_iter()
        .zip(pairs)
        .map(|(share, (load, measured))| design.row(share, load, measured, way_s));
    (way_s, rows.collect())
}

fn response_s(measured: &Measured) -> Option<f64> {
    let response = measured.report.latency.response.as_ref()?;
    response.mean_us.map(|us| us / 1e6)
}

const fn service(served: &Served) -> Nanos {
    served.ended - served.begun
}

fn mean_s(served: &[Served], what: impl Fn(&Served) -> Nanos) -> f64 {
    let sum: f64 = served.iter().map(|one| what(one) as f64).sum();
    sum / served.len() as f64 / 1e9
}

/// The moments of the first bytes, as the simulation has them and as they were.
fn steps(workers: NonZeroUsize, measured: &Measured) -> Steps {
    let stay = Request {
        service: nanos(HOLD),
        ..Request::default()
    };
    let clients = vec![vec![stay]; STEPPING.get() as usize];
    let fates = play(&clients, workers, Queue::Shared);
    let begun = fates.iter().flatten().filter_map(|fate| match fate {
        Fate::Served(served) => Some(served.begun as f64 / 1e9),
        Fate::Refused(_) => None,
    });
    let admissions = measured.admissions();
    Steps {
        hold_s: HOLD.as_secs_f64(),
        predicted_s: begun.collect(),
        measured_s: admissions.iter().filter_map(|it| it.first_byte_s).collect(),
        invalid: measured.invalid(),
    }
}

#[cfg(test)]
mod tests;
