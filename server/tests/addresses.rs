//! Where a server can listen: on a path in every mode, on IPv6, on both protocols at once; and what
//! becomes of the file of its socket.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure is a failed test, and a skipped one says why"
)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use server::work::Work;
use server::{Choice, Config, for_each_mode};
use socket2::SockRef;
use support::{
    ServerProcess, TestServer, assert_balanced, config, connect_to, connect_to_path, converse,
    end_of, pattern, round_trip,
};
use tempfile::TempDir;

/// A path in a directory of its own, which lives as long as the other value.
fn path() -> (PathBuf, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (directory.path().join("echo.sock"), directory)
}

fn addr(path: &Path) -> String {
    format!("unix:{}", path.display())
}

fn on_a_path(path: &Path, config: Config) -> TestServer {
    TestServer::on(&addr(path).parse().unwrap(), config)
}

for_each_mode! {
    fn a_path_is_served_as_a_port_is(mode) {
        let (path, _directory) = path();
        let server = on_a_path(&path, config(mode));
        for length in [0, 1, 65_537, 1 << 20] {
            let sent = pattern(length as u64, length);
            let received = converse(&connect_to_path(&path)?, &sent)?;
            assert!(received == sent, "{} of {length} bytes", received.len());
        }
        let mut quiet = connect_to_path(&path)?;
        round_trip(&mut quiet, b"x")?;
        server.begin_stop();
        assert_eq!(end_of(&mut quiet).as_deref(), Some(&b""[..]));
        drop(quiet);
        let drained = server.wait();
        assert_balanced(&drained);
        let counters = drained.counters;
        assert_eq!((counters.accepted, counters.served, counters.cut), (5, 4, 0));
        assert!(!fs::exists(&path)?, "the file is removed at the end");
    }

    fn silence_on_a_path_has_its_limit(mode) {
        let (path, _directory) = path();
        let mut config = config(mode);
        config.limits.idle_timeout = Some(Duration::from_secs(1));
        let _server = on_a_path(&path, config);
        let mut quiet = connect_to_path(&path)?;
        round_trip(&mut quiet, b"x")?;
        assert_eq!(end_of(&mut quiet).as_deref(), Some(&b""[..]));
    }

    fn an_urgent_byte_on_a_path_stays_in_its_place(mode) {
        let (path, _directory) = path();
        let _server = on_a_path(&path, config(mode));
        let mut client = connect_to_path(&path)?;
        client.write_all(b"abc")?;
        if SockRef::from(&client).send_out_of_band(b"D").is_err() {
            println!("SKIPPED: this kernel has no urgent bytes on Unix sockets");
            return Ok(());
        }
        client.write_all(b"ef")?;
        client.shutdown(Shutdown::Write)?;
        assert_eq!(end_of(&mut client).as_deref(), Some(&b"abcDef"[..]));
    }

    fn a_path_is_free_for_the_next_while_the_drain_lasts(mode) {
        let (path, _directory) = path();
        let server = on_a_path(&path, Config { work: Work::Wait(Duration::from_millis(500)), ..config(mode) });
        let mut busy = connect_to_path(&path)?;
        round_trip(&mut busy, b"no end of line, no cost")?;
        busy.write_all(b"\n")?;
        server.begin_stop();
        let next = await_the_path(&path, mode);
        busy.read_exact(&mut [0])?;
        drop(busy);
        assert_balanced(&server.wait());
        // The first one did not take it for its own.
        round_trip(&mut connect_to_path(&path)?, b"still there")?;
        assert_balanced(&next.stop());
    }
}

/// Starts the next server as soon as the first one has left the path.
fn await_the_path(path: &Path, mode: Choice) -> TestServer {
    while connect_to_path(path).is_ok() {
        std::thread::yield_now();
    }
    on_a_path(path, config(mode))
}

#[test]
fn the_ready_line_names_the_path_and_the_file_is_a_socket() {
    let (path, _directory) = path();
    let server = ServerProcess::start_at(&addr(&path), &["--mode", "thread-pool"]);
    let start = format!("listening on {} mode=thread-pool ", addr(&path));
    assert!(server.ready_line().starts_with(&start));
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    let mut client = connect_to_path(&path).unwrap();
    round_trip(&mut client, b"hello").unwrap();
    drop(client);
    assert_eq!(server.stop().status.code(), Some(0));
    assert!(!fs::exists(&path).unwrap());
}

