//! HUP: all workers of a pool are replaced, one after the other, and no client notices.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::fs::write;
use std::hint::spin_loop;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use server::{Inner, Mode, for_each_mode};
use support::{
    ServerProcess, WORKERS, end_of, field, pool, pool_of, pool_with, procfs, round_trip,
    until_replaced, wait_readable,
};

/// What the log says at the end of a restart.
const RESTARTED: &str = "restarted: all workers are new";

/// As many clients as such a pool has workers, each in a conversation.
fn clients(server: &ServerProcess) -> Vec<TcpStream> {
    let mut clients: Vec<_> = (0..WORKERS).map(|_| server.connect()).collect();
    for client in &mut clients {
        round_trip(client, b"hello").unwrap();
    }
    clients
}

fn converse_and_leave(mut client: TcpStream) {
    client.write_all(b"last words").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let words = end_of(&mut client);
    assert_eq!(words.as_deref(), Some(&b"last words"[..]), "a reset");
}

for_each_mode! {
    fn every_worker_is_replaced_and_who_is_busy_loses_nothing(mode) {
        let Some(server) = pool_of(mode, &["--drain-timeout", "1h"]) else { return Ok(()) };
        let old = server.workers();
        let mut busy = clients(&server);
        server.signal(Signal::HUP);
        // Busy until each new worker is ready: the first old one serves on long after it was told
        // to go, and the last one takes new clients in until then.
        server.until(
            "a new worker for each old one",
            || busy.iter_mut().for_each(|client| round_trip(client, b"still here").unwrap()),
            || {
                let (processes, _) = server.status();
                let ready = processes.iter().filter(|line| field(line, "state") == Some("ready"));
                let pids = ready.map(|line| field(line, "pid").unwrap().parse().unwrap());
                pids.filter(|pid| !old.contains(pid)).count() == WORKERS
            },
        );
        converse_and_leave(server.connect());
        for round in 0..10 {
            let bytes = support::pattern(round, 20_000);
            busy.iter_mut().try_for_each(|client| round_trip(client, &bytes))?;
        }
        assert_eq!(server.log().count(RESTARTED), 0);
        busy.into_iter().for_each(converse_and_leave);
        server.log().wait_for(RESTARTED, 1);
        assert_eq!(server.log().count("reason=restarted"), WORKERS);
        until_replaced(&server, &old, || {});
        let mut client = server.connect();
        (0..100).try_for_each(|_| round_trip(&mut client, b"hello"))?;
        converse_and_leave(client);
        let farewell = server.stop();
        assert_eq!((farewell.status.code(), farewell.counted("cut")), (Some(0), 0));
        assert!(!farewell.log.iter().any(|line| line.contains("a worker died")), "{:#?}", farewell.log);
    }

    fn clients_that_come_and_go_are_all_served(mode) {
        let Some(server) = pool_of(mode, &[]) else { return Ok(()) };
        for round in 1..=5 {
            server.signal(Signal::HUP);
            let mut served = 0;
            server.until(
                RESTARTED,
                || {
                    let mut client = server.connect();
                    round_trip(&mut client, b"hello").unwrap();
                    converse_and_leave(client);
                    served += 1;
                },
                || server.log().count(RESTARTED) == round,
            );
            assert!(served > 0);
        }
        assert_eq!(server.workers().len(), WORKERS);
        let farewell = server.stop();
        assert_eq!(farewell.counted("accepted"), farewell.counted("served"));
        assert_eq!(farewell.counted("rejected"), 0);
    }

    fn where_there_are_no_workers_it_is_said_and_ignored(mode) {
        if mode.mode == Mode::ProcessPool {
            println!("not in {mode}: it has workers");
            return Ok(());
        }
        let server = ServerProcess::start(&mode.args());
        let mut client = server.connect();
        for (round, signal) in [Signal::HUP, Signal::TTIN, Signal::TTOU].into_iter().enumerate() {
            server.signal(signal);
            server.log().wait_for("ignored: only process-pool has worker processes", round + 1);
            round_trip(&mut client, b"still there?")?;
        }
    }

    /// The kernel wakes one of the workers for a client. If that one is just told to go, it has to
    /// take the client along, or nobody comes for him though another worker has nothing to do.
    fn a_client_whose_worker_is_told_to_go_that_moment_is_not_forgotten(mode) {
        if mode.mode != Mode::ProcessPool {
            println!("not in {mode}: it shares its listener with nobody");
            return Ok(());
        }
        let server = ServerProcess::start(&[&mode.args()[..], &["--workers", "1"]].concat());
        let (rounds, step) = (if mode.inside == Inner::Sequential { 60 } else { 20 }, 37);
        for round in 0..rounds {
            // The kernel prefers who has been there for longer, and the last to come has to go: so
            // the first is replaced after the second has come.
            let first = server.workers();
            server.signal(Signal::TTIN);
            server.until("two workers", || server.moment(), || server.workers().len() == 2);
            for mut client in [server.connect(), server.connect()] {
                round_trip(&mut client, b"proves that they live").unwrap();
            }
            procfs::kill(first[0], Signal::KILL);
            server.until("another first", || server.moment(), || {
                let workers = server.workers();
                workers.len() == 2 && !workers.contains(&first[0])
            });
            let until = Instant::now() + Duration::from_micros(step * (round % 20));
            server.signal(Signal::TTOU);
            while Instant::now() < until {
                spin_loop();
            }
            let mut client = server.connect();
            round_trip(&mut client, b"anybody there?")?;
            drop(client);
            server.until("one worker", || server.moment(), || server.workers().len() == 1);
        }
        assert_eq!(server.stop().status.code(), Some(0));
    }
}

