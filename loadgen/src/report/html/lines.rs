//! Runs sorted into lines: what grows along a line, and what makes another line.

use std::collections::BTreeMap;

use serde_json::Value;

use super::verdict;
use crate::report::Report;
use crate::svg::Series;

/// Flags that make points of one line instead of lines of their own.
const ALONG: [&str; 7] = [
    "connections",
    "rate",
    "seed",
    "requests",
    "duration",
    "warmup",
    "threads",
];

/// A figure of a run.
pub(super) type Figure = fn(&Report) -> Option<f64>;

/// The runs sorted into lines: those that differ in nothing but how many clients there are and how
/// much they ask for are points of one line.
pub(super) struct Lines {
    names: Vec<String>,
    members: Vec<Vec<usize>>,
}

impl Lines {
    /// Sorts `reports`.
    pub(super) fn of(reports: &[Report]) -> Self {
        let mut flags: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for (flag, value) in reports.iter().flat_map(|report| &report.config) {
            let values = flags.entry(flag).or_default();
            if !ALONG.contains(&flag.as_str()) && !values.contains(&value) {
                values.push(value);
            }
        }
        flags.retain(|_, values| values.len() > 1);
        let mut lines = Self {
            names: Vec::new(),
            members: Vec::new(),
        };
        for (index, report) in reports.iter().enumerate() {
            lines.add(index, name(report, flags.keys().copied()));
        }
        lines
    }

    fn add(&mut self, index: usize, name: String) {
        match self.names.iter().position(|known| *known == name) {
            Some(line) => self.members[line].push(index),
            None => {
                self.names.push(name);
                self.members.push(vec![index]);
            }
        }
    }

    /// The lines along which `along` changes, in its order; without an x a run has no place.
    pub(super) fn series(
        &self,
        reports: &[Report],
        along: Figure,
        (x, y): (Figure, Figure),
    ) -> Vec<Series> {
        let lines = self.names.iter().zip(&self.members);
        let lines = lines.filter_map(|(name, members)| {
            let runs = members.iter().map(|index| &reports[*index]);
            let mut runs: Vec<_> = runs
                .filter_map(|run| Some((along(run)?, x(run)?, run)))
                .collect();
            runs.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (first, last) = (runs.first()?.0, runs.last()?.0);
            let doubtful = runs
                .iter()
                .enumerate()
                .filter(|(_, run)| verdict::doubtful(run.2));
            (first < last).then(|| Series {
                name: name.clone(),
                points: runs.iter().map(|(_, x, run)| (*x, y(run))).collect(),
                hollow: doubtful.map(|(place, _)| place).collect(),
                ..Series::default()
            })
        });
        lines.collect()
    }

    /// Whether `along` changes along any line.
    pub(super) fn change(&self, reports: &[Report], along: Figure) -> bool {
        !self.series(reports, along, (along, along)).is_empty()
    }
}

/// The target and those flags in which the runs differ.
fn name<'a>(report: &Report, flags: impl Iterator<Item = &'a str>) -> String {
    let mut name = report.target.clone();
    for (flag, value) in flags.filter_map(|flag| Some((flag, report.config.get(flag)?))) {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        name.push_str(&format!(" {flag} {value}"));
    }
    name
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::sample;

    pub(in super::super) fn run(connections: u32, size: u32) -> Report {
        let mut report = sample::healthy();
        report.clients.asked = connections;
        report
            .config
            .insert("connections".into(), connections.into());
        report.config.insert("size".into(), size.into());
        report
    }

    #[test]
    fn runs_that_differ_in_clients_only_are_one_line() {
        let reports = [run(50, 64), run(4, 64), run(4, 1460)];
        let lines = Lines::of(&reports);
        assert_eq!(
            lines.names,
            ["127.0.0.1:7007 size 64", "127.0.0.1:7007 size 1460"]
        );
        let asked: Figure = |run| Some(f64::from(run.clients.asked));
        let series = lines.series(&reports, asked, (asked, |run| run.rate_per_s));
        assert_eq!(series.len(), 1, "one run alone is no line");
        assert_eq!(
            series[0].points,
            [(4.0, Some(95_100.0)), (50.0, Some(95_100.0))]
        );
    }

    #[test]
    fn a_run_that_starved_clients_is_a_hollow_point() {
        let mut reports = [run(4, 64), run(50, 64)];
        reports[1].clients.starved = 46;
        let asked: Figure = |run| Some(f64::from(run.clients.asked));
        let series = Lines::of(&reports).series(&reports, asked, (asked, asked));
        assert_eq!(series[0].hollow, [1]);
    }
}
