//! The law of Little: when it is broken, and where it says nothing.

use super::*;
use crate::behaviour::{Pause, Profile, Reuse, Share};
use crate::config::Pace;
use crate::schedule::{Arrivals, Rate};
use std::num::NonZeroU32;
use std::time::Duration;

/// Four clients that were served for 100 µs each, of which this many were not accounted for.
fn missing(nanos: u64) -> Case {
    let mut case = Case::new();
    case.collected.census.presence_nanos = 400_000;
    // With four round trips of 1 µs.
    case.collected.census.unfinished_nanos = 396_000 - nanos;
    case
}

#[test]
fn time_that_is_not_accounted_for_makes_the_run_invalid() {
    let says = "rate × (mean round trip + think) = 4.00 for 4 requests at once";
    let (found, detail) = missing(0).find("littles-law");
    assert!(
        found == Verdict::Pass && detail.starts_with(says),
        "{detail}"
    );
    for (nanos, expected) in [(39_000, Verdict::Pass), (41_000, Verdict::Fail)] {
        assert_eq!(missing(nanos).verdict("littles-law"), expected, "{nanos}");
    }
    // What was thought or passed before the window opened belongs to the balance.
    let mut case = missing(41_000);
    case.collected.tally.paused_nanos = 2_000;
    assert_eq!(case.verdict("littles-law"), Verdict::Pass);
    case.collected.tally.before_window_nanos = 2_000;
    assert_eq!(case.verdict("littles-law"), Verdict::Fail);
    // With a pipeline each client has several at once.
    let mut case = missing(0);
    case.config.behaviour.pipeline = 2.try_into().unwrap();
    assert_eq!(case.verdict("littles-law"), Verdict::Fail);
}

#[test]
fn where_the_law_does_not_apply_the_reason_is_said() {
    type Change = fn(&mut Case);
    let cases: [(&str, Change); 12] = [
        ("an open loop", |c| {
            c.config.pace = Pace::Open(Rate::Constant(1.0), Arrivals::Constant);
        }),
        ("clients of several kinds", |c| {
            c.config.profiles = vec![Share {
                profile: Profile::Echo,
                weight: NonZeroU32::MIN,
            }];
        }),
        ("it was held up by hand", |c| {
            c.collected.paused = Duration::from_millis(1);
        }),
        ("bursts with pauses", |c| {
            c.config.behaviour.pipeline = 2.try_into().unwrap();
            c.config.behaviour.think = Pause::Constant(Duration::from_millis(1));
        }),
        ("connections hold or are replaced", |c| {
            c.config.behaviour.hold = Duration::from_millis(1);
        }),
        ("connections hold or are replaced", |c| {
            c.config.behaviour.requests_per_conn = Some(Reuse::of(NonZeroU32::MIN));
        }),
        ("connections were lost", |c| c.report.clients.lost = 1),
        ("connections were lost", |c| c.report.requests.timeouts = 1),
        ("connections were lost", |c| c.report.requests.errors = 1),
        ("nothing was answered", |c| c.report.requests.answered = 0),
        ("not every served client was there", |c| {
            c.collected.census.last_arrival_nanos = 6_000;
        }),
        ("too few round trips", |c| {
            c.collected.census.presence_nanos = 4 * 19_000;
        }),
    ];
    for (why, change) in cases {
        // It would be broken where it applied.
        let mut case = missing(200_000);
        assert_eq!(case.verdict("littles-law"), Verdict::Fail);
        change(&mut case);
        let (found, detail) = case.find("littles-law");
        let wanted = format!("not applicable: {why}");
        assert!(
            found == Verdict::Pass && detail.starts_with(&wanted),
            "{detail}"
        );
    }
}
