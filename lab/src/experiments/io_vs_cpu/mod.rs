//! Threads for I/O and processes for computing: where the rule comes from, what is left of it, and
//! what computing does to whoever shares a thread with it.
//!
//! ```text
//! waiting   every server at once ──┐
//! computing one server at a time ──┼──▶ figures ──judge──▶ ruling
//! beside    pings beside one that computes, inline and offloaded ──┘
//! ```

mod beside;
mod figures;
mod show;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use server::work::Work;
use server::{Inner, Mode};

use self::beside::pings;
use self::figures::{Computing, Figures, Pings, Reach, Waiting, judge};
use self::show::{headline, pings_table, work_table};
use super::SETTLE;
use crate::bench::{Bench, Failure};
use crate::compare::pin;
use crate::exhibit::Exhibit;
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::foreign;
use crate::load::Load;
use crate::modes;
use crate::neighbours::Neighbours;
use crate::process::ServerProcess;
use crate::soak::load::Watch;
use crate::stats;
use crate::subject::Subject;
use crate::usage::{self, Usage};

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "io-vs-cpu",
    chapter: Chapter::Trouble,
    question: "Threads for I/O, processes for computing: is that so, and why?",
    claim: "For waiting everything is equal. For computing threads are as good as processes, \
            except where an interpreter's lock lets one of them compute at a time, as in Python \
            (seen where python3 is installed). On a single processor waiting goes on side by side \
            as on several, and computing does not. And whoever computes on the thread of an event loop stops all its other clients, which \
            handing the computation to a pool cures.",
    prediction: "8 clients, 8 workers. A wait of 50 ms uses nothing that others need: each served \
                 client gets 20 answers a second in every mode and in Python's pools. Whoever \
                 computes wants a processor: with 8 workers that may, 8 threads are runnable at \
                 any moment (4 or more, since some are between two lines), in threads as in \
                 processes. Where one thread at a time may, no more than 1 processor is used (1.15 \
                 with what runs outside the lock), however many there are. On one event loop a \
                 ping that costs nothing waits for the computation of 50 ms that is under way: \
                 half of it or more at the median; with --offload rayon less than a quarter, and nine of \
                 ten less than half. Confined to one processor, all 8 that wait get their 20 answers \
                 a second, and the 8 that compute want a processor each and get 1 in all.",
    method: "--work io=50ms on all modes and on Python's pools at the same time, answers counted \
             over 1 s; so on a thread-pool that was started on one processor. --work cpu=2ms on one after the other; the processors used and, every 5 ms, \
             the threads that are runnable are read from outside. Then one worker and two clients, \
             up to 16 times: one sends a line that costs 50 ms, and 5 ms later the other a byte that \
             ends no line and so costs nothing. Without python3 its part is left out.",
    lesson: "The rule is about the interpreter and not about threads. What is left of it: do not \
             compute where others wait. In the server the driver decides where a cost is paid \
             (offload, the Payer): inline on the connection's own thread, or on a pool with a \
             thread per processor while the event loop goes on.",
    fault: Fault {
        what: "The offload is missing.",
        symptom: "offloaded",
    },
    run,
};

/// Workers of every pool, and clients.
const WORKERS: usize = 8;
const CLIENTS: NonZeroU32 = NonZeroU32::new(8).expect("8 is not 0");
/// The mode that is kept to one processor, too.
const CONFINED: &str = "thread-pool";
/// What a line waits.
const WAIT: Duration = Duration::from_millis(50);
/// What a line computes.
const COMPUTE: Duration = Duration::from_millis(2);
/// What a line computes that others have to wait for.
const LONG: Duration = Duration::from_millis(50);
/// How long it may take until everybody is served who can be.
const ALL_SERVED_LIMIT: Duration = Duration::from_secs(10);
/// How often the threads are looked at that compute.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How often at least, also where a look takes long.
const FEW_LOOKS: usize = 20;
/// How long waiting is watched, and how long computing.
const WINDOWS: [Duration; 2] = [Duration::from_secs(1), Duration::from_millis(300)];

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let python = python(bench);
    let since = Neighbours::now();
    let waiting = waiting(bench, &python)?;
    let computing = computing(bench, &python)?;
    let pings = beside(bench)?;
    let figures = Figures {
        processors: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        others_cores: since.and_then(|since| since.disturbed_since()),
        wait_s: WAIT.as_secs_f64(),
        compute_s: LONG.as_secs_f64(),
        python: !python.is_empty(),
        waiting,
        computing,
        pings,
    };
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: vec![
            Exhibit::Table(work_table(&figures)),
            Exhibit::Table(pings_table(&figures)),
        ],
        figures: figures_of(&figures),
    })
}

/// Python's own pools, by what their workers reach together; none without it.
fn python(bench: &mut Bench) -> Vec<(&'static foreign::Foreign, Reach)> {
    let pools = [
        ("python-thread-pool", Reach::One),
        ("python-process-pool", Reach::All),
    ];
    let found = pools.map(|(name, reach)| Some((foreign::find(name)?, reach)));
    let found: Vec<_> = found.into_iter().flatten().collect();
    let lack = found.iter().find_map(|(pool, _)| pool.lack(Work::None));
    if let Some(lack) = lack {
        bench.narrator.say(&format!("left out: {lack}"));
        return Vec::new();
    }
    found
}

