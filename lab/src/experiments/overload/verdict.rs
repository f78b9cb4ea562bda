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
/// What a queue keeps busy all the time answers at least, as a share of the capacity, and one queue as
/// a share of the other.
const AS_MUCH: f64 = 0.85;
/// Below this share it is another throughput.
const LESS_BY_FAR: f64 = 0.6;
/// A server that lets nobody wait answers less than one that lets a few.
const LESS: f64 = 0.97;
/// How far what a server without a queue answers may be from the prediction, as a share of it: a
/// run has some hundreds of arrivals at random.
const AS_PREDICTED: f64 = 0.1;
/// So far it is no longer what was predicted, with or without chance.
const OTHERWISE: f64 = 0.2;

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
    objections.extend(erlang(reject, bounded, figures));
    Ruling::unless(
        objections,
        format!(
            "all wait: {:.0} % of the second half in time at {:.0} answers/s, the wait grows by {:.2} s \
             each second; nobody waits: {:.0} % at {:.0} answers/s; at most {} wait: {:.0} % at {:.0} \
             answers/s, the longest {:.0} ms",
            wait.late_half_in_time() * 100.0,
            wait.throughput_per_s.unwrap_or(0.0),
            wait.growth_s_per_s.unwrap_or(0.0),
            reject.late_half_in_time() * 100.0,
            reject.throughput_per_s.unwrap_or(0.0),
            super::QUEUE,
            bounded.late_half_in_time() * 100.0,
            bounded.throughput_per_s.unwrap_or(0.0),
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

/// What is wrong with how much is answered where the workers always have something to do: less than
/// they can, or with one queue less than with the other, though both had the same machine.
fn throughput(wait: &Arm, bounded: &Arm, figures: &Figures) -> Vec<Ruling> {
    let Some((all, few)) = wait.throughput_per_s.zip(bounded.throughput_per_s) else {
        return vec![Ruling::inconclusive("nobody was answered")];
    };
    let capacity = figures.capacity_per_s;
    let unequal = objection(
        (all / few).min(few / all),
        format!("a queue without an end answered {all:.0}/s, one with an end {few:.0}/s"),
        None,
    );
    let short = [(wait, all), (bounded, few)].map(|(arm, per_s)| {
        let name = arm.policy.name();
        let text = format!("{name}: {per_s:.0} answers/s of a capacity of {capacity:.0}");
        objection(per_s / capacity, text, figures.others_cores)
    });
    short.into_iter().chain([unequal]).flatten().collect()
}

/// What is wrong with a throughput that is this share of what it should be; others may be why.
fn objection(share: f64, text: String, others_cores: Option<f64>) -> Option<Ruling> {
    if share >= AS_MUCH {
        return None;
    }
    let ruling = if share < LESS_BY_FAR {
        Ruling::does_not_hold(text)
    } else {
        Ruling::inconclusive(text)
    };
    Some(ruling.beside(others_cores))
}

/// What is wrong with how much is answered where nobody may wait, beside what the same workers answer
/// when they always have something to do.
fn erlang(reject: &Arm, bounded: &Arm, figures: &Figures) -> Option<Ruling> {
    let found = reject.throughput_per_s? / bounded.throughput_per_s?;
    let predicted = figures.predicted_reject_share;
    let off = (found / predicted - 1.0).abs();
    let text = format!(
        "nobody waits: {:.0} % of what is answered where a few may, and Erlang B says {:.0} %",
        found * 100.0,
        predicted * 100.0
    );
    if off <= AS_PREDICTED {
        None
    } else if off <= OTHERWISE {
        Some(Ruling::inconclusive(text))
    } else {
        Some(Ruling::does_not_hold(text))
    }
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
        let mut reject = arm(Policy::Reject, 640, [0.5; 4]);
        reject.throughput_per_s = Some(318.0);
        Figures {
            capacity_per_s: 400.0,
            offered_per_s: 600.0,
            patience_ms: 200.0,
            predicted_reject_share: 0.8,
            others_cores: None,
            arms: vec![
                wait,
                arm(Policy::Leave, 230, [0.7, 0.1, 0.0, 0.0]),
                reject,
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
    fn a_throughput_below_capacity_contradicts_the_claim_unless_others_had_the_machine() {
        let (no, unclear) = (Verdict::DoesNotHold, Verdict::Inconclusive);
        assert_eq!(after(|it| it[3].throughput_per_s = Some(200.0)), no);
        assert_eq!(after(|it| it[0].throughput_per_s = Some(200.0)), no);
        // All are slow: either the server is, or others had the machine.
        let mut slow = figures();
        for arm in &mut slow.arms {
            arm.throughput_per_s = arm.throughput_per_s.map(|per_s| per_s / 2.0);
        }
        slow.arms[0].growth_s_per_s = Some(600.0 / 197.5 - 1.0);
        assert_eq!(judge(&slow).verdict, no);
        slow.others_cores = Some(1.5);
        assert_eq!(judge(&slow).verdict, unclear);
    }

    #[test]
    fn another_loss_than_that_of_erlang_contradicts_the_claim() {
        let (no, unclear) = (Verdict::DoesNotHold, Verdict::Inconclusive);
        assert_eq!(after(|it| it[2].throughput_per_s = Some(200.0)), no);
        assert_eq!(after(|it| it[2].throughput_per_s = Some(394.0)), no);
        assert_eq!(after(|it| it[2].throughput_per_s = Some(270.0)), unclear);
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
