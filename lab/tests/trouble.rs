//! An experiment whose verdict needs no clock holds as it is, and its seeded fault is found. That of
//! c10k needs none either, but ten thousand threads beside other tests: `lab selftest` has it.

mod support;

use support::holds_unless_at_fault;

#[test]
fn a_crash_costs_as_many_as_share_its_process_and_a_killed_master_is_no_killed_worker() {
    let holds = "a panic cost 1 connection";
    holds_unless_at_fault("crash", holds, "process-per-connection: ");
}
