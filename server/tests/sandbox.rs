//! `--sandbox`: a worker that is broken gets nowhere, and nobody but it notices.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::thread;

use assert_cmd::Command;
use rustix::io::Errno;
use rustix::process::Signal;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use server::{Choice, Inner, Mode, for_each_mode};
use support::{
    LIMIT, SERVER, ServerProcess, can_be_locked_in, field, has_sandbox, is_root, pool_of,
    pool_with, procfs, round_trip, until_replaced,
};

const REQUIRE: [&str; 2] = ["--sandbox", "require"];
const ESCAPE: [&str; 2] = ["--fault", "escape-on=ESCAPE"];
const AS_NOBODY: [&str; 4] = ["--user", "64321", "--group", "64322"];
/// What a worker tries.
const ATTEMPTS: usize = 20;

/// What the kernel says of a worker that is locked in.
fn assert_locked_in(worker: u32) {
    let status = procfs::status(worker).unwrap();
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(status.words(set), ["0000000000000000"], "{set}");
    }
    assert_eq!(status.words("NoNewPrivs"), ["1"]);
    assert_eq!(status.words("Seccomp"), ["2"]);
    assert_eq!(status.words("Seccomp_filters"), ["3"]);
    for thread in procfs::threads(worker) {
        let status = procfs::status(thread).unwrap();
        assert_eq!(status.words("Seccomp"), ["2"], "of a thread");
        assert_eq!(status.words("CapEff"), ["0000000000000000"]);
    }
}

/// The outcomes that a worker told of its attempts, by name.
fn outcomes(server: &ServerProcess) -> BTreeMap<String, String> {
    server.log().wait_for("escape is over", 1);
    let lines = server.log().lines_with("escape attempt=");
    let outcome = |line: &String| {
        let word = |name| field(line, name).unwrap().trim_matches('"').to_owned();
        (word("attempt"), word("outcome"))
    };
    lines.iter().map(outcome).collect()
}

/// Lets a worker try everything while it and the others serve; returns what came of it, and the
/// clients: as long as they stay, no thread that serves one ends while it is looked at.
fn escape(
    mode: Choice,
    args: &[&str],
) -> (ServerProcess, Vec<TcpStream>, BTreeMap<String, String>) {
    let server = pool_of(mode, &[args, &ESCAPE].concat()).unwrap();
    let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        round_trip(client, b"before").unwrap();
    }
    let workers = server.workers();
    round_trip(&mut clients[0], b"ESCAPE").unwrap();
    let outcomes = outcomes(&server);
    for client in &mut clients {
        round_trip(client, b"after").unwrap();
    }
    assert_eq!(server.workers(), workers, "nobody was replaced");
    (server, clients, outcomes)
}

fn assert_gets_nowhere(mode: Choice, args: &[&str]) {
    let (server, clients, outcomes) = escape(mode, args);
    assert_eq!(outcomes.len(), ATTEMPTS);
    for (attempt, outcome) in outcomes {
        assert_eq!(outcome, "refused", "{attempt}");
    }
    let workers = server.workers();
    workers.into_iter().for_each(assert_locked_in);
    drop(clients);
    let (processes, all) = server.status();
    assert_eq!(processes.len(), 3);
    for line in processes {
        assert_eq!(field(&line, "sandbox"), Some("full"), "{line}");
    }
    let violations: usize = field(&all, "violations").unwrap().parse().unwrap();
    // All but what libraries look up by themselves.
    assert!(violations >= ATTEMPTS - 1, "{all}");
    let log = server.stop().log;
    let told = log
        .iter()
        .filter(|line| line.contains("what its sandbox refuses"));
    let told: Vec<_> = told.collect();
    let counts = told
        .iter()
        .map(|line| field(line, "count").unwrap().parse::<usize>().unwrap());
    assert_eq!(counts.sum::<usize>(), violations, "{told:#?}");
    for call in [
        "openat(/etc/passwd)",
        "socket",
        "clone",
        "ptrace",
        "kill",
        "execve(/nonexistent/program)",
    ] {
        assert!(
            told.iter().any(|line| line.contains(call)),
            "{call}: {told:#?}"
        );
    }
    assert!(
        !told.iter().any(|line| line.contains("/proc/stat")),
        "{told:#?}"
    );
    assert!(
        !log.iter().any(|line| line.contains("a worker died")),
        "{log:#?}"
    );
}

