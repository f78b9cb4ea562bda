//! USR2: the program is started anew and takes over, and no client notices.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use server::{Choice, Mode, for_each_mode};
use support::{
    Farewell, LIMIT, ServerProcess, connect_to, connect_to_path, end_of, field, pattern, procfs,
    round_trip, visit,
};
use tempfile::TempDir;

/// What the log says when a successor has taken over.
const UPGRADED: &str = "upgraded: the new server has taken over";
/// Upgrades while clients come and go.
const UPGRADES: usize = 3;
/// Who come and go, at the same time.
const CALLERS: usize = 3;

fn args(mode: Choice, more: &[&str]) -> Vec<String> {
    let numbers = ["--workers", "3", "--worker-threads", "2"];
    let numbers = match mode.mode {
        Mode::ProcessPool => &numbers[..],
        _ => &numbers[..2],
    };
    let args = [&mode.args()[..], numbers, more].concat();
    args.into_iter().map(str::to_owned).collect()
}

fn start_at(addr: &str, mode: Choice, more: &[&str]) -> ServerProcess {
    let args = args(mode, more);
    ServerProcess::start_at(addr, &args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Callers that come and go while `act` acts; returns how many were served.
fn while_called(
    connect: impl Fn() -> io::Result<TcpStream> + Sync,
    act: impl FnOnce(&dyn Fn(u64)),
) -> u64 {
    let (over, served) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| {
                    while !over.load(Relaxed) {
                        connect().and_then(visit).unwrap();
                        served.fetch_add(1, Relaxed);
                    }
                })
            })
            .collect();
        // So many more calls, so that each server is called.
        let some = |count: u64| {
            let goal = served.load(Relaxed) + count;
            while served.load(Relaxed) < goal && !callers.iter().any(|caller| caller.is_finished())
            {
                connect().and_then(visit).unwrap();
                served.fetch_add(1, Relaxed);
            }
        };
        some(20);
        act(&some);
        some(20);
        over.store(true, Relaxed);
        callers
            .into_iter()
            .for_each(|caller| caller.join().unwrap());
    });
    served.into_inner()
}

/// Nobody was lost, and all who were accepted were served by one of the servers.
fn assert_all_served(farewell: &Farewell, calls: u64) {
    let sum = |name| farewell.counted_by_each(name).iter().sum::<u64>();
    let sums = ["accepted", "served", "dismissed", "rejected", "cut", "left"].map(sum);
    assert_eq!(sums, [calls, calls, 0, 0, 0, 0], "{:#?}", farewell.log);
    assert_eq!(farewell.counted_by_each("accepted").len(), UPGRADES + 1);
}

/// A server that is upgraded while clients come and go.
fn assert_no_gap(mut server: ServerProcess, connect: impl Fn() -> io::Result<TcpStream> + Sync) {
    let calls = while_called(connect, |some| {
        for _ in 0..UPGRADES {
            let old = server.upgrade();
            some(20);
            assert!(
                procfs::wait_for_end(&old, LIMIT),
                "the old one does not end"
            );
        }
    });
    server.log().wait_for(UPGRADED, UPGRADES);
    assert_all_served(&server.stop(), calls);
}

/// A path in a directory of its own, and the address of it.
fn path() -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let addr = format!("unix:{}", directory.path().join("echo.sock").display());
    (directory, addr)
}

fn file_of(addr: &str) -> &Path {
    Path::new(addr.strip_prefix("unix:").unwrap())
}

