//! The command line as typed, and what it comes to: a [`Config`] and where the report goes.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use clap::ValueEnum;
use cli::{Addr, units};
use loadgen::{
    Behaviour, Config, MAX_CONNECTIONS, MAX_DURATION, MAX_MESSAGE_BYTES, MAX_THREADS, StopRule,
};

use super::display;
use super::output::Delivery;

/// The window when neither `-d` nor `-n` is given.
const DEFAULT_DURATION: Duration = Duration::from_secs(10);
/// The warm-up of a run with a time limit.
const DEFAULT_WARMUP: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(1);
/// Slower and faster connecting than this is a mistake.
const CONNECT_RATES: std::ops::RangeInclusive<f64> = 0.01..=1e6;

/// The flags of a run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The server: host:port, [v6]:port, :port (127.0.0.1) or unix:/path
    #[arg(value_name = "ADDR", value_parser = Addr::parse_target, default_value_t)]
    target: Addr,
    /// Clients, each with one connection at a time: 1 to 1000000
    #[arg(short, long, value_name = "N", default_value = "50", value_parser = units::count(1..=MAX_CONNECTIONS))]
    connections: u32,
    /// Length of the measured window, after the warm-up: 1ms to 1day [default: 10s, or none with -n]
    #[arg(short, long, value_name = "TIME", value_parser = units::duration(SHORTEST..=MAX_DURATION))]
    duration: Option<Duration>,
    /// End when this many requests have ended, over all clients: 1 to 10^15; with -d, whichever comes first
    #[arg(short = 'n', long, value_name = "TOTAL", value_parser = units::count(1..=1_000_000_000_000_000_u64))]
    requests: Option<u64>,
    /// Generator threads: 1 to 1024 [default: one per processor, at most one per connection]
    #[arg(short, long, value_name = "N", value_parser = units::count(1..=MAX_THREADS))]
    threads: Option<usize>,
    /// Length of a message, its closing newline included: 1 to 16MiB; 64k is 64000, 64KiB is 65536
    #[arg(short, long, value_name = "SIZE", default_value = "64", value_parser = units::size(1..=u64::from(MAX_MESSAGE_BYTES)))]
    size: u64,
    /// Runs before the window and is not measured: 0s to 1day [default: 1s, or 0s with -n and no -d]
    #[arg(short, long, value_name = "TIME", value_parser = units::duration(Duration::ZERO..=MAX_DURATION))]
    warmup: Option<Duration>,
    /// Where the message bytes come from: any whole number from 0 to 2^64-1
    #[arg(long, value_name = "N", default_value = "1", value_parser = units::count(0..=u64::MAX))]
    seed: u64,
    /// Pause between an answer and the next request: 0s to 1day
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = units::duration(Duration::ZERO..=MAX_DURATION))]
    think: Duration,
    /// Silence after the first answer on a connection: 0s to 1day
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = units::duration(Duration::ZERO..=MAX_DURATION))]
    hold: Duration,
    /// A client whose connection ended does not connect again
    #[arg(long)]
    once: bool,
    /// Close a connection after this many answers: 1 to 10^15 [default: never]
    #[arg(long, value_name = "N", value_parser = units::count(1..=1_000_000_000_000_000_u64))]
    requests_per_conn: Option<u64>,
    /// New clients per second: 0.01 to 1M, such as 200 or 10k [default: all at once]
    #[arg(long, value_name = "RATE", value_parser = units::rate(CONNECT_RATES))]
    connect_rate: Option<f64>,
    /// Give a request up, and its connection, after this long: 1ms to 1day [default: never]
    #[arg(long, value_name = "TIME", value_parser = units::duration(SHORTEST..=MAX_DURATION))]
    timeout: Option<Duration>,
    /// Compare each answered byte with what was sent
    #[arg(long, value_name = "WHEN", default_value = "on")]
    verify: Switch,
    #[command(flatten)]
    look: display::Options,
    #[command(flatten)]
    delivery: Delivery,
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
        let per_connection = NonZeroUsize::try_from(connections).unwrap_or(NonZeroUsize::MIN);
        let threads = self.threads.and_then(NonZeroUsize::new).unwrap_or(cpus);
        if let Some(typed) = self.threads.filter(|n| *n > per_connection.get()) {
            return Err(format!(
                "--threads {typed} needs as many connections; use 1 to {connections} or raise \
                 --connections"
            ));
        }
        let bytes = u32::try_from(self.size).ok().and_then(NonZeroU32::new);
        Ok(Request {
            config: Config {
                stop: self.stop(),
                warmup: self.warmup(),
                target: self.target,
                connections,
                threads: threads.min(per_connection),
                message_bytes: bytes.ok_or("--size must be from 1 B to 16 MiB")?,
                seed: self.seed,
                behaviour: Behaviour {
                    think: self.think,
                    hold: self.hold,
                    requests_per_conn: self.requests_per_conn.and_then(NonZeroU64::new),
                    once: self.once,
                },
                connect_rate_per_s: self.connect_rate,
                timeout: self.timeout,
                verify: self.verify == Switch::On,
            },
            look: self.look,
            delivery: self.delivery,
        })
    }

    fn stop(&self) -> StopRule {
        match (self.duration, self.requests.and_then(NonZeroU64::new)) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    /// The flags alone, as a command line of their own.
    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn request(line: &[&str]) -> Result<Request, String> {
        let typed = ["loadgen"].iter().chain(line);
        let cpus = NonZeroUsize::new(8).unwrap();
        let line = Line::try_parse_from(typed).unwrap();
        line.args.into_request(cpus)
    }

    fn config(line: &[&str]) -> Config {
        request(line).unwrap().config
    }

    #[test]
    fn without_flags_it_is_fifty_clients_for_ten_seconds() {
        let config = config(&[]);
        assert_eq!(config.target.to_string(), "127.0.0.1:7007");
        assert_eq!(config.connections.get(), 50);
        assert_eq!(config.stop, StopRule::After(DEFAULT_DURATION));
        assert_eq!(config.warmup, Duration::from_secs(1));
        assert_eq!((config.threads.get(), config.message_bytes.get()), (8, 64));
        assert!(config.verify && config.timeout.is_none());
    }

    #[test]
    fn a_number_of_requests_replaces_time_limit_and_warm_up() {
        let n = NonZeroU64::new(7).unwrap();
        let alone = config(&["-n", "7"]);
        assert_eq!(alone.stop, StopRule::Requests(n));
        assert_eq!(alone.warmup, Duration::ZERO);
        let both = config(&["-n", "7", "-d", "2s"]);
        assert_eq!(both.stop, StopRule::Either(Duration::from_secs(2), n));
        assert_eq!(both.warmup, Duration::from_secs(1));
        assert_eq!(
            config(&["-n", "7", "-w", "3s"]).warmup,
            Duration::from_secs(3)
        );
    }

    #[test]
    fn there_is_no_thread_without_a_connection() {
        assert_eq!(config(&["-c", "3"]).threads.get(), 3);
        let why = request(&["-c", "3", "-t", "4"]).unwrap_err();
        assert!(
            why.contains("--threads 4") && why.contains("1 to 3"),
            "{why}"
        );
    }
}
