//! `--user` and `--group`: who the server is once it listens, what it can still do then, and that
//! it cannot go back.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use assert_cmd::Command;
use rustix::process::Signal;
use server::{Mode, for_each_mode};
use support::{
    LIMIT, SERVER, ServerProcess, connect_to_path, is_root, procfs, public_copy, round_trip, tool,
    until_replaced,
};

/// Somebody without a name on this machine, and without a right.
const UID: &str = "64321";
const GID: &str = "64322";
const AS_NOBODY: [&str; 4] = ["--user", UID, "--group", GID];

/// All of its processes are that user, with no group and no right beyond; returns how many were
/// looked at: one whose client has left may end meanwhile.
fn assert_nobody(server: &ServerProcess) -> usize {
    let family = procfs::family(server.pid()).into_iter();
    let looked_at = family.filter_map(procfs::status).map(|status| {
        assert_eq!(status.words("Uid"), [UID; 4]);
        assert_eq!(status.words("Gid"), [GID; 4]);
        assert_eq!(status.words("Groups"), [GID]);
        for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
            assert_eq!(status.words(set), ["0000000000000000"], "{set}");
        }
        assert_eq!(status.words("NoNewPrivs"), ["1"]);
    });
    looked_at.count()
}

/// The lines of a program that must not start, and its code.
fn refused(program: &mut Command) -> (Vec<String>, Option<i32>) {
    let output = program.timeout(LIMIT).output().unwrap();
    assert!(output.stdout.is_empty(), "it says that it is ready");
    let said = String::from_utf8(output.stderr).unwrap();
    let lines = said.lines().map(str::to_owned).collect();
    (lines, output.status.code())
}

for_each_mode! {
    fn the_whole_server_is_an_ordinary_user_and_serves(mode) {
        if is_root() {
            let numbers = ["--workers", "2"];
            let server = ServerProcess::start(&[&mode.args()[..], &numbers, &AS_NOBODY].concat());
            // A process that serves a client lives as long as the client stays.
            let mut client = server.connect();
            round_trip(&mut client, b"before")?;
            let workers = server.workers();
            assert!(assert_nobody(&server) > workers.len());
            for worker in &workers {
                procfs::kill(*worker, Signal::KILL);
            }
            drop(client);
            server.connect_until_served();
            let mut next = server.connect();
            round_trip(&mut next, b"after")?;
            assert!(assert_nobody(&server) > workers.len().min(1));
            drop(next);
            assert_eq!(server.stop().status.code(), Some(0));
        }
    }

    fn its_processes_start_though_the_path_of_the_program_is_closed_and_then_gone(mode) {
        if is_root() {
            let (directory, copy) = public_copy();
            fs::set_permissions(directory.path(), Permissions::from_mode(0o700))?;
            let args = [&mode.args()[..], &["--workers", "2"], &AS_NOBODY].concat();
            let server = ServerProcess::wrapped(&[&copy], &args);
            let mut client = server.connect();
            round_trip(&mut client, b"closed")?;
            drop(directory);
            let workers = server.workers();
            for worker in &workers {
                procfs::kill(*worker, Signal::KILL);
            }
            drop(client);
            if mode.mode == Mode::ProcessPool {
                until_replaced(&server, &workers, || {});
            }
            round_trip(&mut server.connect(), b"gone")?;
        }
    }
}

#[test]
fn workers_die_with_a_master_that_is_an_ordinary_user() {
    if !is_root() {
        return;
    }
    let server = support::pool_with(&AS_NOBODY);
    let leader = server.pid();
    assert_eq!(server.workers().len(), 3);
    server.signal(Signal::KILL);
    procfs::wait_for_empty_group(leader, LIMIT);
}

