//! Searches at servers that never were.

use proptest::prelude::*;

use super::*;
use crate::random::Key;

const PLAN: Plan = Plan {
    from_per_s: 1_000.0,
    most_per_s: 1e9,
    precision: 0.05,
    repeats: 3,
};

fn broken() -> Outcome {
    Outcome::Broken(Cause::Server, "p99<5ms: 9ms".to_owned())
}

/// Searches at a server that keeps its promises where `keeps` says so for a rate and a run.
fn search(plan: Plan, keeps: impl Fn(f64, usize) -> bool) -> (Conclusion, Search) {
    let mut search = Search::new(plan);
    loop {
        match search.next() {
            Step::Done(conclusion) => return (conclusion, search),
            Step::Try(_, rate) => {
                let kept = keeps(rate, search.runs().len());
                search.observe(if kept { Outcome::Kept } else { broken() });
            }
        }
    }
}

fn found(conclusion: &Conclusion) -> f64 {
    match conclusion {
        Conclusion::UpTo(rate, _) => *rate,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_doubles_bisects_and_confirms() {
    let (conclusion, search) = search(PLAN, |rate, _| rate <= 3_000.0);
    let phases: Vec<_> = search.runs().iter().map(|run| run.phase).collect();
    assert_eq!(
        phases[..4],
        [Phase::Climb, Phase::Climb, Phase::Climb, Phase::Again]
    );
    assert_eq!(phases[phases.len() - 3..], [Phase::Confirm; 3]);
    let Conclusion::UpTo(rate, Some(bound)) = conclusion else {
        panic!("{conclusion:?}");
    };
    let bound = &search.runs()[bound];
    assert!(rate <= 3_000.0 && bound.rate_per_s > 3_000.0);
    assert!(bound.rate_per_s / rate <= 1.05 && bound.outcome == broken());
}

#[test]
fn a_server_without_a_limit_is_known_up_to_the_highest_rate() {
    let plan = Plan {
        most_per_s: 10_000.0,
        ..PLAN
    };
    let (conclusion, _) = search(plan, |_, _| true);
    assert_eq!(conclusion, Conclusion::UpTo(10_000.0, None));
}

#[test]
fn a_server_that_keeps_nothing_is_told_so() {
    let (conclusion, search) = search(PLAN, |_, _| false);
    let Conclusion::Never(lowest) = conclusion else {
        panic!("{conclusion:?}");
    };
    let lowest = search.runs()[lowest].rate_per_s;
    assert!(search.runs().iter().all(|run| run.rate_per_s >= lowest));
    assert_eq!(lowest, 1_000.0 / 1_024.0, "ten halvings");
}

#[test]
fn where_figures_are_missing_it_does_not_go_down() {
    let mut search = Search::new(PLAN);
    for _ in 0..2 {
        search.observe(Outcome::Broken(Cause::Window, "no such figure".to_owned()));
    }
    assert_eq!(search.next(), Step::Done(Conclusion::Never(1)));
}

#[test]
fn one_bad_moment_bounds_nothing() {
    // The second run breaks at whatever rate.
    let (conclusion, _) = search(PLAN, |rate, run| run != 1 && rate <= 50_000.0);
    assert!(found(&conclusion) > 47_000.0);
}

#[test]
fn what_holds_once_and_never_again_is_not_confirmed() {
    // At 4000 and more it holds in the first three runs only.
    let (conclusion, _) = search(PLAN, |rate, run| {
        rate < 3_900.0 || (run < 3 && rate < 5_000.0)
    });
    let rate = found(&conclusion);
    assert!((3_000.0..3_900.0).contains(&rate), "{rate}");
}

/// Searches at a server that keeps its promises up to `climbs` while the search climbs, and up to
/// `confirms` when it is asked again.
fn forgetful(plan: Plan, climbs: f64, confirms: f64) -> (Conclusion, Search) {
    let mut search = Search::new(plan);
    loop {
        let (limit, rate) = match search.next() {
            Step::Done(conclusion) => return (conclusion, search),
            Step::Try(Phase::Confirm, rate) => (confirms, rate),
            Step::Try(_, rate) => (climbs, rate),
        };
        search.observe(if rate <= limit {
            Outcome::Kept
        } else {
            broken()
        });
    }
}

#[test]
fn a_confirmation_that_fails_goes_down_in_growing_steps_and_bounds_what_is_found() {
    let plan = Plan {
        most_per_s: 8_000.0,
        repeats: 1,
        ..PLAN
    };
    let (conclusion, search) = forgetful(plan, f64::INFINITY, 2_000.0);
    let confirmed = search
        .runs()
        .iter()
        .filter(|run| run.phase == Phase::Confirm);
    let rates: Vec<_> = confirmed.map(|run| run.rate_per_s.round()).collect();
    // By 5, 10, 22, 48 and 118 %.
    assert_eq!(
        rates,
        [8_000.0, 7_619.0, 6_911.0, 5_685.0, 3_848.0, 1_763.0]
    );
    let Conclusion::UpTo(rate, Some(bound)) = conclusion else {
        panic!("{conclusion:?}");
    };
    let bound = &search.runs()[bound];
    assert_eq!((rate.round(), bound.rate_per_s.round()), (1_763.0, 3_848.0));
    assert_eq!(bound.outcome, broken());
}

#[test]
fn what_is_never_confirmed_never_holds() {
    let (conclusion, search) = forgetful(PLAN, 3_000.0, 0.0);
    let last = search.runs().len() - 1;
    assert_eq!(conclusion, Conclusion::Never(last));
}

#[test]
fn a_search_that_does_not_come_to_an_end_is_ended() {
    let plan = Plan {
        most_per_s: 1_000.0,
        repeats: u32::MAX,
        ..PLAN
    };
    let (conclusion, search) = search(plan, |_, _| true);
    assert_eq!(conclusion, Conclusion::Unknown);
    assert_eq!(search.runs().len(), MOST_RUNS);
}

#[test]
fn after_its_end_it_changes_nothing() {
    let (conclusion, mut search) = search(PLAN, |rate, _| rate <= 3_000.0);
    let runs = search.runs().len();
    search.observe(broken());
    assert_eq!(search.next(), Step::Done(conclusion));
    assert_eq!(search.runs().len(), runs);
}

proptest! {
    /// An exact limit is found from below, as closely as was asked for, in a number of runs that
    /// grows with the logarithm of what is between.
    #[test]
    fn an_exact_limit_is_found(limit in 2.0..1e8_f64, precision in 0.01..0.5_f64) {
        let (conclusion, search) = search(Plan { precision, ..PLAN }, |rate, _| rate <= limit);
        let rate = found(&conclusion);
        prop_assert!(rate <= limit && limit <= rate * (1.0 + precision) * 1.000_001);
        prop_assert!(search.runs().len() < 60);
    }

    /// The 99th percentile of M/M/1 with 5 % of noise on each measurement.
    #[test]
    fn a_noisy_queue_is_found_near_its_knee(seed: u64, capacity in 2_000.0..1e6_f64) {
        let limit_s = 0.05;
        let p99_s = |rate: f64| if rate < capacity { 100_f64.ln() / (capacity - rate) } else { f64::INFINITY };
        let keeps = |rate: f64, run: usize| {
            let noise = f64::from(Key::new(seed, 0).with(run as u64).below(1_001)) / 10_000.0 - 0.05;
            p99_s(rate) * (1.0 + noise) < limit_s
        };
        let exact = capacity - 100_f64.ln() / limit_s;
        let (conclusion, _) = search(PLAN, keeps);
        let rate = found(&conclusion);
        prop_assert!((rate / exact - 1.0).abs() < 0.12, "{} for {}", rate, exact);
    }

    /// Whatever the server does, the search ends.
    #[test]
    fn it_always_ends(seed: u64) {
        let (_, search) = search(PLAN, |_, run| Key::new(seed, 1).with(run as u64).below(2) == 0);
        prop_assert!(search.runs().len() <= MOST_RUNS);
    }
}
