//! Who accepts: all at one socket (which every other test shows), each at a socket of its own, or
//! the master, which hands connections out.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::num::NonZeroU32;

use rustix::process::{Resource, Rlimit, Signal, prlimit};
use server::{Accept, Choice, Config, Inner, ListenError, ListenOptions, Listener, OnFull};
use support::{
    ServerProcess, TestServer, WORKERS, assert_balanced, assert_only_these_are_served, config,
    connect_to_path, end_of, has_nothing_to_read, pool_with, procfs, round_trip, served,
    until_only_the_listener_is_left, until_replaced, wait_readable,
};

fn accepting(choice: Choice, accept: Accept) -> Config {
    Config {
        accept,
        ..config(choice)
    }
}

/// Every choice with every way to accept that it has, but the shared one.
fn other_ways() -> impl Iterator<Item = Config> {
    let ways = [Accept::Reuseport, Accept::Handoff];
    Choice::ALL.iter().flat_map(move |choice| {
        let plan = config(*choice).plan();
        ways.into_iter()
            .filter(move |accept| plan.can_accept(*accept))
            .map(|accept| accepting(*choice, accept))
    })
}

/// A pool whose master hands connections out.
fn handing_out(args: &[&str]) -> ServerProcess {
    pool_with(&[&["--accept", "handoff"], args].concat())
}

#[test]
fn everybody_is_served_whoever_accepts() {
    for config in other_ways() {
        let (choice, accept) = (config.choice(), config.accept);
        let server = TestServer::with(config);
        let listening = procfs::listening_sockets_at(std::process::id(), server.addr.port());
        assert_eq!(listening.len(), server.config.sockets().get(), "{choice}");
        let mut clients: Vec<_> = (0..10 * WORKERS).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.write_all(b"dealt").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        }
        for client in &mut clients {
            let heard = end_of(client);
            assert_eq!(
                heard.as_deref(),
                Some(&b"dealt"[..]),
                "{choice}, {accept:?}"
            );
        }
        let drained = server.stop();
        assert_balanced(&drained);
        assert_eq!(drained.counters.accepted, 10 * WORKERS as u64);
    }
}

#[test]
fn who_waits_before_a_full_server_is_told_to_go_at_the_end_whoever_accepts() {
    for mut config in other_ways() {
        let (choice, accept) = (config.choice(), config.accept);
        config.limits.max_connections = NonZeroU32::MIN;
        let server = TestServer::with(config);
        let mut inside = server.connect();
        round_trip(&mut inside, b"inside").unwrap();
        let mut queued: Vec<_> = (0..10 * WORKERS).map(|_| server.connect()).collect();
        for client in &mut queued {
            client.write_all(b"queued").unwrap();
        }
        server.begin_stop();
        for client in &mut queued {
            let heard = end_of(client);
            assert_eq!(heard.as_deref(), Some(&b""[..]), "{choice}, {accept:?}");
        }
        drop(inside);
        let drained = server.wait();
        assert_balanced(&drained);
        assert_eq!(drained.counters.dismissed, 10 * WORKERS as u64);
    }
}

#[test]
fn who_waits_at_the_socket_of_a_killed_worker_is_served_by_the_next() {
    const CLIENTS: usize = 20;
    let args = [
        "--mode",
        "process-pool",
        "--workers",
        "2",
        "--accept",
        "reuseport",
    ];
    let server = ServerProcess::start(&args);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.write_all(b"?").unwrap();
    }
    // Chance gives each of the two one at least.
    let served = wait_readable(&clients, 2);
    assert_eq!(served.len(), 2);
    let served = served.into_iter().rev();
    let mut served: Vec<_> = served.map(|index| clients.swap_remove(index)).collect();
    for client in &mut served {
        client.read_exact(&mut [0]).unwrap();
    }
    // Those two stay meanwhile, so that nobody else is in the hands of the workers.
    for worker in server.workers() {
        procfs::kill(worker, Signal::KILL);
    }
    drop(served);
    while !clients.is_empty() {
        for index in wait_readable(&clients, 1).into_iter().rev() {
            clients.swap_remove(index).read_exact(&mut [0]).unwrap();
        }
    }
    let farewell = server.stop();
    assert_eq!(farewell.status.code(), Some(0));
    // A worker may die between its answer and the count of it.
    let counted = farewell.counted("served");
    assert!((CLIENTS as u64 - 2..=CLIENTS as u64).contains(&counted));
    assert!(
        farewell
            .log
            .iter()
            .any(|line| line.contains("--accept reuseport"))
    );
}

