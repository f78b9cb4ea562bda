//! What a client costs: counted where memory is allocated, so that it is exact and nobody else on
//! the machine disturbs it. What the kernel keeps for a connection is not in it.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in its helpers"
)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::num::{NonZeroU32, NonZeroUsize};
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cli::Interrupt;
use loadgen::schedule::{Arrivals, Rate};
use loadgen::{Config, Pace, Pause, Profile, Shard, Share, Steer};
use peak_alloc::PeakAlloc;
use support::program::loadgen;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What a client may cost while it is at work. At the end its record comes on top, which the sizes
/// in `engine/slots.rs` account for.
const MOST_BYTES: usize = 176;
/// Less would mean that the clients were not there when it was counted.
const LEAST_BYTES: usize = 100;
const FEW: u32 = 500;
const MORE: u32 = 2_000;

/// What is counted is everybody's, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// An echo in a process of its own: its memory is not counted.
struct Echo(Child);

impl Echo {
    fn start() -> (Self, cli::Addr) {
        let mut command = loadgen(&["@null-echo"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        (Self(child), cli::Addr::parse_target(line.trim()).unwrap())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Bytes that a run of `config` needs while its `clients` clients are at work.
fn need(config: &Config, clients: u32) -> usize {
    let config = Config {
        connections: NonZeroU32::new(clients * config.shard.count.get()).unwrap(),
        ..config.clone()
    };
    let (before, mut at_work) = (MEMORY.current_usage(), None);
    let outcome = loadgen::run(&config, &Interrupt::default(), &mut |progress| {
        if at_work.is_some() {
            return Steer::Stop;
        }
        if progress.connected == clients && progress.served > 0 {
            at_work = Some(MEMORY.current_usage() - before);
        }
        Steer::Go
    });
    assert_eq!(outcome.unwrap().clients.len(), clients as usize);
    at_work.unwrap()
}

/// Makes runs as `change` says, and objects if a client costs more than it may.
fn check(change: impl FnOnce(&mut Config)) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (_echo, target) = Echo::start();
    let mut config = Config {
        // Before the window nothing is kept of the time that passes.
        warmup: support::PATIENCE * 6,
        // A client has one place, whoever is at work there.
        threads: NonZeroUsize::MIN,
        ..Config::new(target)
    };
    change(&mut config);
    let (few, many) = (need(&config, FEW), need(&config, FEW + MORE));
    let bytes = many.saturating_sub(few) / MORE as usize;
    assert!((LEAST_BYTES..=MOST_BYTES).contains(&bytes), "{bytes} bytes");
}

#[test]
fn a_client_costs_no_more_than_it_may() {
    check(|_| {});
}

#[test]
fn nor_with_time_limits_and_pauses() {
    check(|config| {
        config.timeout = Some(support::PATIENCE);
        config.connect_timeout = Some(support::PATIENCE);
        config.behaviour.think = Pause::Constant(Duration::from_millis(1));
    });
}

#[test]
fn nor_where_requests_have_a_schedule() {
    check(|config| {
        config.pace = Pace::Open(Rate::Constant(20_000.0), Arrivals::Poisson);
    });
}

/// The clients of all others are no memory of this one.
#[test]
fn nor_where_it_is_one_of_many_processes_with_clients_of_several_kinds() {
    let processes = NonZeroU32::new(50).unwrap();
    let share = |profile, weight| Share {
        profile,
        weight: NonZeroU32::new(weight).unwrap(),
    };
    check(|config| {
        config.shard = Shard {
            index: 7,
            count: processes,
        };
        config.profiles = vec![share(Profile::Echo, 9), share(Profile::Idle, 1)];
    });
}
