//! Latencies at saturation rank nothing: each server was asked for as much as it could give, and
//! the faster one was asked for more. What ranks them is one offered load for both.

use super::{Side, rates, samples};
use crate::audit::RATE_REACHED;
use crate::report::Report;

/// The shares of the weaker side's rate that are worth comparing at, in percent.
const SHARES_PERCENT: [u32; 3] = [50, 75, 90];

/// Which runs were saturated, why that is no ranking, and what to do; none if no run was.
pub(super) fn warning(a: &Side, b: &Side) -> Option<String> {
    let all = a.runs.iter().chain(&b.runs);
    let runs = all.clone().count();
    let saturated = all.filter(|run| is_saturated(run)).count();
    if saturated == 0 {
        return None;
    }
    let said = format!(
        "{saturated} of {runs} runs were at their own saturation, where latencies do not rank: \
         compare at the same offered load, "
    );
    Some(said + &remedy(a, b))
}

/// Whether the server was asked for all it had: by clients that send the next request as soon as
/// they have an answer, or by a schedule that it did not keep up with.
fn is_saturated(run: &Report) -> bool {
    match &run.schedule {
        Some(schedule) => schedule
            .rate_ratio
            .is_some_and(|ratio| ratio < RATE_REACHED),
        None => thinks_never(run),
    }
}

fn thinks_never(run: &Report) -> bool {
    let think = run.config.get("think").and_then(|think| think.as_str());
    think.is_none_or(|think| think == "0s")
}

/// The rates to ask both for.
fn remedy(a: &Side, b: &Side) -> String {
    let reached = [a, b].map(|side| samples(&rates(side)).median);
    let weaker = match reached {
        [Some(a), Some(b)] if a.min(b) >= 1.0 => a.min(b),
        _ => return "with -R at 50, 75 and 90 % of what the weaker one reaches".to_owned(),
    };
    let [low, middle, high] =
        SHARES_PERCENT.map(|percent| (weaker * f64::from(percent) / 100.0).floor());
    format!("-R {low}, {middle} and {high} (50, 75 and 90 % of what the weaker one reached)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;

    fn side(name: &str, run: Report) -> Side {
        Side {
            name: name.to_owned(),
            runs: vec![run; 3],
        }
    }

    fn closed(rate_per_s: f64) -> Report {
        Report {
            rate_per_s: Some(rate_per_s),
            ..synthetic::closed(3, &[vec![1_000_000; 200]])
        }
    }

    #[test]
    fn latencies_at_saturation_rank_nothing() {
        let said = warning(&side("A", closed(9_000.0)), &side("B", closed(4_001.5)));
        insta::assert_snapshot!(said.unwrap(), @"6 of 6 runs were at their own saturation, where latencies do not rank: compare at the same offered load, -R 2000, 3001 and 3601 (50, 75 and 90 % of what the weaker one reached)");
    }

    #[test]
    fn latencies_at_the_same_offered_load_do() {
        let kept = synthetic::open(3, &[1_000_000; 200]);
        assert_eq!(
            warning(&side("A", kept.clone()), &side("B", kept.clone())),
            None
        );
        // A closed loop that thinks offers about as much to the one as to the other.
        let mut thinking = closed(1_000.0);
        thinking.config.insert("think".to_owned(), "5ms".into());
        assert_eq!(warning(&side("A", thinking), &side("B", kept)), None);
    }

    #[test]
    fn a_rate_that_was_not_reached_is_saturation_too() {
        let kept = synthetic::open(3, &[1_000_000; 200]);
        let mut behind = kept.clone();
        behind.schedule.as_mut().unwrap().rate_ratio = Some(0.9);
        behind.rate_per_s = None;
        let said = warning(&side("A", kept), &side("B", behind)).unwrap();
        assert!(said.starts_with("3 of 6 runs"), "{said}");
        assert!(said.ends_with("of what the weaker one reaches"), "{said}");
    }
}
