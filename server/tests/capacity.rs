//! `served(N) = min(N, capacity)`: how many clients a mode serves at once, and what the next meets.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure is a failed test, and a mode that is left out says why"
)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU32;

use server::{Choice, Config, Mode, OnFull, for_each_mode};
use support::{
    TestServer, WORKERS, assert_balanced, assert_only_these_are_served, config, end_of, served,
    wait_readable,
};

/// More than the workers that a mode may have.
const OFFERED: usize = 8;

/// Frees one place after the other and sees exactly one client come in each time.
fn one_leaves_one_enters(
    mut inside: Vec<TcpStream>,
    mut outside: Vec<TcpStream>,
) -> std::io::Result<()> {
    while !outside.is_empty() {
        drop(inside.pop());
        let next = wait_readable(&outside, 1)[0];
        let mut client = outside.swap_remove(next);
        client.read_exact(&mut [0])?;
        inside.push(client);
        assert_only_these_are_served(&mut inside, &outside)?;
    }
    Ok(())
}

for_each_mode! {
    fn as_many_are_served_as_the_mode_has_places(mode) {
        let server = TestServer::start(mode);
        let expected = server.capacity().min(OFFERED);
        let (inside, outside) = served(server.addr, OFFERED, expected)?;
        assert_eq!((inside.len(), outside.len()), (expected, OFFERED - expected));
        one_leaves_one_enters(inside, outside)?;
        let drained = server.stop();
        assert_balanced(&drained);
        assert_eq!(drained.counters.served, OFFERED as u64);
    }

    fn the_limit_counts_over_all_workers(mode) {
        let mut config = config(mode);
        config.limits.max_connections = NonZeroU32::new(2).unwrap();
        let server = TestServer::with(config);
        let expected = server.capacity();
        assert_eq!(expected, if mode == Mode::Sequential { 1 } else { 2 });
        let (inside, outside) = served(server.addr, OFFERED, expected)?;
        one_leaves_one_enters(inside, outside)?;
        let counters = server.stop().counters;
        assert_eq!(counters.served, OFFERED as u64);
        // In `sequential` the worker is what limits it.
        assert_eq!(counters.full > 0, mode != Mode::Sequential);
    }

    fn who_leaves_the_queue_before_its_turn_costs_nothing(mode) {
        let server = TestServer::start(mode);
        let expected = server.capacity().min(OFFERED);
        let (mut inside, outside) = served(server.addr, OFFERED, expected)?;
        drop(outside);
        let mut last = server.connect();
        last.write_all(b"?")?;
        if expected < OFFERED {
            assert_only_these_are_served(&mut inside, std::slice::from_ref(&last))?;
        }
        drop(inside);
        last.read_exact(&mut [0])?;
        drop(last);
        assert_balanced(&server.stop());
    }
}

/// The modes where somebody can accept while all are busy, with places for `inside` clients.
fn rejecting(mode: Choice, inside: u32) -> Option<Config> {
    let mut config = config(mode);
    if !config.plan().can_reject() {
        println!("not in {mode}: nobody could accept and reject");
        return None;
    }
    config.limits.on_full = OnFull::Reject;
    // Only one of the two may be what limits it, or the other could be without effect.
    if config.plan().has_queue() {
        config.limits.queue = inside.checked_sub(u32::try_from(WORKERS).unwrap())?;
    } else {
        config.limits.max_connections = NonZeroU32::new(inside).unwrap();
    }
    Some(config)
}

for_each_mode! {
    fn who_finds_it_full_is_closed_at_once_and_counted(mode) {
        const INSIDE: usize = 5;
        let Some(config) = rejecting(mode, 5) else { return Ok(()) };
        let server = TestServer::with(config);
        let mut clients: Vec<_> = (0..INSIDE + 7).map(|_| server.connect()).collect();
        for index in wait_readable(&clients, 7).into_iter().rev() {
            let end = end_of(&mut clients.remove(index));
            assert_eq!(end.as_deref(), Some(&b""[..]), "a rejection is a close");
        }
        // Those inside all get their turn, the ones in the queue too.
        assert_eq!(clients.len(), INSIDE);
        for client in &mut clients {
            client.write_all(b"?")?;
        }
        while !clients.is_empty() {
            let index = wait_readable(&clients, 1)[0];
            clients.swap_remove(index).read_exact(&mut [0])?;
        }
        let drained = server.stop();
        assert_balanced(&drained);
        let counters = drained.counters;
        assert_eq!((counters.accepted, counters.served, counters.rejected), (5, 5, 7));
    }

    fn a_place_that_is_free_again_is_given_away_again(mode) {
        let Some(config) = rejecting(mode, 3) else { return Ok(()) };
        let server = TestServer::with(config);
        for _ in 0..10 {
            let inside = server.fill(3)?;
            assert_eq!(end_of(&mut server.connect()).as_deref(), Some(&b""[..]));
            drop(inside);
        }
    }
}
