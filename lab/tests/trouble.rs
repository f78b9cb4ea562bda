//! Experiments whose verdict needs no clock: each holds as it is, and its seeded fault is found. That
//! of c10k needs none either, but ten thousand threads beside other tests: `lab selftest` has it.

mod support;

use support::verdict;

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

#[test]
fn a_silent_connection_costs_what_its_mode_is_made_of() {
    let (code, line) = verdict("memory", &[]);
    assert_eq!(code, 0, "{line}");
    let start = "memory: holds — a quiet connection costs ";
    assert!(line.starts_with(start), "{line}");
}

#[test]
fn connections_that_are_gone_are_not_taken_for_cheap_ones() {
    let (code, line) = verdict("memory", &["--seeded-fault"]);
    assert_eq!(code, 3, "{line}");
    let start = "memory: does not hold — thread-per-connection: ";
    assert!(line.starts_with(start), "{line}");
}
