//! What the kernel takes for connections is told for the whole machine, so that this experiment has a
//! test program of its own: those run one after the other.

mod support;

use support::holds_unless_at_fault;

#[test]
fn a_silent_connection_costs_what_its_mode_is_made_of_and_one_that_is_gone_nothing() {
    let holds = "a quiet connection costs ";
    holds_unless_at_fault("memory", holds, "thread-per-connection: ");
}
