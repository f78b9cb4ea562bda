//! Measures what is known: servers that stall, delay and log what they did, and what the load
//! generator makes of them, beside a second run of the same as a control.
//!
//! `cargo run --release -p loadgen --example known_answers` takes about four minutes and prints a
//! table. It is no test: on a shared machine the figures are reported, and the arithmetic behind
//! them is proven in the tests.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on shall panic"
)]
#![allow(clippy::print_stdout, reason = "the table is its result")]

#[path = "known_answers/server.rs"]
mod server;

use std::num::{NonZeroU32, NonZeroUsize};
use std::thread;
use std::time::{Duration, Instant};

use cli::{Addr, Interrupt};
use loadgen::report::{Latency, Report};
use loadgen::schedule::{Arrivals, Rate};
use loadgen::{Config, Pace, Steer, StopRule};
use server::{Delay, Server};

/// How far a percentile may be from the server's own log: 2 % or this.
const SLACK_US: f64 = 50.0;
const SLACK_SHARE: f64 = 0.02;

fn main() {
    if server::serve_if_told_to() {
        return;
    }
    println!("what                            expected      run A      run B   A within");
    stalled();
    for (name, delay, requests) in [
        // What the machine itself adds: two threads wake up in every round trip.
        ("no delay", Delay::None, 10_000),
        ("constant 5 ms", Delay::Constant, 10_000),
        ("exponential, mean 2 ms", Delay::Exponential, 50_000),
        ("95 % 1 ms, 5 % 50 ms", Delay::TwoKinds, 20_000),
    ] {
        delayed(name, delay, requests);
    }
    arrivals();
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
    let outcome = loadgen::run(config, &Interrupt::default(), &mut |_| Steer::Go).unwrap();
    assert!(outcome.report.requests.balance());
    outcome.report
}

/// One line of the table, in microseconds; `A` is held against `expected`.
fn line(what: &str, expected: f64, [a, b]: [f64; 2], slack: f64) {
    let good = if (a - expected).abs() <= slack {
        "yes"
    } else {
        "NO"
    };
    println!("{what:30} {expected:9.0} us {a:7.0} us {b:7.0} us   {good} ({slack:.0} us)");
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
    let (a, b) = (once(), once());
    line(
        "stall of 1.4 s: response p99",
        1_300_000.0,
        [a.0, b.0],
        65_000.0,
    );
    println!(
        "{:30} {:>12} {:7.0} us {:7.0} us",
        "  the same: rtt p99", "ms", a.1, b.1
    );
}

/// A server that delays every answer and logs how long it really took.
fn delayed(name: &str, delay: Delay, requests: u64) {
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
    let ((a, log), (b, _)) = (once(), once());
    println!(
        "{name}: {} answers, {} in the log",
        a.requests.answered,
        log.delays_ns.len()
    );
    let figures = |report: &Report| {
        let rtt = report.latency.rtt.clone().unwrap();
        [rtt.p50_us, rtt.p90_us, rtt.p99_us].map(|figure| figure.unwrap_or(f64::NAN))
    };
    let (a, b) = (figures(&a), figures(&b));
    for (place, (label, percent)) in [("p50", 50), ("p90", 90), ("p99", 99)].iter().enumerate() {
        let expected = log.quantile_us(*percent);
        let slack = SLACK_US.max(expected * SLACK_SHARE);
        line(&format!("  {label}"), expected, [a[place], b[place]], slack);
    }
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
