//! Every way to reach a goal, to miss it, and not to be able to tell.

use super::*;
use proptest::prelude::*;

#[test]
fn a_goal_is_reached_missed_or_cannot_be_told() {
    let of = |figure: Figure| figure.outcome();
    assert_eq!(of(Figure::never("lost", 0, 10)), Outcome::Pass);
    assert_eq!(of(Figure::never("lost", 1, 10)), Outcome::Fail);
    assert_eq!(of(Figure::never("lost", 0, 0)), Outcome::Inconclusive);
    assert_eq!(of(Figure::none("left over", 0)), Outcome::Pass);
    assert_eq!(of(Figure::none("left over", 1)), Outcome::Fail);
    assert_eq!(of(Figure::always("back", 9, 10)), Outcome::Fail);
    assert_eq!(of(Figure::always("back", 10, 10)), Outcome::Pass);
    assert_eq!(of(Figure::always("back", 0, 0)), Outcome::Inconclusive);
    let cpu = |value| of(Figure::at_most("cpu", value, 0.1, Unit::Share));
    assert_eq!(
        [cpu(Some(0.1)), cpu(Some(0.11)), cpu(None)],
        [Outcome::Pass, Outcome::Fail, Outcome::Inconclusive]
    );
    assert_eq!(of(Figure::known("p99", None, Unit::Seconds)), Outcome::Pass);
}

#[test]
fn on_a_busy_machine_a_time_proves_nothing_and_all_else_does() {
    let late = Figure::within("p99", Some(Duration::MAX), Duration::from_secs(1));
    assert_eq!(late.clone().outcome(), Outcome::Fail);
    assert_eq!(late.disturbed().outcome(), Outcome::Inconclusive);
    let lost = Figure::never("lost", 1, 10).disturbed();
    assert_eq!(lost.outcome(), Outcome::Fail);
    let memory = Figure::at_most("memory", Some(2.0), 1.0, Unit::Bytes).disturbed();
    assert_eq!(memory.outcome(), Outcome::Fail);
    let cpu = Figure::at_most("cpu", Some(0.2), 0.1, Unit::Share).disturbed();
    assert_eq!(cpu.outcome(), Outcome::Fail);
    let good = Figure::at_most("cpu", Some(0.0), 0.1, Unit::Share).disturbed();
    assert_eq!(good.outcome(), Outcome::Pass);
}

#[test]
fn nothing_measured_is_no_success() {
    assert_eq!(outcome(&[]), Outcome::Inconclusive);
    let figures = [Figure::never("a", 0, 1), Figure::never("b", 1, 1)];
    assert_eq!(outcome(&figures), Outcome::Fail);
    assert_eq!(outcome(&figures[..1]), Outcome::Pass);
}

#[test]
fn a_zero_is_shown_with_what_it_proves() {
    let zero = |trials| Figure::never("lost", 0, trials).measured();
    assert_eq!(zero(300), "0 of 300, at most 1 in 100");
    assert_eq!(zero(3_000_000), "0 of 3.0M, at most 1 in 1.0M");
    assert_eq!((zero(3), zero(0)), ("0 of 3".into(), "0 of 0".into()));
    assert_eq!(Figure::never("lost", 2, 300).measured(), "2 of 300");
}

#[test]
fn figures_are_shown_with_their_units() {
    let shown = |value, unit| Figure::known("x", Some(value), unit).measured();
    assert_eq!(shown(0.0123, Unit::Share), "1.23 %");
    assert_eq!(shown(0.25, Unit::Seconds), "250ms");
    assert_eq!(shown(-2048.0, Unit::BytesPerMinute), "-2 KiB/min");
    assert_eq!(shown(512.4, Unit::Bytes), "512 B");
    assert_eq!(shown(0.5, Unit::PerSecond), "0.50/s");
    let limit = Figure::at_most("x", None, 0.25, Unit::Seconds);
    assert_eq!(
        (limit.goal_text(), limit.measured()),
        ("≤ 250ms".into(), "no figure".into())
    );
}

#[test]
fn counts_of_modes_add_up_and_of_times_the_worst_is_kept() {
    let time = |ms| {
        Figure::within(
            "p99",
            Some(Duration::from_millis(ms)),
            Duration::from_secs(1),
        )
    };
    let figures = [
        Figure::never("lost", 1, 10),
        time(5),
        Figure::never("lost", 2, 20),
        time(3),
    ];
    let sums = together(&figures);
    assert_eq!(sums.len(), 2);
    assert_eq!(sums[0].figure, Figure::never("lost", 3, 30));
    assert_eq!(sums[1].figure, time(5));
    assert_eq!((sums[0].outcome, sums[1].modes), (Outcome::Fail, 2));
}

#[test]
fn a_mode_that_misses_its_own_limit_is_seen_beside_one_with_a_wider_one() {
    let memory = |value, limit| Figure::at_most("memory", Some(value), limit, Unit::Bytes);
    let sum = &together(&[memory(600.0, 512.0), memory(900.0, 1024.0)])[0];
    assert_eq!(sum.outcome, Outcome::Fail);
}

#[test]
fn one_mode_without_a_figure_leaves_none_for_all() {
    let known = Figure::at_most("cpu", Some(0.1), 0.5, Unit::Share);
    let unknown = Figure::at_most("cpu", None, 0.5, Unit::Share);
    let sum = &together(&[known, unknown.clone()])[0];
    assert_eq!(
        (&sum.figure, sum.outcome),
        (&unknown, Outcome::Inconclusive)
    );
}

proptest! {
    /// One failure in one mode is a failure of all together.
    #[test]
    fn no_sum_hides_a_failure(counts in proptest::collection::vec((0_u64..3, 1_u64..50), 1..8)) {
        let all = |make: fn(u64, u64) -> Figure| -> (Vec<Published>, Outcome) {
            let figures: Vec<Figure> = counts.iter().map(|(bad, n)| make(*bad, *n)).collect();
            let worst = outcome(&figures);
            (together(&figures), worst)
        };
        let (sum, worst) = all(|bad, n| Figure::never("lost", bad, n));
        prop_assert_eq!((sum[0].figure.outcome(), sum[0].outcome), (worst, worst));
        let (sum, worst) = all(|bad, n| Figure::always("served", n - bad.min(n), n));
        prop_assert_eq!((sum[0].figure.outcome(), sum[0].outcome), (worst, worst));
    }
}
