//! One load on one server: the load generator's run, with the server's use of the machine read from
//! outside meanwhile.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use cli::Interrupt;
use loadgen::report::{Report, Verdict};
use loadgen::schedule::{Arrivals, Rate};
use loadgen::{
    Behaviour, ClientRecord, Config, DEFAULT_MESSAGE_BYTES, Pace, Pause, Profile, Progress,
    Protocol, Rehearsal, Reuse, RunError, Share, Sizes, Starts, Steer, StopRule,
};

use crate::process::ServerProcess;
use crate::soak::load::{LONGEST, Watch, meanwhile};
use crate::usage::{self, Sample, Usage};
use loadgen::svg::Span;

/// How long before the end of the window the last sample is taken: once the clients hang up, the
/// threads that served them are gone.
const LAST_SAMPLE_BEFORE_END: Duration = Duration::from_millis(50);

/// How long clients may take to connect that have to be there before others.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// What is done to a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Clients, each with one connection at a time.
    pub clients: NonZeroU32,
    /// Runs first and is not measured; admission counts it.
    pub warmup: Duration,
    /// How long is measured.
    pub window: Duration,
    /// What each client does.
    pub behaviour: Behaviour,
    /// The kinds of clients; empty when all just do as [`Load::behaviour`] says.
    pub profiles: Vec<Share>,
    /// When clients come.
    pub starts: Starts,
    /// When requests are due.
    pub pace: Pace,
    /// How long messages are.
    pub sizes: Sizes,
    /// How long a request may go without its whole answer; without it a client waits to the end.
    pub timeout: Option<Duration>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The load generator's document.
    pub report: Report,
    /// Each client.
    pub clients: Vec<ClientRecord>,
    /// How long the run took.
    pub took: Duration,
    /// What the server used during the window; none if it could not be read.
    pub usage: Option<Usage>,
}

impl Load {
    /// `clients` that talk without a pause and stay for `window`, measured from the start.
    #[must_use]
    pub fn busy(clients: NonZeroU32, window: Duration) -> Self {
        Self {
            clients,
            warmup: Duration::ZERO,
            window,
            behaviour: Behaviour::default(),
            profiles: Vec::new(),
            starts: Starts::AtOnce,
            pace: Pace::Closed,
            sizes: Sizes::Fixed(DEFAULT_MESSAGE_BYTES),
            timeout: None,
        }
    }

    /// The same on a schedule: `per_s` requests a second over all clients, whatever the answers do.
    #[must_use]
    pub fn at(self, per_s: f64, arrivals: Arrivals) -> Self {
        let pace = Pace::Open(Rate::Constant(per_s), arrivals);
        Self { pace, ..self }
    }

    /// The same with clients that come at random within `span`, as many users do.
    #[must_use]
    pub fn scattered(self, span: Duration) -> Self {
        let starts = Starts::Scattered(span);
        Self { starts, ..self }
    }

    /// The same with messages of `bytes` bytes.
    #[must_use]
    pub fn sized(self, bytes: NonZeroU32) -> Self {
        let sizes = Sizes::Fixed(bytes);
        Self { sizes, ..self }
    }

    /// The same with clients that give a request up after `timeout`.
    #[must_use]
    pub fn giving_up_after(self, timeout: Duration) -> Self {
        let timeout = Some(timeout);
        Self { timeout, ..self }
    }

    /// The same with clients of several kinds.
    #[must_use]
    pub fn of(self, profiles: &[(Profile, NonZeroU32)]) -> Self {
        let share = |&(profile, weight): &(Profile, NonZeroU32)| Share { profile, weight };
        let profiles = profiles.iter().map(share).collect();
        Self { profiles, ..self }
    }

    /// The same after a warm-up.
    #[must_use]
    pub fn after(self, warmup: Duration) -> Self {
        Self { warmup, ..self }
    }

    /// The same with clients that are silent for `hold` after their first answer.
    #[must_use]
    pub fn quiet(mut self, hold: Duration) -> Self {
        self.behaviour.hold = hold;
        self
    }

