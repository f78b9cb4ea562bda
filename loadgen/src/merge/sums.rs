//! The sums: one function for each part of the document. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{sameness, server};
use crate::report::{
    Audit, BETWEEN, Bytes, Check, Clients, Interval, Latencies, Latency, Life, MOST_LIVES, Machine,
    Profile, Report, Requests, SCHEMA, Schedule, Tool, Verdict, histogram,
};
use crate::samples::BadHistogram;

/// The sum of `parts`, of which there is at least one; its gates are still to be evaluated.
///
/// # Errors
///
/// [`BadHistogram`] when a part holds no histogram.
pub(super) fn add(parts: &[&Report]) -> Result<Report, BadHistogram> {
    let duration_s = parts.iter().map(|p| p.duration_s).fold(0.0, f64::max);
    let requests = requests(parts);
    let clients = clients(parts);
    Ok(Report {
        schema: SCHEMA,
        tool: Tool {
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        target: joined(parts.iter().map(|p| p.target.as_str())),
        config: config(parts, clients.asked),
        machine: machine(parts),
        seed: parts.iter().map(|p| p.seed).min().unwrap_or_default(),
        interrupted: parts.iter().any(|p| p.interrupted),
        duration_s,
        clients,
        requests,
        bytes: Bytes {
            sent: total(parts, |p| p.bytes.sent),
            received: total(parts, |p| p.bytes.received),
        },
        mismatches: total(parts, |p| p.mismatches),
        rate_per_s: (duration_s > 0.0).then(|| requests.answered as f64 / duration_s),
        latency: latencies(parts)?,
        intervals: intervals(parts)?,
        errors: errors(parts),
        audit: audit(parts),
        gates: parts.iter().flat_map(|p| p.gates.clone()).collect(),
        examples: examples(parts),
        schedule: schedule(parts, duration_s, requests.answered),
        profiles: profiles(parts)?,
        server: server::add(parts, requests.answered),
        // A median of a sample of connections cannot be added to another one.
        tcp: None,
        lives: lives(parts),
        started_unix_s: parts
            .iter()
            .map(|p| p.started_unix_s)
            .fold(f64::MAX, f64::min),
        merged: parts.iter().fold(0, |sum, p| sum.saturating_add(p.merged)),
    })
}

/// The sum of a count; one that a file exaggerates stays at the most that can be said.
fn total(parts: &[&Report], count: impl Fn(&Report) -> u64) -> u64 {
    let counts = parts.iter().map(|part| count(part));
    counts.fold(0, u64::saturating_add)
}

/// What different generators said, each once, in the order of the alphabet.
pub(super) fn joined<'a>(said: impl Iterator<Item = &'a str>) -> String {
    let each: BTreeSet<_> = said.flat_map(|text| text.split(BETWEEN)).collect();
    each.into_iter().collect::<Vec<_>>().join(BETWEEN)
}

/// What was asked for: the clients of all, and a list where generators differ.
fn config(parts: &[&Report], asked: u32) -> Map<String, Value> {
    let mut merged = Map::new();
    for key in parts.iter().flat_map(|p| p.config.keys()) {
        if !merged.contains_key(key) {
            let value = if key == "connections" {
                asked.into()
            } else {
                alike(parts, key)
            };
            merged.insert(key.clone(), value);
        }
    }
    merged
}

fn alike(parts: &[&Report], key: &str) -> Value {
    let mut distinct: BTreeMap<String, Value> = BTreeMap::new();
    for part in parts {
        let value = part.config.get(key).unwrap_or(&Value::Null);
        match value {
            // The list of an earlier sum is taken apart, so that it does not matter who is first.
            Value::Array(list) if part.merged > 1 && sameness::is_own(key) => {
                distinct.extend(list.iter().map(|v| (v.to_string(), v.clone())));
            }
            _ => drop(distinct.insert(value.to_string(), value.clone())),
        }
    }
    let mut values: Vec<Value> = distinct.into_values().collect();
    match values.len() {
        1 => values.swap_remove(0),
        _ => Value::Array(values),
    }
}

