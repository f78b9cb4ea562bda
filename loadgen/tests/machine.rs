//! The machine of the generator: its limits are no failures of the server, its addresses and other
//! generators are used as asked, and a server on it is seen from outside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::collections::BTreeMap;
use std::net::{IpAddr, TcpListener};
use std::process::{Child, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use support::program::{complaint, in_shell, limited, loadgen, report};
use support::{PATIENCE, Server, echo};

fn output(args: &[&str]) -> Output {
    limited(loadgen(args), PATIENCE)
}

/// A server that notes which addresses its connections come from.
fn noting() -> (Server, Arc<Mutex<BTreeMap<IpAddr, usize>>>) {
    let peers = Arc::new(Mutex::new(BTreeMap::new()));
    let noted = Arc::clone(&peers);
    let server = Server::new(move |_, socket| {
        let peer = socket.peer_addr()?.ip();
        *noted.lock().unwrap().entry(peer).or_insert(0) += 1;
        echo(socket)
    });
    (server, peers)
}

#[test]
fn too_few_descriptors_are_said_before_the_run() {
    let server = Server::echo();
    let script = "ulimit -n 60; exec \"$0\" \"$@\"";
    let addr = server.addr().to_string();
    let shell = in_shell(script, &[&addr, "-c", "100", "-t", "1"]);
    let line = complaint(&limited(shell, PATIENCE), 1);
    for part in [
        "100 connections",
        "may open 60",
        "lower --connections",
        "--processes",
        "ulimit -Hn",
    ] {
        assert!(line.contains(part), "{line}");
    }
}

/// A run whose descriptors are taken away while it reconnects, once it has been served.
#[test]
fn descriptors_that_run_out_are_a_limit_of_the_client() {
    const SERVED_FIRST: usize = 20;
    let (begun, enough) = mpsc::sync_channel(1);
    let (proceed, taken) = mpsc::channel::<()>();
    let taken = Mutex::new(taken);
    let server = Server::new(move |number, socket| {
        if number == SERVED_FIRST {
            let _ = begun.try_send(());
            let _ = taken.lock().unwrap().recv_timeout(PATIENCE);
        }
        echo(socket)
    });
    let addr = server.addr().to_string();
    let flags = [
        "-c",
        "1",
        "-n",
        "60",
        "--requests-per-conn",
        "1",
        "--format",
        "json",
    ];
    let run = loadgen(&[&[addr.as_str()], &flags[..]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    enough.recv_timeout(PATIENCE).unwrap();
    take_descriptors(&run);
    proceed.send(()).unwrap();
    let run = run.wait_with_output().unwrap();
    let document: Value = serde_json::from_slice(&run.stdout).unwrap();
    let errors = document["errors"].as_object().unwrap();
    assert_eq!(
        errors.keys().collect::<Vec<_>>(),
        ["too-many-open-files"],
        "{errors:?}"
    );
    let checks = document["audit"]["checks"].as_array().unwrap();
    let limits = checks
        .iter()
        .filter(|c| c["detail"].to_string().contains("ulimit -n"));
    assert_eq!(limits.count(), 1, "{checks:?}");
    // Fewer requests than asked for: the figures are not those of the run that was meant.
    assert_eq!(run.status.code(), Some(4), "{checks:?}");
}

/// Leaves `run` what it has open and nothing more.
fn take_descriptors(run: &Child) {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    prlimit(Some(Pid::from_child(run)), Resource::Nofile, none).unwrap();
}

#[test]
fn ipv6_is_spoken() {
    let listener = match TcpListener::bind("[::1]:0") {
        Ok(listener) => listener,
        Err(error) => return println!("SKIPPED: no IPv6 here: {error}"),
    };
    let server = Server::accepting_on(listener, |_, socket| {
        thread::spawn(move || echo(socket));
        true
    });
    let addr = server.addr().to_string();
    assert!(addr.starts_with("[::1]:"));
    let run = output(&[
        &addr, "-c", "3", "-n", "30", "--bind", "::1", "--format", "json",
    ]);
    let document = report(&run, 0);
    assert_eq!(document["clients"]["served"], 3);
    assert_eq!(document["target"], addr.as_str());
}

#[test]
fn sources_and_targets_are_used_in_turn() {
    let ((one, from_one), (two, from_two)) = (noting(), noting());
    let (one, two) = (one.addr().to_string(), two.addr().to_string());
    let flags = ["-c", "8", "-n", "80", "--once", "--format", "json"];
    let bind = ["--bind", "127.0.0.2,127.0.0.3"];
    let run = output(&[&[one.as_str(), &two], &bind[..], &flags].concat());
    assert_eq!(report(&run, 0)["clients"]["served"], 8);
    let expected = BTreeMap::from([([127, 0, 0, 2].into(), 2), ([127, 0, 0, 3].into(), 2)]);
    assert_eq!(*from_one.lock().unwrap(), expected);
    assert_eq!(*from_two.lock().unwrap(), expected);
}

#[test]
fn a_source_that_is_not_ours_or_of_the_wrong_kind_is_refused() {
    let server = Server::echo();
    let addr = server.addr().to_string();
    let elsewhere = complaint(&output(&[&addr, "--bind", "192.0.2.1"]), 1);
    assert!(elsewhere.contains("--bind 192.0.2.1"), "{elsewhere}");
    let mixed = complaint(&output(&[&addr, "--bind", "::1"]), 1);
    assert!(mixed.contains("::1") && mixed.contains(&addr), "{mixed}");
}

#[test]
fn shards_share_clients_and_requests() {
    let (server, peers) = noting();
    let addr = server.addr().to_string();
    let mut sums = (0, 0);
    for shard in ["0/3", "1/3", "2/3"] {
        let run = output(&[
            &addr, "-c", "10", "-n", "100", "--shard", shard, "--format", "json",
        ]);
        let document = report(&run, 0);
        sums.0 += document["clients"]["asked"].as_u64().unwrap();
        sums.1 += document["requests"]["answered"].as_u64().unwrap();
    }
    assert_eq!(sums, (10, 100));
    assert_eq!(peers.lock().unwrap().values().sum::<usize>(), 10);
}

#[test]
fn a_job_changes_nothing_unless_it_is_asked() {
    let server = Server::echo();
    let addr = server.addr().to_string();
    let asked = |shard: &[&str]| {
        let flags = [
            &[addr.as_str(), "-c", "4", "-n", "8", "--format", "json"],
            shard,
        ]
        .concat();
        let mut command = loadgen(&flags);
        let job = [("SLURM_PROCID", "1"), ("SLURM_NTASKS", "4")];
        let own = ["OMPI_COMM_WORLD_RANK", "SLURM_STEP_NUM_TASKS"];
        own.iter().for_each(|name| _ = command.env_remove(name));
        command.envs(job);
        let document = report(&limited(command, PATIENCE), 0);
        document["clients"]["asked"].as_u64().unwrap()
    };
    assert_eq!(asked(&[]), 4);
    assert_eq!(asked(&["--shard", "auto"]), 1);
}

#[test]
fn a_start_that_is_over_is_a_mistake() {
    let run = output(&["--start-at", "2001-01-01T00:00:00Z"]);
    let line = String::from_utf8(run.stderr).unwrap();
    assert_eq!(
        (run.status.code(), line.lines().count()),
        (Some(2), 1),
        "{line}"
    );
    assert!(
        line.contains("--start-at 2001-01-01T00:00:00.000Z") && line.contains("ago"),
        "{line}"
    );
}

/// The server is this test, and the generator a program of its own.
#[test]
fn the_server_is_seen_and_the_generator_is_not_taken_for_it() {
    let server = Server::echo();
    let addr = server.addr().to_string();
    let run = loadgen(&[&addr, "-c", "2", "-n", "200", "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let generator = u64::from(run.id());
    let document = report(&run.wait_with_output().unwrap(), 0);
    let seen = &document["server"];
    let pids: Vec<_> = seen["pids"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    assert!(pids.contains(&u64::from(std::process::id())), "{seen}");
    assert!(!pids.contains(&generator), "{seen}");
    assert!(seen["cpu_s"].as_f64().unwrap() > 0.0 && seen["rss_bytes"].as_u64().unwrap() > 0);
    assert!(seen["backlog"].as_u64().unwrap() > 0, "{seen}");
    let tcp = &document["tcp"];
    assert!(
        tcp["connections"] == 2 && tcp["rtt_p50_us"].as_f64().unwrap() > 0.0,
        "{tcp}"
    );
}

#[test]
fn processes_share_the_load_and_say_what_one_would() {
    let (server, peers) = noting();
    let addr = server.addr().to_string();
    let flags = [
        "-c",
        "5",
        "-n",
        "101",
        "--once",
        "--processes",
        "2",
        "--format",
        "json",
    ];
    let run = output(&[&[addr.as_str()], &flags[..]].concat());
    let document = report(&run, 0);
    assert_eq!(
        (&document["merged"], &document["clients"]["served"]),
        (&2.into(), &5.into())
    );
    assert_eq!(document["requests"]["answered"], 101);
    assert_eq!(document["config"]["connections"], 5);
    assert_eq!(peers.lock().unwrap().values().sum::<usize>(), 5);
}

#[test]
fn processes_that_cannot_run_are_1_in_one_line() {
    let (_reserved, addr) = support::closed_port();
    let line = complaint(
        &output(&[&addr.to_string(), "-n", "9", "--processes", "2"]),
        1,
    );
    assert!(
        line.starts_with("loadgen: process ") && line.contains("is the server running"),
        "{line}"
    );
}

#[test]
fn a_signal_to_the_parent_gives_a_partial_report_of_all() {
    let (started, first_bytes) = mpsc::channel();
    let server = Server::new(move |_, socket| {
        socket.peek(&mut [0])?;
        let _ = started.send(());
        echo(socket)
    });
    let addr = server.addr().to_string();
    let flags = [
        "-c",
        "2",
        "-d",
        "60s",
        "-w",
        "0s",
        "--processes",
        "2",
        "--format",
        "json",
    ];
    let run = loadgen(&[&[addr.as_str()], &flags[..]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for _ in 0..2 {
        first_bytes.recv_timeout(PATIENCE).unwrap();
    }
    kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
    let document = report(&run.wait_with_output().unwrap(), 143);
    assert_eq!(
        (&document["merged"], &document["interrupted"]),
        (&2.into(), &true.into())
    );
    assert_eq!(document["clients"]["connected"], 2);
}