#[test]
fn who_is_that_user_already_need_not_be_root() {
    if !is_root() || tool("setpriv").is_none() {
        return;
    }
    let (_directory, copy) = public_copy();
    let (user, group) = (format!("--reuid={UID}"), format!("--regid={GID}"));
    let wrapper = ["setpriv", &user, &group, "--clear-groups", &copy];
    let mut program = Command::new(wrapper[0]);
    program.args(&wrapper[1..]).args(["127.0.0.1:0"]);
    program.args(["--user", "64333", "--group", GID]);
    let (lines, code) = refused(&mut program);
    assert_eq!((lines.len(), code), (1, Some(1)), "{lines:?}");
    let parts = ["--user 64333", "as user 64321", "start it as root"];
    for part in parts {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
    let groups = format!("--groups={GID}");
    let wrapper = ["setpriv", &user, &group, &groups, &copy];
    let server = ServerProcess::wrapped(&wrapper, &AS_NOBODY);
    assert_nobody(&server);
}

#[test]
fn rights_that_outlive_the_change_are_noticed() {
    if !is_root() || tool("setpriv").is_none() {
        return;
    }
    let bits = "--securebits=+no_setuid_fixup";
    let mut program = Command::new("setpriv");
    program.args([bits, SERVER, "127.0.0.1:0"]).args(AS_NOBODY);
    let (lines, code) = refused(&mut program);
    assert_eq!((lines.len(), code), (1, Some(1)), "{lines:?}");
    let says_why = lines[0].contains("root's rights outlive the change");
    assert!(says_why && lines[0].contains("--user 64321"), "{lines:?}");
}

#[test]
fn a_mistake_is_told_in_one_line_and_leaves_no_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let addr = format!("unix:{}", path.display());
    for (args, parts) in [
        (
            &["--user", "no-such-user"][..],
            &["'no-such-user'", "--user", "no such user"][..],
        ),
        (&["--user", "root"], &["'root'", "--user", "another user"]),
        (&["--user", "0"], &["'0'", "--user", "another user"]),
        (&["--user", ""], &["--user"]),
        (
            &["--user", "1", "--group", "no-such"],
            &["'no-such'", "--group"],
        ),
        (&["--user", "1", "--group", "root"], &["'root'", "--group"]),
        (&["--group", "1"], &["--group", "--user"]),
        (&["--user", UID], &["--user 64321", "give --group"]),
    ] {
        let (lines, code) = refused(Command::new(SERVER).arg(&addr).args(args));
        assert_eq!((lines.len(), code), (1, Some(2)), "{args:?}: {lines:?}");
        for part in parts {
            assert!(lines[0].contains(part), "{args:?}: {part}: {lines:?}");
        }
        assert!(!path.exists(), "{args:?}");
    }
}

/// Starts a server on a socket in that directory, lets somebody be served, and ends it.
fn on_a_path_in(directory: &Path) -> Vec<String> {
    let path = directory.join("socket");
    let addr = format!("unix:{}", path.display());
    let server = ServerProcess::start_at(&addr, &AS_NOBODY);
    let file = fs::symlink_metadata(&path).unwrap();
    assert_eq!(
        (file.uid().to_string(), file.gid().to_string()),
        (UID.into(), GID.into())
    );
    round_trip(&mut connect_to_path(&path).unwrap(), b"on a path").unwrap();
    let farewell = server.stop();
    assert_eq!(farewell.status.code(), Some(0));
    farewell.log
}

#[test]
fn the_file_of_a_socket_belongs_to_the_user_who_removes_it_where_it_may() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let said = |log: &[String]| log.iter().any(|line| line.contains("will be left behind"));
    let log = on_a_path_in(directory.path());
    assert!(said(&log), "{log:#?}");
    // The next server, which is root while it binds, takes the path over.
    assert!(directory.path().join("socket").exists());
    let (uid, gid) = (UID.parse().unwrap(), GID.parse().unwrap());
    std::os::unix::fs::chown(directory.path(), Some(uid), Some(gid)).unwrap();
    let log = on_a_path_in(directory.path());
    assert!(!said(&log), "{log:#?}");
    assert!(!directory.path().join("socket").exists());
}

#[test]
fn a_port_that_only_root_may_have_is_bound_before() {
    if !is_root() {
        return;
    }
    let taken = std::net::TcpListener::bind("127.0.0.7:7").is_err();
    if taken {
        println!("SKIPPED: port 7 is taken");
        return;
    }
    let server = ServerProcess::start_at("127.0.0.7:7", &AS_NOBODY);
    round_trip(&mut server.connect(), b"echo, port 7").unwrap();
    assert_nobody(&server);
}