/// The largest number of processors and all kernels.
fn machine(parts: &[&Report]) -> Machine {
    Machine {
        cpus: parts
            .iter()
            .map(|p| p.machine.cpus)
            .max()
            .unwrap_or_default(),
        kernel: joined(parts.iter().map(|p| p.machine.kernel.as_str())),
    }
}

fn clients(parts: &[&Report]) -> Clients {
    let sum = |count: fn(&Clients) -> u32| {
        let counts = parts.iter().map(|p| count(&p.clients));
        counts.fold(0, u32::saturating_add)
    };
    let asked = sum(|c| c.asked);
    let fairness = fairness(parts, asked);
    Clients {
        asked,
        connected: sum(|c| c.connected),
        served: sum(|c| c.served),
        starved: sum(|c| c.starved),
        lost: sum(|c| c.lost),
        fairness,
        effective: fairness.map(|fairness| fairness * f64::from(asked)),
    }
}

/// Jain's index of all clients. That of a part, F = S² / (n · Q), gives back its sum of squares Q.
fn fairness(parts: &[&Report], asked: u32) -> Option<f64> {
    let mut sum = 0.0;
    let mut squares = 0.0;
    for part in parts {
        if let Some(fairness) = part.clients.fairness.filter(|f| *f > 0.0) {
            let answered = part.requests.answered as f64;
            sum += answered;
            squares += answered * answered / (f64::from(part.clients.asked) * fairness);
        }
    }
    (squares > 0.0).then(|| sum * sum / (f64::from(asked) * squares))
}

fn requests(parts: &[&Report]) -> Requests {
    let sum = |count: fn(&Requests) -> u64| total(parts, |p| count(&p.requests));
    Requests {
        carried_in: sum(|r| r.carried_in),
        sent: sum(|r| r.sent),
        answered: sum(|r| r.answered),
        errors: sum(|r| r.errors),
        timeouts: sum(|r| r.timeouts),
        pending: sum(|r| r.pending),
        late: sum(|r| r.late),
        unsent: sum(|r| r.unsent),
        late_answers: sum(|r| r.late_answers),
    }
}

fn latencies(parts: &[&Report]) -> Result<Latencies, BadHistogram> {
    let add = |wait: fn(&Latencies) -> &Option<Latency>| {
        histogram::add(parts.iter().filter_map(|p| wait(&p.latency).as_ref()))
    };
    Ok(Latencies {
        connect: add(|l| &l.connect)?,
        admission: add(|l| &l.admission)?,
        rtt: add(|l| &l.rtt)?,
        response: add(|l| &l.response)?,
        lag: add(|l| &l.lag)?,
    })
}

/// The first second of all, then the second one, as far as the longest part goes.
fn intervals(parts: &[&Report]) -> Result<Vec<Interval>, BadHistogram> {
    let most = parts.iter().map(|p| p.intervals.len()).max();
    (0..most.unwrap_or_default())
        .map(|index| {
            let slices: Vec<_> = parts
                .iter()
                .filter_map(|p| p.intervals.get(index))
                .collect();
            histogram::add_intervals(&slices)
        })
        .collect()
}

fn errors(parts: &[&Report]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (kind, count) in parts.iter().flat_map(|p| &p.errors) {
        let sum: &mut u64 = sums.entry(kind.clone()).or_default();
        *sum = sum.saturating_add(*count);
    }
    sums
}

/// Of the examples of a kind the first in the alphabet, so that the order of the parts is no matter.
fn examples(parts: &[&Report]) -> BTreeMap<String, String> {
    let mut examples: BTreeMap<String, String> = BTreeMap::new();
    for (kind, text) in parts.iter().flat_map(|p| &p.examples) {
        let known = examples.entry(kind.clone()).or_insert_with(|| text.clone());
        if text < known {
            known.clone_from(text);
        }
    }
    examples
}

