//! The command line of a run as typed, and what it comes to: a [`Config`] and where the report goes.

mod behaviour;
mod parse;
mod protocol;
mod vary;

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use clap::ValueEnum;
use cli::{Addr, units};
use loadgen::gates::Promise;
use loadgen::{
    Config, DEFAULT_DURATION, DEFAULT_WARMUP, MAX_CONNECTIONS, MAX_DURATION, MAX_THREADS, Profile,
    Protocol, Reuse, Share, StopRule,
};

use super::display;
use super::gates::GateFlags;
use super::output::Delivery;
use super::scale::Scale;
use behaviour::BehaviourFlags;
pub(super) use protocol::ProtocolFlags;
pub(super) use vary::{Over, rate as constant_rate};

const SHORTEST: Duration = Duration::from_millis(1);

/// The flags of a run.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The servers: host:port, [v6]:port, :port (127.0.0.1) or unix:/path; clients are spread over
    /// them in turn
    #[arg(value_name = "ADDR", value_parser = Addr::parse_target, default_values_t = [Addr::default()])]
    targets: Vec<Addr>,
    /// Clients, each with one connection at a time: 1 to 1000000
    #[arg(short, long, value_name = "N", default_value = "50", value_parser = units::count(1..=MAX_CONNECTIONS))]
    connections: u32,
    /// Length of the measured window, after the warm-up: 1ms to 1day [default: 10s, or none with -n]
    #[arg(short, long, value_name = "TIME", value_parser = units::duration(SHORTEST..=MAX_DURATION))]
    duration: Option<Duration>,
    /// End when this many requests have ended, over all clients: 1 to 10^15; with -d, whichever comes first
    #[arg(short = 'n', long, value_name = "TOTAL", value_parser = parse::total)]
    requests: Option<NonZeroU64>,
    /// Generator threads: 1 to 1024 [default: one per processor, at most one per connection]
    #[arg(short, long, value_name = "N", value_parser = units::count(1..=MAX_THREADS))]
    threads: Option<usize>,
    /// Runs before the window and is not measured: 0s to 1day [default: 1s, or 0s with -n and no -d]
    #[arg(short, long, value_name = "TIME", value_parser = units::duration(Duration::ZERO..=MAX_DURATION))]
    warmup: Option<Duration>,
    /// Where the message bytes and all random choices come from: any whole number from 0 to 2^64-1
    #[arg(long, value_name = "N", default_value = "1", value_parser = units::count(0..=u64::MAX))]
    seed: u64,
    #[command(flatten)]
    protocol: ProtocolFlags,
    /// Compare each answered byte with what was sent
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "on",
        help_heading = "Protocol"
    )]
    verify: Switch,
    #[command(flatten)]
    behaviour: BehaviourFlags,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    scale: Scale,
    #[command(flatten)]
    promises: GateFlags,
    #[command(flatten)]
    look: display::Options,
    #[command(flatten)]
    delivery: Delivery,
}

/// How long anything may take.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
struct Limits {
    /// Give a request up, and its connection, after this long: 1ms to 1day [default: never]
    #[arg(long, value_name = "TIME", value_parser = units::duration(SHORTEST..=MAX_DURATION))]
    timeout: Option<Duration>,
    /// Give up connecting after this long: 1ms to 1day [default: when the kernel does]
    #[arg(long, value_name = "TIME", value_parser = units::duration(SHORTEST..=MAX_DURATION))]
    connect_timeout: Option<Duration>,
    /// End the run this long after its start, connecting and warm-up included: 1ms to 1day
    #[arg(long, value_name = "TIME", value_parser = units::duration(SHORTEST..=MAX_DURATION))]
    deadline: Option<Duration>,
}

/// What the exit codes mean, for `--help`.
pub(super) const EXIT_CODES: &str = "\
Exit codes: 0 ran (starved clients are a finding, not a failure), 1 could not run, 2 usage,
3 a gate failed (at least one client must be served), 4 the run is invalid or bytes differ,
130 or 143 interrupted: the report is partial.";

/// A flag that is on unless it is turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// Every byte; a difference makes the run invalid
    On,
    /// Only the number of bytes counts
    Off,
}

