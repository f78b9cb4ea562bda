//! The same stall of the same server, measured in three ways, of which one tells what users felt.

mod show;

use std::io;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use cli::units::micros;
use loadgen::report::Latency;
use loadgen::schedule::Arrivals;
use rustix::process::Signal;
use serde::Serialize;

use super::SETTLE;
use crate::bench::{Bench, Failure};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::latency;
use crate::load::{Load, Measured};
use crate::process::ServerProcess;
use crate::subject::Subject;
use crate::verdict::Ruling;

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "coordinated-omission",
    chapter: Chapter::Trouble,
    question: "A server stands still for a sixth of the time. Does your load test notice?",
    claim: "A closed loop hides a stall: each client waits with its one request and does not send the \
            next. On a schedule the stall is hidden as well if the clock starts with the send. Counted \
            from the moment when each request was due, the 99th percentile is the stall.",
    prediction: "A stall of T = D/6 in a window of D (0.5 s of 3 s, and four times as much in the long \
                 form), 10 clients, R = 1,000 requests a second. One request of each client is in \
                 flight: 10 long round trips, 10 / (R D) = 0.33 % or less of those on a schedule and \
                 of a closed loop, so no p99 shows them. But R T requests are due meanwhile, T/D = \
                 17 %, and the one that is due s after the beginning waits T - s: quantile q of the \
                 response is T - (1 - q) D, so the p99 is 0.94 T and the p90 0.4 T.",
    method: "The same server, async, under 10 clients in a closed loop and then on a schedule; each time \
             it is stopped (SIGSTOP) in the middle of the window and goes on (SIGCONT) after T. The \
             schedule is measured twice, from the same run: from the actual send (rtt) and from the \
             due time (response).",
    lesson: "Ask a load test when its clock starts. The server's own figures have the same hole: its \
             first-byte times begin with the accept, and see nobody in the accept queue; its hang \
             timeout watches for beats instead, which stop whether anybody asks or not.",
    fault: Fault {
        what: "The server is not stopped.",
        symptom: "from the due time",
    },
    run,
};

/// The clients, each with a connection.
const CLIENTS: NonZeroU32 = NonZeroU32::new(10).expect("10 is not 0");
/// Requests a second that are due, over all clients.
const RATE_PER_S: f64 = 1_000.0;
/// How long is measured.
const WINDOW: Duration = Duration::from_millis(3_000);
/// How much of that the server stands still.
const STALLED: f64 = 1.0 / 6.0;
/// The quantile that is judged.
const JUDGED: f64 = 0.99;
/// How far the response may be from its prediction, as a share of the stall.
const TOLERANCE: f64 = 0.15;
/// Beyond this share it is another figure.
const OTHERWISE: f64 = 0.5;
/// Below this share of the stall nobody would notice it.
const UNNOTICED: f64 = 0.2;
/// What the generator may be late itself, as a share of the stall, at the same quantile.
const LITTLE: f64 = 0.05;
/// A stall that took this much longer than it should, in its own length, was not the only one.
const LONGER: f64 = 1.5;

/// One way to measure.
#[derive(Clone, Debug, Serialize)]
struct Way {
    name: &'static str,
    count: u64,
    p50_us: Option<f64>,
    p90_us: Option<f64>,
    p99_us: Option<f64>,
    max_us: Option<f64>,
    /// Waits that were longer than half of the stall.
    long: u64,
    #[serde(skip)]
    curve: Vec<(f64, f64)>,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    clients: u32,
    rate_per_s: f64,
    window_s: f64,
    /// How long the server stood still under each load, by the clock of whoever stopped it.
    closed_stall_s: f64,
    open_stall_s: f64,
    asked_stall_s: f64,
    closed: Way,
    uncorrected: Way,
    corrected: Way,
    #[serde(skip)]
    invalid: Option<String>,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let window = bench.window(WINDOW);
    let stall = window.mul_f64(STALLED);
    let closed_loop = Load::busy(CLIENTS, window).after(SETTLE);
    let schedule = closed_loop.clone().at(RATE_PER_S, Arrivals::Constant);
    let (closed, closed_stall) = stalled(bench, &closed_loop, stall)?;
    let (open, open_stall) = stalled(bench, &schedule, stall)?;
    let half_us = stall.as_secs_f64() * 1e6 / 2.0;
    let way = |name, latency: Option<&Latency>| Way::of(name, latency, half_us);
    let figures = Figures {
        clients: CLIENTS.get(),
        rate_per_s: RATE_PER_S,
        window_s: window.as_secs_f64(),
        closed_stall_s: closed_stall.as_secs_f64(),
        open_stall_s: open_stall.as_secs_f64(),
        asked_stall_s: stall.as_secs_f64(),
        closed: way("closed loop", closed.report.latency.rtt.as_ref()),
        uncorrected: way("schedule, from the send", open.report.latency.rtt.as_ref()),
        corrected: way(
            "schedule, from the due time",
            open.report.latency.response.as_ref(),
        ),
        invalid: closed.invalid().or_else(|| invalid(&open, stall)),
    };
    Ok(Finding {
        ruling: judge(&figures),
        headline: show::headline(&figures),
        exhibits: show::exhibits(&figures),
        figures: figures_of(&figures),
    })
}