/// The worst verdict of each check, with all that was said of it.
fn audit(parts: &[&Report]) -> Audit {
    let mut audit = Audit {
        verdict: Verdict::Pass,
        checks: Vec::new(),
    };
    for check in parts.iter().flat_map(|p| &p.audit.checks) {
        include(&mut audit, check);
    }
    // A part may have a verdict without a check that explains it.
    let verdicts = parts.iter().map(|p| p.audit.verdict);
    audit.verdict = verdicts.fold(audit.verdict, Verdict::max);
    audit
}

/// Adds a warning.
pub(super) fn note(audit: &mut Audit, name: &str, detail: String) {
    let warning = Check {
        name: name.to_owned(),
        verdict: Verdict::Warn,
        detail,
    };
    include(audit, &warning);
}

fn include(audit: &mut Audit, check: &Check) {
    audit.verdict = audit.verdict.max(check.verdict);
    match audit
        .checks
        .iter_mut()
        .find(|known| known.name == check.name)
    {
        Some(known) => {
            known.verdict = known.verdict.max(check.verdict);
            let both = [known.detail.as_str(), check.detail.as_str()];
            known.detail = joined(both.into_iter());
        }
        None => audit.checks.push(check.clone()),
    }
}

fn schedule(parts: &[&Report], duration_s: f64, answered: u64) -> Option<Schedule> {
    let schedules: Vec<Schedule> = parts.iter().filter_map(|p| p.schedule).collect();
    let sum = |count: fn(&Schedule) -> u64| {
        let counts = schedules.iter().map(count);
        counts.fold(0, u64::saturating_add)
    };
    let due = sum(|s| s.due);
    (!schedules.is_empty()).then(|| Schedule {
        due,
        offered_per_s: (duration_s > 0.0).then(|| due as f64 / duration_s),
        rate_ratio: (due > 0).then(|| answered as f64 / due as f64),
        own_late: sum(|s| s.own_late),
        own_unsent: sum(|s| s.own_unsent),
    })
}

/// The profiles by name, in the order of their first appearance.
fn profiles(parts: &[&Report]) -> Result<Vec<Profile>, BadHistogram> {
    let mut groups: Vec<Vec<&Profile>> = Vec::new();
    for profile in parts.iter().flat_map(|p| &p.profiles) {
        let same = |group: &&mut Vec<&Profile>| group.iter().any(|p| p.name == profile.name);
        match groups.iter_mut().find(same) {
            Some(group) => group.push(profile),
            None => groups.push(vec![profile]),
        }
    }
    groups.iter().map(|group| profile(group)).collect()
}

fn profile(group: &[&Profile]) -> Result<Profile, BadHistogram> {
    let sum = |count: fn(&Profile) -> u32| {
        let counts = group.iter().map(|p| count(p));
        counts.fold(0, u32::saturating_add)
    };
    Ok(Profile {
        name: group.first().map_or(String::new(), |p| p.name.clone()),
        asked: sum(|p| p.asked),
        connected: sum(|p| p.connected),
        served: sum(|p| p.served),
        starved: sum(|p| p.starved),
        answered: group
            .iter()
            .fold(0, |sum, p| sum.saturating_add(p.answered)),
        rtt: histogram::add(group.iter().filter_map(|p| p.rtt.as_ref()))?,
    })
}

/// The clients of all, unless they are too many or somebody does not list theirs.
fn lives(parts: &[&Report]) -> Vec<Life> {
    let is_short = |p: &&Report| p.lives.is_empty() && p.clients.asked > 0;
    let lives: Vec<Life> = parts.iter().flat_map(|p| p.lives.clone()).collect();
    if parts.iter().any(is_short) || lives.len() > MOST_LIVES {
        return Vec::new();
    }
    lives
}
