//! The program among other processes: children that it did not start, signals that come too early,
//! and a log that nobody reads.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::process::Stdio;

use rustix::process::Signal;
use server::{Mode, for_each_mode};
use support::{LIMIT, SERVER, ServerProcess, WORKERS, procfs, round_trip};

/// A shell that has a child, says which, and becomes the server.
const WITH_CHILD: [&str; 4] = [
    "sh",
    "-c",
    "cat /proc/self/stat >/dev/null; sleep 3600 & echo inherited $! >&2; exec \"$0\" \"$@\"",
    SERVER,
];

for_each_mode! {
    fn a_child_that_it_did_not_start_is_buried_and_is_no_worker(mode) {
        let server = ServerProcess::wrapped(&WITH_CHILD, &[&mode.args()[..], &["--workers", "3"]].concat());
        server.log().wait_for("inherited ", 1);
        let line = server.log().lines_with("inherited ").remove(0);
        let stranger: u32 = line.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(server.workers().contains(&stranger));
        let mut client = server.connect();
        round_trip(&mut client, b"before")?;
        procfs::kill(stranger, Signal::KILL);
        let gone = || procfs::state_and_group(stranger).is_none();
        server.until("buried", || round_trip(&mut client, b"meanwhile").unwrap(), gone);
        let workers = if mode.mode == Mode::ProcessPool { WORKERS } else { 0 };
        let own = if mode == Mode::ProcessPerConnection { 1 } else { workers };
        assert_eq!(procfs::children(server.pid()).len(), own);
        // Its own are still its own to bury.
        drop(client);
        if mode.mode == Mode::ProcessPool {
            let victim = server.workers()[0];
            procfs::kill(victim, Signal::KILL);
            server.log().wait_for("SIGKILL", 1);
            support::until_replaced(&server, &[victim], || {});
        }
        (0..5).try_for_each(|_| round_trip(&mut server.connect(), b"afterwards"))?;
        let farewell = server.stop();
        assert_eq!((farewell.status.code(), farewell.counted("accepted")), (Some(0), 6));
    }

    fn term_at_any_moment_of_its_start_leaves_nobody_behind(mode) {
        let args = [&mode.args()[..], &["--workers", "3"]].concat();
        for round in 0..12 {
            let server = ServerProcess::begin(&args);
            // From at once to long after it is ready: a step is about a millisecond.
            for _ in 0..3 * round {
                procfs::group(server.pid());
            }
            let group = server.pid();
            let status = server.stop().status;
            // Before the first line of the program nobody can catch a signal.
            let ended = status.code() == Some(0) || std::os::unix::process::ExitStatusExt::signal(&status) == Some(Signal::TERM.as_raw());
            assert!(ended, "{status}");
            procfs::wait_for_empty_group(group, LIMIT);
        }
    }

    fn a_log_that_nobody_reads_ends_nobody(mode) {
        let (reader, writer) = std::io::pipe()?;
        let mut command = ServerProcess::command(&[SERVER], &[&mode.args()[..], &["--workers", "3"]].concat());
        command.env("RUST_LOG", "debug").stdout(Stdio::piped()).stderr(Stdio::from(writer));
        let server = ServerProcess::spawn(command).until_ready();
        drop(reader);
        for signal in [Signal::HUP, Signal::USR1, Signal::TTIN] {
            server.signal(signal);
            (0..20).try_for_each(|_| round_trip(&mut server.connect(), b"served nevertheless"))?;
        }
        server.signal(Signal::TERM);
        let pidfd = rustix::process::pidfd_open(procfs::pid(server.pid()), rustix::process::PidfdFlags::empty())?;
        assert!(procfs::wait_for_end(&pidfd, LIMIT));
    }
}

/// Nobody reads its log, and there is more of it than any pipe takes.
#[test]
fn workers_whose_log_is_not_taken_serve_on() {
    let (reader, writer) = std::io::pipe().unwrap();
    let args = [
        "--mode",
        "process-pool",
        "--workers",
        "2",
        "--worker-mode",
        "epoll",
    ];
    let mut command = ServerProcess::command(&[SERVER], &args);
    command
        .env("RUST_LOG", "debug")
        .stdout(Stdio::piped())
        .stderr(Stdio::from(writer));
    let server = ServerProcess::spawn(command).until_ready();
    // Each client is worth about a hundred bytes.
    for _ in 0..10_000 {
        round_trip(&mut server.connect(), b"served nevertheless").unwrap();
    }
    drop(reader);
}
