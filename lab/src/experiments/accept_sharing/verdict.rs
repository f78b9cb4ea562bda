//! Whether the figures are what the claim predicts.

use super::closing::{self, Closing};
use super::deal::{self, Deal, Stay};
use super::queues::Queue;
use super::stranded::{self, Stranded};
use super::{Figures, WORKERS, Way};
use crate::verdict::{Ruling, Zones};

/// Dice with four sides exceed this once in a million throws of 200.
const CHANCE: f64 = 30.0;
/// How far a count of dealt clients may be from its mean, in standard deviations.
const DEVIATIONS: f64 = 4.9;
/// So many times as long is the wait in four queues at least, where theory says 5.4; and what is no
/// longer at all.
const LONGER: Zones = Zones {
    enough: 2.0,
    wrong: 1.3,
};

/// The largest share of clients that one worker takes where most go to one, and where they are dealt
/// evenly up to chance.
fn most_to_one() -> Zones {
    let even = 1.0 / WORKERS as f64;
    let chance = DEVIATIONS * (even * (1.0 - even) / f64::from(deal::CLIENTS)).sqrt();
    Zones {
        enough: 0.5,
        wrong: even + chance,
    }
}
/// A queue that was so many times as long as predicted was not that of its load alone.
const SATURATED: f64 = 3.0;
/// Arrivals that were not answered, as a share: beyond it the machine had no time for them.
const UNANSWERED: f64 = 0.02;

/// See the module.
pub(super) fn judge(figures: &Figures) -> Ruling {
    let mut objections: Vec<Ruling> = figures.deals.iter().filter_map(dealt).collect();
    objections.extend(figures.stranded.iter().filter_map(left_waiting));
    if !figures.migrates {
        objections.extend(figures.closing.iter().filter_map(closed));
    }
    objections.extend(figures.queues.iter().filter_map(invalid));
    let Some(ratio) = figures.ratio() else {
        objections.push(Ruling::inconclusive("there are no waits to compare"));
        return Ruling::unless(objections, "");
    };
    objections.extend(longer(ratio, figures.saturated()));
    Ruling::unless(objections, conclusion(figures, ratio))
}

fn conclusion(figures: &Figures, ratio: f64) -> String {
    let counts = |accept| {
        let deal = figures.deal(accept, Stay::Long);
        deal.map_or_else(String::new, |deal| listed(&deal.accepted))
    };
    let waiting = figures.stranded(Way::Reuseport).map_or(0, |it| it.waiting);
    format!(
        "long connections by worker: {} shared, {} reuseport, {} handed out; {waiting} of {} waited \
         for a busy worker with reuseport, nobody otherwise; four queues made them wait {ratio:.1} \
         times as long as one",
        counts(Way::Shared),
        counts(Way::Reuseport),
        counts(Way::Handoff),
        stranded::CLIENTS
    )
}

/// Counts as they are written: `50/50/50/50`.
pub(super) fn listed(counts: &[u64]) -> String {
    let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
    counts.join("/")
}

impl Figures {
    pub(super) fn deal(&self, accept: Way, stay: Stay) -> Option<&Deal> {
        let mut deals = self.deals.iter();
        deals.find(|deal| (deal.accept, deal.stay) == (accept, stay))
    }

    pub(super) fn stranded(&self, accept: Way) -> Option<&Stranded> {
        self.stranded.iter().find(|it| it.accept == accept)
    }

    fn queue(&self, accept: Way) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.accept == accept)
    }

    /// Whether even the wait in one queue for all was so long that others must have had the
    /// processors.
    fn saturated(&self) -> bool {
        let wait = |queue: &Queue| Some(queue.wait_ms? / queue.predicted_wait_ms?);
        let excess = self.queue(Way::Shared).and_then(wait);
        excess.is_none_or(|excess| excess > SATURATED)
    }

    /// How many times as long one waits in a queue of each worker as in one for all.
    fn ratio(&self) -> Option<f64> {
        let wait = |accept| self.queue(accept)?.wait_ms.filter(|wait| *wait > 0.0);
        Some(wait(Way::Reuseport)? / wait(Way::Shared)?)
    }
}

