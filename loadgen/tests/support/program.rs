//! The program under test, without what this user or this machine would add to it.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;

/// Where no cache can be: what `loadgen selftest` once kept for this user is no part of a test.
const NO_CACHE: &str = "/dev/null/nowhere";

/// `loadgen` with `args` and nothing to read from stdin. Every test starts it this way.
pub(crate) fn loadgen(args: &[&str]) -> Command {
    let mut command = isolated(Command::new(cargo_bin!("loadgen")));
    command.args(args);
    command
}

/// The same as the last words of a line of `sh`, which has it as `"$0" "$@"`.
pub(crate) fn in_shell(script: &str, args: &[&str]) -> Command {
    let mut shell = isolated(Command::new("sh"));
    shell.args(["-c", script]).arg(cargo_bin!("loadgen"));
    shell.args(args);
    shell
}

fn isolated(mut command: Command) -> Command {
    command.env("XDG_CACHE_HOME", NO_CACHE).stdin(Stdio::null());
    command
}

/// Runs it to its end, with a limit of the test's own against a server that hangs.
pub(crate) fn limited(command: Command, limit: Duration) -> Output {
    let mut command = assert_cmd::Command::from_std(command);
    command.timeout(limit).output().unwrap()
}

/// The document of a run that ended with `code`.
pub(crate) fn report(output: &Output, code: i32) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The one line on stderr of a run that could not be and ended with `code`.
pub(crate) fn complaint(output: &Output, code: i32) -> String {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(
        (output.status.code(), line.lines().count()),
        (Some(code), 1),
        "{line}"
    );
    assert!(output.stdout.is_empty());
    line
}
