//! What the figures say of the planner. Pure.

use super::{Figures, Row, Steps};
use crate::verdict::{Ruling, Zones};

/// How far the simulation may be off, as a share of its wait.
const TOLERANCE: f64 = 0.15;
/// On a calm machine a request costs a worker the same before and after, to this share of the
/// service, ...
const CALM_HOLD: f64 = 0.005;
/// ... and the way there and back takes less than this share of it.
const CALM_WAY: f64 = 0.05;
/// How far a first byte may be from its step, as a share of the stay, and when it is on another step.
const OFF_ITS_STEP: Zones = Zones {
    enough: 0.25,
    wrong: 0.5,
};

pub(super) fn judge(figures: &Figures) -> Ruling {
    let mut objections: Vec<Ruling> = figures
        .loads
        .iter()
        .filter_map(|row| objection(row, figures))
        .collect();
    let steps = figures.steps.iter();
    objections.extend(steps.filter_map(|steps| wrong_steps(steps, figures.workers)));
    let (false, Some(steps)) = (figures.loads.is_empty(), figures.steps.first()) else {
        return Ruling::inconclusive("nothing was measured");
    };
    let errors: Vec<String> = figures.loads.iter().map(error).collect();
    let loads: Vec<String> = figures.loads.iter().map(percent).collect();
    Ruling::unless(
        objections,
        format!(
            "at {} % load the mean wait was {} off the simulation on the same seeds; Erlang C within \
             its sampling interval; first bytes at floor(i/{}) × {} s",
            loads.join(", "),
            errors.join(", "),
            figures.workers,
            steps.hold_s
        ),
    )
}

fn percent(row: &Row) -> String {
    format!("{:.0}", row.load * 100.0)
}

/// The simulation's error, with its sign.
pub(super) fn error(row: &Row) -> String {
    let shown = |error: f64| format!("{:+.1} %", error * 100.0);
    row.error.map_or_else(|| "-".to_owned(), shown)
}

/// Why the machine is too busy for a fine comparison, if so.
fn unrest(figures: &Figures) -> Option<String> {
    if let Some(cores) = figures.others_cores {
        return Some(format!("others used {cores:.1} processors meanwhile"));
    }
    let service_us = figures.service_ms * 1e3;
    let [before, after] = figures.hold_us;
    if (after - before).abs() > CALM_HOLD * service_us {
        return Some(format!(
            "a request cost a worker {before:.0} us besides its service before and {after:.0} us \
             after"
        ));
    }
    let way_us = figures.way_us.filter(|way| *way > CALM_WAY * service_us)?;
    Some(format!("the way there and back took {way_us:.0} us"))
}

/// Why one load does not bear the claim out, if so.
fn objection(row: &Row, figures: &Figures) -> Option<Ruling> {
    let load = percent(row);
    if let Some(why) = &row.invalid {
        return Some(Ruling::inconclusive(format!("at {load} %: {why}")));
    }
    let (Some(wait_ms), Some(off), Some(interval)) =
        (row.measured_wait_ms, row.error, row.interval)
    else {
        return Some(Ruling::inconclusive(format!(
            "at {load} % nothing was answered"
        )));
    };
    let excuse = unrest(figures);
    let contradiction = |what: String| {
        Some(match &excuse {
            // The steps do not mind a busy machine, so that a wrong pool is found all the same.
            Some(unrest) => {
                Ruling::inconclusive(format!("{what}, but the machine is busy: {unrest}"))
            }
            None => Ruling::does_not_hold(what),
        })
    };
    if off.is_nan() || off.abs() > TOLERANCE {
        return contradiction(format!(
            "at {load} % clients waited {wait_ms:.2} ms, and {:.2} ms in the simulation ({})",
            row.simulated_wait_ms,
            error(row)
        ));
    }
    let range = format!(
        "{:.2} to {:.2} ms",
        interval.low_s * 1e3,
        interval.high_s * 1e3
    );
    if !interval.contains(wait_ms / 1e3) {
        return contradiction(format!(
            "at {load} % clients waited {wait_ms:.2} ms, which chance does not explain ({range})"
        ));
    }
    (!interval.contains(row.erlang_wait_ms / 1e3)).then(|| {
        Ruling::does_not_hold(format!(
            "at {load} % Erlang C says {:.2} ms, outside of its sampling interval ({range})",
            row.erlang_wait_ms
        ))
    })
}

