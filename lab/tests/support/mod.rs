//! The lab as its users meet it: a program.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part, and a failure here is a failed test"
)]

use std::time::{Duration, Instant};

use assert_cmd::Command;

/// Runs the lab; returns its exit code, stdout and stderr.
pub(crate) fn lab(args: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("lab").unwrap();
    let output = command.args(args).output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Runs the lab with a usage error and returns the one line it says.
pub(crate) fn refusal(args: &[&str]) -> String {
    let (code, stdout, stderr) = lab(args);
    assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr.trim_end().to_owned()
}

/// Runs one experiment; returns the exit code and the line with its verdict.
pub(crate) fn verdict(experiment: &str, further: &[&str]) -> (i32, String) {
    let out = tempfile::tempdir().unwrap();
    let folder = ["--out", out.path().to_str().unwrap()];
    let (code, stdout, stderr) = lab(&[&["run", experiment], &folder[..], further].concat());
    let line = stdout
        .lines()
        .find(|line| line.starts_with(&format!("{experiment}: ")));
    let line = line.unwrap_or_else(|| panic!("no verdict in {stdout}; {stderr}"));
    (code, line.to_owned())
}

/// The experiment holds and says why; with its fault it does not, and says this. Returns all of it.
pub(crate) fn holds_unless_at_fault(experiment: &str, reason: &str, objection: &str) -> String {
    let (code, line) = verdict(experiment, &[]);
    assert_eq!(code, 0, "{line}");
    assert!(
        line.starts_with(&format!("{experiment}: holds — {reason}")),
        "{line}"
    );
    let (code, line) = verdict(experiment, &["--seeded-fault"]);
    assert_eq!(code, 3, "{line}");
    let found = line.starts_with(&format!("{experiment}: does not hold — {objection}"));
    assert!(found, "{line}");
    line
}

/// Waits until no process with `marker` is left: who was killed may still be on its way.
pub(crate) fn assert_none_left_with(marker: &str) {
    let give_up_at = Instant::now() + Duration::from_secs(20);
    while alive_with(marker) > 0 {
        assert!(Instant::now() < give_up_at, "a server outlives the lab");
        std::thread::yield_now();
    }
}

/// Processes that inherited `marker` in their environment.
pub(crate) fn alive_with(marker: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let environments =
        processes.filter_map(|entry| std::fs::read(entry.path().join("environ")).ok());
    environments
        .filter(|environ| String::from_utf8_lossy(environ).contains(marker))
        .count()
}
