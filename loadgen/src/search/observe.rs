//! What a run says about its rate: kept, or broken by whom.

use super::{Cause, Outcome};
use crate::Ceiling;
use crate::ceiling::HIGH_SHARE;
use crate::gates;
use crate::report::{Report, Verdict};

/// Checks of the audit that point at the generator; the verdict from which on they do.
const GENERATOR: [(&str, Verdict); 2] = [
    ("schedule-kept", Verdict::Warn),
    ("generator-load", Verdict::Warn),
];

/// What `report`, whose gates are evaluated, says about its rate. `ceiling` is what the generator
/// can do at most, where that is known.
#[must_use]
pub fn observe(report: &Report, ceiling: Option<&Ceiling>) -> Outcome {
    let detail = invalid(report).or_else(|| broken_promise(report));
    let (cause, detail) = match detail {
        Some(detail) if lacks_figures(report) => (Cause::Window, detail),
        Some(detail) => (Cause::Server, detail),
        None => match unreached(report) {
            Some(detail) => (Cause::Schedule, detail),
            None => return Outcome::Kept,
        },
    };
    match generator(report, ceiling) {
        // What it is about may be the very check that made the run invalid.
        Some(why) if detail.contains(&why) => Outcome::Broken(Cause::Generator, why),
        Some(why) if cause != Cause::Window => {
            Outcome::Broken(Cause::Generator, format!("{detail}; {why}"))
        }
        _ => Outcome::Broken(cause, detail),
    }
}

/// Whether nothing is wrong but that a promised figure does not exist, with every wait ended.
fn lacks_figures(report: &Report) -> bool {
    let valid = invalid(report).is_none();
    let mut broken = report.gates.iter().filter(|g| g.verdict == Verdict::Fail);
    let response = report.latency.response.as_ref();
    let ended = response.is_some_and(|waits| waits.count > 0 && waits.censored == 0);
    valid && ended && broken.all(|gate| gate.value.is_none())
}

/// The check that makes the run invalid.
fn invalid(report: &Report) -> Option<String> {
    let mut checks = report.audit.checks.iter();
    let check = checks.find(|check| check.verdict == Verdict::Fail)?;
    Some(format!("{}: {}", check.name, check.detail))
}

fn broken_promise(report: &Report) -> Option<String> {
    let broken = report.gates.iter().filter(|g| g.verdict == Verdict::Fail);
    let said: Vec<_> = broken.map(gates::sentence).collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// Why the generator may be what was measured.
fn generator(report: &Report, ceiling: Option<&Ceiling>) -> Option<String> {
    let points_at = |name: &str, from: Verdict| {
        let mut checks = report.audit.checks.iter();
        checks.find(|check| check.name == name && check.verdict >= from)
    };
    let mut checks = GENERATOR.iter();
    if let Some(check) = checks.find_map(|(name, from)| points_at(name, *from)) {
        return Some(format!("{}: {}", check.name, check.detail));
    }
    let point = ceiling
        .filter(|ceiling| ceiling.of_here(&report.tool, &report.machine).is_ok())?
        .nearest(report.clients.asked)?;
    let share = report.schedule?.offered_per_s? / point.rate_per_s;
    (share > HIGH_SHARE).then(|| format!("{:.0} % of the generator's ceiling", share * 100.0))
}

/// That fewer requests were answered than were due.
fn unreached(report: &Report) -> Option<String> {
    let ratio = report.schedule?.rate_ratio?;
    (ratio < crate::audit::RATE_REACHED)
        .then(|| format!("{:.1} % of the requests due were answered", ratio * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ceiling::tests::ceiling;
    use crate::gates::Promise;
    use crate::report::{Check, synthetic};

    /// A run at 1000 a second whose responses took 2 ms.
    fn report(promise: &str) -> Report {
        let mut report = synthetic::open(50, &[2_000_000; 1_000]);
        report.tool = crate::report::Tool::this();
        report.gates = gates::evaluate(&[Promise::latency(promise).unwrap()], &report);
        report
    }

    fn with_check(mut report: Report, name: &str, verdict: Verdict) -> Report {
        report.audit.checks.push(Check {
            name: name.to_owned(),
            verdict,
            detail: "so it is".to_owned(),
        });
        report
    }

    fn cause(report: &Report, ceiling: Option<&Ceiling>) -> Option<Cause> {
        match observe(report, ceiling) {
            Outcome::Kept => None,
            Outcome::Broken(cause, _) => Some(cause),
        }
    }

    #[test]
    fn a_broken_promise_is_the_servers_unless_the_generator_was_late() {
        assert_eq!(observe(&report("p99<5ms"), None), Outcome::Kept);
        let broken = report("p99<1ms");
        let Outcome::Broken(Cause::Server, why) = observe(&broken, None) else {
            panic!("{:?}", observe(&broken, None));
        };
        assert!(why.contains("p99<1ms: 2"), "{why}");
        for name in ["schedule-kept", "generator-load"] {
            let late = with_check(broken.clone(), name, Verdict::Warn);
            assert_eq!(cause(&late, None), Some(Cause::Generator), "{name}");
        }
        let other = with_check(broken, "listen-queue", Verdict::Warn);
        assert_eq!(cause(&other, None), Some(Cause::Server));
    }

    #[test]
    fn near_the_ceiling_it_may_be_the_generator() {
        let broken = report("p99<1ms");
        let near = |rate| ceiling(rate, broken.machine.clone());
        assert_eq!(cause(&broken, Some(&near(1_200.0))), Some(Cause::Generator));
        assert_eq!(cause(&broken, Some(&near(9_000.0))), Some(Cause::Server));
    }

    #[test]
    fn a_schedule_that_was_not_kept_up_with_is_no_kept_promise() {
        let mut short = report("p99<5ms");
        if let Some(schedule) = &mut short.schedule {
            schedule.rate_ratio = Some(0.9);
        }
        assert_eq!(cause(&short, None), Some(Cause::Schedule));
        let late = with_check(short, "schedule-kept", Verdict::Fail);
        assert_eq!(cause(&late, None), Some(Cause::Generator));
    }

    #[test]
    fn too_few_requests_for_a_figure_are_no_fault_of_the_server() {
        let mut few = synthetic::open(50, &[2_000_000; 100]);
        few.gates = gates::evaluate(&[Promise::latency("p99<5ms").unwrap()], &few);
        assert_eq!(cause(&few, None), Some(Cause::Window));
        let Some(response) = &mut few.latency.response else {
            panic!("an open loop has responses");
        };
        response.censored = 3;
        assert_eq!(cause(&few, None), Some(Cause::Server));
    }

    #[test]
    fn an_invalid_run_keeps_nothing() {
        let invalid = with_check(report("p99<5ms"), "bytes-differ", Verdict::Fail);
        assert_eq!(cause(&invalid, None), Some(Cause::Server));
    }
}
