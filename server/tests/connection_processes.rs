//! A process for each connection: it holds that connection and no other, dies alone, is buried, and
//! never outlives the server. When processes run out, clients are refused and the server lives.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use rustix::process::Signal;
use support::{
    LIMIT, SERVER, ServerProcess, end_of, procfs, public_copy, round_trip, served, tool,
    until_only_the_listener_is_left, wait_readable,
};

/// Clients that are inside together.
const CLIENTS: usize = 4;

fn start(args: &[&str]) -> ServerProcess {
    ServerProcess::start(&[&["--mode", "process-per-connection"], args].concat())
}

/// Clients that are served, in the order of their processes.
fn inside(server: &ServerProcess, count: usize) -> Vec<TcpStream> {
    let mut clients: Vec<_> = (0..count).map(|_| server.connect()).collect();
    for client in &mut clients {
        round_trip(client, b"hello").unwrap();
    }
    assert_eq!(server.workers().len(), count);
    clients
}

/// Waits until nobody is left, no zombie either.
fn until_childless(server: &ServerProcess) {
    let childless = || procfs::children(server.pid()).is_empty();
    server.until("no child", || server.moment(), childless);
}

#[test]
fn a_process_holds_its_own_connection_and_no_other() {
    let server = start(&[]);
    let clients = inside(&server, CLIENTS);
    let mut held: Vec<u64> = Vec::new();
    for child in server.workers() {
        let sockets = procfs::tcp_sockets(child);
        assert_eq!(sockets.len(), 1, "the connection, and no listener");
        held.extend(sockets);
    }
    held.sort_unstable();
    held.dedup();
    assert_eq!(held.len(), CLIENTS, "no two have the same");
    // The server keeps its listener alone: a copy of a connection would hold back its end.
    until_only_the_listener_is_left(&server);
    drop(clients);
}

#[test]
fn the_end_of_one_reaches_its_client_at_once_while_others_stay() {
    let server = start(&[]);
    let mut clients = inside(&server, CLIENTS);
    while let Some(mut client) = clients.pop() {
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(end_of(&mut client).as_deref(), Some(&b""[..]));
        for client in &mut clients {
            round_trip(client, b"still here").unwrap();
        }
    }
    until_childless(&server);
    assert_eq!(server.stop().counted("served"), CLIENTS as u64);
}

#[test]
fn a_killed_process_takes_its_own_client_along_and_gives_its_place_back() {
    let places = CLIENTS.to_string();
    let server = start(&["--max-connections", &places]);
    for _ in 0..5 {
        let mut clients = inside(&server, CLIENTS);
        let victim = server.workers()[0];
        procfs::kill(victim, Signal::KILL);
        let ended = wait_readable(&clients, 1);
        assert_eq!(ended.len(), 1, "one process, one client");
        drop(clients.swap_remove(ended[0]));
        for client in &mut clients {
            round_trip(client, b"still here").unwrap();
        }
        // Only the place of the dead one is free.
        let mut next = server.connect();
        round_trip(&mut next, b"its place").unwrap();
        drop((clients, next));
        until_childless(&server);
    }
    let (inside, outside) = served(server.addr, 2 * CLIENTS, CLIENTS).unwrap();
    assert_eq!((inside.len(), outside.len()), (CLIENTS, CLIENTS));
    drop((inside, outside));
    let farewell = server.stop();
    assert_eq!(farewell.status.code(), Some(0));
    assert_eq!((farewell.counted("left"), farewell.counted("cut")), (0, 0));
    let told = farewell.log.iter().filter(|line| line.contains("SIGKILL"));
    assert_eq!(told.count(), 5, "each death is told once");
}

#[test]
fn a_single_process_that_is_told_to_end_ends_in_order() {
    let server = start(&[]);
    let mut clients = inside(&server, 2);
    procfs::kill(server.workers()[0], Signal::TERM);
    // Its client is dismissed for being quiet; the other is not.
    let ended = wait_readable(&clients, 1);
    assert_eq!(
        end_of(&mut clients.swap_remove(ended[0])).as_deref(),
        Some(&b""[..])
    );
    round_trip(&mut clients[0], b"still here").unwrap();
}

#[test]
fn a_process_that_is_too_young_to_catch_signals_does_not_die_of_them() {
    let server = start(&[]);
    for round in 0..20 {
        let mut client = server.connect();
        let is_there = || !server.workers().is_empty();
        server.until("a process", thread::yield_now, is_there);
        server.signal_group(Signal::TTIN);
        assert!(round_trip(&mut client, b"served").is_ok(), "round {round}");
        drop(client);
        until_childless(&server);
    }
}

