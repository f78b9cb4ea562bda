//! A worker process that is full leaves the listener to the others: nobody is dropped, nobody waits
//! while another worker has room, and there is nothing to complain of.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure is a failed test, and a mode that is left out says why"
)]

mod support;

use std::io::{Read, Write};
use std::num::NonZeroU32;

use server::{Accept, Choice, Config, Inner, Mode, OnFull, for_each_mode};
use support::{
    SERVER, ServerProcess, TestServer, WORKERS, assert_balanced, assert_only_these_are_served,
    config, end_of, round_trip, served, tool, wait_readable,
};

/// Clients of each worker.
const EACH: usize = 2;

/// A pool whose workers have room for two clients each; none where that is not what limits it.
fn small_rooms(mode: Choice, accept: Accept) -> Option<Config> {
    let mut config = config(mode);
    config.accept = accept;
    config.limits.per_worker = NonZeroU32::new(2).unwrap();
    if mode.mode == Mode::ProcessPool && mode.inside != Inner::Sequential {
        return Some(config);
    }
    println!("not in {mode}: no worker process has more than one connection");
    None
}

for_each_mode! {
    fn who_finds_a_worker_full_is_served_by_another(mode) {
        for accept in [Accept::Shared, Accept::Handoff] {
            let Some(config) = small_rooms(mode, accept) else { return Ok(()) };
            let server = TestServer::with(config);
            let room = WORKERS * EACH;
            assert_eq!(server.capacity(), room);
            let (mut inside, mut outside) = served(server.addr, room + 3, room)?;
            assert_only_these_are_served(&mut inside, &outside)?;
            while let Some(last) = inside.pop() {
                drop(last);
                if outside.is_empty() {
                    continue;
                }
                let next = wait_readable(&outside, 1)[0];
                let mut client = outside.swap_remove(next);
                client.read_exact(&mut [0])?;
                round_trip(&mut client, b"at last")?;
            }
            let drained = server.stop();
            assert_balanced(&drained);
            let counters = drained.counters;
            assert_eq!((counters.served, counters.short), (room as u64 + 3, 0));
        }
    }

    fn a_pool_rejects_when_all_its_workers_are_full(mode) {
        for accept in [Accept::Shared, Accept::Handoff] {
            let Some(mut config) = small_rooms(mode, accept) else { return Ok(()) };
            config.limits.on_full = OnFull::Reject;
            if !config.can_reject() {
                println!("not in {mode}: nobody could accept and reject");
                continue;
            }
            let server = TestServer::with(config);
            for round in 1..=3 {
                let inside = server.fill(WORKERS * EACH)?;
                let late = server.connect();
                assert_eq!(end_of(&mut { late }).as_deref(), Some(&b""[..]), "round {round}");
                drop(inside);
            }
            assert_balanced(&server.stop());
        }
    }

    fn a_low_limit_on_descriptors_is_shared_by_the_workers(mode) {
        const CLIENTS: usize = 70;
        if small_rooms(mode, Accept::Shared).is_none() || mode.inside == Inner::ProcessPerConnection {
            println!("not in {mode}: descriptors do not limit it");
            return Ok(());
        }
        let Some(prlimit) = tool("prlimit") else { return Ok(()) };
        for accept in ["shared", "handoff"] {
            // A worker has room for about thirty, and as many threads where each has one client.
            let threads = match mode.inside {
                Inner::ThreadPool | Inner::Rayon => "100",
                _ => "1",
            };
            let pool = ["--workers", "3", "--worker-threads", threads, "--accept", accept];
            let server = ServerProcess::wrapped(
                &[prlimit, "--nofile=64:64", SERVER],
                &[&mode.args()[..], &pool].concat(),
            );
            let capacity = server.ready_field("capacity");
            assert!((CLIENTS..3 * 64).contains(&capacity), "{capacity}");
            let mut clients: Vec<_> = (0..capacity).map(|_| server.connect()).collect();
            for client in &mut clients {
                client.write_all(b"?")?;
            }
            for client in &mut clients {
                client.read_exact(&mut [0])?;
            }
            for client in &mut clients {
                round_trip(client, b"still there?")?;
            }
            assert_eq!(server.log().count("cannot take more connections"), 0);
            drop(clients);
            let farewell = server.stop();
            assert_eq!(farewell.status.code(), Some(0));
            let counted = ["served", "short", "rejected"].map(|name| farewell.counted(name));
            assert_eq!(counted, [capacity as u64, 0, 0]);
        }
    }
}
