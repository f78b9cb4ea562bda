//! The generator measures itself on this machine: its ceiling, its noise, its lag, its clock.
//!
//! ```text
//! [run] ──▶ c = 1, 50, 500 ──▶ the same run by turns (A B B A …) ──▶ an open loop ──▶ SelfTest
//!              ceiling              noise: diff must see nothing         lag
//! ```
//!
//! The server is [`null_echo`], which the caller starts in a process of its own, so that the
//! processor time of this one is the generator's alone.

mod clock;
pub mod null_echo;
mod text;

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use cli::{Addr, Interrupt};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::ceiling::{Ceiling, MESSAGE_BYTES, Point};
use crate::config::{Pace, StopRule};
use crate::diff::{self, Effect, Side, Unlike};
use crate::protocol::{Protocol, Sizes};
use crate::report::{Machine, Report, Tool, Verdict};
use crate::schedule::{Arrivals, Rate};
use crate::{Config, Progress, RunError, Steer, sweep};
pub use text::render;

/// The version of the document.
pub const SCHEMA: u32 = 1;
/// The numbers of connections whose ceilings are measured.
const CONNECTIONS: [u32; 3] = [1, 50, 500];
/// The number of connections of all other runs.
const USUAL: u32 = 50;
/// The sides of the comparison of a run with itself, by turns, so that a drift hits both.
const TURNS: [usize; 8] = [0, 1, 1, 0, 0, 1, 1, 0];
/// The moderate rate of the open loop, as a share of the ceiling.
const MODERATE: f64 = 0.2;
/// Runs before each window.
const WARMUP: Duration = Duration::from_millis(200);

/// What to measure with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the null echo listens.
    pub target: Addr,
    /// The window of each run.
    pub duration: Duration,
    /// The most generator threads.
    pub threads: NonZeroUsize,
}

/// What the generator found out about itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SelfTest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Who measured.
    pub tool: Tool,
    /// Where.
    pub machine: Machine,
    /// Whether a signal ended it: what is missing was not measured.
    pub interrupted: bool,
    /// The most it can do, by connections.
    pub ceiling: Vec<Level>,
    /// How much the same run differs from itself.
    pub noise: Option<Noise>,
    /// How well an open loop keeps its schedule.
    pub open_loop: Option<OpenLoop>,
    /// The clock.
    pub clock: ClockFigures,
}

/// A run as fast as it goes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Level {
    /// Clients.
    pub connections: u32,
    /// Generator threads.
    pub threads: usize,
    /// Answers per second.
    pub rate_per_s: f64,
    /// Answers for each second of processor time that the generator used, all threads together.
    pub answers_per_cpu_s: Option<f64>,
    /// Median round trip.
    pub rtt_p50_us: Option<f64>,
    /// Its 99th percentile.
    pub rtt_p99_us: Option<f64>,
    /// The run's audit.
    pub audit: Verdict,
}

/// The same run several times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Noise {
    /// Clients.
    pub connections: u32,
    /// The rates in the order of the runs.
    pub rates_per_s: Vec<f64>,
    /// From the lowest to the highest rate, as a share of the median.
    pub spread: Option<f64>,
    /// What `loadgen diff` makes of every other run against the rest: the rate.
    pub effect: Option<Effect>,
}

/// An open loop at a moderate rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OpenLoop {
    /// Clients.
    pub connections: u32,
    /// Requests due per second.
    pub rate_per_s: f64,
    /// Half of the requests were sent at most so long after they were due.
    pub lag_p50_us: Option<f64>,
    /// 99 % were.
    pub lag_p99_us: Option<f64>,
    /// All were.
    pub lag_max_us: Option<f64>,
    /// The lags in nanoseconds: HdrHistogram V2, base64.
    pub histogram: Option<String>,
}

/// The clock that all waits are measured with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClockFigures {
    /// The smallest step seen, in nanoseconds.
    pub step_ns: Option<f64>,
    /// What a look costs, in nanoseconds.
    pub look_ns: f64,
}

/// Measures; `progress` is told what comes next.
///
/// # Errors
///
/// [`RunError`] when a run cannot be made. An interruption is no error: it leaves figures out.
pub fn run(
    plan: &Plan,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(&str),
) -> Result<SelfTest, RunError> {
    let mut bench = Bench {
        plan,
        interrupt,
        progress,
    };
    let mut found = SelfTest {
        schema: SCHEMA,
        tool: Tool::this(),
        machine: Machine::this(),
        interrupted: false,
        ceiling: Vec::new(),
        noise: None,
        open_loop: None,
        clock: clock::look(),
    };
    for connections in CONNECTIONS {
        found.ceiling.extend(bench.level(connections)?);
    }
    found.noise = bench.noise()?;
    let usual = found.ceiling.iter().find(|l| l.connections == USUAL);
    if let Some(level) = usual.cloned() {
        found.open_loop = bench.open_loop(level.rate_per_s * MODERATE)?;
    }
    found.interrupted = interrupt.signal().is_some();
    Ok(found)
}

impl SelfTest {
    /// What to hold later runs against; none when it was interrupted or has no figures.
    #[must_use]
    pub fn ceiling(&self) -> Option<Ceiling> {
        let point = |level: &Level| Point {
            connections: level.connections,
            threads: level.threads,
            rate_per_s: level.rate_per_s,
        };
        let valid = self.ceiling.iter().filter(|l| l.audit != Verdict::Fail);
        let points: Vec<_> = valid.map(point).collect();
        (!self.interrupted && !points.is_empty()).then(|| Ceiling {
            tool: self.tool.clone(),
            machine: self.machine.clone(),
            points,
        })
    }
}

