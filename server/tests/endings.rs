//! Why workers of a pool ended: each reason is counted when it is the reason, and no other one.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::fs;
use std::io::Write;
use std::num::NonZeroU64;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use server::{Config, Endings, Fault, Mode, State, Status};
use support::{SERVER, TestServer, WORKERS, procfs, round_trip, worker_command};
use tempfile::TempDir;

/// A pool of which nobody is ended for want of a beat.
fn config() -> Config {
    let mut config = support::config(Mode::ProcessPool.into());
    config.life.hang_timeout = None;
    config
}

/// Whether as many workers are ready as there shall be, and no others are left.
fn is_whole(status: &Status) -> bool {
    let workers = &status.workers;
    workers.len() == status.workers_wanted && workers.iter().all(|one| one.state == State::Ready)
}

/// Waits until all that ended have successors, and compares.
fn assert_ended(server: &TestServer, expected: Endings) {
    let status = server.status_when(&format!("{expected:?}"), |status| {
        is_whole(status) && status.ended != Endings::default()
    });
    assert_eq!(status.ended, expected);
}

fn kill_one(server: &TestServer, signal: Signal) {
    procfs::kill(server.observer.status().workers[0].pid, signal);
}

#[test]
fn who_is_no_longer_wanted_was_asked_to_go() {
    let server = TestServer::with(config());
    server.orders.fewer();
    let one = Endings {
        asked: 1,
        ..Endings::default()
    };
    assert_ended(&server, one);
    assert_eq!(server.observer.status().workers_wanted, WORKERS - 1);
}

#[test]
fn who_made_room_for_a_successor_was_restarted() {
    let server = TestServer::with(config());
    let old = server.observer.status().workers;
    server.orders.restart();
    let status = server.status_when("all new", |status| {
        let is_old = |pid| old.iter().any(|one| one.pid == pid);
        is_whole(status) && !status.workers.iter().any(|one| is_old(one.pid))
    });
    let all = Endings {
        restarted: WORKERS as u64,
        ..Endings::default()
    };
    assert_eq!(status.ended, all);
}

#[test]
fn who_has_served_its_share_was_recycled() {
    let mut config = config();
    config.life.max_requests = NonZeroU64::new(1);
    let server = TestServer::with(config);
    round_trip(&mut server.connect(), b"its share").unwrap();
    let one = Endings {
        recycled: 1,
        ..Endings::default()
    };
    assert_ended(&server, one);
}

#[test]
fn who_did_not_move_was_hung() {
    let mut config = config();
    config.life.hang_timeout = Some(Duration::from_secs(1));
    config.fault = Some(Fault::HangOn("#".into()));
    let server = TestServer::with(config);
    server.connect().write_all(b"#").unwrap();
    let one = Endings {
        hung: 1,
        ..Endings::default()
    };
    assert_ended(&server, one);
}

#[test]
fn who_did_not_end_in_time_was_late() {
    let mut config = config();
    config.limits.drain_timeout = Duration::ZERO;
    let server = TestServer::with(config);
    // It stands still, and so does not hear that it is to go.
    kill_one(&server, Signal::STOP);
    server.orders.restart();
    let status = server.status_when("late", |status| status.ended.late == 1 && is_whole(status));
    let expected = Endings {
        late: 1,
        restarted: WORKERS as u64 - 1,
        ..Endings::default()
    };
    assert_eq!(status.ended, expected);
}

#[test]
fn who_was_killed_by_others_died_of_a_signal() {
    let server = TestServer::with(config());
    kill_one(&server, Signal::KILL);
    let one = Endings {
        signal: 1,
        ..Endings::default()
    };
    assert_ended(&server, one);
}

/// The program that workers are started as from now on.
fn replace(link: &Path, program: impl AsRef<Path>) {
    let new = link.with_extension("new");
    symlink(program, &new).unwrap();
    fs::rename(new, link).unwrap();
}

/// A server whose workers are started as `worker` in that directory, which is a link.
fn started_by_a_link() -> (TempDir, TestServer) {
    let directory = TempDir::new().unwrap();
    let link = directory.path().join("worker");
    replace(&link, SERVER);
    let server = TestServer::started_by(worker_command(link), config());
    (directory, server)
}

#[test]
fn who_ended_by_itself_exited() {
    let (directory, server) = started_by_a_link();
    let link = directory.path().join("worker");
    replace(&link, "/bin/false");
    kill_one(&server, Signal::KILL);
    server.status_when("an exit", |status| status.ended.exit > 0);
    replace(&link, SERVER);
    let ended = server.status_when("whole again", is_whole).ended;
    let expected = Endings {
        signal: 1,
        exit: ended.exit,
        ..Endings::default()
    };
    assert_eq!(ended, expected);
}

#[test]
fn who_could_not_be_started_is_counted_each_time() {
    let (directory, server) = started_by_a_link();
    let link = directory.path().join("worker");
    fs::remove_file(&link).unwrap();
    kill_one(&server, Signal::KILL);
    server.status_when("tried twice", |status| status.ended.unstarted > 1);
    replace(&link, SERVER);
    let ended = server.status_when("whole again", is_whole).ended;
    let expected = Endings {
        signal: 1,
        unstarted: ended.unstarted,
        ..Endings::default()
    };
    assert_eq!(ended, expected);
}
