//! A benchmark measures what it was asked for, says so in a document that can be read again, and its
//! exit code is the documented one. Counts only: what is about time is for people to look at.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic, and says why it is skipped"
)]

mod support;

use std::path::Path;

use serde_json::Value;
use support::{lab, refusal};

/// A benchmark of one row in two short pairs, of which nothing can be said.
fn bench(out: &Path, further: &[&str]) -> (i32, Value, String) {
    let out = out.to_str().unwrap();
    let tiny = ["--pairs", "2", "--window", "100ms", "--format", "json"];
    let row = ["bench", "epoll-rate-50", "--out", out];
    let (code, stdout, stderr) = lab(&[&row[..], &tiny, further].concat());
    let document = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stderr}"));
    (code, document, stderr)
}

/// Whether server and load generator were built beside the lab; a test of the lab alone does not build
/// them.
fn programs_are_there() -> bool {
    let lab = assert_cmd::cargo::cargo_bin("lab");
    let is_missing = |name: &&&str| !lab.with_file_name(name).exists();
    let missing = ["server", "loadgen"].iter().find(is_missing);
    if let Some(missing) = missing {
        eprintln!("SKIPPED: there is no {missing} beside the lab; cargo build builds it");
    }
    missing.is_none()
}

/// What is to be found of two pairs: their figures, unless the machine was too busy for a run.
fn assert_is_tiny(row: &Value) {
    assert_eq!(row["name"], "epoll-rate-50");
    assert_eq!(row["settings"]["reference"]["name"], "plain-epoll");
    if row["verdict"] == "not-measured" {
        return;
    }
    assert_eq!(row["verdict"], "too-few-rounds", "{row}");
    let rounds = row["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2);
    rounds.iter().for_each(assert_has_figures);
}

/// Of ours, and of the reference twice.
fn assert_has_figures(round: &Value) {
    let (own, reference) = (&round["own"], &round["reference"]);
    let mut figures = [own, &reference[0], &reference[1]].into_iter();
    let positive = figures.all(|figure| figure.as_f64() > Some(0.0));
    assert!(positive, "{round}");
}

#[test]
fn two_pairs_are_measured_and_nothing_is_said_of_them() {
    if !programs_are_there() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let (code, document, _) = bench(out.path(), &[]);
    assert_eq!(code, 4);
    assert_eq!(document["rows"].as_array().unwrap().len(), 1);
    assert_is_tiny(&document["rows"][0]);
    let saved = std::fs::read_to_string(out.path().join("bench.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&saved).unwrap(), document);

    // Beside itself two pairs are too few as well, and that is no alarm.
    let file = out.path().join("bench.json");
    let beside = ["--resume", "--baseline", file.to_str().unwrap()];
    let (code, again, _) = bench(out.path(), &beside);
    assert_eq!(code, 4);
    if document["rows"][0]["verdict"] == "too-few-rounds" {
        assert_eq!(again["rows"], document["rows"], "it was not measured again");
    }
    assert_eq!(again["changes"][0]["trend"], "incomparable");
}

#[test]
fn a_row_for_which_a_program_is_missing_is_skipped_and_says_which() {
    if !programs_are_there() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let folder = ["--out", out.path().to_str().unwrap()];
    let (code, stdout, _) = lab(&[&["bench", "io-uring-cpu-50"], &folder[..]].concat());
    assert_eq!(code, 0, "nobody asked for it: {stdout}");
    let why = "io-uring-cpu-50: needs --subject 'monoio=COMMAND with {port}'";
    assert!(stdout.contains(why), "{stdout}");
    assert!(stdout.ends_with("of 1 goals: 1 skipped\n"), "{stdout}");
}

/// One pair of a row of the load generator.
fn pair_of_generators(row: &str, further: &[&str]) -> (i32, Value) {
    let out = tempfile::tempdir().unwrap();
    let args = ["bench", row, "--pairs", "1", "--format", "json", "--out"];
    let out = [out.path().to_str().unwrap()];
    let (code, stdout, stderr) = lab(&[&args[..], &out, further].concat());
    let document: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stderr}"));
    (code, document["rows"][0].clone())
}

/// Whether a pair was measured: nobody vouches for a run on a machine that was too busy for it.
fn is_measured(row: &Value) -> bool {
    let is_measured = row["verdict"] != "not-measured";
    if !is_measured {
        eprintln!("SKIPPED: it could not be measured: {}", row["remarks"]);
    }
    is_measured
}

#[test]
fn a_load_generator_is_measured_beside_the_plain_client() {
    if !programs_are_there() {
        return;
    }
    let (code, row) = pair_of_generators("loadgen-per-cpu-50", &[]);
    if !is_measured(&row) {
        return;
    }
    assert_eq!(
        (code, &row["verdict"]),
        (4, &"too-few-rounds".into()),
        "{row}"
    );
    assert_eq!(row["settings"]["reference"]["name"], "plain-client");
    assert_has_figures(&row["rounds"][0]);
}

#[test]
fn a_client_that_fails_makes_its_row_not_measured_and_says_why_in_a_line() {
    if !programs_are_there() {
        return;
    }
    let bad = "c-client=echo no way in >&2; exit 9; {port} {clients} {seconds}";
    let (code, row) = pair_of_generators("loadgen-per-cpu-50", &["--subject", bad]);
    assert_eq!(
        (code, &row["verdict"]),
        (4, &"not-measured".into()),
        "{row}"
    );
    let remark = row["remarks"][0].as_str().unwrap();
    if !remark.contains("c-client: ") {
        eprintln!("SKIPPED: its turn did not come: {remark}");
        return;
    }
    assert!(
        remark.contains("c-client: it ended with exit status: 9"),
        "{remark}"
    );
    assert!(
        remark.contains("it said: no way in") && remark.lines().count() == 1,
        "{remark}"
    );
}

#[test]
fn the_memory_of_a_client_of_the_load_generator_is_a_figure_by_itself() {
    if !programs_are_there() {
        return;
    }
    let (code, row) = pair_of_generators("loadgen-memory", &[]);
    if !is_measured(&row) {
        return;
    }
    assert_eq!(
        (code, &row["verdict"]),
        (4, &"too-few-rounds".into()),
        "{row}"
    );
    let figure = row["rounds"][0]["own"].as_f64().unwrap();
    // Less than a page each, and more than nothing: an order of magnitude.
    assert!((16.0..4096.0).contains(&figure), "{figure}");
}

#[test]
fn a_lab_without_its_server_beside_it_says_so_in_a_line() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let lab = folder.path().join("lab");
    std::fs::hard_link(assert_cmd::cargo::cargo_bin("lab"), &lab).unwrap();
    let out = folder.path().join("out");
    let mut command = assert_cmd::Command::new(&lab);
    let output = command.args(["bench", "--out"]).arg(&out).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let server = folder.path().join("server");
    let begin = format!("lab: cannot start the server: {}: ", server.display());
    assert!(said.starts_with(&begin), "{said}");
    let remedy = "; build all programs: cargo build --release\n";
    assert!(
        said.ends_with(remedy) && said.lines().count() == 1,
        "{said}"
    );
    assert!(!out.exists(), "nothing was begun");
}

#[test]
fn a_load_generator_is_measured_beside_wrk_in_http() {
    if !programs_are_there() {
        return;
    }
    // What wrk prints; nobody needs to have it for this.
    let wrk = "wrk=echo '  9 requests in 1.00s, 1KB read # {port} {clients} {seconds}'";
    let (code, row) = pair_of_generators("loadgen-per-cpu-50-wrk", &["--subject", wrk]);
    if !is_measured(&row) {
        return;
    }
    assert_eq!(
        (code, &row["verdict"]),
        (4, &"too-few-rounds".into()),
        "{row}"
    );
    let own = row["settings"]["own"].as_str().unwrap();
    assert!(own.contains("--protocol http"), "{own}");
    assert_has_figures(&row["rounds"][0]);
}

#[test]
fn results_of_another_commit_are_not_gone_on_with() {
    if !programs_are_there() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().to_str().unwrap();
    let args = ["bench", "io-uring-cpu-50", "--resume", "--out", folder];
    assert_eq!(
        lab(&args).0,
        0,
        "there is nothing to go on with, and that is fine"
    );
    let file = out.path().join("bench.json");
    let mut known: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    known["tool"]["commit"] = "0123456789ab".into();
    std::fs::write(&file, known.to_string()).unwrap();
    let (code, stdout, stderr) = lab(&args);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("leave --resume out"), "{stderr}");
}

