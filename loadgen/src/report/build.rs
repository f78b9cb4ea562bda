//! From counters to the document: sums, rates, percentiles. Pure, except for what it says about
//! the machine.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    Audit, Bytes, Clients, Gate, Interval, Latencies, Life, MOST_LIVES, Machine, Report, Requests,
    SCHEMA, Tool, Verdict,
};
use crate::audit;
use crate::census::{Census, fairness};
use crate::engine::Collected;
use crate::samples::{Censored, P50, P99, Samples};
use crate::tally::{SLICE_NANOS, Slice};
use crate::time::{micros, seconds};
use crate::{ClientRecord, Config, Outcome, StopRule, kernel};

/// The gate that is there without being asked for.
const SERVED_GATE: &str = "at-least-one-served";

/// A rest of the window that is shorter than this, and empty, belongs to the slice before it: no
/// clock stops a run to the nanosecond.
const STUB_NANOS: u64 = SLICE_NANOS / 20;

/// Turns what was counted into what is reported.
pub(crate) fn outcome(config: &Config, collected: Collected) -> Outcome {
    let mut report = report(config, &collected);
    report.audit = audit::audit(config, &collected, &report);
    Outcome {
        report,
        clients: collected.census.into_records(),
    }
}

fn report(config: &Config, collected: &Collected) -> Report {
    let tally = &collected.tally;
    let duration_nanos = tally
        .opened()
        .map_or(0, |opened| collected.frozen.since(opened));
    let clients = clients(config, collected);
    let answered = tally.requests.answered;
    Report {
        schema: SCHEMA,
        tool: Tool {
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        target: config.target.to_string(),
        config: echo(config),
        machine: Machine {
            cpus: thread::available_parallelism().map_or(1, usize::from),
            kernel: kernel::release(),
        },
        seed: config.seed,
        interrupted: collected.interrupted,
        duration_s: seconds(duration_nanos),
        clients,
        requests: tally.requests,
        bytes: tally.bytes,
        mismatches: tally.mismatches,
        rate_per_s: (duration_nanos > 0).then(|| answered as f64 / seconds(duration_nanos)),
        latency: latencies(collected),
        intervals: intervals(&tally.slices, duration_nanos),
        errors: errors(collected),
        audit: Audit {
            verdict: Verdict::Pass,
            checks: Vec::new(),
        },
        gates: vec![served_gate(clients.served)],
        examples: BTreeMap::new(),
        schedule: None,
        profiles: Vec::new(),
        server: None,
        tcp: None,
        lives: lives(&collected.census),
        started_unix_s: collected.started_unix_s,
        merged: 1,
    }
}

/// The clients one by one, unless there are too many of them.
fn lives(census: &Census) -> Vec<Life> {
    let mut records = census.records.clone();
    if records.len() > MOST_LIVES {
        return Vec::new();
    }
    records.sort_unstable_by_key(|(number, _)| *number);
    let at = |moment: Option<Duration>| moment.map(|moment| moment.as_secs_f64());
    let life = |(_, record): (u32, ClientRecord)| Life {
        connected_s: at(record.connected_at),
        first_byte_s: at(record.first_byte_at),
        ended_s: at(record.ended_at),
        answered: record.answered,
    };
    records.into_iter().map(life).collect()
}

fn clients(config: &Config, collected: &Collected) -> Clients {
    let asked = config.connections.get();
    let records = &collected.census.records;
    let fairness = fairness(records.iter().map(|(_, record)| record.answered));
    Clients {
        asked,
        connected: collected.tally.connected,
        served: collected.tally.served,
        starved: collected.census.starved,
        lost: collected.census.lost,
        fairness,
        effective: fairness.map(|fairness| fairness * f64::from(asked)),
    }
}

fn latencies(collected: &Collected) -> Latencies {
    let Collected { tally, census, .. } = collected;
    let connecting = Censored::beyond(&census.connecting_nanos, tally.connect.max_nanos());
    let mut unanswered = tally.timed_out;
    if tally.opened().is_some() {
        let pending = Censored::beyond(&census.pending_nanos, tally.rtt.max_nanos());
        unanswered.merge(&pending);
    }
    Latencies {
        connect: tally.connect.summary(&connecting),
        admission: tally.admission.summary(&census.unadmitted),
        rtt: tally.rtt.summary(&unanswered),
        response: None,
        lag: None,
    }
}

/// The slices of all threads, second by second, also those in which nothing was answered.
fn intervals(slices: &[Slice], duration_nanos: u64) -> Vec<Interval> {
    let mut samples = Samples::new();
    let mut by_second: BTreeMap<u64, Vec<&Slice>> = BTreeMap::new();
    for slice in slices {
        by_second.entry(slice.index).or_default().push(slice);
    }
    let with_answers = by_second.keys().next_back().map_or(0, |last| last + 1);
    let whole = duration_nanos
        .saturating_sub(STUB_NANOS)
        .div_ceil(SLICE_NANOS);
    let count = whole.max(with_answers).max(u64::from(duration_nanos > 0));
    (0..count)
        .map(|index| {
            samples.clear();
            let parts = by_second.get(&index).into_iter().flatten();
            for (nanos, count) in parts.flat_map(|slice| &slice.values) {
                samples.record_n(*nanos, *count);
            }
            let start = index * SLICE_NANOS;
            let rest = duration_nanos.saturating_sub(start);
            let length = if index + 1 == count {
                rest
            } else {
                rest.min(SLICE_NANOS)
            };
            Interval {
                at_s: seconds(start),
                length_s: seconds(length),
                answered: samples.count(),
                p50_us: samples.quantile_us(P50, 0),
                p99_us: samples.quantile_us(P99, 0),
                max_us: samples.max_nanos().map(micros),
                failed: 0,
                histogram: samples.encoded(),
                response: None,
            }
        })
        .collect()
}

fn errors(collected: &Collected) -> BTreeMap<String, u64> {
    let seen = collected.tally.failures.seen();
    seen.map(|(kind, count)| (kind.name().to_owned(), count))
        .collect()
}

fn served_gate(served: u32) -> Gate {
    let limit = 1;
    Gate {
        name: SERVED_GATE.to_owned(),
        limit: f64::from(limit),
        value: Some(f64::from(served)),
        verdict: if served >= limit {
            Verdict::Pass
        } else {
            Verdict::Fail
        },
    }
}

/// Each flag by its long name, as it would have to be typed.
fn echo(config: &Config) -> Map<String, Value> {
    let span = |duration: Duration| cli::units::span(duration);
    let (duration, requests) = match config.stop {
        StopRule::After(length) => (Some(length), None),
        StopRule::Requests(total) => (None, Some(total)),
        StopRule::Either(length, total) => (Some(length), Some(total)),
    };
    let behaviour = config.behaviour;
    let values = json!({
        "connections": config.connections,
        "duration": duration.map(span),
        "requests": requests,
        "threads": config.threads,
        "size": config.message_bytes,
        "warmup": span(config.warmup),
        "seed": config.seed,
        "think": span(behaviour.think),
        "hold": span(behaviour.hold),
        "requests-per-conn": behaviour.requests_per_conn,
        "once": behaviour.once,
        "connect-rate": config.connect_rate_per_s,
        "timeout": config.timeout.map(span),
        "verify": config.verify,
    });
    match values {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

impl Requests {
    /// Whether every request has exactly one end:
    /// `carried_in + sent = answered + errors + timeouts + pending`.
    #[must_use]
    pub const fn balance(&self) -> bool {
        self.carried_in + self.sent == self.answered + self.errors + self.timeouts + self.pending
    }
}

impl Bytes {
    /// Bytes in both directions.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.sent + self.received
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(index: u64, values: &[(u64, u64)]) -> Slice {
        Slice {
            index,
            values: values.to_vec(),
        }
    }

    /// Start, length and answers of each interval.
    fn cut(slices: &[Slice], duration_nanos: u64) -> Vec<(f64, f64, u64)> {
        let intervals = intervals(slices, duration_nanos);
        let parts = intervals.iter().map(|i| (i.at_s, i.length_s, i.answered));
        parts.collect()
    }

    #[test]
    fn slices_of_all_threads_are_added_second_by_second() {
        let slices = [
            slice(0, &[(1_000, 2)]),
            slice(2, &[(9_000, 1)]),
            slice(0, &[(5_000, 1)]),
        ];
        let expected = [(0.0, 1.0, 3), (1.0, 1.0, 0), (2.0, 0.5, 1)];
        assert_eq!(cut(&slices, 2_500_000_000), expected);
        let first = &intervals(&slices, 2_500_000_000)[0];
        assert_eq!((first.p50_us, first.max_us), (Some(1.0), Some(5.0)));
        assert_eq!(intervals(&slices, 2_500_000_000)[1].max_us, None);
    }

    #[test]
    fn a_window_that_ends_a_moment_late_has_no_stub() {
        let one = [slice(0, &[(1_000, 2)])];
        assert_eq!(cut(&one, 1_000_200_000), [(0.0, 1.000_2, 2)]);
        assert_eq!(cut(&one, 300), [(0.0, 3e-7, 2)]);
        assert_eq!(cut(&[], 2_000_000_000), [(0.0, 1.0, 0), (1.0, 1.0, 0)]);
        assert_eq!(cut(&[], 0), []);
    }
}
