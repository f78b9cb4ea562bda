//! Which servers are measured under which loads, and the rows that come of it. Pure.

use std::num::NonZeroU32;
use std::time::Duration;

use loadgen::schedule::Arrivals;

use super::observation::{Cell, Observation, Row};
use super::words;
use super::{Fault, OFFERED_SHARE, Plan, WARMUP};
use crate::load::Load;
use crate::stats::Interval;
use crate::subject::Subject;

/// One server under one kind of load.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) subject: Subject,
    control: bool,
    clients: NonZeroU32,
    size: NonZeroU32,
    /// Requests per second of the equal load, once that is known.
    offered_per_s: Option<f64>,
    pub(super) syscalls_per_answer: Option<f64>,
    pub(super) saturated: Vec<Observation>,
    pub(super) offered: Vec<Observation>,
}

impl Series {
    pub(super) fn load(&self, window: Duration) -> Load {
        Load::busy(self.clients, window)
            .after(WARMUP)
            .sized(self.size)
    }

    pub(super) fn equal_load(&self, window: Duration) -> Option<Load> {
        let load = self.load(window);
        self.offered_per_s
            .map(|rate| load.at(rate, Arrivals::Poisson))
    }

    /// Whether `other` has as many clients, and messages as long.
    fn is_asked_as(&self, other: &Self) -> bool {
        (self.clients, self.size) == (other.clients, other.size)
    }

    /// Answers per second at saturation, if it can be compared at all.
    fn reached_per_s(&self) -> Option<f64> {
        let row = Row::of(self.cell(None), &self.saturated)?;
        row.figures
            .rate_per_s
            .filter(|_| row.comparable())
            .map(|rate: Interval| rate.middle)
    }

    fn cell(&self, offered_per_s: Option<f64>) -> Cell {
        let again = if self.control { " (again)" } else { "" };
        let subject = format!("{}{again}", self.subject.name);
        let (clients, size) = (self.clients.get(), self.size.get());
        let kind = match offered_per_s {
            None => "saturation",
            Some(_) => "equal load",
        };
        Cell {
            name: format!("{subject}, {}, {kind}", words::load(clients, size)),
            subject,
            control: self.control,
            size_bytes: self.size.get(),
            offered_per_s,
        }
    }
}

/// Everybody under every load, and the first once more.
pub(super) fn of(plan: &Plan) -> Vec<Series> {
    let again = match plan.fault {
        Some(Fault::OtherControl) => plan.subjects.last().cloned(),
        _ => plan.subjects.first().cloned(),
    };
    // However it is started, it is said to be the first.
    let again = again
        .zip(plan.subjects.first())
        .map(|(again, first)| again.named(first.name.as_str()));
    let mut all = Vec::new();
    for (clients, size) in loads(plan) {
        let subjects = plan
            .subjects
            .iter()
            .cloned()
            .map(|subject| (subject, false));
        let control = again.clone().map(|subject| (subject, true));
        all.extend(subjects.chain(control).map(|(subject, control)| Series {
            subject,
            control,
            clients,
            size,
            offered_per_s: None,
            syscalls_per_answer: None,
            saturated: Vec::new(),
            offered: Vec::new(),
        }));
    }
    all
}

fn loads(plan: &Plan) -> impl Iterator<Item = (NonZeroU32, NonZeroU32)> {
    let sizes = |clients: NonZeroU32| plan.sizes.iter().map(move |size| (clients, *size));
    plan.clients.iter().copied().flat_map(sizes)
}

/// What was seen of a series under one of its loads, and how many requests a second were due.
type Seen = fn(&Series) -> (Option<f64>, &Vec<Observation>);

/// The rows of all series, first at saturation and then at their equal load, each with its verdict.
pub(super) fn rows(all: &[Series]) -> Vec<Row> {
    let loads: [Seen; 2] = [
        |series| (None, &series.saturated),
        |series| (series.offered_per_s, &series.offered),
    ];
    let rows = loads.into_iter().map(|seen| {
        all.iter()
            .filter_map(move |series| judged(all, series, seen))
    });
    rows.flatten().collect()
}

fn judged(all: &[Series], series: &Series, seen: Seen) -> Option<Row> {
    let row = |series: &Series| {
        let (offered_per_s, runs) = seen(series);
        Row::of(series.cell(offered_per_s), runs)
    };
    let mut peers = all.iter().filter(|peer| peer.is_asked_as(series));
    let first = peers.next()?;
    let again = peers.find(|peer| peer.control)?;
    let mut judged = row(series)?;
    judged.syscalls_per_answer = seen(series).0.and(series.syscalls_per_answer);
    let is_first = std::ptr::eq(first, series);
    if let (false, Some(of_first), Some(of_again)) = (is_first, row(first), row(again)) {
        judged.judge(
            seen(series).1,
            (&of_first, seen(first).1),
            (&of_again, seen(again).1),
        );
    }
    Some(judged)
}

