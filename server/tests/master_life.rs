//! The master of a worker pool starts, ends or dies: nobody is left behind, and it says why.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::fs::Permissions;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;

use rustix::process::{PidfdFlags, Signal, pidfd_open};
use server::{Control, ListenOptions, Listener, Mode, Server, WorkerCommand};
use socket2::{Domain, Socket, Type};
use support::{
    LIMIT, ServerProcess, WORKERS, converse_with_all, end_of, pool, procfs, round_trip,
    wait_readable,
};

#[test]
fn workers_that_never_live_end_the_server_with_a_reason() {
    let args = [
        "--mode",
        "process-pool",
        "--workers",
        "3",
        "--fault",
        "exit-at-start",
    ];
    let farewell = ServerProcess::begin(&args).wait();
    assert_eq!(farewell.status.code(), Some(1));
    let last = farewell.log.last().unwrap();
    assert!(
        last.contains("crash loop") && last.contains("exited with code 1"),
        "{last}"
    );
    let (_, words) = last.split_once("its last words: ").unwrap();
    assert!(
        words.ends_with("the fault that --fault asked for"),
        "{words}"
    );
}

#[test]
fn the_last_words_of_any_program_are_told_in_one_line_that_changes_no_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("script");
    let says = "#!/bin/sh\nprintf 'one\\ntwo\\n\\033[31mred\\007\\n\\nlast' >&2\nexit 7\n";
    std::fs::write(&program, says).unwrap();
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let args = Vec::new();
    let worker = WorkerCommand { program, args };
    let config = support::config(Mode::ProcessPool.into());
    let addr = "127.0.0.1:0".parse().unwrap();
    let listener = Listener::bind(&addr, ListenOptions::default()).unwrap();
    let server = Server::new(listener, config).unwrap();
    let died = server.run(&worker, &Control::new().unwrap(), |_| {});
    let last = died.unwrap_err().to_string();
    let words = "exited with code 7; its last words: two | \\u{1b}[31mred\\u{7} | last";
    assert!(last.ends_with(words), "{last}");
}

#[test]
fn a_killed_master_leaves_nobody_and_a_free_port() {
    for _ in 0..5 {
        let server = pool();
        let clients = converse_with_all(&server);
        let (addr, group) = (server.addr, server.pid());
        assert_eq!(procfs::group(group).len(), 1 + WORKERS);
        server.signal(Signal::KILL);
        procfs::wait_for_empty_group(group, LIMIT);
        let _ = server.wait();
        drop(clients);
        // As the next server would: the old conversations may haunt the port.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&addr.into()).unwrap();
        socket.listen(1).unwrap();
    }
}

#[test]
fn a_master_that_is_killed_while_it_starts_leaves_nobody() {
    for round in 0..20 {
        let server = ServerProcess::begin(&["--mode", "process-pool", "--workers", "3"]);
        server
            .log()
            .wait_for("started a worker", round % (WORKERS + 1));
        let group = server.pid();
        server.signal(Signal::KILL);
        let _ = server.wait();
        procfs::wait_for_empty_group(group, LIMIT);
    }
}

#[test]
fn a_master_that_is_told_to_end_while_it_starts_ends_in_order() {
    for round in 0..20 {
        let server = ServerProcess::begin(&["--mode", "process-pool", "--workers", "3"]);
        // Signals are caught before this line.
        server.log().wait_for("starting", 1);
        server
            .log()
            .wait_for("started a worker", round % (WORKERS + 1));
        let group = server.pid();
        let farewell = server.stop();
        assert_eq!(farewell.status.code(), Some(0), "{:#?}", farewell.log);
        procfs::wait_for_empty_group(group, LIMIT);
    }
}

#[test]
fn a_worker_that_dies_while_its_master_ends_is_not_replaced() {
    for _ in 0..5 {
        let server = pool();
        let mut clients = converse_with_all(&server);
        let group = server.pid();
        let victim = server.workers()[0];
        let pidfd = pidfd_open(procfs::pid(victim), PidfdFlags::empty()).unwrap();
        server.signal(Signal::TERM);
        procfs::kill(victim, Signal::KILL);
        assert!(procfs::wait_for_end(&pidfd, LIMIT));
        clients.swap_remove(wait_readable(&clients, 1)[0]);
        for client in &mut clients {
            round_trip(client, b"served on").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(end_of(client).as_deref(), Some(&b""[..]));
        }
        assert_eq!(server.wait().status.code(), Some(0));
        procfs::wait_for_empty_group(group, LIMIT);
    }
}

#[test]
fn a_terminal_that_interrupts_all_of_them_begins_one_drain() {
    let server = pool();
    let mut clients = converse_with_all(&server);
    server.signal_group(Signal::INT);
    server.log().wait_for("SIGINT", 1);
    for client in &mut clients {
        round_trip(client, b"served on").unwrap();
        client.write_all(b"last words").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(end_of(client).as_deref(), Some(&b"last words"[..]));
    }
    let farewell = server.wait();
    assert_eq!(farewell.status.code(), Some(0));
    assert_eq!(farewell.counted("cut"), 0);
    assert!(
        !farewell
            .log
            .iter()
            .any(|line| line.contains("a worker died")),
        "{:#?}",
        farewell.log
    );
}