for_each_mode! {
    fn a_broken_worker_gets_nowhere(mode) {
        if can_be_locked_in(mode) && has_sandbox() {
            assert_gets_nowhere(mode, &REQUIRE);
        }
    }

    fn neither_does_one_of_an_ordinary_user(mode) {
        if can_be_locked_in(mode) && has_sandbox() && is_root() {
            assert_gets_nowhere(mode, &[&REQUIRE[..], &AS_NOBODY].concat());
        }
    }

    fn nobody_is_suspected_who_does_his_work(mode) {
        if can_be_locked_in(mode) && has_sandbox() {
            let busy = ["--work", "cpu=1ms", "--offload", "rayon", "--fault", "panic-on=PANIC"];
            let server = pool_of(mode, &[&REQUIRE[..], &busy].concat()).unwrap();
            for round in 0..20 {
                let mut client = server.connect();
                round_trip(&mut client, b"line\n")?;
                if round % 5 == 0 {
                    std::io::Write::write_all(&mut client, b"PANIC")?;
                    support::end_of(&mut client);
                }
            }
            let workers = server.workers();
            server.signal(Signal::HUP);
            until_replaced(&server, &workers, || {});
            round_trip(&mut server.connect(), b"line\n")?;
            let farewell = server.stop();
            assert_eq!(farewell.status.code(), Some(0));
            let suspected = (farewell.counted("violations"), farewell.counted("panics"));
            assert_eq!(suspected, (0, 4), "{:#?}", farewell.log);
        }
    }

    fn best_effort_serves_in_every_pool(mode) {
        if mode.mode == Mode::ProcessPool {
            let server = pool_of(mode, &["--sandbox", "best-effort"]).unwrap();
            round_trip(&mut server.connect(), b"served")?;
            let workers = server.workers();
            for worker in &workers {
                let status = procfs::status(*worker).unwrap();
                assert_eq!(status.words("NoNewPrivs"), ["1"]);
            }
            procfs::kill(workers[0], Signal::KILL);
            until_replaced(&server, &workers[..1], || {});
            let farewell = server.stop();
            assert_eq!(farewell.counted("violations"), 0, "{:#?}", farewell.log);
        }
    }
}

#[test]
fn a_worker_that_is_not_locked_in_gets_out() {
    let (server, _clients, outcomes) = escape(Choice::of(Mode::ProcessPool), &["--sandbox", "off"]);
    for attempt in [
        "open-file",
        "create-file",
        "connect-tcp",
        "listen-tcp",
        "send-udp",
        "fork",
        "exec",
        "find-master",
        "execute-memory",
    ] {
        assert_eq!(outcomes[attempt], "reached", "{attempt}");
    }
    let (processes, all) = server.status();
    for line in processes {
        assert_eq!(field(&line, "sandbox"), Some("off"), "{line}");
    }
    assert_eq!(field(&all, "violations"), Some("0"));
}

