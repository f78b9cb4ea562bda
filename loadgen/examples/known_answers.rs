//! Measures what is known: servers that stall, delay and log what they did, and what the load
//! generator makes of them, beside a second run of the same as a control.
//!
//! `cargo run --release -p loadgen --example known_answers` takes about four minutes and prints a
//! table. It is no test: on a shared machine the figures are reported, and the arithmetic behind
//! them is proven in the tests. Nothing is subtracted from a figure that is judged.
//!
//! While it measures, the processors are kept from halting (see [`awake`]); `-- --halting` lets
//! them, to show what that is worth.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on shall panic"
)]
#![allow(clippy::print_stdout, reason = "the table is its result")]

#[path = "known_answers/awake.rs"]
mod awake;
#[path = "known_answers/serve.rs"]
mod serve;
#[path = "known_answers/server.rs"]
mod server;

use std::num::{NonZeroU32, NonZeroUsize};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use awake::Awake;
use cli::{Addr, Interrupt};
use loadgen::report::{Latency, Report};
use loadgen::schedule::{Arrivals, Rate};
use loadgen::{Config, Pace, Steer, StopRule};
use server::{Delay, Log, Server};

/// How far a percentile may be from the server's own log: 2 % or this.
const SLACK_US: f64 = 50.0;
const SLACK_SHARE: f64 = 0.02;
/// The percentiles of the table.
const PERCENT: [usize; 3] = [50, 90, 99];

/// What the columns are.
const LEGEND: &str = "
All figures in microseconds. A and B are two runs of the same.
seen     what the generator reports: from before its send to after its recv.
log      what the server did by its own log: from a recv that returned to just before the send of
         the answer. Outside of it, and inside what was seen: the request's send, the wake-up of the
         server, the answer's send, the wake-up of the generator.
off      seen - log; `within` if that is no more than 50 us or 2 % of the log (`allowed`).
-floor   off, less what the machine adds to any answer: the median `off` of the same run without a
         delay. To be read and judged by nobody: percentiles cannot be subtracted exactly.
arrived  the log again, begun when the request arrived at the server's socket by the stamp of the
         kernel: it holds the wake-up of the server, too. Judged apart, with an `off` of its own.
";

fn main() {
    if let Some(delay) = Delay::of_this_process() {
        return serve::serve(delay).unwrap();
    }
    let awake = match env::args().nth(1).as_deref() {
        Some("--halting") => None,
        _ => Some(Awake::ask()),
    };
    machine(awake.as_ref());
    println!("{LEGEND}");
    println!(
        "{:12}{:>8}{:>8}{:>7}{:>8}{:>9}  within{:>10}{:>7}  within",
        "", "seen", "log", "off", "-floor", "allowed", "arrived", "off"
    );
    let mut floor = [0.0; 2];
    for (name, delay, requests) in [
        // What the machine itself adds to every answer.
        ("no delay", Delay::None, 10_000),
        ("constant 5 ms", Delay::Constant, 10_000),
        ("exponential, mean 2 ms", Delay::Exponential, 50_000),
        ("95 % 1 ms, 5 % 50 ms", Delay::TwoKinds, 20_000),
    ] {
        let offs = delayed(name, delay, requests, floor);
        if delay == Delay::None {
            floor = offs;
        }
    }
    stalled();
    arrivals();
    println!("load average at the end: {}", load_average());
}

/// One, five and fifteen minutes.
fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Where and under which conditions this is measured.
fn machine(awake: Option<&io::Result<Awake>>) {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processors = awake::processors().len();
    println!(
        "{processors} processors, Linux {}, load average before: {}",
        kernel.trim(),
        load_average()
    );
    let cost = "each wake-up may cost tens of microseconds more";
    match awake {
        Some(Ok(_)) => println!("processors: kept from halting ({})", awake::DEVICE),
        Some(Err(error)) => println!(
            "processors: left to halt, since {} says: {error}; {cost}",
            awake::DEVICE
        ),
        None => println!("processors: left to halt, as asked for; {cost}"),
    }
    if processors > 1 {
        println!("the generator is pinned to the first, the server to the last");
    }
    println!("scheduling class: {}", scheduling_class());
}

/// Of this process, and so of the server and the generator's threads.
fn scheduling_class() -> &'static str {
    /// The field of `stat` behind the name, from 0, that has the class.
    const PLACE: usize = 38;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    match fields.split_whitespace().nth(PLACE) {
        Some("0") => "the common one: other programs take their share",
        Some("1" | "2") => "real time: other programs wait",
        _ => "none of the common ones",
    }
}

fn config(server: &Server, clients: u32, length: Duration) -> Config {
    Config {
        connections: NonZeroU32::new(clients).unwrap(),
        stop: StopRule::After(length),
        warmup: Duration::ZERO,
        threads: NonZeroUsize::MIN,
        ..Config::new(Addr::from(server.addr()))
    }
}

fn run(config: &Config) -> Report {
    let pinned = || {
        awake::pin(awake::Side::Generator);
        loadgen::run(config, &Interrupt::default(), &mut |_| Steer::Go).unwrap()
    };
    let outcome = thread::scope(|scope| scope.spawn(pinned).join().unwrap());
    assert!(outcome.report.requests.balance());
    outcome.report
}