/// What all runs need.
struct Bench<'a> {
    plan: &'a Plan,
    interrupt: &'a Interrupt,
    progress: &'a mut dyn FnMut(&str),
}

impl Bench<'_> {
    fn config(&self, connections: u32, pace: Pace) -> Config {
        let connections = NonZeroU32::new(connections).unwrap_or(NonZeroU32::MIN);
        let most = NonZeroUsize::try_from(connections).unwrap_or(NonZeroUsize::MIN);
        let bytes = NonZeroU32::new(MESSAGE_BYTES).unwrap_or(NonZeroU32::MIN);
        Config {
            connections,
            threads: self.plan.threads.min(most),
            stop: StopRule::After(self.plan.duration),
            warmup: WARMUP,
            pace,
            protocol: Protocol::Echo(Sizes::Fixed(bytes)),
            ..Config::new(self.plan.target.clone())
        }
    }

    /// A run and its answers for a second of processor time; none when it was interrupted.
    fn measure(&mut self, config: &Config) -> Result<Option<(Report, Meter)>, RunError> {
        if self.interrupt.signal().is_some() {
            return Ok(None);
        }
        let mut meter = Meter::default();
        let outcome = crate::run(config, self.interrupt, &mut |progress| {
            meter.look(progress, processor_seconds());
            Steer::Go
        })?;
        Ok(Some((outcome.report, meter)).filter(|(report, _)| !report.interrupted))
    }

    fn level(&mut self, connections: u32) -> Result<Option<Level>, RunError> {
        (self.progress)(&format!("as fast as it goes with {connections} clients"));
        let config = self.config(connections, Pace::Closed);
        let Some((report, meter)) = self.measure(&config)? else {
            return Ok(None);
        };
        let rtt = report.latency.rtt.as_ref();
        Ok(report.rate_per_s.map(|rate_per_s| Level {
            connections,
            threads: config.threads.get(),
            rate_per_s,
            answers_per_cpu_s: meter.answers_per_cpu_s(),
            rtt_p50_us: rtt.and_then(|rtt| rtt.p50_us),
            rtt_p99_us: rtt.and_then(|rtt| rtt.p99_us),
            audit: report.audit.verdict,
        }))
    }

    fn noise(&mut self) -> Result<Option<Noise>, RunError> {
        let config = self.config(USUAL, Pace::Closed);
        let mut sides = ["A", "B"].map(|name| Side {
            name: name.to_owned(),
            runs: Vec::new(),
        });
        let mut rates = Vec::new();
        for (turn, side) in TURNS.into_iter().enumerate() {
            let number = turn + 1;
            (self.progress)(&format!("the same run, {number} of {}", TURNS.len()));
            let Some((report, _)) = self.measure(&config)? else {
                return Ok(None);
            };
            rates.extend(report.rate_per_s);
            sides[side].runs.push(report);
        }
        let [a, b] = &sides;
        let diff = diff::diff(a, b, Unlike::Compare).ok();
        let rate = diff.and_then(|diff| diff.effects.into_iter().next());
        Ok(Some(Noise {
            connections: USUAL,
            spread: sweep::spread(&rates),
            rates_per_s: rates,
            effect: rate,
        }))
    }

    fn open_loop(&mut self, rate_per_s: f64) -> Result<Option<OpenLoop>, RunError> {
        let Ok(rate) = Rate::Constant(rate_per_s.round()).checked() else {
            return Ok(None);
        };
        (self.progress)(&format!("an open loop at {rate_per_s:.0}/s"));
        let config = self.config(USUAL, Pace::Open(rate, Arrivals::Constant));
        let measured = self.measure(&config)?;
        Ok(measured.map(|(report, _)| {
            let lag = report.latency.lag.as_ref();
            OpenLoop {
                connections: USUAL,
                rate_per_s: rate_per_s.round(),
                lag_p50_us: lag.and_then(|lag| lag.p50_us),
                lag_p99_us: lag.and_then(|lag| lag.p99_us),
                lag_max_us: lag.and_then(|lag| lag.max_us),
                histogram: lag.map(|lag| lag.histogram.clone()),
            }
        }))
    }
}

/// Answers and processor time between two looks in the window.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    first: Option<(u64, f64)>,
    last: Option<(u64, f64)>,
}

impl Meter {
    fn look(&mut self, progress: Progress, cpu_s: f64) {
        if !progress.warming_up {
            let seen = (progress.answered, cpu_s);
            self.first.get_or_insert(seen);
            self.last = Some(seen);
        }
    }

    fn answers_per_cpu_s(self) -> Option<f64> {
        let ((answered, cpu_s), (later, later_s)) = self.first.zip(self.last)?;
        let spent_s = later_s - cpu_s;
        (spent_s > 0.0).then(|| later.saturating_sub(answered) as f64 / spent_s)
    }
}

/// The processor time of this process, all threads together.
fn processor_seconds() -> f64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_window_is_metered() {
        let mut meter = Meter::default();
        let at = |warming_up, answered| Progress {
            warming_up,
            answered,
            ..Progress::default()
        };
        meter.look(at(true, 0), 1.0);
        meter.look(at(false, 10), 2.0);
        assert_eq!(meter.answers_per_cpu_s(), None);
        meter.look(at(false, 110), 2.5);
        assert_eq!(meter.answers_per_cpu_s(), Some(200.0));
    }
}
