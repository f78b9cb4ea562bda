//! The command line: exit codes, one line for each mistake, and a report that is whole or absent.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Output, Stdio};
use std::sync::mpsc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::program::loadgen;
use support::{Server, echo, reset};

fn output(args: &[&str]) -> Output {
    loadgen(args).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The one line on stderr, and that nothing is on stdout.
fn complaint(output: &Output) -> String {
    let line = text(&output.stderr);
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(output.stdout.is_empty());
    line
}

/// Command lines that are refused, and what must be said about each.
const MISTAKES: &[(&[&str], [&str; 3])] = &[
    (&["-c", "0"], ["'0'", "--connections", "from 1 to 1000000"]),
    (&["-c", "-1"], ["'-1'", "--connections", "from 1 to"]),
    (&["-c", "1e9"], ["'1e9'", "--connections", "from 1 to"]),
    (&["-c", ""], ["--connections", "", ""]),
    (&["-t", "0"], ["'0'", "--threads", "from 1 to 1024"]),
    (
        &["-t", "3", "-c", "2"],
        ["--threads 3", "1 to 2", "--connections"],
    ),
    (&["-n", "0"], ["'0'", "--requests", "from 1 to"]),
    (&["-n", "NaN"], ["'NaN'", "--requests", "from 1 to"]),
    (&["-d", "5"], ["'5'", "--duration", "10s"]),
    (&["-d", "0s"], ["'0s'", "--duration", "from 1ms to"]),
    (&["-d", "-3s"], ["'-3s'", "--duration", "from 1ms to"]),
    (&["-w", "x"], ["'x'", "--warmup", "from 0s to"]),
    (&["-s", "0"], ["'0'", "--size", "from 1 B to 16 MiB"]),
    (
        &["-s", "17MiB"],
        ["'17MiB'", "--size", "from 1 B to 16 MiB"],
    ),
    (&["-s", "0x4"], ["'0x4'", "--size", "from 1 B to"]),
    (&["--think", "1"], ["'1'", "--think", "from 0s to"]),
    (&["--hold", "1"], ["'1'", "--hold", "from 0s to"]),
    (&["--timeout", "0s"], ["'0s'", "--timeout", "from 1ms to"]),
    (
        &["--connect-rate", "0"],
        ["'0'", "--connect-rate", "from 0.01 to"],
    ),
    (
        &["--ramp", "1s", "--scatter", "1s"],
        ["--ramp", "--scatter", "cannot be used with"],
    ),
    (
        &["--requests-per-conn", "0"],
        ["'0'", "--requests-per-conn", "from 1 to"],
    ),
    (&["--seed", "-1"], ["'-1'", "--seed", "from 0 to"]),
    (&["--verify", "maybe"], ["'maybe'", "--verify", "on, off"]),
    (&["--format", "xml"], ["'xml'", "--format", "text, json"]),
    (
        &["--conections", "4"],
        ["--conections", "--connections", ""],
    ),
    (&["127.0.0.1:0"], ["127.0.0.1:0", "between 1 and 65535", ""]),
    (&["127.0.0.1:65536"], ["65536", "65535", ""]),
    (&["::1:7007"], ["::1:7007", "brackets", ""]),
    (&["a", "b"], ["", "", ""]),
];

#[test]
fn every_mistake_is_one_line_with_flag_value_and_range() {
    for (args, said) in MISTAKES {
        let output = output(args);
        assert_eq!(code(&output), 2, "{args:?}");
        let line = complaint(&output);
        assert!(line.starts_with("loadgen: "), "{line}");
        assert!(said.iter().all(|part| line.contains(part)), "{line}");
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = output(&["--help"]);
    let shown = text(&help.stdout);
    assert_eq!((code(&help), help.stderr.len()), (0, 0));
    for part in ["--requests-per-conn", "1ms to 1day", "16MiB", "Exit codes"] {
        assert!(shown.contains(part), "{part}");
    }
    let version = output(&["--version"]);
    assert_eq!(code(&version), 0);
    assert!(text(&version.stdout).starts_with("loadgen "));
}

#[test]
fn a_good_run_ends_with_0_and_one_document() {
    let server = Server::echo();
    let addr = server.addr().to_string();
    let run = output(&[
        &addr,
        "-c",
        "4",
        "-n",
        "100",
        "--threads",
        "1",
        "--warmup",
        "0s",
        "--format",
        "json",
    ]);
    assert_eq!((code(&run), text(&run.stderr)), (0, String::new()));
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report["target"], addr.as_str());
    assert_eq!(report["requests"]["answered"], 100);
    assert_eq!(report["config"]["warmup"], "0s");
    assert_eq!(report["config"]["connections"], 4);
    assert_eq!(report["latency"]["response"], Value::Null);
    let prose = output(&[&addr, "-c", "4", "-n", "100"]);
    assert_eq!(code(&prose), 0);
    let prose = text(&prose.stdout);
    assert!(prose.starts_with("clients     4 asked  4 connected  4 served"));
    assert!(prose.contains("\n\nAll 4 clients were served."), "{prose}");
}

#[test]
fn nobody_to_talk_to_is_1() {
    let (_reserved, addr) = support::closed_port();
    // It says so at once instead of trying for a day.
    let mut command = assert_cmd::Command::from_std(loadgen(&[&addr.to_string(), "-d", "1day"]));
    let run = command.timeout(support::PATIENCE).output().unwrap();
    assert_eq!(code(&run), 1);
    assert!(complaint(&run).contains("is the server running there?"));
}

#[test]
fn nobody_served_is_3_and_still_a_report() {
    let server = Server::new(|_, socket| reset(socket));
    let addr = server.addr().to_string();
    let run = output(&[&addr, "-c", "2", "-n", "4", "--format", "json"]);
    assert_eq!(code(&run), 3);
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report["gates"][0]["verdict"], "fail");
    assert_eq!(report["latency"]["rtt"], Value::Null);
}