#[test]
fn what_a_mode_cannot_promise_is_not_claimed() {
    for (inside, lacks) in [
        (Inner::IoUring, &["calls"][..]),
        (Inner::ProcessPerConnection, &["calls", "files"]),
    ] {
        let mode = Choice::pool_of(inside);
        if server::probe(mode).is_err() {
            println!("SKIPPED: {mode}");
            continue;
        }
        let output = Command::new(SERVER)
            .arg("127.0.0.1:0")
            .args(mode.args())
            .args(REQUIRE)
            .timeout(LIMIT)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        for part in [
            "'require'",
            "--sandbox",
            inside.mode().name(),
            "best-effort",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let server = pool_of(mode, &["--sandbox", "best-effort"]).unwrap();
        let (processes, _) = server.status();
        for line in processes {
            let level = field(&line, "sandbox").unwrap();
            assert!(level.contains("capabilities,no-new-privs"), "{line}");
            for lack in lacks {
                assert!(!level.split(',').any(|layer| layer == *lack), "{line}");
            }
        }
    }
}

/// A kernel that refuses one call.
fn without(call: i64) -> BpfProgram {
    let refused = SeccompAction::Errno(Errno::NOSYS.raw_os_error().cast_unsigned());
    let rules = BTreeMap::from([(call, Vec::new())]);
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, arch);
    filter.unwrap().try_into().unwrap()
}

#[test]
fn where_a_layer_is_missing_the_server_says_which_and_does_not_start() {
    /// `landlock_create_ruleset`, by its number on all architectures.
    const LANDLOCK: i64 = 444;
    if !has_sandbox() {
        return;
    }
    let kernel = without(LANDLOCK);
    thread::scope(|scope| {
        scope.spawn(|| {
            // It holds for this thread and for what it starts.
            apply_filter(&kernel).unwrap();
            let output = Command::new(SERVER)
                .args(["127.0.0.1:0", "--mode", "process-pool"])
                .args(REQUIRE)
                .timeout(LIMIT)
                .output()
                .unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(output.stdout.is_empty(), "it says that it is ready");
            assert_eq!(said.lines().count(), 1, "{said}");
            for part in ["--sandbox require", "Landlock", "--sandbox best-effort"] {
                assert!(said.contains(part), "{part}: {said}");
            }
            let server = pool_with(&["--sandbox", "best-effort"]);
            round_trip(&mut server.connect(), b"served").unwrap();
            let (processes, _) = server.status();
            for line in processes {
                let level = field(&line, "sandbox");
                assert_eq!(
                    level,
                    Some("capabilities,no-new-privs,limits,calls,reports")
                );
            }
        });
    });
}

#[test]
fn a_sandbox_is_for_the_workers_of_a_pool() {
    for mode in Mode::ALL.iter().filter(|mode| **mode != Mode::ProcessPool) {
        let args = ["127.0.0.1:0", "--mode", mode.name(), "--sandbox"];
        let output = Command::new(SERVER).args(args).arg("best-effort").output();
        let output = output.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("--sandbox") && said.contains(mode.name()),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn nothing_that_the_server_inherited_is_open_in_its_workers() {
    let shell = [
        "sh",
        "-c",
        "exec 7</etc/passwd 8>/dev/null; exec \"$@\"",
        "sh",
        SERVER,
    ];
    let args = ["--mode", "process-pool", "--workers", "2"];
    let server = ServerProcess::wrapped(&shell, &args);
    let inherited = |pid: u32| {
        let target = std::fs::read_link(format!("/proc/{pid}/fd/7"));
        target.is_ok_and(|target| target.ends_with("passwd"))
    };
    assert!(inherited(server.pid()));
    for worker in server.workers() {
        assert!(!inherited(worker));
    }
}

#[test]
fn workers_that_are_locked_in_die_with_their_master() {
    if !has_sandbox() {
        return;
    }
    let server = pool_with(&REQUIRE);
    let leader = server.pid();
    server.signal(Signal::KILL);
    procfs::wait_for_empty_group(leader, LIMIT);
}

#[test]
fn a_worker_that_is_locked_in_writes_no_file_and_leaves_no_core() {
    if !has_sandbox() {
        return;
    }
    let server = pool_with(&REQUIRE);
    for worker in server.workers() {
        let limits = std::fs::read_to_string(format!("/proc/{worker}/limits")).unwrap();
        for name in ["Max core file size", "Max file size"] {
            let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
            let values: Vec<_> = line[name.len()..].split_whitespace().take(2).collect();
            assert_eq!(values, ["0", "0"], "{line}");
        }
    }
}
