//! From counters to the document: sums, rates, percentiles. Pure, except for what it says about
//! the machine.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use super::{
    Audit, Bytes, Clients, Latencies, Latency, Life, MOST_LIVES, Machine, Profile, Report,
    Requests, SCHEMA, Schedule, Server, Tool, Verdict, intervals, settings,
};
use crate::audit;
use crate::census::{Census, fairness};
use crate::engine::Collected;
use crate::samples::Censored;
use crate::tally::Kept;
use crate::time::seconds;
use crate::{ClientRecord, Config, Outcome, gates, kernel};

/// Turns what was counted into what is reported.
pub(crate) fn outcome(config: &Config, collected: Collected) -> Outcome {
    let mut report = report(config, &collected);
    report.audit = audit::audit(config, &collected, &report);
    report.gates = gates::evaluate(&[], &report);
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
        tool: Tool::this(),
        target: config.target(),
        config: settings::of(config),
        machine: Machine::this(),
        seed: config.seed,
        interrupted: collected.was_interrupted(),
        duration_s: seconds(duration_nanos),
        clients,
        requests: tally.requests,
        bytes: tally.bytes,
        mismatches: tally.mismatches,
        rate_per_s: (duration_nanos > 0).then(|| answered as f64 / seconds(duration_nanos)),
        latency: latencies(collected),
        intervals: intervals::of(&tally.slices, tally.pace(), duration_nanos),
        errors: errors(collected),
        audit: Audit {
            verdict: Verdict::Pass,
            checks: Vec::new(),
        },
        gates: Vec::new(),
        examples: examples(collected),
        schedule: schedule(collected, duration_nanos),
        profiles: profiles(config, collected),
        server: server(collected),
        tcp: collected.tcp.report(),
        lives: lives(&collected.census),
        started_unix_s: collected.started_unix_s,
        merged: 1,
    }
}

fn server(collected: &Collected) -> Option<Server> {
    let (first, last) = collected.seen.as_ref()?;
    let answered = collected.tally.requests.answered;
    let trouble = collected.trouble.unwrap_or_default();
    Some(Server::between(first, last, answered, trouble))
}

/// The clients one by one, unless there are too many of them.
fn lives(census: &Census) -> Vec<Life> {
    if census.records.len() > MOST_LIVES {
        return Vec::new();
    }
    let mut records = census.records.clone();
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
    let asked = config.own_connections();
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
    let kept = tally.kept.as_deref();
    Latencies {
        connect: tally.connect.summary(&connecting),
        admission: tally.admission.summary(&census.unadmitted),
        rtt: tally.rtt.summary(&unanswered),
        response: kept.and_then(response),
        lag: kept.and_then(|kept| kept.lag.summary(&Censored::default())),
    }
}

/// Waits from the due time. A request that was never sent has waited too: what the server, or
/// whoever, kept from being sent must not look as if it had never been due.
fn response(kept: &Kept) -> Option<Latency> {
    let longest = kept.response.max_nanos();
    let mut unanswered = kept.timed_out;
    unanswered.merge(&Censored::beyond(&kept.pending_nanos, longest));
    unanswered.merge(&kept.unsent.beyond(longest));
    kept.response.summary(&unanswered)
}

fn schedule(collected: &Collected, duration_nanos: u64) -> Option<Schedule> {
    let kept = collected.tally.kept.as_deref()?;
    let answered = collected.tally.requests.answered as f64;
    let due = kept.due as f64;
    Some(Schedule {
        due: kept.due,
        offered_per_s: (duration_nanos > 0).then(|| due / seconds(duration_nanos)),
        rate_ratio: (kept.due > 0).then(|| answered / due),
        own_late: kept.own_late,
        own_unsent: kept.own_unsent,
    })
}

fn profiles(config: &Config, collected: &Collected) -> Vec<Profile> {
    let Collected { tally, census, .. } = collected;
    let kinds = tally.kinds.iter().zip(&census.kinds);
    let kinds = config.profiles.iter().zip(kinds);
    kinds
        .map(|(share, (counted, seen))| Profile {
            name: share.profile.name().to_owned(),
            asked: seen.clients,
            connected: counted.connected,
            served: counted.served,
            starved: seen.starved,
            answered: seen.answered,
            rtt: counted.rtt.summary(&Censored::default()),
        })
        .collect()
}

fn examples(collected: &Collected) -> BTreeMap<String, String> {
    let examples = collected.tally.failures.examples();
    examples
        .map(|(kind, example)| (kind.name().to_owned(), example.to_string()))
        .collect()
}

fn errors(collected: &Collected) -> BTreeMap<String, u64> {
    let seen = collected.tally.failures.seen();
    seen.map(|(kind, count)| (kind.name().to_owned(), count))
        .collect()
}

impl Tool {
    /// This program.
    pub(crate) fn this() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl Machine {
    /// This machine.
    pub(crate) fn this() -> Self {
        Self {
            cpus: thread::available_parallelism().map_or(1, usize::from),
            kernel: kernel::release(),
        }
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
