//! TTIN, TTOU and USR1: more or fewer workers, and how it goes, in the log.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use rustix::process::Signal;
use server::{Mode, for_each_mode};
use support::{
    ServerProcess, WORKERS, end_of, field, pool, pool_of, pool_with, procfs, round_trip,
};

fn number(line: &str, name: &str) -> u64 {
    let value = field(line, name).and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {line}"))
}

/// Sends the signal and waits until it has been carried out.
fn resize(server: &ServerProcess, signal: Signal) {
    let told = server.log().count("as many workers as asked for");
    server.signal(signal);
    server
        .log()
        .wait_for("as many workers as asked for", told + 1);
}

for_each_mode! {
    fn workers_come_and_go_one_by_one(mode) {
        let Some(server) = pool_of(mode, &[]) else { return Ok(()) };
        let has = |count| {
            server.until(&format!("{count} workers"), || server.moment(), || {
                (server.ready_processes(), server.workers().len()) == (count, count)
            });
        };
        // Numbers of processes begin anew after the last one; those of workers tell which came first.
        let first = number(&server.status().0[0], "pid");
        for count in [WORKERS + 1, WORKERS + 2] {
            resize(&server, Signal::TTIN);
            has(count);
        }
        for count in (1..WORKERS + 2).rev() {
            resize(&server, Signal::TTOU);
            has(count);
        }
        // The last one does not go.
        resize(&server, Signal::TTOU);
        round_trip(&mut server.connect(), b"still served")?;
        assert_eq!(server.workers().into_iter().map(u64::from).collect::<Vec<_>>(), [first]);
        assert!(!server.log().lines_with("WARN").iter().any(|line| line.contains("died")));
        assert_eq!(server.stop().status.code(), Some(0));
    }

    fn the_status_tells_what_is_true(mode) {
        let server = ServerProcess::start(&[&mode.args()[..], &["--workers", "3", "--max-connections", "100"]].concat());
        let expected = match mode.mode {
            Mode::ProcessPool => server.workers(),
            _ => vec![server.pid()],
        };
        let expected: Vec<_> = expected.into_iter().map(u64::from).collect();
        let (processes, all) = server.status();
        let mut pids: Vec<_> = processes.iter().map(|line| number(line, "pid")).collect();
        pids.sort_unstable();
        assert_eq!(pids, expected);
        assert!(processes.iter().all(|line| line.contains("state=ready")), "{processes:#?}");
        assert_eq!((number(&all, "accepted"), field(&all, "imbalance")), (0, None));

        let mut client = server.connect();
        (0..7).try_for_each(|_| round_trip(&mut client, b"12345"))?;
        let (processes, all) = server.status();
        let sum = |name| processes.iter().map(|line| number(line, name)).sum::<u64>();
        for (name, value) in [("connections", 1), ("accepted", 1), ("requests", 7)] {
            assert_eq!((sum(name), number(&all, name)), (value, value), "{name}");
        }
        assert_eq!((number(&all, "bytes"), number(&all, "served")), (35, 1));
        assert_eq!(number(&all, "max_connections"), 100);
        let workers = processes.len();
        let one_has_all = (workers > 1).then(|| format!("{workers}.00"));
        assert_eq!(field(&all, "imbalance"), one_has_all.as_deref());

        drop(client);
        server.until("closed", || server.moment(), || number(&server.status().1, "connections") == 0);
        assert_eq!(server.stop().status.code(), Some(0));
    }

    fn the_status_is_told_while_it_drains(mode) {
        let server = ServerProcess::start(&[&mode.args()[..], &["--workers", "3", "--work", "io=1h", "--drain-timeout", "1h"]].concat());
        let mut client = server.connect();
        round_trip(&mut client, b"before")?;
        std::io::Write::write_all(&mut client, b"\n")?;
        server.until("busy", || server.moment(), || number(&server.status().1, "requests") == 2);
        server.signal(Signal::TERM);
        server.log().wait_for("phase=Draining", 1);
        server.until("draining", || server.moment(), || {
            let (processes, all) = server.status();
            number(&all, "connections") == 1 && processes.iter().all(|line| line.contains("state=draining"))
        });
        // Nothing else is done any more.
        server.signal(Signal::HUP);
        server.log().wait_for("SIGHUP", 1);
        server.signal(Signal::TERM);
        assert!(end_of(&mut client).is_some(), "a reset instead of a close");
        drop(client);
        assert_eq!(server.wait().counted("cut"), 1);
    }
}

#[test]
fn what_the_dead_have_counted_is_not_forgotten() {
    let server = pool();
    let mut counted = 0;
    for _ in 0..3 {
        drop(support::converse_with_all(&server));
        server.until(
            "all closed",
            || server.moment(),
            || number(&server.status().1, "connections") == 0,
        );
        let accepted = number(&server.status().1, "accepted");
        assert_eq!(accepted, counted + WORKERS as u64);
        counted = accepted;
        let old = server.workers();
        server.signal(Signal::HUP);
        support::until_replaced(&server, &old, || {});
        server.until(
            "new books",
            || server.moment(),
            || {
                let (processes, _) = server.status();
                processes.len() == WORKERS
                    && processes.iter().all(|line| number(line, "accepted") == 0)
            },
        );
        assert_eq!(number(&server.status().1, "accepted"), counted);
    }
}

#[test]
fn a_worker_that_is_no_longer_wanted_serves_on_who_is_busy() {
    let server = pool_with(&["--drain-timeout", "1h"]);
    let mut clients = support::converse_with_all(&server);
    (0..WORKERS).for_each(|_| resize(&server, Signal::TTOU));
    for _ in 0..50 {
        clients
            .iter_mut()
            .for_each(|client| round_trip(client, b"busy").unwrap());
    }
    assert_eq!(server.workers().len(), WORKERS);
    drop(clients);
    server.until(
        "one is left",
        || server.moment(),
        || server.workers().len() == 1,
    );
    server.log().wait_for("reason=asked", WORKERS - 1);
    assert_eq!(server.stop().counted("cut"), 0);
}

#[test]
fn a_worker_process_leaves_these_signals_to_its_master() {
    let server = pool();
    let workers = server.workers();
    for signal in [Signal::TTIN, Signal::TTOU, Signal::HUP, Signal::USR1] {
        procfs::kill(workers[0], signal);
    }
    server.log().wait_for("SIGUSR1", 1);
    drop(support::converse_with_all(&server));
    assert_eq!(server.workers(), workers);
}
