//! A comparison under way: which series there are, what has been seen of each, and the next run.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use loadgen::schedule::Arrivals;

use super::fresh::{self, Identity};
use super::observation::{Cell, Observation, Row};
use super::syscalls::Counter;
use super::{Comparison, Conditions, Fault, OFFERED_SHARE, Plan, WARMUP};
use crate::bench::{Bench, Failure, RunNote};
use crate::load::{Load, Measured};
use crate::process::ServerProcess;
use crate::stats::Interval;
use crate::subject::Subject;
use crate::usage;

/// How long system calls are counted.
const COUNTED: Duration = Duration::from_millis(400);
/// How long the load lasts then: the counter takes its time to begin.
const COUNTED_LOAD: Duration = Duration::from_millis(1200);

/// One server under one kind of load.
#[derive(Debug)]
struct Series {
    subject: Subject,
    control: bool,
    clients: NonZeroU32,
    size: NonZeroU32,
    /// Requests per second of the equal load, once that is known.
    offered_per_s: Option<f64>,
    syscalls_per_answer: Option<f64>,
    saturated: Vec<Observation>,
    offered: Vec<Observation>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Sitting<'a> {
    bench: &'a mut Bench,
    plan: &'a Plan,
    conditions: Conditions,
    series: Vec<Series>,
    /// Every server that was measured, once for each measurement.
    measured: Vec<Identity>,
    /// With [`Fault::KeptServer`], the servers by series.
    kept: HashMap<usize, ServerProcess>,
    runs: Vec<RunNote>,
    seed: u64,
}

impl<'a> Sitting<'a> {
    pub(super) fn new(bench: &'a mut Bench, plan: &'a Plan, conditions: Conditions) -> Self {
        Self {
            seed: bench.seed,
            bench,
            plan,
            conditions,
            series: all_series(plan),
            measured: Vec::new(),
            kept: HashMap::new(),
            runs: Vec::new(),
        }
    }

    /// Where the order of the runs comes from.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// How many runs a round has.
    pub(super) fn count(&self) -> usize {
        self.series.len()
    }

    pub(super) fn say(&mut self, what: &str) {
        self.bench.narrator.say(what);
    }

    /// A round in which clients ask for all that the servers can give.
    pub(super) fn saturate(&mut self, order: &[usize]) -> Result<(), Failure> {
        self.next_schedule();
        for &index in order {
            let Some(series) = self.series.get(index) else {
                continue;
            };
            let load = series.load(self.plan.window);
            let seen = Observation::of(&self.measure(index, &load)?);
            self.series
                .get_mut(index)
                .into_iter()
                .for_each(|series| series.saturated.push(seen.clone()));
        }
        Ok(())
    }

    /// Decides on the equal load for each number of clients and length of message: what the slowest of
    /// those reaches that serve everybody, times [`OFFERED_SHARE`].
    pub(super) fn choose_loads(&mut self) {
        let reached: Vec<Option<f64>> = self.series.iter().map(Series::reached_per_s).collect();
        let alike =
            |one: &Series, other: &Series| (one.clients, one.size) == (other.clients, other.size);
        let chosen: Vec<Option<f64>> = self
            .series
            .iter()
            .zip(&reached)
            .map(|(series, own)| {
                let peers = self
                    .series
                    .iter()
                    .zip(&reached)
                    .filter(|(peer, _)| alike(series, peer));
                let slowest = peers
                    .filter_map(|(_, reached)| *reached)
                    .min_by(f64::total_cmp);
                own.and(slowest).map(readable).filter(|rate| *rate > 0.0)
            })
            .collect();
        for (series, rate) in self.series.iter_mut().zip(chosen) {
            series.offered_per_s = rate;
        }
    }

    /// A round in which all that can be compared are asked for the same.
    pub(super) fn offer(&mut self, order: &[usize]) -> Result<(), Failure> {
        self.next_schedule();
        for &index in order {
            let Some(load) = self
                .series
                .get(index)
                .and_then(|series| series.equal_load(self.plan.window))
            else {
                continue;
            };
            let seen = Observation::of(&self.measure(index, &load)?);
            self.series
                .get_mut(index)
                .into_iter()
                .for_each(|series| series.offered.push(seen.clone()));
        }
        Ok(())
    }

    /// One further run of everybody who has an equal load, in which system calls are counted.
    pub(super) fn count_calls(&mut self, counter: Counter) -> Result<(), Failure> {
        for index in 0..self.series.len() {
            let load = self
                .series
                .get(index)
                .and_then(|series| series.equal_load(COUNTED_LOAD));
            let Some(load) = load else { continue };
            let server = self.server(index)?;
            let pid = server.pid();
            let (calls, measured) = std::thread::scope(|scope| {
                let counting = scope.spawn(|| {
                    // Until everybody is connected, so that whoever serves them is there.
                    std::thread::sleep(WARMUP);
                    counter.count(&usage::family_of(pid), COUNTED)
                });
                let measured = self.bench.load(&server, &load);
                (counting.join().unwrap_or_default(), measured)
            });
            let answers = measured?
                .report
                .rate_per_s
                .map(|rate| rate * COUNTED.as_secs_f64());
            self.give_back(index, server);
            if let (Some(series), Some(calls), Some(answers)) =
                (self.series.get_mut(index), calls, answers)
            {
                series.syscalls_per_answer = crate::stats::share(calls, answers);
            }
        }
        Ok(())
    }

