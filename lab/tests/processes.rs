//! The experiments about processes, and about what they share, whose verdict needs no clock: each holds as
//! it is, and its seeded fault is found.

mod support;

use support::holds_unless_at_fault;

#[test]
fn a_process_is_known_from_both_sides_and_leaves_nothing_once_it_is_joined() {
    let reason = "1, 2 and 3 units joined after ";
    let line = holds_unless_at_fault(
        "process-life",
        reason,
        "at most 1 of 3 tasks ran at the same time",
    );
    assert!(
        line.contains("(and 1 more)"),
        "the dead are still there: {line}"
    );
}

#[test]
fn a_copy_does_not_change_the_original() {
    let reason = "what the child saw → what the parent reads: fork 100 → 100, spawn 1 → 100, \
                  thread 100 → 0, shared memory 100 → 0";
    holds_unless_at_fault("isolation", reason, "fork: the child has the parent's pid");
}

#[test]
fn who_is_bound_in_time_ends_in_the_middle_of_its_work() {
    let objection = "bond 'PDEATHSIG', main returns: the child lives on and does 20 of 20 steps";
    holds_unless_at_fault(
        "daemon",
        "8 bound children ended after 10 of 20 steps",
        objection,
    );
}

#[test]
fn additions_are_lost_unless_they_are_one_step() {
    let reason = "load and store lost up to ";
    holds_unless_at_fault("lost-update", reason, "threads, mutex: the sum is ");
}

#[test]
fn tickets_are_sold_once_under_one_lock() {
    let reason = "without one lock for all up to ";
    holds_unless_at_fault("tickets", reason, "5 tickets, memory, mutex: ");
}
