//! Worker processes die, alone or together: who notices, and who does not.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::{Signal, kill_process};
use server::{Inner, for_each_mode};
use support::{
    WORKERS, converse_with_all, end_of, pool, pool_of, pool_with, procfs, round_trip, served,
    until_replaced, wait_readable,
};

#[test]
fn an_idle_worker_that_is_killed_is_replaced_and_nobody_notices() {
    const KILLS: u64 = 5;
    let server = pool();
    for _ in 0..KILLS {
        let victim = server.workers()[0];
        // It has served, so it is replaced without a pause.
        drop(converse_with_all(&server));
        procfs::kill(victim, Signal::KILL);
        until_replaced(&server, &[victim], || {
            round_trip(&mut server.connect(), b"new client").unwrap();
        });
    }
    drop(converse_with_all(&server));
    let farewell = server.stop();
    assert_eq!(farewell.status.code(), Some(0));
    // A client has its answer before the worker notes it, and the victim may not come to that.
    let unnoted = farewell.counted("accepted") - farewell.counted("served");
    assert!(unnoted <= KILLS, "{unnoted}");
}

#[test]
fn a_busy_worker_takes_only_its_own_client_along() {
    let server = pool();
    let mut clients = converse_with_all(&server);
    for round in 0..2 * WORKERS {
        let victim = server.workers()[round % WORKERS];
        procfs::kill(victim, Signal::KILL);
        let ended = wait_readable(&clients, 1);
        assert_eq!(ended.len(), 1, "one worker, one client");
        assert_eq!(clients.swap_remove(ended[0]).read(&mut [0]).unwrap_or(0), 0);
        for client in &mut clients {
            round_trip(client, &support::pattern(round as u64, 20_000)).unwrap();
        }
        // The new client finds a new worker.
        let mut client = server.connect();
        round_trip(&mut client, b"hello").unwrap();
        clients.push(client);
        until_replaced(&server, &[victim], || {});
    }
    drop(clients);
    let farewell = server.stop();
    assert_eq!(farewell.status.code(), Some(0));
    let told = farewell.log.iter().filter(|line| line.contains("SIGKILL"));
    assert_eq!(told.count(), 2 * WORKERS, "each death is told once");
}

for_each_mode! {
    fn whoever_is_killed_takes_only_its_own_clients_along_and_is_replaced(mode) {
        const CLIENTS: usize = 6;
        let Some(server) = pool_of(mode, &["--max-connections", "60"]) else { return Ok(()) };
        // As many as there can be: where a worker has one client at a time, that is one each.
        let count = server.ready_field("capacity").min(CLIENTS);
        let mut clients: Vec<_> = (0..count).map(|_| server.connect()).collect();
        clients.iter_mut().try_for_each(|client| round_trip(client, b"hello"))?;
        for round in 0..2 * WORKERS as u64 {
            let victim = server.workers()[0];
            procfs::kill(victim, Signal::KILL);
            until_replaced(&server, &[victim], || {});
            // Whoever lost the server comes again; nobody else notices.
            let bytes = support::pattern(round, 20_000);
            for client in &mut clients {
                if client.write_all(&bytes).is_ok() && has_all(client, &bytes) {
                    continue;
                }
                *client = server.connect();
                round_trip(client, &bytes)?;
            }
        }
        clients.iter_mut().try_for_each(|client| round_trip(client, b"goodbye"))?;
        // The last of them may have been buried only just now.
        server.log().wait_for("SIGKILL", 2 * WORKERS);
        drop(clients);
        let farewell = server.stop();
        assert_eq!(farewell.status.code(), Some(0));
    }

    fn all_that_are_killed_at_once_are_replaced_and_nobody_is_refused(mode) {
        let Some(server) = pool_of(mode, &[]) else { return Ok(()) };
        for _ in 0..3 {
            round_trip(&mut server.connect(), b"hello")?;
            let victims = server.workers();
            victims.iter().for_each(|worker| procfs::kill(*worker, Signal::KILL));
            let mut early = server.connect();
            until_replaced(&server, &victims, || drop(server.connect()));
            let served = round_trip(&mut early, b"patience");
            // The kernel accepts for a ring as long as that is there, and its process may be dying.
            if mode.inside != Inner::IoUring {
                served?;
            }
        }
        assert_eq!(server.stop().status.code(), Some(0));
    }
}

