//! What runs the engine several times: how many runs, in which order, with which exit code. How
//! fast anything is, is asserted nowhere.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::fs;
use std::process::{Output, Stdio};
use std::sync::mpsc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::program::loadgen;
use support::{Server, closed_port, echo};

/// What keeps a run in a test short.
const SHORT: [&str; 3] = ["-d=200ms", "-w=0s", "-c=2"];

fn output(args: &[&str]) -> Output {
    loadgen(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A sweep or a search against an echo.
fn at_echo(command: &str, args: &[&str]) -> Output {
    let server = Server::echo();
    let addr = server.addr().to_string();
    output(&[&[command, &addr], &SHORT[..], args].concat())
}

#[test]
fn every_mistake_is_one_line_with_flag_and_remedy() {
    for (args, said) in [
        (&["sweep"][..], "--over"),
        (&["sweep", "--over", "threads=1"], "connections=1..64"),
        (&["sweep", "--over", "size=1,0"], "--over"),
        (
            &["sweep", "--over", "rate=1k", "--repeats", "0"],
            "from 1 to 1000",
        ),
        (
            &["sweep", "--over", "rate=1k", "--processes", "2"],
            "single run",
        ),
        (
            &["sweep", "--over", "rate=1k", "--start-at", "+5s"],
            "single run",
        ),
        (&["sweep", "--over", "rate=1k", "--format", "hdr"], "--out"),
        (&["search"], "--slo 'p99<5ms'"),
        (&["search", "--slo", "p99<5ms", "-R", "1k"], "--from"),
        (&["search", "--slo", "p99<5ms", "--to", "1"], "above --to 1"),
        (
            &["search", "--slo", "p99<5ms", "--format", "csv"],
            "text or json",
        ),
        (
            &["search", "--slo", "p99<5ms", "--precision", "0"],
            "such as 5%",
        ),
        (&["selftest", "-d", "0s"], "from 50ms to"),
        (&["--arrivals", "poisson"], "add --rate"),
    ] {
        let run = output(args);
        let line = text(&run.stderr);
        assert_eq!(
            (run.status.code(), line.lines().count(), run.stdout.len()),
            (Some(2), 1, 0),
            "{line}"
        );
        assert!(line.contains(said), "{args:?}: {line}");
    }
}

#[test]
fn a_sweep_goes_to_and_fro_and_keeps_each_result() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/runs");
    let run = at_echo(
        "sweep",
        &[
            "--over=connections=1..4",
            "--repeats=2",
            "--format=json",
            "--out",
            out.to_str().unwrap(),
        ],
    );
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let document: Value = serde_json::from_slice(&run.stdout).unwrap();
    let asked = |report: &Value| report["clients"]["asked"].as_u64().unwrap();
    let order: Vec<_> = document.as_array().unwrap().iter().map(asked).collect();
    assert_eq!(order, [1, 2, 4, 4, 2, 1]);
    let mut names: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 6);
    assert_eq!(names[..2], ["connections-1-1.json", "connections-1-2.json"]);
    let kept = fs::read(out.join("connections-4-2.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), document[3]);
}

#[test]
fn a_sweep_has_a_row_for_each_value_in_every_form() {
    let over = "--over=size=1,1KiB,64KiB";
    let table = text(&at_echo("sweep", &[over]).stdout);
    let firsts: Vec<_> = table
        .lines()
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert_eq!(firsts, ["size", "1", "1024", "65536"], "{table}");
    let csv = text(&at_echo("sweep", &[over, "--format=csv"]).stdout);
    assert_eq!(csv.lines().count(), 4);
    let html = text(&at_echo("sweep", &[over, "--format=html"]).stdout);
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("3 runs"));
}

#[test]
fn a_broken_promise_in_one_run_is_3_and_nobody_there_is_1() {
    let over = "--over=connections=1,2";
    let strict = at_echo("sweep", &[over, "--min-served=2"]);
    assert_eq!(strict.status.code(), Some(3));
    assert!(text(&strict.stdout).contains("promise broken"));
    let (_socket, addr) = closed_port();
    let nobody = output(&["sweep", &addr.to_string(), over, "-d=100ms"]);
    assert_eq!((nobody.status.code(), nobody.stdout.len()), (Some(1), 0));
    assert!(text(&nobody.stderr).contains("connections=1: nobody could connect"));
}

#[test]
fn an_interrupted_sweep_shows_what_was_done() {
    let (tell, told) = mpsc::sync_channel(1);
    let server = Server::new(move |number, socket| {
        if number > 0 {
            // The second run has begun; nobody is told twice.
            let _ = tell.try_send(());
        }
        echo(socket)
    });
    let addr = server.addr().to_string();
    let over = "--over=connections=1,2,3";
    let child = loadgen(&["sweep", &addr, over, "-n=1000000000", "-d=2s", "-w=0s"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    told.recv_timeout(support::PATIENCE).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let run = child.wait_with_output().unwrap();
    let table = text(&run.stdout);
    assert_eq!(run.status.code(), Some(130), "{table}");
    assert!(
        table.contains("interrupted: 1 values were not measured"),
        "{table}"
    );
}

/// Promises that are kept at any rate end the search at `--to`.
#[test]
fn a_search_ends_at_the_highest_rate_or_at_none() {
    let bounds = ["--from=100", "--to=200", "--repeats=1", "--format=json"];
    let kept = at_echo("search", &[&bounds[..], &["--min-served=1"]].concat());
    let document: Value = serde_json::from_slice(&kept.stdout).unwrap();
    // A machine that stalls may break the schedule; then it says who it was.
    if kept.status.code() == Some(0) {
        assert!(document["found_per_s"].as_f64().unwrap() <= 200.0);
    }
    let runs = document["runs"].as_array().unwrap();
    assert_eq!(
        (&runs[0]["phase"], &runs[0]["rate_per_s"]),
        (&"climb".into(), &100.0.into())
    );
    let never = at_echo("search", &[&bounds[..], &["--min-served=3"]].concat());
    let document: Value = serde_json::from_slice(&never.stdout).unwrap();
    assert_eq!(never.status.code(), Some(3), "{document}");
    assert_eq!(document["found_per_s"], Value::Null);
    assert_eq!(document["promises"], serde_json::json!(["min-served 3"]));
    assert!(
        document["bound"]["detail"]
            .as_str()
            .unwrap()
            .contains("min-served 3")
    );
}

#[test]
fn a_self_test_keeps_its_ceiling_and_runs_are_held_against_it() {
    let cache = tempfile::tempdir().unwrap();
    let in_cache = |args: &[&str]| {
        let mut command = loadgen(args);
        command
            .env("XDG_CACHE_HOME", cache.path())
            .output()
            .unwrap()
    };
    let found = in_cache(&["selftest", "-d=100ms", "--format=json"]);
    assert_eq!(found.status.code(), Some(0), "{}", text(&found.stderr));
    let document: Value = serde_json::from_slice(&found.stdout).unwrap();
    let clients: Vec<_> = document["ceiling"]
        .as_array()
        .unwrap()
        .iter()
        .map(|level| level["connections"].as_u64().unwrap())
        .collect();
    assert_eq!(clients, [1, 50, 500]);
    assert_eq!(
        document["noise"]["rates_per_s"].as_array().unwrap().len(),
        8
    );
    let kept = cache.path().join("loadgen/selftest.json");
    assert_eq!(fs::read_dir(kept.parent().unwrap()).unwrap().count(), 1);

    // The ceiling is replaced by one that nobody can be near to, or far from.
    let mut ceiling: Value = serde_json::from_slice(&fs::read(&kept).unwrap()).unwrap();
    let server = Server::echo();
    let addr = server.addr().to_string();
    for (rate, verdict) in [(1e-3, "warn"), (1e12, "pass")] {
        ceiling["points"] =
            serde_json::json!([{"connections": 1, "threads": 1, "rate_per_s": rate}]);
        fs::write(&kept, ceiling.to_string()).unwrap();
        let run = in_cache(&[&addr, "-c=1", "-d=300ms", "-w=0s", "--format=json"]);
        let report: Value = serde_json::from_slice(&run.stdout).unwrap();
        let checks = report["audit"]["checks"].as_array().unwrap();
        let check = checks
            .iter()
            .find(|c| c["name"] == "generator-ceiling")
            .unwrap();
        assert_eq!(check["verdict"], verdict, "{check}");
        assert!(
            check["detail"].as_str().unwrap().contains("% of what"),
            "{check}"
        );
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_no_failure() {
    let run = output(&["selftest", "-d=100ms"]);
    assert_eq!(run.status.code(), Some(0));
    assert!(text(&run.stderr).contains("not kept for later runs"));
    assert!(text(&run.stdout).contains("open loop"));
}