/// What the command line asks for.
#[derive(Debug)]
pub(super) struct Request {
    /// The run.
    pub(super) config: Config,
    /// Which part of it, as typed.
    pub(super) scale: Scale,
    /// How many processes make it.
    pub(super) processes: NonZeroU32,
    /// What its report is held to.
    pub(super) promises: Vec<Promise>,
    /// What is shown meanwhile.
    pub(super) look: display::Options,
    /// Where its report goes.
    pub(super) delivery: Delivery,
}

impl Args {
    /// Fills in what was not typed; `cpus` processors are there.
    ///
    /// # Errors
    ///
    /// What is wrong with flags that are each right, in one line.
    pub(super) fn into_request(self, cpus: NonZeroUsize) -> Result<Request, String> {
        let connections = NonZeroU32::new(self.connections).ok_or("--connections must not be 0")?;
        self.behaviour.check(self.stop().limits().0.is_some())?;
        let target = self.targets.first().cloned().unwrap_or_default();
        let config = Config {
            threads: self.threads(connections, cpus)?,
            stop: self.stop(),
            warmup: self.warmup(),
            connections,
            seed: self.seed,
            pace: self.behaviour.pace(),
            behaviour: self.behaviour.behaviour(),
            profiles: self.behaviour.profiles(),
            slow_bytes_per_s: self.behaviour.slow_bytes_per_s(),
            starts: self.behaviour.starts(),
            timeout: self.limits.timeout,
            connect_timeout: self.limits.connect_timeout,
            deadline: self.limits.deadline,
            verify: self.verify == Switch::On,
            protocol: self.protocol.into_protocol(&target)?,
            targets: self.targets,
            ..Config::new(target)
        };
        listens_first(&config)?;
        ends_by_itself(&config)?;
        Ok(Request {
            config,
            scale: self.scale,
            processes: NonZeroU32::MIN,
            promises: self.promises.promises(),
            look: self.look,
            delivery: self.delivery,
        })
    }

    fn threads(&self, connections: NonZeroU32, cpus: NonZeroUsize) -> Result<NonZeroUsize, String> {
        let most = NonZeroUsize::try_from(connections).unwrap_or(NonZeroUsize::MIN);
        if let Some(typed) = self.threads.filter(|n| *n > most.get()) {
            return Err(format!(
                "--threads {typed} needs as many connections; use 1 to {connections} or raise \
                 --connections"
            ));
        }
        let threads = self.threads.and_then(NonZeroUsize::new).unwrap_or(cpus);
        Ok(threads.min(most))
    }

    fn stop(&self) -> StopRule {
        match (self.duration, self.requests) {
            (None, None) => StopRule::After(DEFAULT_DURATION),
            (Some(length), None) => StopRule::After(length),
            (None, Some(total)) => StopRule::Requests(total),
            (Some(length), Some(total)) => StopRule::Either(length, total),
        }
    }

    fn warmup(&self) -> Duration {
        let by_requests_alone = self.requests.is_some() && self.duration.is_none();
        self.warmup.unwrap_or(if by_requests_alone {
            Duration::ZERO
        } else {
            DEFAULT_WARMUP
        })
    }
}

/// A run that only a number of requests ends needs somebody whose requests end.
fn ends_by_itself(config: &Config) -> Result<(), String> {
    let never = |share: &Share| matches!(share.profile, Profile::Idle | Profile::HalfOpen);
    let nobody = !config.profiles.is_empty() && config.profiles.iter().all(never);
    match config.stop {
        StopRule::Requests(total) if nobody => Err(format!(
            "--requests {total} is never reached by clients that are idle or half-open; add \
             --duration or other kinds to --profile"
        )),
        _ => Ok(()),
    }
}

/// A server that speaks first does so once a connection.
fn listens_first(config: &Config) -> Result<(), String> {
    let Protocol::Exchange(exchange) = &config.protocol else {
        return Ok(());
    };
    let once = config.behaviour.requests_per_conn == Some(Reuse::of(NonZeroU32::MIN));
    if exchange.send.is_empty() && !once {
        return Err(
            "--send '' waits for what the server says first, which it says once a connection; \
             add --requests-per-conn 1"
                .to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