    /// The same with clients that pause for `think` between an answer and the next request.
    #[must_use]
    pub fn thinking(mut self, think: Duration) -> Self {
        self.behaviour.think = Pause::Constant(think);
        self
    }

    /// The same with clients that leave after one answer and connect again.
    #[must_use]
    pub fn one_request_each(mut self) -> Self {
        self.behaviour.requests_per_conn = Some(Reuse::of(NonZeroU32::MIN));
        self
    }

    /// The same with clients that do not come back.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.behaviour.once = true;
        self
    }

    /// How a person asks the load generator for the same.
    #[must_use]
    pub fn command_line(&self, seed: u64) -> String {
        let span = |duration: Duration| cli::units::span(duration).replace(' ', "");
        let mut line = format!(
            "loadgen ADDR -c {} -w {} -d {} --seed {seed}",
            self.clients,
            span(self.warmup),
            span(self.window),
        );
        if let Pace::Open(rate, arrivals) = self.pace {
            let (from, to) = rate.ends();
            line += &format!(" -R {from}");
            if from != to {
                line += &format!("..{to}");
            }
            if arrivals == Arrivals::Poisson {
                line += " --arrivals poisson";
            }
        }
        if self.sizes != Sizes::Fixed(DEFAULT_MESSAGE_BYTES) {
            line += &format!(" -s {}", self.sizes);
        }
        if let Some(timeout) = self.timeout {
            line += &format!(" --timeout {}", span(timeout));
        }
        if !self.profiles.is_empty() {
            let kind = |share: &Share| format!("{}={}", share.profile.name(), share.weight);
            let kinds: Vec<String> = self.profiles.iter().map(kind).collect();
            line += &format!(" --profile {}", kinds.join(","));
        }
        match self.starts {
            Starts::AtOnce => {}
            Starts::Rate(per_s) => line += &format!(" --connect-rate {per_s}"),
            Starts::Ramp(over) => line += &format!(" --ramp {}", span(over)),
            Starts::Scattered(over) => line += &format!(" --scatter {}", span(over)),
        }
        let Behaviour {
            think,
            hold,
            requests_per_conn,
            once,
            pipeline,
            ..
        } = self.behaviour;
        if !think.is_zero() {
            line += &format!(" --think {}", think.to_string().replace(' ', ""));
        }
        if !hold.is_zero() {
            line += &format!(" --hold {}", span(hold));
        }
        if pipeline != NonZeroU16::MIN {
            line += &format!(" --pipeline {pipeline}");
        }
        if let Some(requests) = requests_per_conn {
            line += &format!(" --requests-per-conn {requests}");
        }
        if once {
            line += " --once";
        }
        line
    }

    /// What the clients will ask and when; none where that depends on the answers.
    #[must_use]
    pub fn rehearsal(&self, seed: u64) -> Option<Rehearsal> {
        // Where it goes changes nothing of it.
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Rehearsal::of(&self.config(nowhere, seed))
    }

    fn config(&self, target: SocketAddr, seed: u64) -> Config {
        Config {
            connections: self.clients,
            stop: StopRule::After(self.window),
            warmup: self.warmup,
            threads: generator_threads(),
            seed,
            behaviour: self.behaviour,
            profiles: self.profiles.clone(),
            starts: self.starts,
            pace: self.pace,
            protocol: Protocol::Echo(self.sizes.clone()),
            timeout: self.timeout,
            ..Config::new(target.into())
        }
    }
}

/// Half of the processors: the server needs the others.
fn generator_threads() -> NonZeroUsize {
    let cpus = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(cpus / 2).unwrap_or(NonZeroUsize::MIN)
}

/// Puts `load` on `server` and watches what the server uses.
///
/// # Errors
///
/// When the load generator has nothing to report.
pub fn run(
    server: &ServerProcess,
    load: &Load,
    seed: u64,
    interrupt: &Interrupt,
) -> Result<Measured, RunError> {
    let config = load.config(server.ready.addr, seed);
    let (end, ended) = mpsc::channel::<()>();
    let start = Instant::now();
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(server.pid(), load, ended));
        let outcome = loadgen::run(&config, interrupt, &mut |_| Steer::Go);
        drop(end);
        let usage = watcher.join().unwrap_or_default();
        let loadgen::Outcome {
            report, clients, ..
        } = outcome?;
        Ok(Measured {
            report,
            clients,
            took: start.elapsed(),
            usage,
        })
    })
}

