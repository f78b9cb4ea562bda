//! Flags about what bounds the server.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;
use cli::units;

use super::LONGEST;
use crate::config::{Limits, MinRate, OnFull};
use crate::limits::{Ceiling, MOST_CONNECTIONS};

/// The highest minimum rate that can be asked for, in bytes per second.
const MOST_BYTES_PER_S: u64 = 1 << 30;

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// Connections inside the server at once, over all its processes, 1 to 1000000 [default: what
    /// the machine's limits allow].
    #[arg(long, value_name = "N", value_parser = units::count(1..=MOST_CONNECTIONS))]
    pub(super) max_connections: Option<u32>,

    /// Connections of one IPv4 address, or one IPv6 network of 64 bits, inside at once, over all
    /// processes, 0 to 1000000; who is one too many is closed at once. 0 means no limit.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = units::count(0..=1_000_000_u32))]
    max_per_ip: u32,

    /// Connections that may wait inside for a worker of thread-pool or rayon, 0 to 1000000.
    #[arg(long, value_name = "N", default_value_t = Limits::QUEUE, value_parser = units::count(0..=1_000_000_u32))]
    pub(super) queue: u32,

    /// What the next client meets when the server is full: it waits in the accept queue, or is
    /// closed at once and counted.
    #[arg(long, value_name = "POLICY", default_value = "wait")]
    pub(super) on_full: OnFull,

    /// Close a connection after this much silence; 0 means never.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = units::duration(Duration::ZERO..=LONGEST))]
    idle_timeout: Duration,

    /// Reset a connection whose peer takes none of its bytes for so long; 0 means never [default:
    /// the idle timeout].
    #[arg(long, value_name = "DURATION", value_parser = units::duration(Duration::ZERO..=LONGEST))]
    write_timeout: Option<Duration>,

    /// Close a connection that has begun a line and does not finish it at this rate, in bytes per
    /// second, such as 100 or 1KiB; 0 means off.
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = units::size(0..=MOST_BYTES_PER_S))]
    min_rate: u64,

    /// The time that a line may take whatever its length, before --min-rate counts [default: 5s].
    #[arg(long, value_name = "DURATION", value_parser = units::duration(Duration::ZERO..=LONGEST))]
    pub(super) min_rate_grace: Option<Duration>,

    /// How long busy connections are served on after TERM or INT.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = units::duration(Duration::ZERO..=LONGEST))]
    drain_timeout: Duration,
}

impl LimitArgs {
    /// The limits of a server that may have that many connections, and in each of its workers.
    pub(super) fn limits(&self, ceiling: Ceiling, per_worker: Ceiling) -> Limits {
        let asked = self.max_connections.and_then(NonZeroU32::new);
        Limits {
            max_connections: asked.unwrap_or(ceiling.count),
            per_worker: per_worker.count,
            max_per_ip: NonZeroU32::new(self.max_per_ip),
            queue: self.queue,
            on_full: self.on_full,
            idle_timeout: unless_zero(self.idle_timeout),
            write_timeout: unless_zero(self.write_timeout.unwrap_or(self.idle_timeout)),
            min_rate: self.min_rate(),
            drain_timeout: self.drain_timeout,
        }
    }
}

impl LimitArgs {
    fn min_rate(&self) -> Option<MinRate> {
        let bytes_per_s = u32::try_from(self.min_rate)
            .ok()
            .and_then(NonZeroU32::new)?;
        let grace = self.min_rate_grace.unwrap_or(Limits::MIN_RATE_GRACE);
        Some(MinRate { bytes_per_s, grace })
    }
}

/// A time limit as typed, where 0 means never.
fn unless_zero(limit: Duration) -> Option<Duration> {
    (!limit.is_zero()).then_some(limit)
}
