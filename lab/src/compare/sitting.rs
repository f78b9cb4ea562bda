//! A comparison under way: servers are started, put under load and stopped, and what was seen of each
//! is written down.

use std::collections::HashMap;
use std::time::Duration;

use super::fresh::{self, Identity};
use super::observation::Observation;
use super::series::{self, Series};
use super::syscalls::Counter;
use super::{Comparison, Conditions, Fault, Plan, WARMUP};
use crate::bench::{Bench, Failure, RunNote};
use crate::load::Load;
use crate::process::ServerProcess;
use crate::stats::share;
use crate::subject::Subject;
use crate::usage;

/// How long system calls are counted.
const COUNTED: Duration = Duration::from_millis(400);
/// How long the load lasts then: the counter takes its time to begin.
const COUNTED_LOAD: Duration = Duration::from_millis(1200);

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
            series: series::of(plan),
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
        let window = self.plan.window;
        self.round(
            order,
            |series| Some(series.load(window)),
            |series| &mut series.saturated,
        )
    }

    /// Decides on the equal load for each number of clients and length of message.
    pub(super) fn choose_loads(&mut self) {
        series::choose_loads(&mut self.series);
    }

    /// A round in which all that can be compared are asked for the same.
    pub(super) fn offer(&mut self, order: &[usize]) -> Result<(), Failure> {
        let window = self.plan.window;
        self.round(
            order,
            |series| series.equal_load(window),
            |series| &mut series.offered,
        )
    }

    /// A run of everybody for whom there is a `load`; what is seen goes into `book`.
    fn round(
        &mut self,
        order: &[usize],
        load: impl Fn(&Series) -> Option<Load>,
        book: fn(&mut Series) -> &mut Vec<Observation>,
    ) -> Result<(), Failure> {
        // Within a round all have the same schedule and the same bytes, and each round has others.
        self.bench.seed = self.bench.seed.wrapping_add(1);
        for &index in order {
            let Some(series) = self.series.get(index) else {
                continue;
            };
            let Some(load) = load(series) else { continue };
            let subject = series.subject.clone();
            let seen = self.measure(index, &subject, &load)?;
            if let Some(series) = self.series.get_mut(index) {
                book(series).push(seen);
            }
        }
        Ok(())
    }

    /// One further run of everybody who has an equal load, in which system calls are counted.
    pub(super) fn count_calls(&mut self, counter: Counter) -> Result<(), Failure> {
        for index in 0..self.series.len() {
            let Some(series) = self.series.get(index) else {
                continue;
            };
            let Some(load) = series.equal_load(COUNTED_LOAD) else {
                continue;
            };
            let server = self.server(index, &series.subject.clone())?;
            let calls = self.calls_per_answer(&server, &load, counter);
            self.give_back(index, server);
            let calls = calls?;
            if let Some(series) = self.series.get_mut(index) {
                series.syscalls_per_answer = calls;
            }
        }
        Ok(())
    }

    fn calls_per_answer(
        &mut self,
        server: &ServerProcess,
        load: &Load,
        counter: Counter,
    ) -> Result<Option<f64>, Failure> {
        let pid = server.pid();
        std::thread::scope(|scope| {
            let counting = scope.spawn(|| {
                // Until everybody is connected, so that whoever serves them is there.
                std::thread::sleep(WARMUP);
                counter.count(&usage::family_of(pid), COUNTED)
            });
            let measured = self.bench.load(server, load);
            let calls = counting.join().unwrap_or_default();
            let rate = measured?.report.rate_per_s;
            let answers = rate.map(|rate| rate * COUNTED.as_secs_f64());
            Ok(calls
                .zip(answers)
                .and_then(|(calls, answers)| share(calls, answers)))
        })
    }

    /// What is known by now.
    pub(super) fn comparison(&mut self) -> Comparison {
        self.runs.append(&mut self.bench.take_runs());
        let flaw = fresh::flaw(&self.measured);
        let mut rows = series::rows(&self.series);
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

    fn measure(
        &mut self,
        index: usize,
        subject: &Subject,
        load: &Load,
    ) -> Result<Observation, Failure> {
        let server = self.server(index, subject)?;
        self.measured.extend(usage::identity(server.pid()));
        let measured = self.bench.load(&server, load);
        self.give_back(index, server);
        Ok(Observation::of(&measured?))
    }

    /// A fresh server, on its processors.
    fn server(&mut self, index: usize, subject: &Subject) -> Result<ServerProcess, Failure> {
        if let Some(kept) = self.kept.remove(&index) {
            return Ok(kept);
        }
        let Some(pin) = &self.plan.pin else {
            return self.bench.start(subject);
        };
        pin.take_to_servers()
            .map_err(Failure::system("pin a server"))?;
        let server = self.bench.start(subject);
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