/// The same on a server that has clients already: those of `first`, who are all connected before the
/// first client of `load` comes, and stay longer than the last.
///
/// # Errors
///
/// As [`run`].
pub fn run_beside(
    server: &ServerProcess,
    first: &Load,
    load: &Load,
    seed: u64,
    interrupt: &Interrupt,
) -> Result<Measured, RunError> {
    let (_, measured) = run_meanwhile(server, first, seed.wrapping_add(1), interrupt, |watch| {
        let all_there = |seen: &Progress| seen.connected >= first.clients.get();
        let _ = watch.until(CONNECT_LIMIT, all_there);
        run(server, load, seed, interrupt)
    })?;
    Ok(measured)
}

/// Puts `load` on `server` for as long as `act` acts, whatever its window.
///
/// # Errors
///
/// As [`run`], and those of `act`.
pub fn run_meanwhile<T, E: From<RunError>>(
    server: &ServerProcess,
    load: &Load,
    seed: u64,
    interrupt: &Interrupt,
    act: impl FnOnce(&Watch) -> Result<T, E>,
) -> Result<(Report, T), E> {
    let config = Config {
        stop: StopRule::After(LONGEST),
        ..load.config(server.ready.addr, seed)
    };
    meanwhile(&config, interrupt, act)
}

/// The server's use of the machine during the window.
fn watch(pid: u32, load: &Load, ended: Receiver<()>) -> Option<Usage> {
    let start = Instant::now();
    let sample_at = |moment: Instant| -> Option<Sample> {
        let wait = moment.saturating_duration_since(Instant::now());
        match ended.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => usage::sample(pid),
            // The run ended before its time: an interruption, or a failure.
            _ => None,
        }
    };
    let first = sample_at(start + load.warmup)?;
    let end = start + load.warmup + load.window;
    let last = sample_at(end.checked_sub(LAST_SAMPLE_BEFORE_END)?)?;
    Usage::between(&first, &last)
}

impl Measured {
    /// Why the figures cannot be trusted, if the run says so itself.
    #[must_use]
    pub fn invalid(&self) -> Option<String> {
        self.invalid_but_for(&[])
    }

    /// The same of a run for which the checks called `forgiven` are of no weight.
    #[must_use]
    pub fn invalid_but_for(&self, forgiven: &[&str]) -> Option<String> {
        let mut checks = self.report.audit.checks.iter();
        let failed = checks.find(|check| {
            check.verdict == Verdict::Fail && !forgiven.contains(&check.name.as_str())
        })?;
        let (name, detail) = (&failed.name, &failed.detail);
        Some(format!("the run is invalid: {name}: {detail}"))
    }

    /// The clients in the order of their admission, those never served last.
    #[must_use]
    pub fn admissions(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = self
            .clients
            .iter()
            .map(|client| Span {
                first_byte_s: client.first_byte_at.map(|at| at.as_secs_f64()),
                ended_s: client.ended_at.map(|at| at.as_secs_f64()),
                ..Span::default()
            })
            .collect();
        let moment = |span: &Span| span.first_byte_s.unwrap_or(f64::INFINITY);
        spans.sort_by(|a, b| moment(a).total_cmp(&moment(b)));
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_shown_as_it_can_be_typed() {
        let clients = NonZeroU32::new(20).unwrap();
        let load = Load::busy(clients, Duration::from_millis(5200))
            .quiet(Duration::from_secs(1))
            .one_request_each()
            .once();
        assert_eq!(
            load.command_line(7),
            "loadgen ADDR -c 20 -w 0s -d 5s200ms --seed 7 --hold 1s --requests-per-conn 1 --once"
        );
        let load = Load::busy(clients, Duration::from_secs(1)).scattered(Duration::from_secs(2));
        assert!(load.command_line(7).ends_with(" --scatter 2s"));
    }
}
