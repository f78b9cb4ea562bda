//! What a soak says, as a document, a table and an exit code.

use super::*;
use crate::soak::figure::Unit;
use crate::soak::steps;

fn case(mode: &str, lost: u64) -> CaseEntry {
    let figures = vec![
        Figure::never("bytes that differ", lost, 3000),
        Figure::known("p99", Some(0.002), Unit::Seconds),
        Figure::none(CLEAN_LOG, 0),
    ];
    CaseEntry::measured(mode.into(), figures, &["seen at 12".into()])
}

fn document(cases: Vec<CaseEntry>) -> Document {
    let mut document = Document::new("lab soak".into(), Effort::Short, 1);
    document
        .steps
        .push(StepEntry::of(&steps::ALL[0], cases, 1.25));
    document
}

fn skipped(reason: &str) -> CaseEntry {
    CaseEntry::without_figures("epoll".into(), Outcome::Skipped, reason.into())
}

#[test]
fn the_exit_code_is_that_of_the_worst_case_and_skipping_is_no_failure() {
    let code = |cases| document(cases).exit_code();
    assert_eq!(code(vec![case("async", 0), skipped("no strace")]), 0);
    assert_eq!(code(vec![skipped("no strace")]), 0);
    assert_eq!(code(vec![case("async", 0), case("epoll", 1)]), 3);
    let other = |outcome| CaseEntry::without_figures("rayon".into(), outcome, String::new());
    assert_eq!(code(vec![other(Outcome::Inconclusive), case("a", 0)]), 4);
    assert_eq!(code(vec![other(Outcome::Broken), case("a", 1)]), 1);
}

#[test]
fn what_was_only_late_is_tried_again_and_what_must_not_happen_is_not() {
    let late = Figure::at_most("p99", Some(2.0), 1.0, Unit::Seconds);
    let lost = Figure::never("lost", 1, 10);
    let again = |figures: &[&Figure]| {
        let figures = figures.iter().copied().cloned().collect();
        CaseEntry::measured("epoll".into(), figures, &[]).may_be_the_machine()
    };
    assert!(again(&[&late]));
    assert!(again(&[&late.clone().disturbed()]));
    assert!(!again(&[&late, &lost]));
    assert!(!again(&[&late.clone().disturbed(), &lost]));
    assert!(!again(&[&Figure::never("lost", 0, 10)]));
    // A client that was not served at all leaves no figures.
    let without = |outcome| CaseEntry::without_figures("a".into(), outcome, String::new());
    assert!(!without(Outcome::Fail).may_be_the_machine());
    assert!(!without(Outcome::Broken).may_be_the_machine());
    assert!(without(Outcome::Inconclusive).may_be_the_machine());
}

#[test]
fn what_failed_says_why_and_what_did_not_says_nothing() {
    assert_eq!(case("async", 0).reason, "");
    assert_eq!(
        case("async", 2).reason,
        "bytes that differ: 2 of 3000 (goal: 0); seen at 12"
    );
}

#[test]
fn a_step_is_a_line_and_one_for_each_case_that_is_no_success() {
    let cases = vec![case("async", 0), case("epoll", 1), skipped("no strace")];
    let mut document = document(cases);
    insta::assert_snapshot!(document.steps[0].text(), @r"
    integrity: fail — 1 fail, 1 pass, 1 skipped in 1.2 s
      epoll: fail: bytes that differ: 1 of 3000 (goal: 0); seen at 12
      epoll: skipped: no strace
    ");
    let lacking = vec![skipped("no strace"), skipped("no strace")];
    document
        .steps
        .push(StepEntry::of(&steps::ALL[1], lacking, 0.0));
    insta::assert_snapshot!(document.steps[1].text(), @r"
    leaks: skipped — 2 skipped in 0.0 s
      no strace
    ");
}

#[test]
fn the_table_has_a_row_for_each_figure_and_those_of_every_case_last() {
    let mut document = document(vec![case("async", 0), case("epoll", 0)]);
    document.steps.push(StepEntry::of(
        &steps::ALL[1],
        vec![skipped("no strace")],
        0.0,
    ));
    insta::assert_snapshot!(crate::report::table_text(&document.table()), @r"
    Figures to publish
       figure                                     goal                       measured   cases   verdict
     ────────────────────────────────────────────────────────────────────────────────────────────────────
       integrity: bytes that differ                  0   0 of 6000, at most 1 in 2000       2      pass
       integrity: p99                                -                         2.00ms       2      pass
       leaks: no strace                              -                              -       1   skipped
       every case: panics and errors in the log      0                              0       2      pass
    ");
}