#[test]
fn a_restart_leaves_no_socket_without_a_worker() {
    const CLIENTS: usize = 20;
    const RESTARTS: usize = 12;
    let server = pool_with(&["--accept", "reuseport"]);
    let asking = || {
        let mut client = server.connect();
        client.write_all(b"?").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        client
    };
    for restarts in 1..=RESTARTS {
        server.signal(Signal::HUP);
        // Now and then some come meanwhile; without them the old workers are gone at once.
        let meanwhile = if restarts % 4 == 0 { CLIENTS } else { 0 };
        let mut clients: Vec<_> = (0..meanwhile).map(|_| asking()).collect();
        server.log().wait_for("all workers are new", restarts);
        clients.extend((0..CLIENTS).map(|_| asking()));
        for client in &mut clients {
            assert_eq!(end_of(client).as_deref(), Some(&b"?"[..]));
        }
    }
    assert_eq!(server.stop().status.code(), Some(0));
}

#[test]
fn sockets_of_two_servers_are_not_mixed() {
    let options = ListenOptions {
        sockets: std::num::NonZeroUsize::new(2).unwrap(),
        ..ListenOptions::default()
    };
    let first = Listener::bind(&"127.0.0.1:0".parse().unwrap(), options).unwrap();
    let second = Listener::bind(first.addr(), options).unwrap_err();
    assert!(matches!(second, ListenError::InUse { .. }), "{second}");
}

/// How many connections each worker has.
fn shares(server: &ServerProcess) -> Vec<usize> {
    let workers = server.workers().into_iter();
    workers
        .map(|worker| procfs::tcp_sockets(worker).len())
        .collect()
}

fn inside(server: &ServerProcess, count: usize) -> Vec<TcpStream> {
    let mut clients: Vec<_> = (0..count).map(|_| server.connect()).collect();
    for client in &mut clients {
        round_trip(client, b"inside").unwrap();
    }
    clients
}

#[test]
fn the_least_loaded_worker_gets_the_next_client() {
    for inner in ["epoll", "async", "ready-pool", "thread-per-connection"] {
        let server = handing_out(&["--worker-mode", inner]);
        let mut clients = inside(&server, WORKERS);
        assert_eq!(shares(&server), [1; WORKERS], "{inner}");
        clients.extend(inside(&server, 4 * WORKERS));
        assert_eq!(shares(&server), [5; WORKERS], "{inner}");
        // Nobody but the worker has a connection.
        until_only_the_listener_is_left(&server);
        let mut gone = clients.swap_remove(3);
        gone.shutdown(Shutdown::Write).unwrap();
        assert_eq!(end_of(&mut gone).as_deref(), Some(&b""[..]));
        let one_is_missing = || shares(&server).into_iter().sum::<usize>() == clients.len();
        server.until("one is missing", || server.moment(), one_is_missing);
        // Whoever has lost one gets the next.
        let next = inside(&server, 1);
        assert_eq!(shares(&server), [5; WORKERS], "{inner}");
        drop(next);
        let farewell = server.stop();
        assert_eq!(farewell.counted("accepted"), 5 * WORKERS as u64 + 1);
        assert_eq!((farewell.counted("left"), farewell.counted("cut")), (0, 0));
    }
}

