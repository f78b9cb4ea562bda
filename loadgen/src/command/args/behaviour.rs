//! The flags that say what a client does and when.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use cli::units;
use loadgen::schedule::{Arrivals, Rate};
use loadgen::{
    Behaviour, MAX_DURATION, MAX_PIPELINE, Pace, Pause, Reuse, SLOW_BYTES_PER_S, Share, Starts,
};

use super::parse;

/// Slower and faster connecting than this is a mistake.
const CONNECT_RATES: std::ops::RangeInclusive<f64> = 0.01..=1e6;

/// When requests are due and what a client does.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Behaviour")]
pub(super) struct BehaviourFlags {
    /// Send this many requests per second, over all clients and whatever the answers do: an open
    /// loop; 1k:20k is a ramp over the window [default: a closed loop]
    #[arg(short = 'R', long, value_name = "RATE", value_parser = parse::rate)]
    pub(super) rate: Option<Rate>,
    /// How the due times of an open loop follow each other [default: constant]
    #[arg(long, value_name = "KIND")]
    arrivals: Option<Kind>,
    /// Requests that may be in flight on a connection: 1 to 1024
    #[arg(long, value_name = "N", default_value = "1", value_parser = units::count(1..=MAX_PIPELINE))]
    pipeline: u16,
    /// Pause between an answer and the next request: 0s to 1day, or exp:5ms for exponential ones
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse::pause)]
    think: Pause,
    /// Silence after the first answer on a connection: 0s to 1day
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = units::duration(Duration::ZERO..=MAX_DURATION))]
    hold: Duration,
    /// A client whose connection ended does not connect again
    #[arg(long)]
    once: bool,
    /// Close a connection after this many answers, such as 1 or 1..10 [default: never]
    #[arg(long, value_name = "N", value_parser = parse::reuse)]
    requests_per_conn: Option<Reuse>,
    /// Kinds of clients with their weights, such as echo=45,idle=5: echo does as the other flags
    /// say, idle says nothing, slow-read and slow-write move few bytes at a time, half-open sends
    /// half a message, burst sends 16 at once every second
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = parse::share)]
    profile: Vec<Share>,
    /// Bytes per second of slow-read and slow-write: 1 to 1000000
    #[arg(long, value_name = "N", default_value_t = SLOW_BYTES_PER_S.get(), requires = "profile", value_parser = units::count(1..=1_000_000_u32))]
    slow_rate: u32,
    /// New clients per second: 0.01 to 1M, such as 200 or 10k [default: all at once]
    #[arg(long, value_name = "RATE", value_parser = units::rate(CONNECT_RATES), conflicts_with_all = ["ramp", "scatter"])]
    connect_rate: Option<f64>,
    /// Spread the clients' first connections over this time: 1ms to 1day [default: all at once]
    #[arg(long, value_name = "TIME", value_parser = units::duration(Duration::from_millis(1)..=MAX_DURATION))]
    ramp: Option<Duration>,
    /// Let each client connect for the first time at a random moment within this time, as many users
    /// do: 1ms to 1day [default: all at once]
    #[arg(long, value_name = "TIME", value_parser = units::duration(Duration::from_millis(1)..=MAX_DURATION), conflicts_with = "ramp")]
    scatter: Option<Duration>,
}

/// How due times follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// In equal steps, the clients' phases spread evenly
    Constant,
    /// At random and independent of each other, as from many users
    Poisson,
}

impl BehaviourFlags {
    /// What does not go together, in one line.
    pub(super) fn check(&self, has_window: bool) -> Result<(), String> {
        match self.rate {
            None if self.arrivals.is_some() => Err(
                "--arrivals says how due times follow each other, and only an open loop has any; \
                 add --rate"
                    .to_owned(),
            ),
            Some(_) if !self.think.is_zero() => Err(
                "--think has no meaning with --rate, which says when requests are due; drop one"
                    .to_owned(),
            ),
            Some(Rate::Ramp(..)) if !has_window => {
                Err("--rate A:B needs --duration, over which the rate changes".to_owned())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn pace(&self) -> Pace {
        let arrivals = match self.arrivals {
            None | Some(Kind::Constant) => Arrivals::Constant,
            Some(Kind::Poisson) => Arrivals::Poisson,
        };
        self.rate
            .map_or(Pace::Closed, |rate| Pace::Open(rate, arrivals))
    }

    pub(super) fn behaviour(&self) -> Behaviour {
        Behaviour {
            think: self.think,
            hold: self.hold,
            requests_per_conn: self.requests_per_conn,
            once: self.once,
            pipeline: NonZeroU16::new(self.pipeline).unwrap_or(NonZeroU16::MIN),
            ..Behaviour::default()
        }
    }

    pub(super) fn profiles(&self) -> Vec<Share> {
        self.profile.clone()
    }

    pub(super) fn slow_bytes_per_s(&self) -> NonZeroU32 {
        NonZeroU32::new(self.slow_rate).unwrap_or(SLOW_BYTES_PER_S)
    }

    pub(super) fn starts(&self) -> Starts {
        match (self.connect_rate, self.ramp, self.scatter) {
            (Some(per_s), ..) => Starts::Rate(per_s),
            (_, Some(span), _) => Starts::Ramp(span),
            (_, _, Some(span)) => Starts::Scattered(span),
            (None, None, None) => Starts::AtOnce,
        }
    }
}
