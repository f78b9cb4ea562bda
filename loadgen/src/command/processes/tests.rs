//! The crew with programs that are shell scripts.

use std::ffi::OsStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::*;
use std::os::unix::fs::PermissionsExt as _;
use tempfile::TempDir;

/// A program that is still open for writing cannot be executed, and a child of another test would
/// keep it open for a moment: so these tests take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Two processes of a shell script.
fn crew(script: &str) -> ((MutexGuard<'static, ()>, TempDir), Crew) {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&program, executable).unwrap();
    let two = NonZeroU32::new(2).unwrap();
    let crew = Crew {
        program,
        flags: vec!["--".into(), ":7".into()],
        shard: Shard::default(),
        processes: two,
        start_unix_s: 12.5,
    };
    ((turn, folder), crew)
}

fn failure(script: &str, interrupt: &Interrupt) -> String {
    let (_held, crew) = crew(script);
    crew.run(interrupt).unwrap_err()
}

#[test]
fn a_part_is_shared_further_without_a_gap() {
    let (_held, mut crew) = crew("");
    crew.shard = Shard {
        index: 1,
        count: NonZeroU32::new(3).unwrap(),
    };
    let lines = [0, 1].map(|index| {
        let line = crew.arguments(index);
        line.join(OsStr::new(" ")).into_string().unwrap()
    });
    let start = "--start-at=@12.500000 --format=json";
    assert_eq!(lines[0], format!("--shard=1/6 {start} --no-witness -- :7"));
    assert_eq!(lines[1], format!("--shard=4/6 {start} -- :7"));
}

#[test]
fn who_cannot_run_is_named_with_its_reason() {
    let why = failure(
        "echo 'loadgen: nobody there' >&2; exit 1",
        &Interrupt::default(),
    );
    assert!(
        why.starts_with("process ") && why.ends_with(" of 2: nobody there"),
        "{why}"
    );
    let killed = failure("kill -9 $$", &Interrupt::default());
    assert!(killed.ends_with("was ended by signal 9"), "{killed}");
    let half = failure("echo '{\"schema\":'; exit 4", &Interrupt::default());
    assert!(
        half.contains("ended with code 4 and no whole report"),
        "{half}"
    );
    let silent = failure("exit 1", &Interrupt::default());
    assert!(silent.contains("without a reason"), "{silent}");
}

#[test]
fn one_that_fails_ends_the_others() {
    // The other one blocks, and is no shell any more that could have a child to outlive it.
    let script = "case $1 in *0/2) echo 'loadgen: first' >&2; exit 1;; esac\n\
                  exec tail -f /dev/null";
    let why = failure(script, &Interrupt::default());
    assert_eq!(why, "process 1 of 2: first");
}

#[test]
fn a_signal_is_passed_on() {
    let interrupt = Interrupt::default();
    interrupt.raise(2);
    // What the shell waits for must not hold its output open: a signal that comes just after its
    // start would be lost on it.
    let script = "trap 'kill $!; echo told >&2; exit 1' INT\n\
                  timeout 60 tail -f /dev/null >/dev/null 2>&1 & wait";
    let why = failure(script, &interrupt);
    // It may come before the shell has set its trap.
    assert!(
        why.ends_with("told") || why.ends_with("by signal 2"),
        "{why}"
    );
}

#[test]
fn a_program_that_is_not_there_is_said() {
    let (_held, mut crew) = crew("");
    crew.program = "/nowhere/loadgen".into();
    let why = crew.run(&Interrupt::default()).unwrap_err();
    assert!(why.starts_with("cannot start process 1"), "{why}");
}