/// Why the figures of an open loop cannot be trusted. What the generator itself sends a little late is
/// of no weight here: it is in the response, and small beside a stall.
fn invalid(open: &Measured, stall: Duration) -> Option<String> {
    let lag_us = latency::of_the_answered_us(open.report.latency.lag.as_ref(), JUDGED);
    let little_us = stall.as_secs_f64() * 1e6 * LITTLE;
    let forgiven: &[&str] = match lag_us {
        Some(lag_us) if lag_us <= little_us => &["schedule-kept"],
        _ => &[],
    };
    open.invalid_but_for(forgiven)
}

/// Puts `load` on a server that stands still for `stall` in the middle of the window; returns how
/// long that really was.
fn stalled(
    bench: &mut Bench,
    load: &Load,
    stall: Duration,
) -> Result<(Measured, Duration), Failure> {
    let server = bench.start(&Subject::own("async", super::WORKERS))?;
    let before = load.warmup + (load.window - stall) / 2;
    let pause = if bench.faulted() {
        Duration::ZERO
    } else {
        stall
    };
    let (measured, stalled) = std::thread::scope(|scope| {
        let hand = scope.spawn(|| hold_up(&server, before, pause));
        let measured = bench.load(&server, load);
        let stalled = hand.join();
        let gone = || Err(io::Error::other("whoever stops the server is gone"));
        (measured, stalled.unwrap_or_else(|_| gone()))
    });
    drop(server.stop());
    let stalled = stalled.map_err(Failure::system("stop the server for a while"))?;
    Ok((measured?, stalled))
}

/// Lets `before` pass, and stops the server for `stall`.
fn hold_up(server: &ServerProcess, before: Duration, stall: Duration) -> io::Result<Duration> {
    // These waits are waits for its end, after which there is nothing to hold up.
    if server.ends_within(before) || stall.is_zero() {
        return Ok(Duration::ZERO);
    }
    server.signal(Signal::STOP)?;
    let since = Instant::now();
    let _ = server.ends_within(stall);
    server.signal(Signal::CONT)?;
    Ok(since.elapsed())
}

impl Way {
    fn of(name: &'static str, latency: Option<&Latency>, long_us: f64) -> Self {
        let quantile = |share| latency::of_the_answered_us(latency, share);
        let histogram = latency.and_then(|latency| latency::decode(&latency.histogram));
        let histogram = histogram.as_ref();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "less than an hour"
        )]
        let long_ns = (long_us * 1e3) as u64;
        Self {
            name,
            count: histogram.map_or(0, hdrhistogram::Histogram::len),
            p50_us: quantile(0.5),
            p90_us: quantile(0.9),
            p99_us: quantile(JUDGED),
            max_us: quantile(1.0),
            long: histogram.map_or(0, |it| it.count_between(long_ns, u64::MAX)),
            curve: latency::curve(latency),
        }
    }
}

impl Figures {
    /// Quantile `share` of the response, if a stall was all that delayed anybody: the last of those
    /// who were due meanwhile did not wait, the first for all of it.
    fn predicted_us(&self, share: f64) -> f64 {
        (self.open_stall_s - (1.0 - share) * self.window_s).max(0.0) * 1e6
    }
}

fn judge(figures: &Figures) -> Ruling {
    let Figures {
        closed,
        uncorrected,
        corrected,
        ..
    } = figures;
    let p99s = [closed, uncorrected, corrected].map(|way| way.p99_us);
    let [Some(hidden), Some(half_hidden), Some(shown)] = p99s else {
        return Ruling::inconclusive("there is no p99");
    };
    let mut objections: Vec<Ruling> = figures.invalid.iter().map(Ruling::inconclusive).collect();
    objections.extend(overslept(figures));
    objections.extend(hides(
        closed,
        figures.closed_stall_s.max(figures.asked_stall_s),
    ));
    objections.extend(hides(
        uncorrected,
        figures.open_stall_s.max(figures.asked_stall_s),
    ));
    objections.extend(shows(shown, figures));
    Ruling::unless(
        objections,
        format!(
            "a stall of {}: p99 {} in a closed loop, {} from the send, {} from the due time (predicted \
             {}); {}, {} and {} waits longer than half of it",
            micros(figures.open_stall_s * 1e6),
            micros(hidden),
            micros(half_hidden),
            micros(shown),
            micros(figures.predicted_us(JUDGED)),
            closed.long,
            uncorrected.long,
            corrected.long
        ),
    )
}

