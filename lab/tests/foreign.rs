//! The servers that the lab brings along keep the contract of ours, as far as their programs are
//! installed: every byte comes back in order, whatever a line costs, and nothing is left when they are
//! stopped.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic, and says what it skips"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use lab::foreign::{self, Foreign};
use lab::launcher::Launcher;
use lab::plain;
use lab::process::ServerProcess;
use lab::subject::Subject;
use lab::usage;

const LIMIT: Duration = Duration::from_secs(20);

/// It with two workers where it can run; says why where it cannot.
fn subject(foreign: &Foreign, work: &str) -> Option<Subject> {
    let work = work.parse().unwrap();
    if let Some(lack) = foreign.lack(work) {
        eprintln!("SKIPPED: {lack}");
        return None;
    }
    let has = |name: &&str| std::env::var_os(name).is_some();
    if foreign.name == "go" && !["HOME", "XDG_CACHE_HOME", "GOCACHE"].iter().any(has) {
        eprintln!("SKIPPED: go has no place for what it builds: neither HOME nor GOCACHE is set");
        return None;
    }
    // Go is built once for all tests.
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    Some(foreign.subject(2, work, folder).unwrap())
}

fn start(subject: &Subject) -> ServerProcess {
    let lab = Launcher::of_one(env!("CARGO_BIN_EXE_lab"), "@server", "@part");
    ServerProcess::start(subject, &lab).unwrap()
}

/// All that echo, one after the other.
fn all() -> impl Iterator<Item = ServerProcess> {
    let foreign = foreign::ALL.iter().filter_map(|it| subject(it, "none"));
    let plain = plain::ALL.iter().map(|it| it.subject(2));
    foreign.chain(plain).map(|it| start(&it))
}

fn connect(server: &ServerProcess) -> TcpStream {
    let stream = TcpStream::connect(server.ready.addr).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Sends `bytes` and the end, and returns all that comes back.
fn echo(server: &ServerProcess, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(server);
    let mut sender = stream.try_clone().unwrap();
    let mut received = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            sender.write_all(bytes).unwrap();
            sender.shutdown(Shutdown::Write).unwrap();
        });
        let end = stream.read_to_end(&mut received);
        end.unwrap_or_else(|error| panic!("{}: {error}", server.name));
    });
    received
}

/// Lines of different lengths, no two alike.
fn lines(count: usize) -> Vec<u8> {
    let line = |number: usize| format!("{number} {}\n", "x".repeat(number % 97));
    (0..count)
        .flat_map(|number| line(number).into_bytes())
        .collect()
}

#[test]
fn every_byte_comes_back_in_order() {
    for server in all() {
        let sent = lines(5_000);
        assert!(echo(&server, &sent) == sent, "{}", server.name);
        drop(server.stop());
    }
}

#[test]
fn what_a_line_costs_changes_no_byte() {
    for work in ["io=1ms", "io=exp:1ms", "cpu=1ms"] {
        for foreign in foreign::ALL {
            let Some(server) = subject(foreign, work).map(|it| start(&it)) else {
                continue;
            };
            let sent = lines(20);
            assert!(echo(&server, &sent) == sent, "{} {work}", foreign.name);
            drop(server.stop());
        }
    }
}

#[test]
fn a_client_that_resets_ends_nobody_else() {
    for server in all() {
        let mut gone = connect(&server);
        gone.write_all(b"x").unwrap();
        gone.read_exact(&mut [0]).unwrap();
        // Closing with bytes unread sends a reset.
        gone.write_all(b"yz").unwrap();
        gone.peek(&mut [0]).unwrap();
        drop(gone);
        assert_eq!(
            echo(&server, b"still here\n"),
            b"still here\n",
            "{}",
            server.name
        );
        drop(server.stop());
    }
}

#[test]
fn the_whole_family_ends_with_it() {
    for server in all() {
        let mut stays = connect(&server);
        stays.write_all(b"x").unwrap();
        stays.read_exact(&mut [0]).unwrap();
        let (leader, name) = (server.pid(), server.name.clone());
        assert!(!usage::living_members_of(leader).is_empty());
        drop(server.stop());
        let give_up_at = std::time::Instant::now() + LIMIT;
        while !usage::living_members_of(leader).is_empty() {
            assert!(std::time::Instant::now() < give_up_at, "{name} lives on");
            std::thread::yield_now();
        }
    }
}
