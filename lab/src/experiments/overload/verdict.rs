//! Whether the figures are what the claim predicts.

use super::Figures;
use super::arm::{Arm, Policy};
use crate::verdict::Ruling;

/// In the second half so few are in time in a queue without an end: none, but for a moment.
const NOBODY: f64 = 0.02;
/// Of those who are let in, so many are in time at least.
const PUNCTUAL: f64 = 0.9;
/// What is no longer most of them.
const UNPUNCTUAL: f64 = 0.5;
/// The wait grows as predicted from the rates that were measured, but for this factor.
const GROWTH: std::ops::RangeInclusive<f64> = 0.7..=1.4;
/// Below this share of the prediction it does not grow.
const NO_GROWTH: f64 = 0.2;
/// The throughput of a queue without an end, as a share of that of one with an end.
const AS_MUCH: f64 = 0.85;
/// A server that lets nobody wait answers less than one that lets a few.
const LESS: f64 = 0.97;
/// Below this share of its theoretical capacity the machine is too busy.
const CAPACITY: f64 = 0.5;

/// See the module.
pub(super) fn judge(figures: &Figures) -> Ruling {
    let arms = Policy::ALL.map(|policy| figures.arm(policy));
    let [Some(wait), Some(leave), Some(reject), Some(bounded)] = arms else {
        return Ruling::inconclusive("not all policies were measured");
    };
    let invalid = figures.arms.iter().filter_map(|arm| {
        let why = arm.invalid.as_ref()?;
        Some(Ruling::inconclusive(format!(
            "{}: {why}",
            arm.policy.name()
        )))
    });
    let mut objections: Vec<Ruling> = invalid.collect();
    objections.extend(endless(wait, figures));
    objections.extend(wasted(leave));
    objections.extend(throughput(wait, bounded, figures));
    objections.extend([reject, bounded].into_iter().filter_map(unpunctual));
    objections.extend(loss(reject, bounded));
    Ruling::unless(
        objections,
        format!(
            "all wait: {:.0} % of the second half in time at {:.0} answers/s, the wait grows by {:.2} s \
             each second; nobody waits: {:.0} %; at most {} wait: {:.0} %, the longest {:.0} ms",
            wait.late_half_in_time() * 100.0,
            wait.throughput_per_s.unwrap_or(0.0),
            wait.growth_s_per_s.unwrap_or(0.0),
            reject.late_half_in_time() * 100.0,
            super::QUEUE,
            bounded.late_half_in_time() * 100.0,
            bounded.longest_ms.unwrap_or(0.0),
        ),
    )
}

impl Figures {
    pub(super) fn arm(&self, policy: Policy) -> Option<&Arm> {
        self.arms.iter().find(|arm| arm.policy == policy)
    }
}

/// What is wrong with the queue without an end.
fn endless(wait: &Arm, figures: &Figures) -> Option<Ruling> {
    let in_time = wait.late_half_in_time();
    if in_time > NOBODY {
        return Some(Ruling::does_not_hold(format!(
            "all wait, and still {:.0} % of those who came in the second half were in time",
            in_time * 100.0
        )));
    }
    let measured = wait.throughput_per_s.zip(wait.growth_s_per_s);
    let Some((throughput, growth)) = measured else {
        return Some(Ruling::inconclusive("all wait: nobody was answered"));
    };
    let predicted = figures.offered_per_s / throughput - 1.0;
    let found = growth / predicted;
    if GROWTH.contains(&found) {
        return None;
    }
    let reason = format!("the wait grew by {growth:.2} s each second, not {predicted:.2}");
    Some(if found < NO_GROWTH {
        Ruling::does_not_hold(reason)
    } else {
        Ruling::inconclusive(reason)
    })
}

/// Whoever left was not worked for.
fn wasted(leave: &Arm) -> Option<Ruling> {
    (leave.worked_on <= leave.answered as u64).then(|| {
        Ruling::does_not_hold(format!(
            "the server worked on {} requests for {} answers, and on nothing for those who had left",
            leave.worked_on, leave.answered
        ))
    })
}

