//! A mistake on the command line is exactly one line on stderr that names flag, value and range,
//! and exit code 2; nothing is sent.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use support::client;

/// The value that is wrong, the words before it, and what the line must name besides the value.
const MISTAKES: &[(&str, &[&str], &str)] = &[
    ("0", &["--count"], "from 1 to 1000000000"),
    ("-1", &["--count"], "'--count <N>'"),
    ("1e9", &["--count"], "whole number"),
    ("", &["--count"], "--count"),
    ("NaN", &["-n"], "whole number"),
    ("0x4", &["-n"], "whole number"),
    ("5", &["--interval"], "from 0s to 1day"),
    ("-1s", &["--interval"], "'--interval <TIME>'"),
    ("25h", &["-i"], "from 0s to 1day"),
    ("0", &["--size"], "from 1 B to 1 MiB"),
    ("2MiB", &["--size"], "'--size <SIZE>'"),
    ("x", &["-s"], "64KiB"),
    ("0", &["--timeout"], "from 1ms to 1day"),
    ("soon", &["--wait-ready"], "'--wait-ready <TIME>'"),
    ("xml", &["--format"], "text, json"),
    ("--frobnicate", &[], "unexpected argument"),
];

/// Targets that are none, and what the line must name.
const NO_TARGETS: &[(&str, &str)] = &[
    (":0", "between 1 and 65535"),
    (":65536", "65535"),
    ("127.0.0.1:-1", "65535"),
    ("localhost", "host:port"),
    ("::1:80", "brackets"),
    ("", "ADDR"),
    ("unix:", "1 to 107 bytes"),
    ("a\nb:1", "ADDR"),
];

fn refusal(target: &str, args: &[&str]) -> String {
    let assert = client(target).args(args).write_stdin("x").assert();
    let assert = assert.code(2).stdout("");
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("client: "), "{stderr}");
    stderr
}

#[test]
fn a_wrong_flag_is_refused_in_one_line() {
    for (value, before, named) in MISTAKES {
        let args = [*before, &[*value]].concat();
        let stderr = refusal("127.0.0.1:1", &args);
        assert!(stderr.contains(named), "{args:?}: {stderr}");
        assert!(stderr.contains(value), "{args:?}: {stderr}");
    }
}

#[test]
fn a_wrong_target_is_refused_in_one_line() {
    for (target, named) in NO_TARGETS {
        let stderr = refusal(target, &[]);
        assert!(stderr.contains(named), "{target}: {stderr}");
    }
    let stderr = refusal(&format!("unix:/{}", "x".repeat(107)), &[]);
    assert!(stderr.contains("this one has 108"), "{stderr}");
}

#[test]
fn help_and_version_are_on_stdout() {
    for (flag, text) in [("--help", "Exit codes: 0"), ("--version", "client ")] {
        let assert = client("127.0.0.1:1")
            .arg(flag)
            .assert()
            .success()
            .stderr("");
        let stdout = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
        assert!(stdout.contains(text), "{stdout}");
    }
}
