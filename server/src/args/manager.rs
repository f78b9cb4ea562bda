//! Flags about whoever starts, watches and upgrades the server.

use std::ops::RangeInclusive;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use cli::units;

#[derive(Debug, Args)]
#[command(next_help_heading = "Starting and upgrading")]
pub(crate) struct ManagerArgs {
    /// Write the ready line to this descriptor, too, and close it: for a supervisor that waits for a
    /// line there, as s6 does, 3 to 1048575.
    #[arg(long, value_name = "FD", value_parser = units::count(READY_FDS))]
    pub(crate) ready_fd: Option<RawFd>,

    /// Keep the number of the process that is the server in this file, from ready to the end, also
    /// after upgrades.
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,

    /// How long the program that USR2 starts anew may take to be ready, 1s to 1h; after that it is
    /// ended and this one goes on.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = units::duration(UPGRADE_TIMES))]
    pub(crate) upgrade_timeout: Duration,
}

/// Not the streams that every process has, and no more than the kernel lets a process have.
const READY_FDS: RangeInclusive<RawFd> = 3..=1_048_575;
/// Shorter than a start would be no upgrade.
const UPGRADE_TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