/// Why the pool that owns connections does not serve in steps, if so.
fn wrong_steps(steps: &Steps, workers: usize) -> Option<Ruling> {
    if let Some(why) = &steps.invalid {
        return Some(Ruling::inconclusive(format!("the steps: {why}")));
    }
    let (served, foreseen) = (steps.measured_s.len(), steps.predicted_s.len());
    if served != foreseen {
        return Some(Ruling::does_not_hold(format!(
            "{served} of {foreseen} clients had their turn in the time of {} steps of {workers}",
            foreseen.div_ceil(workers.max(1))
        )));
    }
    let off = steps.measured_s.iter().zip(&steps.predicted_s);
    let off_s = off.map(|(found, foreseen)| (found - foreseen).abs());
    let worst_s = off_s.fold(0.0, f64::max);
    let what = format!(
        "a first byte came {:.0} ms off its step of {workers}",
        worst_s * 1e3
    );
    OFF_ITS_STEP.objection(worst_s / steps.hold_s, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sampling::Interval;
    use crate::verdict::Verdict;

    fn row(load: f64, measured_ms: f64, simulated_ms: f64) -> Row {
        Row {
            load,
            rate_per_s: load * 400.0,
            answers: 1_000,
            measured_wait_ms: Some(measured_ms),
            simulated_wait_ms: simulated_ms,
            error: Some(measured_ms / simulated_ms - 1.0),
            errors: Vec::new(),
            erlang_wait_ms: simulated_ms,
            interval: Some(Interval {
                low_s: simulated_ms * 0.5e-3,
                mean_s: simulated_ms * 1e-3,
                high_s: simulated_ms * 2e-3,
            }),
            invalid: None,
        }
    }

    fn figures(measured_ms: f64) -> Figures {
        Figures {
            workers: 4,
            service_ms: 10.0,
            hold_us: [80.0, 90.0],
            way_us: Some(100.0),
            others_cores: None,
            window_s: 8.0,
            loads: vec![row(0.5, 1.0, 1.0), row(0.9, measured_ms, 20.0)],
            steps: vec![Steps {
                hold_s: 0.4,
                predicted_s: vec![0.0, 0.0, 0.4],
                measured_s: vec![0.01, 0.02, 0.42],
                invalid: None,
            }],
        }
    }

    fn busy(mut figures: Figures) -> Figures {
        figures.hold_us[1] = 400.0;
        figures
    }

    #[test]
    fn a_wait_as_simulated_holds() {
        let ruling = judge(&figures(18.0));
        assert_eq!(ruling.verdict, Verdict::Holds, "{ruling:?}");
        assert!(ruling.reason.contains("+0.0 %, -10.0 %"), "{ruling:?}");
    }

    #[test]
    fn another_wait_does_not_hold_unless_a_busy_machine_explains_it() {
        let off = figures(23.5);
        assert_eq!(judge(&off).verdict, Verdict::DoesNotHold);
        assert_eq!(judge(&busy(off)).verdict, Verdict::Inconclusive);
        let mut slow_way = figures(23.5);
        slow_way.way_us = Some(900.0);
        assert_eq!(judge(&slow_way).verdict, Verdict::Inconclusive);
        let mut neighbours = figures(23.5);
        neighbours.others_cores = Some(1.0);
        assert_eq!(judge(&neighbours).verdict, Verdict::Inconclusive);
        neighbours.steps[0].measured_s.pop();
        assert_eq!(judge(&neighbours).verdict, Verdict::DoesNotHold);
        let mut never = figures(18.0);
        never.loads[0].error = Some(f64::NAN);
        assert_eq!(judge(&never).verdict, Verdict::DoesNotHold);
    }

    #[test]
    fn what_chance_does_not_explain_does_not_hold() {
        let interval = Interval {
            low_s: 0.0,
            mean_s: 0.01,
            high_s: 0.019,
        };
        let mut unlikely = figures(20.0);
        unlikely.loads[1].interval = Some(interval);
        unlikely.loads[1].erlang_wait_ms = 10.0;
        assert_eq!(judge(&unlikely).verdict, Verdict::DoesNotHold);
        let mut wrong_formula = figures(18.0);
        wrong_formula.loads[1].interval = Some(interval);
        let ruling = judge(&wrong_formula);
        assert_eq!(ruling.verdict, Verdict::DoesNotHold);
        assert!(
            ruling.reason.contains("Erlang C says 20.00 ms"),
            "{ruling:?}"
        );
    }

    #[test]
    fn nothing_or_an_invalid_run_proves_nothing() {
        assert_eq!(judge(&Figures::default()).verdict, Verdict::Inconclusive);
        let mut invalid = figures(18.0);
        invalid.loads[0].invalid = Some("bytes differ".into());
        assert_eq!(judge(&invalid).verdict, Verdict::Inconclusive);
        let mut stepless = figures(18.0);
        stepless.steps.clear();
        assert_eq!(judge(&stepless).verdict, Verdict::Inconclusive);
        let mut silent = figures(18.0);
        silent.loads[0].measured_wait_ms = None;
        assert_eq!(judge(&silent).verdict, Verdict::Inconclusive);
        let mut broken = figures(18.0);
        broken.steps[0].invalid = Some("bytes differ".into());
        assert_eq!(judge(&broken).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn other_steps_do_not_hold_and_late_ones_prove_nothing() {
        let with = |measured_s: Vec<f64>| {
            let mut figures = figures(18.0);
            figures.steps[0].measured_s = measured_s;
            judge(&figures)
        };
        assert_eq!(with(vec![0.0, 0.4, 0.8]).verdict, Verdict::DoesNotHold);
        assert_eq!(with(vec![0.0, 0.0, 0.55]).verdict, Verdict::Inconclusive);
        let missing = with(vec![0.0, 0.0]);
        assert_eq!(
            missing.reason,
            "2 of 3 clients had their turn in the time of 1 steps of 4"
        );
    }
}