/// What is wrong with who took the clients of idle workers.
fn dealt(deal: &Deal) -> Option<Ruling> {
    let counts = listed(&deal.accepted);
    let all = deal.accepted.iter().sum::<u64>() == u64::from(deal::CLIENTS);
    if !all || deal.accepted.len() != WORKERS {
        return Some(Ruling::does_not_hold(format!(
            "{}: the workers accepted {counts} of {} clients",
            deal.accept,
            deal::CLIENTS
        )));
    }
    let most = deal.accepted.iter().max();
    let least = deal.accepted.iter().min();
    match (deal.accept, deal.stay) {
        (Way::Handoff, Stay::Long) if most > least => Some(Ruling::does_not_hold(format!(
            "clients that stay were handed out unevenly: {counts}"
        ))),
        (Way::Reuseport, _) if deal.chi_square > CHANCE => Some(Ruling::does_not_hold(format!(
            "reuseport dealt {counts}, which is no chance (chi-square {:.0})",
            deal.chi_square
        ))),
        (Way::Shared, Stay::Long) => {
            let share = most.map_or(0.0, |most| *most as f64 / f64::from(deal::CLIENTS));
            let text = format!("a shared listener gave no worker most of the clients: {counts}");
            most_to_one().objection(share, text)
        }
        _ => None,
    }
}

/// What is wrong with who waited beside a busy worker.
fn left_waiting(it: &Stranded) -> Option<Ruling> {
    let Stranded {
        accept,
        waiting,
        lost,
        ..
    } = it;
    if *lost > 0 {
        return Some(Ruling::does_not_hold(format!(
            "{accept}: {lost} clients were lost with a worker that did not serve them"
        )));
    }
    let dealt = match accept {
        Way::Reuseport => binomial(stranded::CLIENTS),
        Way::Shared | Way::Handoff => 0..=0,
    };
    (!dealt.contains(waiting)).then(|| {
        Ruling::does_not_hold(format!(
            "{accept}: {waiting} of {} clients waited for the busy worker",
            stranded::CLIENTS
        ))
    })
}

/// What is wrong with who was reset when a listener was closed.
fn closed(it: &Closing) -> Option<Ruling> {
    let Closing {
        own_sockets,
        accepted,
        reset,
    } = it;
    let dealt = if *own_sockets {
        binomial(closing::CLIENTS)
    } else {
        0..=0
    };
    (!dealt.contains(reset) || accepted + reset != closing::CLIENTS).then(|| {
        Ruling::does_not_hold(format!(
            "a closed listener reset {reset} of {}, and the others accepted {accepted}",
            closing::CLIENTS
        ))
    })
}

/// How many of `clients` one of the workers may be dealt by chance: the mean and some deviations
/// to each side, and at least one.
fn binomial(clients: u32) -> std::ops::RangeInclusive<u32> {
    let share = 1.0 / WORKERS as f64;
    let mean = f64::from(clients) * share;
    let reach = DEVIATIONS * (mean * (1.0 - share)).sqrt();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and the number of clients"
    )]
    let bound = |count: f64| count.clamp(1.0, f64::from(clients)) as u32;
    bound((mean - reach).ceil())..=bound((mean + reach).floor())
}

fn invalid(queue: &Queue) -> Option<Ruling> {
    let accept = queue.accept;
    if let Some(why) = &queue.invalid {
        return Some(Ruling::inconclusive(format!("{accept}: {why}")));
    }
    let all = queue.answered + queue.unanswered;
    let unanswered = queue.unanswered as f64 > UNANSWERED * all as f64;
    unanswered.then(|| {
        Ruling::inconclusive(format!(
            "{accept}: {} of {all} arrivals were not answered in time; is the machine busy?",
            queue.unanswered
        ))
    })
}

