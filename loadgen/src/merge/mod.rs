//! Adds up the reports of several generators that loaded one server at the same time.
//!
//! ```text
//! parts ──▶ may they be added? (sameness) ──▶ sums (sums, report::histogram) ──▶ gates, anew
//! ```
//!
//! Counts are summed and histograms are added; no percentile is ever averaged. The order of the
//! parts makes no difference to any figure, and neither does adding some of them first. What cannot
//! be added is left out: the kernel's view of a sample of connections, and the clients one by one
//! where they are too many or a part does not list them.

mod sameness;
mod server;
mod sums;

use crate::gates::{self, Promise};
use crate::report::Report;
use crate::samples::BadHistogram;

/// The check that tells of a sum that was forced.
const FORCED: &str = "merge-forced";

/// One of the reports, with the name that messages call it by.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Where it was read from.
    pub name: String,
    /// What was found there.
    pub report: Report,
}

/// What to do with parts that do not belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mixed {
    /// Refuse them.
    Refuse,
    /// Add them up all the same.
    Add,
}

/// Why reports cannot be added up.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// There is no report.
    #[error("there is nothing to merge; name at least one result")]
    Nothing,
    /// The documents are of different versions.
    #[error(
        "{first} has schema {one} and {second} has schema {other}; results of one version can be merged"
    )]
    Schema {
        /// A part.
        first: String,
        /// Its schema.
        one: u32,
        /// Another part.
        second: String,
        /// The schema of that.
        other: u32,
    },
    /// They are not the parts of one load.
    #[error("{0}; use --force to merge them all the same")]
    Mixed(Doubt),
    /// A histogram cannot be read.
    #[error("{name} holds a histogram that cannot be read: {source}")]
    Histogram {
        /// The part.
        name: String,
        /// Why.
        source: BadHistogram,
    },
}

/// Why reports do not seem to be the parts of one load.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Doubt {
    /// The generators were not asked for the same.
    #[error("{first} and {second} differ in {key} ({one} and {other})")]
    Config {
        /// A part.
        first: String,
        /// Another part.
        second: String,
        /// What they differ in.
        key: String,
        /// What the first says.
        one: String,
        /// What the second says.
        other: String,
    },
    /// Their windows hardly overlap.
    #[error(
        "{first} and {second} began {apart_s:.1} s apart and their windows last {window_s:.1} s, so \
         they did not run at the same time"
    )]
    Apart {
        /// The earlier one.
        first: String,
        /// The later one.
        second: String,
        /// Time between their starts in seconds.
        apart_s: f64,
        /// The longer window in seconds.
        window_s: f64,
    },
}

/// Adds `parts` up and evaluates what they were promised, and `promises`, on the sum.
///
/// # Errors
///
/// [`MergeError`] when they do not belong together (unless `mixed` says to add them all the same)
/// or one of them cannot be read.
pub fn merge(parts: &[Part], mixed: Mixed, promises: &[Promise]) -> Result<Report, MergeError> {
    sameness::same_schema(parts)?;
    let doubt = sameness::same_question(parts).or_else(|| sameness::same_time(parts));
    if let Some(doubt) = doubt.clone().filter(|_| mixed == Mixed::Refuse) {
        return Err(MergeError::Mixed(doubt));
    }
    for part in parts {
        readable(part)?;
    }
    let mut reports: Vec<&Report> = parts.iter().map(|part| &part.report).collect();
    // Lists keep the order of the starts, whatever the order on the command line.
    reports.sort_by(|a, b| {
        let time = a.started_unix_s.total_cmp(&b.started_unix_s);
        time.then_with(|| order(a).cmp(&order(b)))
    });
    let mut report = match reports.as_slice() {
        [] => return Err(MergeError::Nothing),
        [only] => (*only).clone(),
        several => sums::add(several).map_err(|source| MergeError::Histogram {
            name: "the sum".to_owned(),
            source,
        })?,
    };
    if let Some(doubt) = doubt {
        sums::note(&mut report.audit, FORCED, doubt.to_string());
    }
    report.gates = gates::evaluate_again(promises, &report);
    Ok(report)
}

/// Tells reports apart that began at the same moment.
fn order(report: &Report) -> (String, u64, u64) {
    let config = serde_json::Value::Object(report.config.clone()).to_string();
    (config, report.requests.answered, report.bytes.received)
}

/// Whether every histogram of the part can be read.
fn readable(part: &Part) -> Result<(), MergeError> {
    let report = &part.report;
    let all = &report.latency;
    let waits = [
        &all.connect,
        &all.admission,
        &all.rtt,
        &all.response,
        &all.lag,
    ];
    let waits = waits.into_iter().flatten();
    let profiles = report.profiles.iter().filter_map(|p| p.rtt.as_ref());
    let read = waits
        .chain(profiles)
        .try_for_each(|latency| latency.samples().map(drop))
        .and_then(|()| {
            report.intervals.iter().try_for_each(|interval| {
                interval.samples()?;
                interval
                    .response
                    .as_ref()
                    .map_or(Ok(()), |r| r.samples().map(drop))
            })
        });
    read.map_err(|source| MergeError::Histogram {
        name: part.name.clone(),
        source,
    })
}

#[cfg(test)]
mod tests;