#[test]
fn who_does_not_see_the_report_is_told_why_it_failed() {
    let server = Server::new(|_, socket| reset(socket));
    let addr = server.addr().to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    let args = ["-c", "2", "-n", "4", "--format", "html", "-o"];
    let run = output(&[&[addr.as_str()], &args[..], &[file.to_str().unwrap()]].concat());
    assert_eq!((code(&run), run.stdout.len()), (3, 0));
    let said = complaint(&run);
    assert!(said.starts_with("loadgen: FAIL "), "{said}");
    assert!(said.contains("Nobody was served"), "{said}");
}

#[test]
fn wrong_bytes_are_4_and_still_a_report() {
    let server = Server::answering(64, |_, _, message| vec![0; message.len()]);
    let run = output(&[&server.addr().to_string(), "-c", "2", "-n", "4"]);
    assert_eq!(code(&run), 4);
    let prose = text(&run.stdout);
    assert!(prose.contains("INVALID"), "{prose}");
}

#[test]
fn wrong_bytes_are_not_looked_for_without_verification() {
    let server = Server::answering(64, |_, _, message| vec![0; message.len()]);
    let addr = server.addr().to_string();
    let run = output(&[&addr, "-c", "2", "-n", "4", "--verify", "off"]);
    assert_eq!(code(&run), 0);
}

/// Starts a run of a minute and returns when the first bytes of both clients have reached the
/// server, which then does what `serve` does.
fn running(format: &str, serve: fn(TcpStream) -> std::io::Result<()>) -> (Server, Child) {
    let (started, first_bytes) = mpsc::sync_channel(8);
    let server = Server::new(move |_, socket| {
        socket.peek(&mut [0])?;
        let _ = started.try_send(());
        serve(socket)
    });
    let child = loadgen(&[
        &server.addr().to_string(),
        "-c",
        "2",
        "-d",
        "60s",
        "-w",
        "0s",
        "--format",
        format,
    ])
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    for _ in 0..2 {
        first_bytes.recv_timeout(support::PATIENCE).unwrap();
    }
    (server, child)
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.unwrap(), signal).unwrap();
}

#[test]
fn a_signal_leaves_a_partial_report() {
    for (name, number) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let (_server, child) = running("json", echo);
        signal(&child, name);
        let run = child.wait_with_output().unwrap();
        assert_eq!(code(&run), number);
        let report: Value = serde_json::from_slice(&run.stdout).unwrap();
        assert_eq!(report["interrupted"], true);
        assert_eq!(report["clients"]["connected"], 2);
        assert!(report["duration_s"].as_f64().unwrap() < 60.0);
    }
}

#[test]
fn an_interruption_comes_before_a_failed_gate() {
    let swallow = |mut socket: TcpStream| {
        let mut buffer = [0; 64];
        while std::io::Read::read(&mut socket, &mut buffer)? > 0 {}
        Ok(())
    };
    let (_server, child) = running("json", swallow);
    signal(&child, Signal::INT);
    let run = child.wait_with_output().unwrap();
    assert_eq!(code(&run), 130);
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report["gates"][0]["verdict"], "fail");
}

#[test]
fn a_reader_that_left_is_no_failure() {
    let (_server, mut child) = running("text", echo);
    drop(child.stdout.take());
    signal(&child, Signal::INT);
    let run = child.wait_with_output().unwrap();
    assert_eq!((code(&run), text(&run.stderr)), (130, String::new()));
}

#[test]
fn a_report_in_a_file_leaves_stdout_empty() {
    let server = Server::echo();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    fs::write(&file, "old").unwrap();
    let path = file.to_str().unwrap();
    let addr = server.addr().to_string();
    let run = output(&[&addr, "-c", "2", "-n", "10", "--format", "json", "-o", path]);
    assert_eq!((code(&run), run.stdout.len()), (0, 0));
    let report: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(report["requests"]["answered"], 10);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_report_that_cannot_be_written_is_1_with_the_cause() {
    let server = Server::echo();
    let addr = server.addr().to_string();
    let full = output(&[&addr, "-c", "2", "-n", "10", "-o", "/dev/full"]);
    assert_eq!(code(&full), 1);
    assert!(complaint(&full).contains("cannot write /dev/full: No space left"));
    let missing = output(&[&addr, "-c", "2", "-n", "10", "-o", "/nowhere/report"]);
    assert_eq!(code(&missing), 1);
    assert!(complaint(&missing).contains("cannot write /nowhere/report: No such file"));
    let stdout = loadgen(&[&addr, "-c", "2", "-n", "10"])
        .stdout(fs::File::options().write(true).open("/dev/full").unwrap())
        .output()
        .unwrap();
    assert_eq!(code(&stdout), 1);
    assert!(complaint(&stdout).contains("No space left"));
}

#[test]
fn an_old_report_survives_a_run_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report");
    fs::write(&file, "old").unwrap();
    let (_reserved, addr) = support::closed_port();
    let run = output(&[&addr.to_string(), "-o", file.to_str().unwrap()]);
    assert_eq!(code(&run), 1);
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
}

/// Whoever ran `loadgen selftest` on this machine must not change what a test sees, so that every
/// test starts the program by `support::program`.
#[test]
fn no_test_reads_what_a_self_test_has_kept() {
    let command = loadgen(&[]);
    let cache = command
        .get_envs()
        .find(|(name, _)| *name == "XDG_CACHE_HOME");
    let place = cache.and_then(|(_, place)| place).unwrap();
    assert!(!std::path::Path::new(place).exists());

    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    let direct = concat!("cargo_", "bin");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains(direct), "{}", path.display());
        }
    }
}
