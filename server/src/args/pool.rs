//! Flags about the processes of a pool.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use clap::Args;
use cli::units;

use super::{InvalidArgs, LONGEST};
use crate::config::{Config, Life};
use crate::mode::{Choice, Mode};
use crate::sandbox::{self, Sandbox};

#[derive(Debug, Args)]
#[command(next_help_heading = "Processes of process-pool")]
pub(super) struct PoolArgs {
    /// What runs inside each worker process: any other mode [default: sequential].
    #[arg(long, value_name = "MODE")]
    worker_mode: Option<Mode>,

    /// Threads inside each worker process, where the worker mode has a fixed number of them, 1 to
    /// 4096 [default: 1].
    #[arg(long, value_name = "N", value_parser = units::count(1..=Config::MOST_WORKERS))]
    pub(super) worker_threads: Option<usize>,

    /// Replace a worker that has served this many requests, reads that brought bytes, 1 to
    /// 1000000000; 0 means never [default: 0].
    #[arg(long, value_name = "N", value_parser = units::count(0..=MOST_REQUESTS))]
    max_requests: Option<u64>,

    /// Up to this many requests more, which each worker draws for itself, 0 to 1000000000
    /// [default: 0].
    #[arg(long, value_name = "N", value_parser = units::count(0..=MOST_REQUESTS))]
    max_requests_jitter: Option<u64>,

    /// End and replace a worker that does not move, or works on one step, for this long, 1s to 30
    /// days; 0 means never [default: 30s].
    #[arg(long, value_name = "DURATION", value_parser = hang_timeout)]
    hang_timeout: Option<Duration>,

    /// Lock the workers in before they serve: not at all, as far as this machine lets it be, or in
    /// full or not at all [default: off].
    #[arg(long, value_name = "HOW")]
    sandbox: Option<Sandbox>,
}

/// The most requests that a worker may be asked to serve.
const MOST_REQUESTS: u64 = 1_000_000_000;
/// A shorter time would say more of the machine than of a worker.
const SHORTEST_HANG: Duration = Duration::from_secs(1);

fn hang_timeout(text: &str) -> Result<Duration, String> {
    match units::parse_duration(text) {
        Some(Duration::ZERO) => Ok(Duration::ZERO),
        _ => units::duration(SHORTEST_HANG..=LONGEST)(text)
            .map_err(|error| format!("{error}; 0 means never")),
    }
}

impl PoolArgs {
    /// Who runs a connection in that mode.
    pub(super) fn choice(&self, mode: Mode) -> Result<Choice, InvalidArgs> {
        if mode == Mode::ProcessPool {
            if let (None, Some(jitter)) = (self.max_requests, self.max_requests_jitter) {
                return Err(InvalidArgs::JitterOfNothing { jitter });
            }
            let inside = self.worker_mode.unwrap_or(Mode::Sequential).inner();
            return inside.map(Choice::pool_of).ok_or(InvalidArgs::PoolOfPools);
        }
        let given = [
            (self.worker_mode.is_some(), "--worker-mode"),
            (self.worker_threads.is_some(), "--worker-threads"),
            (self.max_requests.is_some(), "--max-requests"),
            (self.max_requests_jitter.is_some(), "--max-requests-jitter"),
            (self.hang_timeout.is_some(), "--hang-timeout"),
            (self.asked_for_sandbox(), "--sandbox"),
        ];
        match given.into_iter().find(|(given, _)| *given) {
            Some((_, flag)) => Err(InvalidArgs::NoWorkers { flag, mode }),
            None => Ok(Choice::of(mode)),
        }
    }

    fn asked_for_sandbox(&self) -> bool {
        self.sandbox.is_some_and(|sandbox| sandbox != Sandbox::Off)
    }

    /// How the workers are locked in, whose mode must let it be.
    pub(super) fn sandbox(&self, choice: Choice) -> Result<Sandbox, InvalidArgs> {
        let sandbox = self.sandbox.unwrap_or_default();
        if sandbox == Sandbox::Require && !sandbox::is_tight(choice.inside) {
            return Err(InvalidArgs::LeakyMode { choice });
        }
        Ok(sandbox)
    }

    /// What bounds the life of a worker.
    pub(super) fn life(&self) -> Life {
        let hang_timeout = self.hang_timeout.unwrap_or(Life::HANG_TIMEOUT);
        Life {
            max_requests: self.max_requests.and_then(NonZeroU64::new),
            max_requests_jitter: self.max_requests_jitter.unwrap_or_default(),
            hang_timeout: (!hang_timeout.is_zero()).then_some(hang_timeout),
        }
    }

    /// Threads inside each process.
    pub(super) fn worker_threads(&self) -> NonZeroUsize {
        let asked = self.worker_threads.and_then(NonZeroUsize::new);
        asked.unwrap_or(NonZeroUsize::MIN)
    }
}