#[test]
fn a_process_that_is_started_while_the_drain_begins_hears_of_it() {
    // One that did not would keep its quiet client, and with it the server, for an hour.
    let servers: Vec<_> = (0..10).map(|_| start(&["--drain-timeout=1h"])).collect();
    let drain_amid_a_start = |server: &ServerProcess| {
        let client = server.connect();
        let is_there = || !server.workers().is_empty();
        server.until("a process", thread::yield_now, is_there);
        server.signal(Signal::TERM);
        client
    };
    let mut clients: Vec<_> = servers.iter().map(drain_amid_a_start).collect();
    for client in &mut clients {
        assert_eq!(end_of(client).as_deref(), Some(&b""[..]));
    }
    for server in servers {
        let farewell = server.wait();
        assert_eq!(farewell.status.code(), Some(0));
        assert_eq!((farewell.counted("cut"), farewell.counted("left")), (0, 0));
    }
}

#[test]
fn a_terminal_that_interrupts_all_of_them_begins_one_drain() {
    let server = start(&[]);
    let mut clients = inside(&server, CLIENTS);
    // These have a process, and have said nothing yet.
    let mut young: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    let children = || server.workers().len();
    server.until(
        "all inside",
        || server.moment(),
        || children() == 2 * CLIENTS,
    );
    server.signal_group(Signal::INT);
    server.log().wait_for("SIGINT", 1);
    let mut all: Vec<_> = clients.iter_mut().chain(&mut young).collect();
    for client in &mut all {
        client.write_all(b"last words").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
    }
    for client in all {
        assert_eq!(end_of(client).as_deref(), Some(&b"last words"[..]));
    }
    let farewell = server.wait();
    assert_eq!(farewell.status.code(), Some(0));
    assert_eq!((farewell.counted("cut"), farewell.counted("left")), (0, 0));
    assert!(!farewell.log.iter().any(|line| line.contains("died")));
}

#[test]
fn a_killed_server_leaves_nobody() {
    for args in [
        &["--mode", "process-per-connection"][..],
        &[
            "--mode",
            "process-pool",
            "--workers=2",
            "--worker-mode",
            "process-per-connection",
        ],
    ] {
        let server = ServerProcess::start(args);
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
        for client in &mut clients {
            round_trip(client, b"hello").unwrap();
        }
        let group = server.pid();
        assert!(procfs::group(group).len() > CLIENTS);
        server.signal(Signal::KILL);
        procfs::wait_for_empty_group(group, LIMIT);
        for client in &mut clients {
            assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
        }
    }
}

#[test]
fn a_process_that_cannot_serve_is_refused_and_counted() {
    const REFUSED: u64 = 20;
    let server = start(&["--fault", "exit-at-start"]);
    for _ in 0..REFUSED {
        assert_eq!(end_of(&mut server.connect()).as_deref(), Some(&b""[..]));
    }
    until_childless(&server);
    let farewell = server.stop();
    assert_eq!(farewell.status.code(), Some(0));
    assert_eq!(
        [farewell.counted("rejected"), farewell.counted("short")],
        [REFUSED; 2]
    );
    assert_eq!(
        (farewell.counted("served"), farewell.counted("left")),
        (0, 0)
    );
    let complaints = farewell.log.iter().filter(|line| line.contains("lacks"));
    assert!((1..REFUSED).contains(&(complaints.count() as u64)));
}

/// What the kernel's refusal to start a process does, provoked by `wrapper`.
fn survives_a_shortage(wrapper: &[&str], clients: usize) {
    let args = ["--mode", "process-per-connection", "--max-connections=1000"];
    let server = ServerProcess::wrapped(wrapper, &args);
    let mut all: Vec<_> = (0..clients).map(|_| server.connect()).collect();
    for client in &mut all {
        // One that is refused already may reset this.
        let _ = client.write_all(b"?");
    }
    // Each gets an answer or an end, and nobody waits for ever.
    let mut inside = Vec::new();
    wait_readable(&all, clients);
    for mut client in all {
        if matches!(client.read(&mut [0]), Ok(1)) {
            inside.push(client);
        }
    }
    let refused = clients - inside.len();
    assert!(refused > 0 && !inside.is_empty(), "{refused} refused");
    for client in &mut inside {
        round_trip(client, b"still here").unwrap();
    }
    drop(inside);
    until_childless(&server);
    let attempts = server.connect_until_served();
    let farewell = server.stop();
    assert_eq!(farewell.status.code(), Some(0));
    let rejected = refused as u64 + attempts;
    assert_eq!(
        [farewell.counted("rejected"), farewell.counted("short")],
        [rejected; 2]
    );
    assert_eq!(farewell.counted("left"), 0);
}

#[test]
fn processes_run_out_and_come_back() {
    if !rustix::process::getuid().is_root() {
        println!("SKIPPED: only root can become a user who runs nothing else");
        return;
    }
    let (Some(setpriv), Some(prlimit)) = (tool("setpriv"), tool("prlimit")) else {
        return;
    };
    let (_directory, copy) = public_copy();
    let user = ["--reuid=61235", "--regid=61235", "--clear-groups"];
    survives_a_shortage(
        &[&[setpriv][..], &user, &[prlimit, "--nproc=24:24", &copy]].concat(),
        16,
    );
}

#[test]
fn descriptors_run_out_and_come_back() {
    let Some(prlimit) = tool("prlimit") else {
        return;
    };
    survives_a_shortage(&[prlimit, "--nofile=40:40", SERVER], 40);
}