/// The server stood still for much longer than it should.
fn overslept(figures: &Figures) -> Option<Ruling> {
    let longest_s = figures.closed_stall_s.max(figures.open_stall_s);
    (longest_s > figures.asked_stall_s * LONGER).then(|| {
        Ruling::inconclusive(format!(
            "the server stood still for {}, not {}; is the machine busy?",
            micros(longest_s * 1e6),
            micros(figures.asked_stall_s * 1e6)
        ))
    })
}

/// What speaks against a way that should not see the stall.
fn hides(way: &Way, stall_s: f64) -> Option<Ruling> {
    let p99_us = way.p99_us?;
    let reason = format!(
        "{}: a p99 of {} gives the stall away",
        way.name,
        micros(p99_us)
    );
    let seen = p99_us > stall_s * 1e6 * UNNOTICED;
    // If no more requests than were in flight waited for long, it was another delay.
    let by_the_stall = way.long > u64::from(CLIENTS.get());
    seen.then(|| match by_the_stall {
        true => Ruling::does_not_hold(reason),
        false => Ruling::inconclusive(reason),
    })
}

/// What speaks against the way that should see it.
fn shows(p99_us: f64, figures: &Figures) -> Option<Ruling> {
    // Without a stall there is none to be seen, so it is held against the one that was asked for.
    let stall_s = figures.open_stall_s.max(figures.asked_stall_s);
    let predicted_us = (stall_s - (1.0 - JUDGED) * figures.window_s) * 1e6;
    let off = (p99_us - predicted_us).abs() / (stall_s * 1e6);
    let reason = format!(
        "from the due time the p99 is {}, not {}",
        micros(p99_us),
        micros(predicted_us)
    );
    match off {
        off if off <= TOLERANCE => None,
        off if off > OTHERWISE => Some(Ruling::does_not_hold(reason)),
        _ => Some(Ruling::inconclusive(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn way(name: &'static str, p99_us: f64) -> Way {
        Way {
            name,
            count: 3_000,
            p50_us: Some(60.0),
            p90_us: Some(90.0),
            p99_us: Some(p99_us),
            max_us: Some(500_000.0),
            long: 10,
            curve: vec![],
        }
    }

    fn figures() -> Figures {
        Figures {
            clients: 10,
            rate_per_s: 1_000.0,
            window_s: 3.0,
            closed_stall_s: 0.5,
            open_stall_s: 0.5,
            asked_stall_s: 0.5,
            closed: way("closed", 200.0),
            uncorrected: way("uncorrected", 300.0),
            corrected: way("corrected", 471_000.0),
            invalid: None,
        }
    }

    /// The verdict once `change` was made.
    fn after(change: impl FnOnce(&mut Figures)) -> Verdict {
        let mut figures = figures();
        change(&mut figures);
        judge(&figures).verdict
    }

    #[test]
    fn the_arithmetic_of_a_stall() {
        let figures = figures();
        let predicted = [0.8, 0.9, 0.99].map(|share| figures.predicted_us(share).round());
        assert_eq!(predicted, [0.0, 200_000.0, 470_000.0]);
    }

    #[test]
    fn a_stall_that_only_the_schedule_sees_holds() {
        let ruling = judge(&figures());
        assert_eq!(ruling.verdict, Verdict::Holds, "{ruling:?}");
        assert!(ruling.reason.contains("471ms"), "{ruling:?}");
    }

    #[test]
    fn a_loop_that_sees_the_stall_contradicts_the_claim() {
        let seen = |way: &mut Way, long| (way.p99_us, way.long) = (Some(400_000.0), long);
        let no = Verdict::DoesNotHold;
        assert_eq!(after(|it| seen(&mut it.closed, 200)), no);
        assert_eq!(after(|it| seen(&mut it.uncorrected, 200)), no);
        assert_eq!(after(|it| seen(&mut it.closed, 10)), Verdict::Inconclusive);
    }

    #[test]
    fn a_schedule_that_does_not_see_it_contradicts_the_claim() {
        let with = |p99_us| after(|it| it.corrected.p99_us = Some(p99_us));
        assert_eq!(with(300.0), Verdict::DoesNotHold);
        assert_eq!(with(350_000.0), Verdict::Inconclusive);
        let none = after(|it| {
            (it.open_stall_s, it.closed_stall_s) = (0.0, 0.0);
            it.corrected.p99_us = Some(300.0);
        });
        assert_eq!(none, Verdict::DoesNotHold);
    }

    #[test]
    fn other_stalls_and_invalid_runs_prove_nothing() {
        let unclear = Verdict::Inconclusive;
        assert_eq!(after(|it| it.closed_stall_s = 0.9), unclear);
        assert_eq!(after(|it| it.closed.p99_us = None), unclear);
        assert_eq!(after(|it| it.invalid = Some("late".into())), unclear);
    }
}
