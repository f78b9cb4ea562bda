//! Flags about the processes of a pool.

use std::num::NonZeroUsize;

use clap::Args;
use cli::units;

use super::{InvalidArgs, MOST_WORKERS};
use crate::mode::{Choice, Mode};

#[derive(Debug, Args)]
#[command(next_help_heading = "Processes of process-pool")]
pub(super) struct PoolArgs {
    /// What runs inside each worker process: any other mode [default: sequential].
    #[arg(long, value_name = "MODE")]
    worker_mode: Option<Mode>,

    /// Threads inside each worker process, where the worker mode has a fixed number of them, 1 to
    /// 4096 [default: 1].
    #[arg(long, value_name = "N", value_parser = units::count(1..=MOST_WORKERS))]
    pub(super) worker_threads: Option<usize>,
}

impl PoolArgs {
    /// Who runs a connection in that mode.
    pub(super) fn choice(&self, mode: Mode) -> Result<Choice, InvalidArgs> {
        if mode == Mode::ProcessPool {
            let inside = self.worker_mode.unwrap_or(Mode::Sequential).inner();
            return inside.map(Choice::pool_of).ok_or(InvalidArgs::PoolOfPools);
        }
        let flag = match (self.worker_mode, self.worker_threads) {
            (Some(_), _) => "--worker-mode",
            (None, Some(_)) => "--worker-threads",
            (None, None) => return Ok(Choice::of(mode)),
        };
        Err(InvalidArgs::NoWorkers { flag, mode })
    }

    /// Threads inside each process.
    pub(super) fn worker_threads(&self) -> NonZeroUsize {
        let asked = self.worker_threads.and_then(NonZeroUsize::new);
        asked.unwrap_or(NonZeroUsize::MIN)
    }
}