/// What is wrong with how much is answered.
fn throughput(wait: &Arm, bounded: &Arm, figures: &Figures) -> Option<Ruling> {
    let (all, few) = wait.throughput_per_s.zip(bounded.throughput_per_s)?;
    if all < figures.capacity_per_s * CAPACITY {
        return Some(Ruling::inconclusive(format!(
            "{all:.0} answers/s of a capacity of {:.0}: is the machine busy?",
            figures.capacity_per_s
        )));
    }
    (all < few * AS_MUCH).then(|| {
        Ruling::inconclusive(format!(
            "a queue without an end answered {all:.0}/s, one with an end {few:.0}/s"
        ))
    })
}

/// What is wrong with those who are let in where not all are.
fn unpunctual(arm: &Arm) -> Option<Ruling> {
    let share = arm.punctual_share.unwrap_or(0.0);
    let reason = format!(
        "{}: {:.0} % of those who were let in were in time",
        arm.policy.name(),
        share * 100.0
    );
    match share {
        share if share >= PUNCTUAL => None,
        share if share < UNPUNCTUAL => Some(Ruling::does_not_hold(reason)),
        _ => Some(Ruling::inconclusive(reason)),
    }
}

/// Without a queue a worker is idle until the next one comes.
fn loss(reject: &Arm, bounded: &Arm) -> Option<Ruling> {
    let ratio = reject.answered as f64 / bounded.answered.max(1) as f64;
    (ratio > LESS).then(|| {
        Ruling::does_not_hold(format!(
            "{} were answered where nobody may wait, and {} where a few may",
            reject.answered, bounded.answered
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn arm(policy: Policy, answered: usize, shares: [f64; 4]) -> Arm {
        Arm {
            policy,
            asked: 1_200,
            answered,
            in_time: answered,
            worked_on: 1_200,
            throughput_per_s: Some(395.0),
            in_time_shares: shares.to_vec(),
            punctual_share: Some(1.0),
            growth_s_per_s: Some(0.01),
            longest_ms: Some(95.0),
            points: vec![],
            invalid: None,
        }
    }

    fn figures() -> Figures {
        let mut wait = arm(Policy::Wait, 1_200, [0.7, 0.0, 0.0, 0.0]);
        wait.growth_s_per_s = Some(0.49);
        wait.punctual_share = Some(0.0);
        Figures {
            capacity_per_s: 400.0,
            offered_per_s: 600.0,
            patience_ms: 200.0,
            predicted_reject_share: 0.8,
            arms: vec![
                wait,
                arm(Policy::Leave, 230, [0.7, 0.1, 0.0, 0.0]),
                arm(Policy::Reject, 640, [0.5; 4]),
                arm(Policy::Bounded, 830, [0.7; 4]),
            ],
        }
    }

    /// The verdict once `change` was made.
    fn after(change: impl FnOnce(&mut [Arm])) -> Verdict {
        let mut figures = figures();
        change(&mut figures.arms);
        judge(&figures).verdict
    }

    #[test]
    fn what_is_predicted_holds() {
        let ruling = judge(&figures());
        assert_eq!(ruling.verdict, Verdict::Holds, "{ruling:?}");
    }

    #[test]
    fn a_queue_without_an_end_that_is_of_use_contradicts_the_claim() {
        let no = Verdict::DoesNotHold;
        assert_eq!(after(|it| it[0].in_time_shares[3] = 0.5), no);
        assert_eq!(after(|it| it[0].growth_s_per_s = Some(0.01)), no);
        assert_eq!(after(|it| it[1].worked_on = 230), no);
    }

    #[test]
    fn a_queue_with_an_end_that_is_of_no_use_contradicts_the_claim() {
        let no = Verdict::DoesNotHold;
        assert_eq!(after(|it| it[3].punctual_share = Some(0.2)), no);
        assert_eq!(after(|it| it[2].punctual_share = None), no);
        assert_eq!(after(|it| it[2].answered = 830), no);
    }

    #[test]
    fn a_busy_machine_and_invalid_runs_prove_nothing() {
        let unclear = Verdict::Inconclusive;
        assert_eq!(after(|it| it[0].growth_s_per_s = Some(0.2)), unclear);
        assert_eq!(after(|it| it[0].throughput_per_s = None), unclear);
        assert_eq!(after(|it| it[0].throughput_per_s = Some(300.0)), unclear);
        assert_eq!(after(|it| it[3].punctual_share = Some(0.8)), unclear);
        assert_eq!(
            after(|it| it[2].invalid = Some("bytes differ".into())),
            unclear
        );
        let mut missing = figures();
        missing.arms.pop();
        assert_eq!(judge(&missing).verdict, unclear);
    }
}