fn p99(latency: Option<&Latency>) -> f64 {
    latency
        .and_then(|latency| latency.p99_us)
        .unwrap_or(f64::NAN)
}

/// A server that stands still for 1.4 s of 10 s. Of the requests due, 1 % has waited longer than
/// 1.4 s − 1 % of 10 s = 1.3 s; of those sent, hardly any has.
fn stalled() {
    const STALL: Duration = Duration::from_millis(1_400);
    let once = || {
        let server = Server::child(Delay::None);
        let config = Config {
            pace: Pace::Open(Rate::Constant(2_000.0), Arrivals::Constant),
            ..config(&server, 100, Duration::from_secs(10))
        };
        let begun = Instant::now();
        let report = thread::scope(|scope| {
            let run = scope.spawn(|| run(&config));
            thread::sleep(Duration::from_secs(3).saturating_sub(begun.elapsed()));
            server.stop();
            thread::sleep(STALL);
            server.go_on();
            run.join().unwrap()
        });
        let (response, rtt) = (&report.latency.response, &report.latency.rtt);
        (p99(response.as_ref()), p99(rtt.as_ref()))
    };
    println!("stall of 1.4 s: response p99 is 1300000 within 65000, rtt p99 some milliseconds");
    for name in ["A", "B"] {
        let (response, rtt) = once();
        let good = if (response - 1_300_000.0).abs() <= 65_000.0 {
            "yes"
        } else {
            "NO"
        };
        println!("  run {name}: response p99 {response:.0} {good}, rtt p99 {rtt:.0}");
    }
}

/// A server that delays every answer and logs how long it really took: a block of the table. Tells
/// how far the medians of both runs are off.
fn delayed(name: &str, delay: Delay, requests: u64, floor: [f64; 2]) -> [f64; 2] {
    /// A light load: five requests a second on each connection.
    const RATE_PER_S: f64 = 1_000.0;
    const CLIENTS: u32 = 200;
    let once = || {
        let server = Server::child(delay);
        let length = Duration::from_secs_f64(requests as f64 / RATE_PER_S);
        let report = run(&Config {
            pace: Pace::Open(Rate::Constant(RATE_PER_S), Arrivals::Poisson),
            ..config(&server, CLIENTS, length)
        });
        (report, server.finish())
    };
    let runs = [once(), once()];
    let counts = runs.each_ref().map(|(report, log)| {
        format!(
            "{} answers, {} logged",
            report.requests.answered,
            log.delays_ns.len()
        )
    });
    println!(
        "{name}: {}; load average {}",
        counts.join(" and "),
        load_average()
    );
    let runs = runs.map(|(report, log)| figures(&report, &log));
    for (place, percent) in PERCENT.into_iter().enumerate() {
        for (run, name) in ["A", "B"].into_iter().enumerate() {
            line(
                &format!("  p{percent} {name}"),
                runs[run][place],
                floor[run],
            );
        }
    }
    runs.map(|[median, ..]| median.seen - median.log)
}

/// A percentile in microseconds, as the generator saw it and as the server logged it.
#[derive(Clone, Copy)]
struct Figure {
    seen: f64,
    log: f64,
    arrived: f64,
}

/// One for each of [`PERCENT`].
fn figures(report: &Report, log: &Log) -> [Figure; 3] {
    let rtt = report.latency.rtt.clone().unwrap();
    let mut seen = [rtt.p50_us, rtt.p90_us, rtt.p99_us].into_iter();
    PERCENT.map(|percent| Figure {
        seen: seen.next().flatten().unwrap_or(f64::NAN),
        log: server::quantile_us(&log.delays_ns, percent),
        arrived: server::quantile_us(&log.since_arrival_ns, percent),
    })
}

/// One line of the table: a percentile of one run.
fn line(what: &str, figure: Figure, floor: f64) {
    let Figure { seen, log, arrived } = figure;
    let allowed = SLACK_US.max(log * SLACK_SHARE);
    let verdict = |expected: f64| {
        if (seen - expected).abs() <= allowed {
            "yes"
        } else {
            "NO"
        }
    };
    println!(
        "{what:12}{seen:8.0}{log:8.0}{:7.0}{:8.0}{allowed:9.0}  {:6}{arrived:10.0}{:7.0}  {}",
        seen - log,
        seen - log - floor,
        verdict(log),
        seen - arrived,
        verdict(arrived)
    );
}

/// The gaps between arrivals, as the server saw them.
fn arrivals() {
    for (name, kind, expected) in [
        ("gaps at the server, constant", Arrivals::Constant, 0.0),
        ("gaps at the server, poisson", Arrivals::Poisson, 1.0),
    ] {
        let once = || {
            let server = Server::child(Delay::None);
            run(&Config {
                pace: Pace::Open(Rate::Constant(200.0), kind),
                ..config(&server, 20, Duration::from_secs(10))
            });
            server.finish().variation_of_gaps()
        };
        let (a, b) = (once(), once());
        println!("{name:30} cv {expected:6.2}    {a:10.2} {b:10.2}");
    }
}
