//! The experiments about trouble whose verdict needs no clock: each holds as it is, and its seeded
//! fault is found.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use support::lab;

/// The exit code, and the line that begins with the verdict of `experiment`.
fn verdict(experiment: &str, further: &[&str]) -> (i32, String) {
    let out = tempfile::tempdir().unwrap();
    let folder = ["--out", out.path().to_str().unwrap()];
    let (code, stdout, stderr) = lab(&[&["run", experiment], &folder[..], further].concat());
    let line = stdout
        .lines()
        .find(|line| line.starts_with(&format!("{experiment}: ")));
    let line = line.unwrap_or_else(|| panic!("no verdict in {stdout}; {stderr}"));
    (code, line.to_owned())
}

#[test]
fn a_crash_costs_as_many_as_share_its_process() {
    let (code, line) = verdict("crash", &[]);
    assert_eq!(code, 0, "{line}");
    assert!(
        line.starts_with("crash: holds — a panic cost 1 connection"),
        "{line}"
    );
}

#[test]
fn a_kill_that_hits_the_master_is_not_taken_for_one_of_a_worker() {
    let (code, line) = verdict("crash", &["--seeded-fault"]);
    assert_eq!(code, 3, "{line}");
    assert!(
        line.starts_with("crash: does not hold — process-per-connection: "),
        "{line}"
    );
}
