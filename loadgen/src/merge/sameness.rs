//! Which reports may be added up: those of one question, asked at one time.

use std::collections::BTreeSet;

use super::{Doubt, MergeError, Part};
use crate::report::Report;

/// What each generator may have of its own: its share of the clients and of the work, the machine
/// it runs on and where its bytes come from.
const OWN: &[&str] = &[
    "connections",
    "shard",
    "threads",
    "processes",
    "seed",
    "bind",
    "start-at",
    "output",
];

/// The largest part of the window that the starts may lie apart.
const APART: f64 = 0.5;

/// Whether the key of a config may differ between generators of one load.
pub(super) fn is_own(key: &str) -> bool {
    OWN.contains(&key)
}

/// Refuses documents of different versions.
///
/// # Errors
///
/// [`MergeError::Schema`].
pub(super) fn same_schema(parts: &[Part]) -> Result<(), MergeError> {
    let Some((first, rest)) = parts.split_first() else {
        return Ok(());
    };
    let differs = |part: &&Part| part.report.schema != first.report.schema;
    rest.iter().find(differs).map_or(Ok(()), |second| {
        Err(MergeError::Schema {
            first: first.name.clone(),
            one: first.report.schema,
            second: second.name.clone(),
            other: second.report.schema,
        })
    })
}

/// Doubts parts that were not asked for the same; it names the first key that differs.
pub(super) fn same_question(parts: &[Part]) -> Option<Doubt> {
    let (first, rest) = parts.split_first()?;
    rest.iter().find_map(|second| {
        let (key, one, other) = difference(&first.report, &second.report)?;
        Some(Doubt::Config {
            first: first.name.clone(),
            second: second.name.clone(),
            key,
            one,
            other,
        })
    })
}

/// The first key in which two reports differ and should not, with both values.
fn difference(one: &Report, other: &Report) -> Option<(String, String, String)> {
    if one.target != other.target {
        let (one, other) = (one.target.clone(), other.target.clone());
        return Some(("target".to_owned(), one, other));
    }
    let keys: BTreeSet<_> = one.config.keys().chain(other.config.keys()).collect();
    let mut keys = keys.into_iter().filter(|key| !is_own(key));
    let key = keys.find(|key| one.config.get(*key) != other.config.get(*key))?;
    let value = |report: &Report| match report.config.get(key) {
        None => "none".to_owned(),
        Some(value) => value.to_string(),
    };
    Some((key.clone(), value(one), value(other)))
}

/// Doubts parts whose windows overlap by less than half: the sum of their rates was never there.
pub(super) fn same_time(parts: &[Part]) -> Option<Doubt> {
    let by_start = |a: &&Part, b: &&Part| {
        let (a, b) = (&a.report, &b.report);
        a.started_unix_s.total_cmp(&b.started_unix_s)
    };
    let (first, last) = (
        parts.iter().min_by(by_start)?,
        parts.iter().max_by(by_start)?,
    );
    let windows = parts.iter().map(|part| part.report.duration_s);
    let window_s = windows.fold(0.0, f64::max);
    let apart_s = last.report.started_unix_s - first.report.started_unix_s;
    (apart_s > window_s * APART).then(|| Doubt::Apart {
        first: first.name.clone(),
        second: last.name.clone(),
        apart_s,
        window_s,
    })
}