#[test]
fn no_worker_gets_more_than_it_has_places_for() {
    for (inner, threads) in [
        (Inner::Sequential, 1),
        (Inner::ThreadPool, 2),
        (Inner::Rayon, 2),
    ] {
        let server = TestServer::with(accepting(Choice::pool_of(inner), Accept::Handoff));
        let places = threads * WORKERS;
        let (mut inside, mut outside) = served(server.addr, places + 5, places).unwrap();
        assert_eq!((inside.len(), outside.len()), (places, 5), "{inner:?}");
        while !outside.is_empty() {
            drop(inside.pop());
            let mut next = outside.swap_remove(wait_readable(&outside, 1)[0]);
            next.read_exact(&mut [0]).unwrap();
            inside.push(next);
            assert_only_these_are_served(&mut inside, &outside).unwrap();
        }
        drop(inside);
        let drained = server.stop();
        assert_balanced(&drained);
        assert_eq!(drained.counters.served, places as u64 + 5);
    }
}

#[test]
fn the_master_rejects_where_no_worker_could() {
    let mut config = accepting(Choice::pool_of(Inner::Sequential), Accept::Handoff);
    config.limits.on_full = OnFull::Reject;
    let server = TestServer::with(config);
    for _ in 0..5 {
        let inside = server.fill(WORKERS).unwrap();
        for _ in 0..3 {
            assert_eq!(end_of(&mut server.connect()).as_deref(), Some(&b""[..]));
        }
        drop(inside);
    }
    let drained = server.stop();
    assert_balanced(&drained);
    assert_eq!(drained.counters.served, 5 * WORKERS as u64);
    assert!(drained.counters.rejected >= 15, "{drained:?}");
}

#[test]
fn a_worker_that_runs_out_of_descriptors_loses_nobody_on_the_way() {
    const CLIENTS: usize = 100;
    let args = [
        "--mode",
        "process-pool",
        "--workers",
        "1",
        "--accept",
        "handoff",
    ];
    let inside = ["--worker-mode", "epoll", "--max-connections", "1000"];
    let server = ServerProcess::start(&[&args[..], &inside].concat());
    // It knows the limit that it was started with, and has no more than that. This one is lower.
    let fewer = Rlimit {
        current: Some(32),
        maximum: Some(32),
    };
    let worker = procfs::pid(server.workers()[0]);
    prlimit(Some(worker), Resource::Nofile, fewer).unwrap();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.write_all(b"?").unwrap();
    }
    server.log().wait_for("cannot take more connections", 1);
    while !clients.is_empty() {
        for index in wait_readable(&clients, 1).into_iter().rev() {
            clients.swap_remove(index).read_exact(&mut [0]).unwrap();
        }
    }
    let farewell = server.stop();
    assert_eq!(
        (farewell.counted("served"), farewell.counted("rejected")),
        (CLIENTS as u64, 0)
    );
}

#[test]
fn the_places_of_a_killed_worker_come_back() {
    for args in [
        &["--max-connections", "3"][..],
        &["--max-connections", "3", "--worker-mode", "epoll"],
        &["--max-per-ip", "3", "--worker-mode", "async"],
    ] {
        let server = handing_out(args);
        for _ in 0..5 {
            let mut clients = inside(&server, WORKERS);
            let victim = server.workers()[0];
            procfs::kill(victim, Signal::KILL);
            let ended = wait_readable(&clients, 1);
            assert_eq!(ended.len(), 1, "one worker, one client");
            drop(clients.swap_remove(ended[0]));
            for client in &mut clients {
                round_trip(client, b"unharmed").unwrap();
            }
            server.connect_until_served();
            drop(clients);
            until_replaced(&server, &[victim], || {});
            server.until(
                "nobody inside",
                || server.moment(),
                || shares(&server) == [0; WORKERS],
            );
        }
        let farewell = server.stop();
        assert_eq!(farewell.status.code(), Some(0));
        assert_eq!(farewell.counted("left"), 0);
    }
}

