//! The program under test, without what this user or this machine would add to it.

use std::process::{Command, Stdio};

use assert_cmd::cargo::cargo_bin;

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