    /// What is known by now.
    pub(super) fn comparison(&mut self) -> Comparison {
        self.runs.append(&mut self.bench.take_runs());
        let flaw = fresh::flaw(&self.measured);
        let mut rows = rows(&self.series, |series| (None, &series.saturated));
        rows.extend(rows_of_equal_load(&self.series));
        if flaw.is_some() {
            rows.iter_mut().for_each(|row| row.against_first = None);
        }
        Comparison {
            repeats: self.plan.repeats.get(),
            window_s: self.plan.window.as_secs_f64(),
            conditions: self.conditions.clone(),
            flaw,
            rows,
            runs: self.runs.clone(),
        }
    }

    /// Within a round all have the same schedule and the same bytes, and each round has others.
    fn next_schedule(&mut self) {
        self.bench.seed = self.bench.seed.wrapping_add(1);
    }

    fn measure(&mut self, index: usize, load: &Load) -> Result<Measured, Failure> {
        let server = self.server(index)?;
        self.measured.extend(usage::identity(server.pid()));
        let measured = self.bench.load(&server, load);
        self.give_back(index, server);
        measured
    }

    /// The server of a series, on its processors.
    fn server(&mut self, index: usize) -> Result<ServerProcess, Failure> {
        if let Some(kept) = self.kept.remove(&index) {
            return Ok(kept);
        }
        let subject = self.series[index].subject.clone();
        let Some(pin) = &self.plan.pin else {
            return self.bench.start(&subject);
        };
        pin.take_to_servers()
            .map_err(Failure::system("pin a server"))?;
        let server = self.bench.start(&subject);
        pin.take_to_load()
            .map_err(Failure::system("pin the load"))?;
        server
    }

    fn give_back(&mut self, index: usize, server: ServerProcess) {
        if self.plan.fault == Some(Fault::KeptServer) {
            self.kept.insert(index, server);
        } else {
            drop(server.stop());
        }
    }
}

impl Series {
    fn load(&self, window: Duration) -> Load {
        Load::busy(self.clients, window)
            .after(WARMUP)
            .sized(self.size)
    }

    fn equal_load(&self, window: Duration) -> Option<Load> {
        let load = self.load(window);
        self.offered_per_s
            .map(|rate| load.at(rate, Arrivals::Poisson))
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
        Cell {
            subject: format!("{}{again}", self.subject.name),
            control: self.control,
            size_bytes: self.size.get(),
            offered_per_s,
        }
    }
}

/// Everybody under every load, and the first once more.
fn all_series(plan: &Plan) -> Vec<Series> {
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

fn rows_of_equal_load(all: &[Series]) -> Vec<Row> {
    let mut rows = rows(all, |series| (series.offered_per_s, &series.offered));
    let seen = all.iter().filter(|series| !series.offered.is_empty());
    for (row, series) in rows.iter_mut().zip(seen) {
        row.syscalls_per_answer = series.syscalls_per_answer;
    }
    rows
}

/// The rows of all series that were seen under a load, each with its verdict.
fn rows(all: &[Series], load: fn(&Series) -> (Option<f64>, &Vec<Observation>)) -> Vec<Row> {
    let row = |series: &Series| {
        let (offered_per_s, seen) = load(series);
        Row::of(series.cell(offered_per_s), seen)
    };
    let judged = |series: &Series| {
        let mut peers = all
            .iter()
            .filter(|peer| (peer.clients, peer.size) == (series.clients, series.size));
        let first = peers.next()?;
        let again = peers.find(|peer| peer.control)?;
        let mut judged = row(series)?;
        let is_first = std::ptr::eq(first, series);
        if let (false, Some(of_first), Some(of_again)) = (is_first, row(first), row(again)) {
            judged.judge(
                load(series).1,
                (&of_first, load(first).1),
                (&of_again, load(again).1),
            );
        }
        Some(judged)
    };
    all.iter().filter_map(judged).collect()
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
        let all = all_series(&plan(None));
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
        let faulty = all_series(&plan(Some(Fault::OtherControl)));
        assert!(faulty[2].subject.command_line(0).contains("rayon"));
    }

    /// Series whose runs at saturation had these rates and numbers of clients served.
    fn saturated(first: f64, others: [(f64, u32); 2]) -> Vec<Series> {
        let mut all = all_series(&plan(None));
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
            let rows = rows(&all, |series| (None, &series.saturated));
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
        let mut plan = plan(None);
        plan.sizes.truncate(1);
        let mut bench = Bench::new(
            nobody(),
            cli::Interrupt::default(),
            crate::bench::Effort::Short,
            1,
        );
        let mut sitting = Sitting::new(&mut bench, &plan, Conditions::default());
        sitting.series = saturated(1000.0, [(90.0, 4), (800.0, 50)]);
        sitting.choose_loads();
        let chosen: Vec<Option<f64>> = sitting.series.iter().map(|one| one.offered_per_s).collect();
        assert_eq!(chosen, [Some(400.0), None, Some(400.0)]);
    }

    fn nobody() -> crate::process::Launcher {
        crate::process::Launcher {
            program: "false".into(),
            server: vec![],
            part: vec![],
        }
    }

    #[test]
    fn the_equal_load_can_be_read() {
        assert_eq!(readable(246_913.5), 123_000.0);
        assert_eq!(readable(24.69), 12.3);
        assert_eq!(readable(0.0), 0.0);
    }
}
