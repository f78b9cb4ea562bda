//! `lab soak` as its users meet it: what it refuses, what it skips, and what it leaves behind.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{assert_none_left_with, lab, refusal};

#[test]
fn mistakes_name_the_flag_and_the_remedy() {
    for (args, part) in [
        (
            &["soak", "--only", "peace"][..],
            "the steps are integrity, leaks",
        ),
        (&["soak", "--mode", "green"], "process-pool:MODE"),
        (&["soak", "--mode", "process-pool:process-pool"], "--mode"),
        (&["soak", "--quick", "--full"], "give one of them"),
        (&["--full", "soak", "--quick"], "give one of them"),
        (&["soak", "--seed", "-1"], "--seed"),
    ] {
        let line = refusal(args);
        assert!(
            line.starts_with("lab: ") && line.contains(part),
            "{args:?}: {line}"
        );
    }
}

#[test]
fn the_list_names_every_step_with_its_claim_and_runs_nothing() {
    let (code, stdout, stderr) = lab(&["soak", "--list"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let (_, json, _) = lab(&["soak", "--list", "--format", "json"]);
    let list: Value = serde_json::from_str(&json).unwrap();
    let steps = list.as_array().unwrap();
    assert_eq!(stdout.lines().count(), steps.len());
    for (line, step) in stdout.lines().zip(steps) {
        let (name, claim) = (
            step["name"].as_str().unwrap(),
            step["claim"].as_str().unwrap(),
        );
        assert!(line.starts_with(name) && line.ends_with(claim), "{line}");
        assert!(step["modes"].as_u64().unwrap() > 0, "{name}");
    }
}

#[test]
fn a_step_is_run_in_each_mode_and_what_cannot_run_is_skipped_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let some = [
        "--only",
        "integrity,still",
        "--mode",
        "epoll,process-pool:epoll",
    ];
    let short = ["soak", "--quick", "--out", out, "--format", "json"];
    let (code, stdout, stderr) = lab(&[&short[..], &some].concat());
    assert_eq!(code, 0, "{stderr}");
    let saved = std::fs::read_to_string(folder.path().join("soak.json")).unwrap();
    assert_eq!(saved, stdout);

    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (&document["profile"], &document["interrupted"]),
        (&"quick".into(), &false.into())
    );
    let (integrity, still) = (&document["steps"][0], &document["steps"][1]);
    assert_eq!(
        (&integrity["outcome"], &still["outcome"]),
        (&"pass".into(), &"skipped".into())
    );
    let modes: Vec<&str> = integrity["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| case["mode"].as_str().unwrap())
        .collect();
    assert_eq!(modes, ["epoll", "process-pool of epoll"]);
    let bytes = &integrity["cases"][0]["figures"][0];
    assert_eq!(
        (&bytes["name"], &bytes["value"]),
        (&"bytes that differ".into(), &0.0.into())
    );
    assert!(bytes["trials"].as_u64().unwrap() > 1 << 20);
    let reason = still["cases"][0]["reason"].as_str().unwrap();
    assert_eq!(reason, "it takes minutes: only in the full profile");
}

#[test]
fn the_table_of_figures_ends_a_soak() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let one = ["--only", "term-storm", "--mode", "process-pool"];
    let (code, stdout, stderr) = lab(&[&["soak", "--quick", "--out", out][..], &one].concat());
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.starts_with("term-storm: pass"), "{stdout}");
    let (_, table) = stdout.split_once("Figures to publish").unwrap();
    // What stands below the table is broken between words.
    let table = table.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "term-storm: shutdowns",
        "every case: ends with code 0",
        "kernel",
        "seed 1",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_is_found_before_anything_runs() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let out = file.path().to_str().unwrap();
    let (code, stdout, stderr) = lab(&["soak", "--quick", "--out", out]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.starts_with("lab: cannot write "), "{stderr}");
}

#[test]
fn an_interrupted_soak_leaves_a_partial_document_and_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let marker = format!("ECHOLAB_TEST_SOAK_{}", std::process::id());
    let mut lab = Command::new(assert_cmd::cargo::cargo_bin("lab"))
        .args([
            "soak",
            "--only",
            "integrity,leaks",
            "--mode",
            "async",
            "--out",
        ])
        .arg(folder.path())
        .env(&marker, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(lab.stderr.take().unwrap()).lines();
    // In full this takes far longer than anybody waits for a test.
    stderr
        .find(|line| line.as_ref().unwrap().contains("integrity: async"))
        .unwrap()
        .unwrap();
    kill_process(Pid::from_child(&lab), Signal::INT).unwrap();

    assert_eq!(lab.wait().unwrap().code(), Some(130));
    let saved = std::fs::read_to_string(folder.path().join("soak.json")).unwrap();
    let document: Value = serde_json::from_str(&saved).unwrap();
    assert_eq!(document["interrupted"], true);
    assert_eq!(document["steps"].as_array().unwrap().len(), 1);
    assert_none_left_with(&marker);
}
