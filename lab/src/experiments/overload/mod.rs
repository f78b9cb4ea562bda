//! More work than there is capacity: who is served, and when, if all may wait, if nobody may, and
//! if a few may.

mod arm;
mod show;
mod verdict;

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Serialize;

use super::WORKERS;
use crate::admin;
use crate::bench::{Bench, Failure};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::load::Load;
use crate::neighbours::Neighbours;
use crate::plan::erlang::erlang_b;
use crate::subject::Subject;
use arm::{Arm, Policy};

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "overload",
    chapter: Chapter::Trouble,
    question: "Half as many requests again as the server can answer: whom should it let wait?",
    claim: "A queue without an end answers everybody too late: throughput stays at capacity, and what \
            is of use to anybody falls to nothing. A queue that is shorter than the clients' patience \
            keeps it at capacity.",
    prediction: "4 workers × 10 ms: capacity μ = 400 a second; λ = 600 come, and each stays for 200 \
                 ms. Without an end: after t seconds (λ-μ)t wait, which takes (λ/μ-1)t = 0.5 t (by the \
                 time of the answer: 1-μ/λ = 1/3), so who comes after 0.19/0.5 = 0.38 s is answered too \
                 late, and in the second half of the run nobody is in time. No queue: Erlang B loses \
                 47 % at 6 Erlang on 4 workers, and 318 of 400 a second are answered, at once, or 80 % of \
                 what a server answers whose workers always have something to do. At most 32 wait: \
                 the last of them for 90 ms, so all who are let in are in time, 400 a second.",
    method: "thread-pool with 4 workers and --work io=10ms, a connection per request, arrivals at \
             random. --on-full wait; the same with clients that leave after 200 ms; --on-full reject \
             with --queue 0 and with --queue 32. All four at the same time, each with the same \
             arrivals. An answer after 200 ms counts as late.",
    lesson: "A queue absorbs bursts, not overload. Bound it by what the client waits for: length / \
             capacity below its patience, and refuse the rest at once: --queue and --on-full reject. \
             What has been queued for somebody who left is worked on all the same.",
    fault: Fault {
        what: "Only half as many come as there is capacity for.",
        symptom: "all wait",
    },
    run,
};

/// What one request takes.
const SERVICE: Duration = Duration::from_millis(10);
/// How long a client waits for its answer.
const PATIENCE: Duration = Duration::from_millis(200);
/// What comes, in relation to what can be answered.
const OVERLOAD: f64 = 1.5;
/// The same where something is wrong on purpose.
const NO_OVERLOAD: f64 = 0.5;
/// Over how long requests come.
const ARRIVALS: Duration = Duration::from_millis(2_000);
/// How much longer than its work takes a queue without an end is watched.
const AFTERWARDS: Duration = Duration::from_millis(500);
/// How many may wait where the queue has an end: nine services, below half of the patience.
const QUEUE: usize = 32;

#[derive(Clone, Debug, Serialize)]
struct Figures {
    /// What can be answered in a second, in theory.
    capacity_per_s: f64,
    /// What comes in a second.
    offered_per_s: f64,
    patience_ms: f64,
    /// What Erlang B says of the requests that are answered where nobody may wait, as a share of the
    /// capacity.
    predicted_reject_share: f64,
    /// Processors that others kept busy meanwhile, if enough to disturb.
    others_cores: Option<f64>,
    arms: Vec<Arm>,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let capacity_per_s = WORKERS as f64 / SERVICE.as_secs_f64();
    let overload = if bench.faulted() {
        NO_OVERLOAD
    } else {
        OVERLOAD
    };
    let arrivals = bench.window(ARRIVALS);
    let since = Neighbours::now();
    let arms = arms(bench, capacity_per_s * overload, arrivals)?;
    let figures = Figures {
        capacity_per_s,
        offered_per_s: capacity_per_s * overload,
        patience_ms: PATIENCE.as_secs_f64() * 1e3,
        predicted_reject_share: answered_without_a_queue(overload),
        others_cores: since.and_then(|since| since.disturbed_since()),
        arms,
    };
    Ok(Finding {
        ruling: verdict::judge(&figures),
        headline: show::headline(&figures),
        exhibits: show::exhibits(&figures, arrivals),
        figures: figures_of(&figures),
    })
}

/// What is answered where nobody may wait, as a share of the capacity: those who find a worker.
fn answered_without_a_queue(overload: f64) -> f64 {
    let workers = u32::try_from(WORKERS).unwrap_or(u32::MAX);
    let lost = erlang_b(workers, overload * WORKERS as f64);
    overload * (1.0 - lost)
}

/// Puts the same arrivals on a server of each policy, at the same time.
fn arms(bench: &mut Bench, per_s: f64, arrivals: Duration) -> Result<Vec<Arm>, Failure> {
    let queue = QUEUE.to_string();
    let work = format!("io={}ms", SERVICE.as_millis());
    let mut servers = Vec::new();
    for policy in Policy::ALL {
        let subject = Subject::own("thread-pool", WORKERS)
            .with(&policy.flags(&queue))
            .with(&["--work", &work])
            .with(&admin::FLAGS);
        servers.push(bench.start(&subject.named(policy.name()))?);
    }
    let load = Load::busy(
        clients(per_s, arrivals),
        arrivals.mul_f64(OVERLOAD) + AFTERWARDS,
    )
    .scattered(arrivals)
    .one_request_each()
    .once();
    let leaving = load.clone().giving_up_after(PATIENCE);
    let loads = Policy::ALL.map(|policy| match policy {
        Policy::Leave => &leaving,
        _ => &load,
    });
    let pairs: Vec<_> = servers.iter().zip(loads).collect();
    let measured = bench.load_each(&pairs)?;
    let mut arms = Vec::new();
    for ((policy, server), measured) in Policy::ALL.into_iter().zip(&servers).zip(&measured) {
        let status = admin::of(server).and_then(admin::status);
        let status = status.map_err(Failure::system("read the counters"))?;
        let worked_on = status.counters.requests;
        arms.push(Arm::of(policy, measured, (arrivals, worked_on)));
    }
    for server in servers {
        drop(server.stop());
    }
    Ok(arms)
}

fn clients(per_s: f64, arrivals: Duration) -> NonZeroU32 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some thousands"
    )]
    let clients = (per_s * arrivals.as_secs_f64()) as u32;
    NonZeroU32::new(clients).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_queue_a_fifth_of_the_capacity_is_predicted_to_be_lost() {
        let share = answered_without_a_queue(OVERLOAD);
        assert!((share - 0.796).abs() < 0.001, "{share}");
    }
}
