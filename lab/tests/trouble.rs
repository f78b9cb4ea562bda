//! The experiments about trouble whose verdict needs no clock: each holds as it is, and its seeded
//! fault is found.

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