for_each_mode! {
    fn nobody_is_refused_or_reset(mode) {
        let server = start_at("127.0.0.1:0", mode, &[]);
        let addr = server.addr;
        assert_no_gap(server, || connect_to(addr));
    }

    fn the_file_of_a_socket_is_there_until_the_last_server_ends(mode) {
        let (_directory, addr) = path();
        let server = start_at(&addr, mode, &[]);
        assert_no_gap(server, || connect_to_path(file_of(&addr)));
        assert!(!file_of(&addr).exists());
    }

    fn who_is_inside_is_served_on_and_who_comes_finds_the_new_one(mode) {
        let mut server = start_at("127.0.0.1:0", mode, &["--drain-timeout", "1h"]);
        let mut inside = server.connect();
        round_trip(&mut inside, b"hello")?;
        let old = server.upgrade();
        // Each process of the old one hears of it in its own time; from then on it lets nobody in.
        let accepted = || -> u64 { field(&server.status().1, "accepted").unwrap().parse().unwrap() };
        server.until("all find the new one", || (), || {
            let before = accepted();
            for round in 0..10 {
                round_trip(&mut inside, &pattern(round, 20_000)).unwrap();
                visit(server.connect()).unwrap();
            }
            accepted() == before + 10
        });
        assert!(!procfs::wait_for_end(&old, LIMIT / 10_000), "somebody is inside");
        visit(inside)?;
        assert!(procfs::wait_for_end(&old, LIMIT));
        let farewell = server.stop();
        let [old, new] = farewell.counted_by_each("served")[..] else {
            panic!("{:#?}", farewell.log);
        };
        assert!(old >= 1 && new >= 10, "{old} and {new}");
        assert_eq!(farewell.counted_by_each("cut"), [0, 0]);
    }

    fn each_has_a_socket_of_its_own_and_keeps_it(mode) {
        let plan = mode.plan(std::num::NonZeroUsize::MIN, std::num::NonZeroUsize::MIN);
        if !plan.can_accept(server::Accept::Reuseport) {
            println!("not in {mode}: one accepts");
            return Ok(());
        }
        let server = start_at("127.0.0.1:0", mode, &["--accept", "reuseport"]);
        let addr = server.addr;
        let before = procfs::listening_sockets_at(server.pid(), addr.port());
        assert_eq!(before.len(), 3);
        assert_no_gap(server, || connect_to(addr));
    }

    fn who_is_handed_out_is_served_too(mode) {
        if mode.mode != Mode::ProcessPool {
            println!("not in {mode}: there is nobody to hand out");
            return Ok(());
        }
        let server = start_at("127.0.0.1:0", mode, &["--accept", "handoff"]);
        let addr = server.addr;
        assert_no_gap(server, || connect_to(addr));
    }
}

/// A client whom the master has accepted, and whom nobody can take, is not the successor's.
#[test]
fn who_is_in_hand_is_served_if_somebody_gets_free_and_dismissed_if_not() {
    for leaves in [true, false] {
        let one = ["--mode", "process-pool", "--workers", "1"];
        let mut server = ServerProcess::start(&[&one[..], &["--accept", "handoff"]].concat());
        let mut inside = server.connect();
        round_trip(&mut inside, b"hello").unwrap();
        let mut in_hand = server.connect();
        in_hand.write_all(b"me too").unwrap();
        let is_in_hand = || server.status().1.contains(" full=1 ");
        server.until("in hand", || server.moment(), is_in_hand);
        let old = server.upgrade();
        if leaves {
            drop(inside);
            in_hand.read_exact(&mut [0; 6]).unwrap();
        } else {
            let end = end_of(&mut in_hand);
            assert_eq!(end.as_deref(), Some(&b""[..]), "reset");
            drop(inside);
        }
        drop(in_hand);
        assert!(procfs::wait_for_end(&old, LIMIT));
        let farewell = server.stop();
        let dismissed = farewell.counted_by_each("dismissed");
        assert_eq!(dismissed, [u64::from(!leaves), 0]);
    }
}

/// The endpoint of an operator moves with the server, on a path as well.
#[test]
fn whoever_asks_how_it_goes_asks_the_new_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let addr = format!("unix:{}", path.display());
    let pool = ["--mode", "process-pool", "--workers", "1", "--admin", &addr];
    let mut server = ServerProcess::start(&pool);
    for _ in 0..3 {
        let inside = server.connect();
        let old = server.upgrade();
        let mut operator = connect_to_path(&path).unwrap();
        let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        operator.write_all(request.as_bytes()).unwrap();
        let answer = end_of(&mut operator).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        // The old one, which somebody is inside of, would say that it drains.
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        drop(inside);
        assert!(procfs::wait_for_end(&old, LIMIT));
        assert!(path.exists());
    }
    server.stop();
    assert!(!path.exists());
}