#[test]
fn the_file_of_a_killed_server_is_replaced_and_that_of_a_live_one_is_not() {
    let (path, _directory) = path();
    let args = ["--mode", "process-pool", "--workers", "2"];
    let first = ServerProcess::start_at(&addr(&path), &args);
    let mut second = std::process::Command::new(support::SERVER);
    let output = second.arg(addr(&path)).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("a server listens on that socket"), "{said}");
    round_trip(&mut connect_to_path(&path).unwrap(), b"unharmed").unwrap();
    let group = first.pid();
    first.signal(Signal::KILL);
    support::procfs::wait_for_empty_group(group, support::LIMIT);
    assert!(fs::exists(&path).unwrap(), "nobody could remove it");
    let third = ServerProcess::start_at(&addr(&path), &args);
    round_trip(&mut connect_to_path(&path).unwrap(), b"replaced").unwrap();
    assert_eq!(third.stop().status.code(), Some(0));
    assert!(!fs::exists(&path).unwrap());
}

#[test]
fn a_worker_that_ends_leaves_the_file() {
    let (path, _directory) = path();
    let args = ["--mode", "process-pool", "--workers", "2"];
    let server = ServerProcess::start_at(&addr(&path), &args);
    let victims = server.workers();
    for victim in &victims {
        support::procfs::kill(*victim, Signal::TERM);
    }
    server.until(
        "new workers",
        || server.moment(),
        || {
            let workers = server.workers();
            workers.len() == 2 && !victims.iter().any(|victim| workers.contains(victim))
        },
    );
    round_trip(&mut connect_to_path(&path).unwrap(), b"served").unwrap();
}

#[test]
fn the_file_is_gone_however_the_server_ends_by_itself() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let (path, _directory) = path();
        drop(UnixListener::bind(&path).unwrap());
        let server = ServerProcess::start_at(&addr(&path), &["--mode", "sequential"]);
        let mut client = connect_to_path(&path).unwrap();
        round_trip(&mut client, b"hello").unwrap();
        server.signal(signal);
        assert!(end_of(&mut client).is_some());
        assert_eq!(server.wait().status.code(), Some(0));
        assert!(!fs::exists(&path).unwrap(), "{signal:?}");
    }
    // A pool whose workers never live.
    let (path, _directory) = path();
    let pool = ["--mode", "process-pool", "--fault", "exit-at-start"];
    let output = std::process::Command::new(support::SERVER)
        .arg(addr(&path))
        .args(pool)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!fs::exists(&path).unwrap());
}

/// Whether this machine has IPv6 at all.
fn has_ipv6() -> bool {
    let has = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        println!("SKIPPED: this machine has no IPv6");
    }
    has
}

#[test]
fn ipv6_is_served_and_written_in_brackets() {
    if !has_ipv6() {
        return;
    }
    let server = ServerProcess::start_at("[::1]:0", &[]);
    let port = server.addr.port();
    let start = format!("listening on [::1]:{port} mode=async ");
    assert!(server.ready_line().starts_with(&start));
    round_trip(&mut server.connect(), b"hello").unwrap();
}

#[test]
fn all_of_ipv6_takes_ipv4_clients_too_and_says_so() {
    if !has_ipv6() {
        return;
    }
    let both = ServerProcess::start_at("[::]:0", &[]);
    assert!(both.ready_line().starts_with("listening on [::]:"));
    both.log().wait_for("dual_stack=true", 1);
    let v6 = |port| SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    let v4 = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for addr in [v6(both.addr.port()), v4(both.addr.port())] {
        round_trip(&mut connect_to(addr).unwrap(), b"hello").unwrap();
    }
    // With the flag the same port is left to others where it is IPv4's.
    let other = TcpListener::bind(v4(0)).unwrap();
    let port = other.local_addr().unwrap().port();
    let one = ServerProcess::start_at(&format!("[::]:{port}"), &["--ipv6-only"]);
    round_trip(&mut connect_to(v6(port)).unwrap(), b"hello").unwrap();
    let client = connect_to(v4(port)).unwrap();
    assert_eq!(other.accept().unwrap().1, client.local_addr().unwrap());
    let said = one.stop().log;
    assert!(!said.iter().any(|line| line.contains("dual_stack")));
}