/// Every server that does `work`, with what its workers reach together.
fn subjects(python: &[(&'static foreign::Foreign, Reach)], work: Work) -> Vec<(Subject, Reach)> {
    let flag = work.to_string().replace(' ', "");
    let own = modes::possible().map(|mode| {
        let subject = Subject::own(mode.name(), WORKERS).with(&["--work", &flag]);
        (subject, Reach::of(mode))
    });
    // They need nothing built, and that they can be started is known.
    let pools = python.iter().filter_map(|(pool, reach)| {
        let subject = pool.subject(WORKERS, work, Path::new("")).ok()?;
        Some((subject, *reach))
    });
    let confined = Subject::own(CONFINED, WORKERS)
        .with(&["--work", &flag])
        .named(format!("{CONFINED}, one processor"));
    own.chain(pools)
        .chain([(confined, Reach::Confined)])
        .collect()
}

/// Starts a subject where it shall run.
fn start(bench: &mut Bench, subject: &Subject, reach: Reach) -> Result<ServerProcess, Failure> {
    if reach == Reach::Confined {
        let started = pin::on_one(|| bench.start(subject));
        return started.map_err(Failure::system("keep a server to one processor"))?;
    }
    bench.start(subject)
}

fn waiting(
    bench: &mut Bench,
    python: &[(&'static foreign::Foreign, Reach)],
) -> Result<Vec<Waiting>, Failure> {
    let mut servers = Vec::new();
    for (subject, reach) in subjects(python, Work::Wait(WAIT)) {
        servers.push(start(bench, &subject, reach)?);
    }
    let load = Load::busy(CLIENTS, bench.window(WINDOWS[0])).after(SETTLE);
    let measured = bench.load_all(&servers, &load)?;
    let pairs = servers.iter().zip(measured);
    let waiting = pairs.map(|(server, measured)| Waiting {
        name: server.name.clone(),
        served: measured.report.clients.served,
        rate_per_s: measured.report.rate_per_s,
        invalid: measured.invalid(),
    });
    Ok(waiting.collect())
}

fn computing(
    bench: &mut Bench,
    python: &[(&'static foreign::Foreign, Reach)],
) -> Result<Vec<Computing>, Failure> {
    let window = bench.window(WINDOWS[1]);
    let load = Load::busy(CLIENTS, window);
    let mut computing = Vec::new();
    for (subject, reach) in subjects(python, Work::Compute(COMPUTE)) {
        let server = start(bench, &subject, reach)?;
        let workers = CLIENTS.get();
        let served = server
            .ready
            .capacity
            .and_then(|most| u32::try_from(most).ok());
        let served = served.map_or(workers, |most| most.min(workers));
        let (_, seen) = bench.while_loaded(&server, &load, |watch| {
            let _ = watch.until(ALL_SERVED_LIMIT, |seen| seen.served >= served);
            Ok(look(server.pid(), window, watch))
        })?;
        drop(server.stop());
        let (cores, runnable) = seen.unzip();
        computing.push(Computing {
            name: subject.name,
            reach,
            cores,
            runnable,
        });
    }
    Ok(computing)
}

/// The processors that a server uses over `window`, and how many of its threads are runnable on
/// average; none if it could not be read.
fn look(server: u32, window: Duration, watch: &Watch) -> Option<(f64, f64)> {
    let family = usage::family_of(server);
    let first = usage::sample(server)?;
    let mut looks = Vec::new();
    while first.at.elapsed() < window || looks.len() < FEW_LOOKS {
        looks.push(usage::runnable_threads(&family) as f64);
        watch.pass(LOOK_EVERY);
    }
    let usage = Usage::between(&first, &usage::sample(server)?)?;
    let runnable = stats::share(looks.iter().sum(), looks.len() as f64)?;
    Some((usage.cpu_cores, runnable))
}

/// Pings beside one client that computes, for the event loops and, to compare, a thread each.
fn beside(bench: &mut Bench) -> Result<Vec<Pings>, Failure> {
    let watched =
        modes::possible().filter(|mode| *mode == Mode::ThreadPerConnection || loops(*mode));
    let work = Work::Compute(LONG).to_string();
    let mut all = Vec::new();
    for mode in watched {
        let subject = Subject::own(mode.name(), 1).with(&["--work", &work]);
        for offloaded in [false, true] {
            let offload: &[&str] = if offloaded && !bench.faulted() {
                &["--offload", "rayon"]
            } else {
                &[]
            };
            let server = bench.start(&subject.clone().with(offload))?;
            let place = if offloaded { "offloaded" } else { "inline" };
            bench.narrator.now(&format!("{mode}, {place}"));
            let waits_s = pings(server.ready.addr).map_err(Failure::system("ping the server"))?;
            drop(server.stop());
            all.push(Pings::of(mode, loops(mode), offloaded, &waits_s));
        }
    }
    Ok(all)
}

/// Whether the thread that serves a client serves others at the same time.
fn loops(mode: Mode) -> bool {
    matches!(
        mode.inner(),
        Some(Inner::Async | Inner::Epoll | Inner::IoUring)
    )
}
