//! Runs held against what the generator can do.

use super::super::generator::ceiling_share;
use super::super::*;
use crate::ceiling::{Ceiling, tests::ceiling};
use crate::report::synthetic;

/// The share of a ceiling of 100 a second that a run at 50 a second has.
fn share(change: fn(&mut Config), of: fn(&mut Ceiling)) -> Result<f64, String> {
    let mut report = synthetic::closed(50, &[vec![1_000; 50]]);
    report.tool = crate::report::Tool::this();
    let mut ceiling = ceiling(100.0, report.machine.clone());
    of(&mut ceiling);
    let mut config = Config::new(cli::Addr::default());
    config.ceiling = Some(ceiling);
    change(&mut config);
    ceiling_share(&config, &report).map(|(share, _)| share)
}

#[test]
fn a_run_is_held_against_the_ceiling_for_as_many_clients() {
    assert_eq!(share(|_| {}, |_| {}), Ok(0.5));
    assert_eq!(share(|_| {}, |c| c.points[1].rate_per_s = 50.0), Ok(1.0));
}

#[test]
fn what_cannot_be_compared_says_why() {
    let said = |change, of| share(change, of).unwrap_err();
    for (why, wanted) in [
        (said(|c| c.ceiling = None, |_| {}), "selftest` once"),
        (said(|c| c.verify = false, |_| {}), "every byte compared"),
        (said(|_| {}, |c| c.machine.cpus = 77), "77 processors"),
        (said(|_| {}, |c| c.points.clear()), "so many clients"),
        (
            said(|_| {}, |c| c.points[1].threads = 9),
            "9 threads, not of 1",
        ),
        (
            said(|c| c.behaviour.pipeline = 2.try_into().unwrap(), |_| {}),
            "one request at a time",
        ),
    ] {
        assert!(why.contains(wanted), "{why}");
    }
}
