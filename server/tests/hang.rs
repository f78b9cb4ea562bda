//! `--hang-timeout`: a worker that does not move is ended and replaced; one that waits is not.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use server::{Inner, for_each_mode};
use support::{
    ServerProcess, WORKERS, converse_with_all, end_of, field, pool_of, pool_with, procfs,
    round_trip, until_replaced, until_stalled, wait_readable,
};

/// The shortest limit that there is.
const LIMIT: [&str; 2] = ["--hang-timeout", "1s"];
/// Long enough to be found hanging in.
const LONGER: Duration = Duration::from_millis(2500);

/// Watches clients that must hear nothing for so long.
fn hear_nothing(clients: &[TcpStream], time: Duration) {
    let mut fds: Vec<_> = clients
        .iter()
        .map(|client| PollFd::new(client, PollFlags::IN))
        .collect();
    let heard = poll(&mut fds, Some(&Timespec::try_from(time).unwrap())).unwrap();
    assert_eq!(heard, 0, "an answer, or an end");
}

/// Waits until that process is stopped.
fn until_stopped(server: &ServerProcess, process: u32) {
    server.until(
        "stopped",
        || server.moment(),
        || procfs::is_stopped(process),
    );
}

for_each_mode! {
    fn a_worker_that_does_not_come_back_from_its_work_is_ended(mode) {
        let Some(server) = pool_of(mode, &[&LIMIT[..], &["--fault", "hang-on=#"]].concat()) else { return Ok(()) };
        if mode.inside == Inner::ProcessPerConnection {
            println!("not in {mode}: a process that hangs takes nobody but its own client along");
            return Ok(());
        }
        let mut client = server.connect();
        round_trip(&mut client, b"before")?;
        client.write_all(b"#")?;
        server.log().wait_for("has been working on one step for longer than the limit of --hang-timeout", 1);
        server.log().wait_for("was ended by SIGABRT", 1);
        assert!(server.log().count("reason=\"hung\"") > 0);
        // The kernel tells the client, in one way or the other.
        end_of(&mut client);
        until_replaced(&server, &[], || round_trip(&mut server.connect(), b"afterwards").unwrap());
        assert_eq!(server.stop().status.code(), Some(0));
    }

    fn one_that_stands_still_holds_up_nobody_who_comes(mode) {
        let Some(server) = pool_of(mode, &["--hang-timeout", "0"]) else { return Ok(()) };
        drop(converse_with_all(&server));
        // Whichever the kernel wakes first.
        for victim in server.workers() {
            procfs::kill(victim, Signal::STOP);
            until_stopped(&server, victim);
            for _ in 0..2 {
                round_trip(&mut server.connect(), b"in spite of it")?;
            }
            procfs::kill(victim, Signal::CONT);
        }
        assert_eq!(server.stop().status.code(), Some(0));
    }

    fn waiting_is_not_hanging(mode) {
        let Some(server) = pool_of(mode, &[&LIMIT[..], &["--work", "io=1h"]].concat()) else { return Ok(()) };
        // One that pays, one whose peer takes no bytes, and one that is idle.
        let old = server.workers();
        let mut clients = converse_with_all(&server);
        let stubborn = support::pattern(1, 64 << 20);
        let stubborn: Vec<_> = stubborn.into_iter().map(|byte| byte | 0x80).collect();
        clients[0].write_all(b"\n")?;
        until_stalled(&clients[1], &stubborn);
        let others = [clients.remove(2), clients.remove(0)];
        hear_nothing(&others, LONGER);
        assert_eq!((server.workers(), server.log().count("hung")), (old, 0));
    }
}

/// One that is stopped as a whole says nothing, whatever runs inside.
fn is_found_standing_still(mode: &[&str]) {
    let server = pool_with(&[&LIMIT[..], mode].concat());
    let victim = server.workers()[0];
    procfs::kill(victim, Signal::STOP);
    until_stopped(&server, victim);
    let mut served = 0;
    until_replaced(&server, &[victim], || {
        served += 1;
        round_trip(&mut server.connect(), b"meanwhile").unwrap();
    });
    assert!(served > 0);
    // The kernel holds the first signal back as long as it is stopped.
    let pid = victim.to_string();
    for text in [
        "a worker is hung: ending it with SIGABRT",
        "killing a worker that does not end",
        "reason=\"hung\"",
    ] {
        // It is told a moment after it is gone.
        server.log().wait_for(text, 1);
        let lines = server.log().lines_with(text);
        let told = lines.iter().any(|line| field(line, "pid") == Some(&pid));
        assert!(told, "{text}: {lines:#?}");
    }
    assert_eq!(server.stop().status.code(), Some(0));
}

#[test]
fn a_worker_that_stands_still_is_killed_and_replaced_and_the_others_serve_all() {
    is_found_standing_still(&[]);
}

#[test]
fn a_worker_with_many_clients_that_stands_still_is_killed_and_replaced_too() {
    is_found_standing_still(&["--worker-mode", "epoll"]);
}

#[test]
fn a_server_that_was_stopped_as_a_whole_goes_on_as_a_whole() {
    let server = pool_with(&LIMIT);
    let mut clients = converse_with_all(&server);
    let workers = server.workers();
    server.suspend();
    hear_nothing(&clients, LONGER);
    server.signal_group(Signal::CONT);
    for _ in 0..20 {
        clients
            .iter_mut()
            .for_each(|client| round_trip(client, b"as before").unwrap());
    }
    // It has been judged meanwhile.
    hear_nothing(&clients, LONGER);
    assert_eq!((server.workers(), server.log().count("hung")), (workers, 0));
}

#[test]
fn a_worker_that_everybody_has_left_is_not_hung() {
    let modes = ["sequential", "ready-pool", "async", "epoll"];
    let servers = modes.map(|mode| pool_with(&[&LIMIT[..], &["--worker-mode", mode]].concat()));
    servers
        .iter()
        .for_each(|server| drop(converse_with_all(server)));
    hear_nothing(&[], LONGER);
    for server in servers {
        assert_eq!(server.log().count("hung"), 0);
        drop(converse_with_all(&server));
        assert_eq!(server.stop().status.code(), Some(0));
    }
}

#[test]
fn without_a_limit_nobody_is_judged() {
    let server = pool_with(&["--hang-timeout", "0", "--fault", "hang-on=#"]);
    let mut clients = converse_with_all(&server);
    let old = server.workers();
    clients[0].write_all(b"#").unwrap();
    procfs::kill(old[1], Signal::STOP);
    hear_nothing(&clients, LONGER);
    assert_eq!(
        (server.workers(), server.log().count("hung")),
        (old.clone(), 0)
    );
    procfs::kill(old[1], Signal::CONT);
    // The one that hangs is killed with the server.
    server.signal(Signal::QUIT);
    assert_eq!(wait_readable(&clients, WORKERS).len(), WORKERS);
    drop(clients);
    assert_eq!(server.wait().status.code(), Some(0));
}