/// Whether the answer comes; nothing but the end of its worker may take it away.
fn has_all(client: &mut TcpStream, bytes: &[u8]) -> bool {
    let mut answer = vec![0; bytes.len()];
    let whole = client.read_exact(&mut answer).is_ok();
    assert!(!whole || answer == bytes, "other bytes came back");
    whole
}

#[test]
fn any_deadly_signal_is_named_and_survived() {
    let server = pool();
    for (signal, name) in [
        (Signal::SEGV, "SIGSEGV"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::ILL, "SIGILL"),
    ] {
        drop(converse_with_all(&server));
        let victim = server.workers()[0];
        // The standard library lets the first SEGV and BUS pass if they come from outside, since it
        // looks for stack overflows.
        until_replaced(&server, &[victim], || {
            let _ = kill_process(procfs::pid(victim), signal);
        });
        server.log().wait_for(name, 1);
    }
    drop(converse_with_all(&server));
}

#[test]
fn all_at_once_are_replaced_and_the_port_never_refuses() {
    let server = pool();
    for _ in 0..5 {
        let clients = converse_with_all(&server);
        let victims = server.workers();
        victims
            .iter()
            .for_each(|worker| procfs::kill(*worker, Signal::KILL));
        // Nobody serves it yet, and still it is connected.
        let mut early = server.connect();
        until_replaced(&server, &victims, || drop(server.connect()));
        round_trip(&mut early, b"patience").unwrap();
        drop(clients);
    }
    assert_eq!(server.stop().status.code(), Some(0));
}

#[test]
fn places_come_back_from_the_dead() {
    let server = pool_with(&["--max-connections", "3"]);
    for _ in 0..5 {
        let mut clients = converse_with_all(&server);
        let victim = server.workers()[0];
        procfs::kill(victim, Signal::KILL);
        clients.swap_remove(wait_readable(&clients, 1)[0]);
        until_replaced(&server, &[victim], || {});
        drop(clients);
    }
    let (inside, outside) = served(server.addr, 2 * WORKERS, WORKERS).unwrap();
    assert_eq!((inside.len(), outside.len()), (WORKERS, WORKERS));
}

#[test]
fn no_zombie_stays_and_no_descriptor() {
    let server = pool();
    drop(converse_with_all(&server));
    let before = procfs::descriptors(server.pid());
    for round in 0..30 {
        drop(converse_with_all(&server));
        let victim = server.workers()[round % WORKERS];
        procfs::kill(victim, Signal::KILL);
        until_replaced(&server, &[victim], || {});
    }
    let living = server.workers();
    server.until(
        "no zombie",
        || server.moment(),
        || procfs::children(server.pid()) == living,
    );
    server.until(
        "no descriptor",
        || server.moment(),
        || procfs::descriptors(server.pid()) == before,
    );
}

#[test]
fn a_new_worker_inherits_no_conversation() {
    let server = pool();
    let clients = converse_with_all(&server);
    let victim = server.workers()[0];
    let before = procfs::descriptors(victim);
    procfs::kill(victim, Signal::KILL);
    until_replaced(&server, &[victim], || {});
    // One conversation with the new one makes it as busy as the other was.
    let _another = {
        let mut client = server.connect();
        round_trip(&mut client, b"hello").unwrap();
        client
    };
    for worker in server.workers() {
        assert_eq!(procfs::descriptors(worker), before);
    }
    drop(clients);
}

#[test]
fn a_single_worker_that_is_told_to_end_ends_in_order() {
    let server = pool();
    let mut clients = converse_with_all(&server);
    let victim = server.workers()[0];
    procfs::kill(victim, Signal::TERM);
    // Its client is dismissed for being quiet; the others are not, whatever they do.
    let ended = wait_readable(&clients, 1);
    assert_eq!(ended.len(), 1);
    assert_eq!(
        end_of(&mut clients.swap_remove(ended[0])).as_deref(),
        Some(&b""[..])
    );
    until_replaced(&server, &[victim], || {});
    for client in &mut clients {
        round_trip(client, b"still here").unwrap();
    }
    drop(clients);
    drop(converse_with_all(&server));
    assert_eq!(server.stop().status.code(), Some(0));
}

for_each_mode! {
    fn a_worker_that_is_told_to_end_waits_for_no_client(mode) {
        let Some(server) = pool_of(mode, &[]) else {
            return Ok(());
        };
        let victim = server.workers()[0];
        procfs::kill(victim, Signal::TERM);
        until_replaced(&server, &[victim], || {});
        round_trip(&mut server.connect(), b"hello")?;
        assert_eq!(server.stop().status.code(), Some(0));
    }
}