fn longer(ratio: f64, saturated: bool) -> Option<Ruling> {
    let found = format!("four queues made clients wait {ratio:.1} times as long as one");
    let objection = LONGER.objection(ratio, found.as_str())?;
    Some(if saturated {
        Ruling::inconclusive(format!(
            "{found}, and even that one was much longer than predicted; is the machine busy?"
        ))
    } else {
        objection
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn deal(accept: Way, stay: Stay, accepted: [u64; 4]) -> Deal {
        Deal {
            accept,
            stay,
            chi_square: deal::chi_square(&accepted),
            accepted: accepted.to_vec(),
        }
    }

    fn stranded(accept: Way, waiting: u32) -> Stranded {
        Stranded {
            accept,
            answered: stranded::CLIENTS - waiting,
            waiting,
            answered_after: waiting,
            lost: 0,
        }
    }

    fn queue(accept: Way, wait_ms: f64) -> Queue {
        Queue {
            accept,
            answered: 2_000,
            unanswered: 0,
            wait_ms: Some(wait_ms),
            p99_ms: Some(90.0),
            predicted_wait_ms: Some(3.0),
            predicted_p99_ms: Some(25.0),
            curve: vec![],
            invalid: None,
        }
    }

    fn figures() -> Figures {
        let closing = |own_sockets, reset| Closing {
            own_sockets,
            accepted: closing::CLIENTS - reset,
            reset,
        };
        Figures {
            deals: vec![
                deal(Way::Shared, Stay::Long, [170, 30, 0, 0]),
                deal(Way::Shared, Stay::Short, [50, 50, 50, 50]),
                deal(Way::Reuseport, Stay::Long, [41, 60, 55, 44]),
                deal(Way::Reuseport, Stay::Short, [50, 52, 48, 50]),
                deal(Way::Handoff, Stay::Long, [50, 50, 50, 50]),
                deal(Way::Handoff, Stay::Short, [190, 10, 0, 0]),
            ],
            stranded: vec![
                stranded(Way::Shared, 0),
                stranded(Way::Reuseport, 18),
                stranded(Way::Handoff, 0),
            ],
            migrates: false,
            closing: vec![closing(false, 0), closing(true, 15)],
            queues: vec![queue(Way::Shared, 3.2), queue(Way::Reuseport, 15.0)],
        }
    }

    /// The verdict once `change` was made.
    fn after(change: impl FnOnce(&mut Figures)) -> Verdict {
        let mut figures = figures();
        change(&mut figures);
        judge(&figures).verdict
    }

    #[test]
    fn what_is_predicted_holds() {
        let ruling = judge(&figures());
        assert_eq!(ruling.verdict, Verdict::Holds, "{ruling:?}");
        assert!(ruling.reason.contains("170/30/0/0 shared"), "{ruling:?}");
        assert!(ruling.reason.contains("18 of 64"), "{ruling:?}");
    }

    #[test]
    fn who_took_the_clients_decides() {
        let no = Verdict::DoesNotHold;
        let with = |place: usize, accepted: [u64; 4]| {
            after(|figures| {
                let Deal { accept, stay, .. } = figures.deals[place];
                figures.deals[place] = deal(accept, stay, accepted);
            })
        };
        assert_eq!(with(4, [51, 50, 50, 49]), no);
        assert_eq!(with(2, [170, 30, 0, 0]), no);
        assert_eq!(with(3, [100, 50, 50, 0]), no);
        assert_eq!(with(3, [50, 50, 50, 49]), no, "one is missing");
        assert_eq!(with(0, [50, 50, 50, 50]), no, "an even deal");
        assert_eq!(with(0, [60, 50, 45, 45]), no, "as dice could");
        assert_eq!(with(0, [99, 60, 41, 0]), Verdict::Inconclusive);
        assert_eq!(with(0, [100, 60, 40, 0]), Verdict::Holds);
    }

    #[test]
    fn who_waits_for_a_busy_worker_decides() {
        let no = Verdict::DoesNotHold;
        assert_eq!(after(|it| it.stranded[0] = stranded(Way::Shared, 1)), no);
        assert_eq!(after(|it| it.stranded[1] = stranded(Way::Reuseport, 0)), no);
        assert_eq!(
            after(|it| it.stranded[1] = stranded(Way::Reuseport, 64)),
            no
        );
        assert_eq!(after(|it| it.stranded[2] = stranded(Way::Handoff, 1)), no);
        assert_eq!(after(|it| it.stranded[1].lost = 1), no);
    }

    #[test]
    fn who_is_reset_with_a_listener_decides_where_the_kernel_does_not_pass_them_on() {
        let reset = |place: usize, reset: u32| {
            move |it: &mut Figures| {
                it.closing[place].reset = reset;
                it.closing[place].accepted = closing::CLIENTS - reset;
            }
        };
        assert_eq!(after(reset(0, 1)), Verdict::DoesNotHold);
        assert_eq!(after(reset(1, 0)), Verdict::DoesNotHold);
        let missing = after(|it| it.closing[1].accepted -= 1);
        assert_eq!(missing, Verdict::DoesNotHold);
        let passed_on = after(|it| {
            reset(1, 0)(it);
            it.migrates = true;
        });
        assert_eq!(passed_on, Verdict::Holds);
    }

    #[test]
    fn waits_decide_only_when_they_are_clear() {
        let with = |ms: f64| after(|it| it.queues[1].wait_ms = Some(ms));
        assert_eq!(with(3.3), Verdict::DoesNotHold);
        let saturated = after(|it| {
            it.queues[0].wait_ms = Some(300.0);
            it.queues[1].wait_ms = Some(301.0);
        });
        assert_eq!(saturated, Verdict::Inconclusive);
        assert_eq!(with(5.0), Verdict::Inconclusive);
        assert_eq!(
            after(|it| it.queues[1].wait_ms = None),
            Verdict::Inconclusive
        );
        assert_eq!(
            after(|it| it.queues[0].unanswered = 100),
            Verdict::Inconclusive
        );
        let invalid = after(|it| it.queues[0].invalid = Some("late".into()));
        assert_eq!(invalid, Verdict::Inconclusive);
    }
}
