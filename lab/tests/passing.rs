//! The experiments about handing on, and about waiting for each other, whose verdict needs no clock: each
//! holds as it is, and its seeded fault is found.

mod support;

use support::holds_unless_at_fault;

#[test]
fn a_deadlock_is_found_with_both_holders_and_its_cures_have_none() {
    let reason = "4 of 8 scenes stopped for ever and the watchdog named who holds what";
    let objection = "two locks in opposite order: the watchdog found nothing";
    holds_unless_at_fault("deadlock", reason, objection);
}

#[test]
fn no_more_are_inside_than_there_are_permits_whoever_is_killed() {
    let reason = "5 of 10 processes and of as many threads inside at 13 counts, 4 while a killed one's \
                  permit was missing";
    let objection = "6 processes were inside after all came, not 5";
    holds_unless_at_fault("semaphore", reason, objection);
}

#[test]
fn a_queue_is_full_and_empty_when_it_says_and_keeps_the_order() {
    let reason = "put number 4 failed at once";
    let objection = "threads: 4 items fitted into a queue of 3 (and 1 more)";
    holds_unless_at_fault("queue", reason, objection);
}

#[test]
fn a_pipeline_finds_what_a_plain_search_finds_and_ends_cleanly() {
    let objection = "1 of 180 answers are other than the plain search's";
    holds_unless_at_fault("pipeline", "", objection);
}