#[test]
fn handing_out_leaves_no_descriptor_behind() {
    let server = handing_out(&["--worker-mode", "thread-per-connection"]);
    let all = || {
        let all = [vec![server.pid()], server.workers()].concat();
        all.into_iter().map(procfs::descriptors).collect::<Vec<_>>()
    };
    drop(inside(&server, 30));
    let at_rest = || shares(&server) == [0; WORKERS];
    server.until("at rest", || server.moment(), at_rest);
    let before = all();
    for _ in 0..20 {
        drop(inside(&server, 30));
    }
    server.until("as before", || server.moment(), || all() == before);
    // Nor does a worker that was replaced.
    for _ in 0..10 {
        let victim = server.workers()[0];
        drop(inside(&server, WORKERS));
        procfs::kill(victim, Signal::KILL);
        until_replaced(&server, &[victim], || {});
    }
    let masters = || procfs::descriptors(server.pid());
    server.until("as before", || server.moment(), || masters() == before[0]);
}

#[test]
fn a_worker_that_stands_still_holds_up_no_more_than_its_own() {
    let server = handing_out(&[]);
    let stopped = server.workers()[1];
    procfs::kill(stopped, Signal::STOP);
    let mut clients: Vec<_> = (0..10 * WORKERS).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.write_all(b"?").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
    }
    // It has room for one.
    let others = clients.len() - 1;
    for index in wait_readable(&clients, others).into_iter().rev() {
        let heard = end_of(&mut clients.swap_remove(index));
        assert_eq!(heard.as_deref(), Some(&b"?"[..]));
    }
    assert!(has_nothing_to_read(&clients[0]));
    procfs::kill(stopped, Signal::CONT);
    assert_eq!(end_of(&mut clients[0]).as_deref(), Some(&b"?"[..]));
    assert_eq!(server.stop().counted("served"), 10 * WORKERS as u64);
}

#[test]
fn nobody_is_lost_with_a_worker_that_is_told_to_end() {
    for inner in ["sequential", "thread-pool", "async", "epoll"] {
        let server = handing_out(&["--worker-mode", inner]);
        for round in 0..20 {
            let mut workers = Vec::new();
            server.until(
                "a full pool",
                || server.moment(),
                || {
                    workers = server.workers();
                    workers.len() == WORKERS
                },
            );
            let worker = workers[round % WORKERS];
            let mut clients: Vec<_> = (0..2 * WORKERS).map(|_| server.connect()).collect();
            // It may have died of the last round already.
            let _ = rustix::process::kill_process(procfs::pid(worker), Signal::TERM);
            for client in &mut clients {
                client.write_all(b"?").unwrap();
                client.shutdown(Shutdown::Write).unwrap();
            }
            for client in &mut clients {
                let heard = end_of(client);
                assert_eq!(heard.as_deref(), Some(&b"?"[..]), "{inner}, round {round}");
            }
        }
        assert_eq!(server.stop().status.code(), Some(0));
    }
}

#[test]
fn who_is_queued_as_the_end_comes_is_handed_out_while_there_is_room() {
    let server = handing_out(&["--worker-mode", "epoll"]);
    server.suspend();
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.write_all(b"queued").unwrap();
    }
    server.signal(Signal::TERM);
    server.signal_group(Signal::CONT);
    for client in &mut clients {
        assert_eq!(end_of(client).as_deref(), Some(&b"queued"[..]));
    }
    let farewell = server.wait();
    assert_eq!(
        (farewell.counted("served"), farewell.counted("dismissed")),
        (20, 0)
    );
}

#[test]
fn connections_on_a_path_are_handed_out_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("echo.sock");
    let addr = format!("unix:{}", path.display()).parse().unwrap();
    for inner in [Inner::Sequential, Inner::Async, Inner::Epoll] {
        let config = accepting(Choice::pool_of(inner), Accept::Handoff);
        let server = TestServer::on(&addr, config);
        for _ in 0..10 {
            let mut client = connect_to_path(&path).unwrap();
            round_trip(&mut client, b"handed").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(end_of(&mut client).as_deref(), Some(&b""[..]));
        }
        assert_balanced(&server.stop());
    }
}
