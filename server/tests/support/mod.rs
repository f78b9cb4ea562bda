//! Servers to test against, in this process and as the program, and clients with limits.
//!
//! Nothing here sleeps: a wait is a read, a poll, a join or a channel, each with a limit.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "each test file uses a part, a failure here is a failed test, a skipped one says why"
)]

pub(crate) mod http;
mod log;
pub(crate) mod metrics;
pub(crate) mod network;
pub(crate) mod procfs;
mod program;
mod sandbox;
mod scene;
mod server;
mod socket;

pub(crate) use log::{Log, field};
pub(crate) use program::{
    Farewell, SERVER, ServerProcess, command_with_few_threads, converse_with_all, is_root, pool,
    pool_of, pool_with, public_copy, tool, until_only_the_listener_is_left, until_replaced,
    with_few_threads,
};
pub(crate) use sandbox::{can_be_locked_in, has_sandbox};
pub(crate) use scene::Scene;
pub(crate) use server::{TestServer, assert_balanced, config, worker_command};
pub(crate) use socket::{
    assert_only_these_are_served, connect_from, connect_to, connect_to_path, converse,
    converse_in_chunks, end_of, has_ended_within_though_it_offers, has_nothing_to_read,
    inside_and_queued, pattern, reset, round_trip, served, until_stalled, visit, wait_readable,
};

use std::time::Duration;

/// How long anything may take before the test has failed. Nothing that works comes near it.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// Standing workers, where a mode has them.
pub(crate) const WORKERS: usize = 3;
/// Threads inside each of them, where they are processes with threads.
pub(crate) const WORKER_THREADS: usize = 2;