/// Decides on the equal load for each number of clients and length of message: what the slowest of those
/// reaches that serve everybody, times [`OFFERED_SHARE`].
pub(super) fn choose_loads(all: &mut [Series]) {
    let reached: Vec<Option<f64>> = all.iter().map(Series::reached_per_s).collect();
    let alike =
        |one: &Series, other: &Series| (one.clients, one.size) == (other.clients, other.size);
    let chosen: Vec<Option<f64>> = all
        .iter()
        .zip(&reached)
        .map(|(series, own)| {
            let peers = all
                .iter()
                .zip(&reached)
                .filter(|(peer, _)| alike(series, peer));
            let slowest = peers
                .filter_map(|(_, reached)| *reached)
                .min_by(f64::total_cmp);
            own.and(slowest).map(readable).filter(|rate| *rate > 0.0)
        })
        .collect();
    for (series, rate) in all.iter_mut().zip(chosen) {
        series.offered_per_s = rate;
    }
}

/// The equal load with three digits, rounded down: it stands in tables.
fn readable(slowest_per_s: f64) -> f64 {
    let rate = slowest_per_s * OFFERED_SHARE;
    let unit = 10_f64.powf(rate.log10().floor() - 2.0);
    if unit.is_normal() {
        (rate / unit).floor() * unit
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::judge::Conclusion;
    use crate::compare::observation::tests::seen;
    use server::work::Work;
    use std::num::NonZeroUsize;

    fn plan(fault: Option<Fault>) -> Plan {
        Plan {
            subjects: ["async", "rayon"]
                .map(|mode| Subject::own(mode, 4))
                .to_vec(),
            left_out: vec![],
            clients: [1, 50].into_iter().filter_map(NonZeroU32::new).collect(),
            sizes: [64, 16384]
                .into_iter()
                .filter_map(NonZeroU32::new)
                .collect(),
            work: Work::None,
            repeats: NonZeroUsize::MIN,
            window: Duration::from_secs(1),
            pin: None,
            fault,
        }
    }

    #[test]
    fn every_load_has_its_own_control_and_everybody_once() {
        let all = of(&plan(None));
        assert_eq!(all.len(), 2 * 2 * 3);
        for (clients, size) in loads(&plan(None)) {
            let alike = all
                .iter()
                .filter(|one| (one.clients, one.size) == (clients, size));
            let names: Vec<(String, String)> = alike
                .map(|one| (one.cell(None).subject, one.subject.command_line(0)))
                .collect();
            let [first, _, again] = names.as_slice() else {
                panic!("{names:?}")
            };
            assert_eq!(
                (first.0.as_str(), again.0.as_str()),
                ("async", "async (again)")
            );
            assert_eq!(first.1, again.1);
        }
        let faulty = of(&plan(Some(Fault::OtherControl)));
        assert!(faulty[2].subject.command_line(0).contains("rayon"));
    }

    /// Series whose runs at saturation had these rates and numbers of clients served.
    fn saturated(first: f64, others: [(f64, u32); 2]) -> Vec<Series> {
        let mut all = of(&plan(None));
        all.truncate(3);
        let [other, again] = others;
        for (series, (rate, served)) in all.iter_mut().zip([(first, 50), other, again]) {
            let noise = [1.0, 1.01, 0.99, 1.0, 1.02];
            series.saturated = noise.map(|noise| seen(served, rate * noise)).to_vec();
        }
        all
    }

    #[test]
    fn a_control_that_is_another_server_lets_nothing_be_ranked() {
        let conclusion = |again: f64| {
            let all = saturated(100.0, [(150.0, 50), (again, 50)]);
            let rows = rows(&all);
            let of = |index: usize| {
                rows[index]
                    .against_first
                    .map(|figures| figures.rate_per_s.conclusion)
            };
            (of(0), of(1), of(2))
        };
        let (higher, same) = (Some(Conclusion::Higher), Some(Conclusion::NoDifference));
        assert_eq!(conclusion(100.0), (None, higher, same));
        let (_, other, again) = conclusion(130.0);
        assert_eq!((other, again), (Some(Conclusion::ControlDiffers), higher));
    }

    #[test]
    fn the_equal_load_is_half_of_the_slowest_that_serves_everybody() {
        let mut all = saturated(1000.0, [(90.0, 4), (800.0, 50)]);
        choose_loads(&mut all);
        let chosen: Vec<Option<f64>> = all.iter().map(|one| one.offered_per_s).collect();
        assert_eq!(chosen, [Some(400.0), None, Some(400.0)]);
    }

    #[test]
    fn the_equal_load_can_be_read() {
        assert_eq!(readable(246_913.5), 123_000.0);
        assert_eq!(readable(24.69), 12.3);
        assert_eq!(readable(0.0), 0.0);
    }
}