#[test]
fn a_quiet_client_is_dismissed_with_fin() {
    let server = pool_with(&["--drain-timeout", "1h"]);
    let mut quiet = clients(&server);
    server.signal(Signal::HUP);
    for _ in 0..WORKERS {
        let ended = wait_readable(&quiet, 1)[0];
        let end = end_of(&mut quiet.swap_remove(ended));
        assert_eq!(end.as_deref(), Some(&b""[..]));
    }
    server.log().wait_for(RESTARTED, 1);
}

#[test]
fn who_is_busy_for_too_long_is_cut_with_fin_and_counted() {
    let server = pool_with(&["--drain-timeout", "1s"]);
    let mut busy = clients(&server);
    server.signal(Signal::HUP);
    let mut ended = 0;
    while ended < WORKERS {
        busy.retain_mut(|client| {
            // A FIN may come before or after the answer to what was written just before.
            let written = client.write_all(b"?").is_ok();
            let goes_on = written && client.read(&mut [0]).unwrap() == 1;
            ended += usize::from(!goes_on);
            goes_on
        });
    }
    server.log().wait_for(RESTARTED, 1);
    assert_eq!(server.stop().counted("cut"), WORKERS as u64);
}

#[test]
fn a_restart_to_workers_that_do_not_live_leaves_the_old_ones() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken");
    let fault = format!("exit-at-start={}", broken.display());
    let server = pool_with(&["--fault", &fault]);
    let mut clients = clients(&server);
    let old = server.workers();
    write(&broken, "from now on").unwrap();
    server.signal(Signal::HUP);
    server.until(
        "given up",
        || {
            clients
                .iter_mut()
                .for_each(|client| round_trip(client, b"still here").unwrap())
        },
        || server.log().count("the restart is given up") == 1,
    );
    assert_eq!(server.log().count("exited with code 1"), 6);
    assert_eq!(server.workers(), old);
    clients.into_iter().for_each(converse_and_leave);
    assert_eq!(server.stop().status.code(), Some(0));
}

#[test]
fn restarts_upon_restarts_are_one_after_the_other_and_bounded() {
    let server = pool_with(&["--drain-timeout", "1h"]);
    let old = server.workers();
    let mut busy = clients(&server);
    server.signal(Signal::HUP);
    server.until(
        "twice the workers",
        || server.moment(),
        || {
            busy.iter_mut()
                .for_each(|client| round_trip(client, b"busy").unwrap());
            server.workers().len() == 2 * WORKERS
        },
    );
    for round in 2..=4 {
        server.signal(Signal::HUP);
        server.log().wait_for("restarting the workers", round);
        busy.iter_mut()
            .for_each(|client| round_trip(client, b"busy").unwrap());
        assert_eq!(server.workers().len(), 2 * WORKERS);
    }
    busy.into_iter().for_each(converse_and_leave);
    server.log().wait_for(RESTARTED, 1);
    until_replaced(&server, &old, || {});
    assert_eq!(server.stop().status.code(), Some(0));
}

#[test]
fn a_restart_ends_with_the_server() {
    let server = pool();
    let mut client = server.connect();
    round_trip(&mut client, b"hello").unwrap();
    server.signal(Signal::HUP);
    server.log().wait_for("restarting the workers", 1);
    let group = server.pid();
    let farewell = server.stop();
    assert_eq!(farewell.status.code(), Some(0));
    assert_eq!(end_of(&mut client).as_deref(), Some(&b""[..]));
    procfs::wait_for_empty_group(group, support::LIMIT);
}
