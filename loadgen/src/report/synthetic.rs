//! Reports of runs that never were, with real histograms, for what reads reports back.

use super::{Interval, Latency, Profile, Report, Schedule, Verdict, sample};
use crate::samples::{Censored, P50, P99, Samples};
use crate::time::micros;

/// The distribution of `nanos`; `waiting` have not ended.
pub(crate) fn latency(nanos: &[u64], waiting: &[u64]) -> Option<Latency> {
    samples(nanos).summary(&Censored::beyond(waiting, None))
}

fn samples(nanos: &[u64]) -> Samples {
    let mut samples = Samples::new();
    nanos.iter().for_each(|value| samples.record(*value));
    samples
}

/// One second in which requests took `nanos`.
pub(crate) fn interval(index: u32, nanos: &[u64]) -> Interval {
    let samples = samples(nanos);
    Interval {
        at_s: f64::from(index),
        length_s: 1.0,
        answered: samples.count(),
        p50_us: samples.quantile_us(P50, 0),
        p99_us: samples.quantile_us(P99, 0),
        max_us: samples.max_nanos().map(micros),
        failed: 0,
        histogram: samples.encoded(),
        response: None,
    }
}

/// A closed loop of `clients` served clients with these round trips, second by second; half of
/// the clients answer three times as often as the others would in a fair world.
pub(crate) fn closed(clients: u32, seconds: &[Vec<u64>]) -> Report {
    let all: Vec<u64> = seconds.concat();
    let answered = all.len() as u64;
    let mut report = sample::healthy();
    report
        .config
        .insert("connections".to_owned(), clients.into());
    report.config.insert("size".to_owned(), 64.into());
    report.clients.asked = clients;
    report.clients.connected = clients;
    report.clients.served = clients;
    report.clients.fairness = (answered > 0).then_some(0.8);
    report.clients.effective = report.clients.fairness.map(|f| f * f64::from(clients));
    report.duration_s = seconds.len() as f64;
    report.requests = super::Requests {
        sent: answered,
        answered,
        ..super::Requests::default()
    };
    report.rate_per_s = (report.duration_s > 0.0).then(|| answered as f64 / report.duration_s);
    report.latency.connect = latency(&[140_000; 3], &[]);
    report.latency.admission = latency(&[200_000; 3], &[]);
    report.latency.rtt = latency(&all, &[]);
    report.intervals = (0..)
        .zip(seconds)
        .map(|(at, nanos)| interval(at, nanos))
        .collect();
    report.profiles = vec![Profile {
        name: "echo".to_owned(),
        asked: clients,
        connected: clients,
        served: clients,
        starved: 0,
        answered,
        rtt: latency(&all, &[]),
    }];
    report
}

/// The same as an open loop, whose responses took `response` nanoseconds.
pub(crate) fn open(clients: u32, response: &[u64]) -> Report {
    let mut report = closed(clients, &[response.iter().map(|nanos| nanos / 2).collect()]);
    report.latency.response = latency(response, &[]);
    report.schedule = Some(Schedule {
        due: response.len() as u64,
        offered_per_s: Some(response.len() as f64),
        rate_ratio: Some(1.0),
        own_late: 0,
        own_unsent: 0,
    });
    report.gates.truncate(1);
    report.audit.verdict = Verdict::Pass;
    report
}