#[test]
fn every_row_is_listed() {
    let (code, stdout, _) = lab(&["bench", "--list", "--format", "json"]);
    let rows: Vec<Value> = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, rows.len()), (0, lab::suite::goal::ALL.len()));
    let (_, text, _) = lab(&["bench", "--list"]);
    assert_eq!(text.lines().count(), rows.len());
    let (code, micro, _) = lab(&["bench", "--micro"]);
    assert_eq!((code, micro.lines().count()), (0, 2));
}

#[test]
fn a_row_that_is_not_there_is_a_usage_error() {
    let line = refusal(&["bench", "epoll-speed"]);
    assert!(
        line.contains("epoll-speed") && line.contains("--list"),
        "{line}"
    );
    let line = refusal(&["bench", "epoll", "--subject", "nginx=./nginx {port}"]);
    assert!(
        line.contains("nginx") && line.contains("plain-epoll"),
        "{line}"
    );
    let line = refusal(&["bench", "loadgen", "--subject", "c-client=./client {port}"]);
    assert!(
        line.contains("'c-client' must contain {clients} and {seconds}"),
        "{line}"
    );
}

#[test]
fn a_baseline_that_cannot_be_used_is_one_line_and_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.json");
    let refused = |baseline: &Path| {
        let baseline = baseline.to_str().unwrap();
        let (code, stdout, stderr) = lab(&["bench", "--baseline", baseline]);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(baseline), "{stderr}");
        stderr
    };
    assert!(refused(&file).contains("cannot read"));
    std::fs::write(&file, r#"{"schema": 99}"#).unwrap();
    assert!(refused(&file).contains("has schema 99 and not 1"));
    std::fs::write(&file, "results").unwrap();
    assert!(refused(&file).contains("cannot understand"));
}
