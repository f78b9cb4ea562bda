//! What a server is known to have done, and what the books make of it, under an invented time.
//!
//! The same delays as in the example `known_answers`, whose server logs them in real time.

use super::*;
use crate::random::{Key, exponential};
use crate::samples::Samples;

/// The percentiles that are looked at.
const PERCENT: [usize; 3] = [50, 90, 99];
/// Nothing is ever due while an answer is out: the longest takes 50 ms.
const RATE_PER_S: f64 = 10.0;

/// A delay in milliseconds.
type Kind = fn(Key) -> f64;

/// Delays in nanoseconds, as many as a run of the example has of them.
fn delays(count: u64, kind: Kind) -> Vec<u64> {
    let millis = (0..count).map(|index| kind(Key::new(1, 0).with(index)));
    millis
        .map(|millis| u64::try_from(Duration::from_secs_f64(millis / 1e3).as_nanos()).unwrap())
        .collect()
}

fn constant(_: Key) -> f64 {
    5.0
}

fn exponential_of_2_ms(key: Key) -> f64 {
    2.0 * exponential(key)
}

fn two_kinds(key: Key) -> f64 {
    if key.below(100) < 95 { 1.0 } else { 50.0 }
}

/// Answers each request as late as its delay says.
fn injected(mut rig: Rig, delays: &[u64]) -> Rig {
    rig.step(Event::Start);
    let mut action = rig.step(Event::Established);
    for delay in delays {
        if action == Action::Nothing {
            rig.now = Moment::START.after(rig.deadline().unwrap());
            action = rig.step(Event::Alarm);
        }
        assert_eq!(action, Action::Write);
        action = rig.exchange(Duration::from_nanos(*delay));
    }
    rig.tally.end_slice(0);
    assert_eq!(rig.books().answered, delays.len() as u64);
    rig
}

/// The percentiles that are reported are those of the delays: the reported value is the upper end
/// of the bin that holds the right one, so it is never below it and at most 0.1 % above.
fn assert_percentiles(seen: &Samples, delays: &[u64], what: &str) {
    let mut sorted = delays.to_vec();
    sorted.sort_unstable();
    let latency = seen.summary(&crate::samples::Censored::default()).unwrap();
    assert_eq!(latency.count, delays.len() as u64);
    let reported = [latency.p50_us, latency.p90_us, latency.p99_us];
    for (percent, reported) in PERCENT.into_iter().zip(reported) {
        let exact = sorted[(sorted.len() * percent).div_ceil(100) - 1] as f64 / 1e3;
        let ratio = reported.unwrap() / exact;
        assert!(
            (1.0..=1.001).contains(&ratio),
            "{what}: p{percent} {reported:?} for {exact}"
        );
    }
    let sum: u64 = delays.iter().sum();
    assert_eq!(seen.sum_nanos(), sum, "{what}: to the nanosecond");
}

#[test]
fn percentiles_are_those_of_the_delays_that_were_injected() {
    let kinds = [
        ("constant", 10_000, constant as Kind),
        ("exponential", 50_000, exponential_of_2_ms),
        ("two kinds", 20_000, two_kinds),
    ];
    for (what, count, kind) in kinds {
        let delays = delays(count, kind);
        let closed = injected(Rig::new(64, Behaviour::default()), &delays);
        assert_percentiles(&closed.tally.rtt, &delays, what);
        let open = injected(Rig::open(RATE_PER_S, Behaviour::default()), &delays);
        assert_percentiles(&open.tally.rtt, &delays, what);
        // Each was sent when it was due.
        let kept = open.tally.kept.as_ref().unwrap();
        assert_percentiles(&kept.response, &delays, what);
    }
}
