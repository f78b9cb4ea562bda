//! How finely the clock of this machine tells times apart, and what looking at it costs.

use std::time::Instant;

use super::ClockFigures;

/// Looks at the clock: a few milliseconds.
const LOOKS: u32 = 100_000;

/// Looks at the clock many times in a row.
pub(super) fn look() -> ClockFigures {
    let start = Instant::now();
    let mut last = start;
    let mut smallest = u128::MAX;
    for _ in 0..LOOKS {
        let now = Instant::now();
        let step = now.duration_since(last).as_nanos();
        if step > 0 {
            smallest = smallest.min(step);
        }
        last = now;
    }
    let all = last.duration_since(start).as_nanos() as f64;
    ClockFigures {
        step_ns: (smallest < u128::MAX).then_some(smallest as f64),
        look_ns: all / f64::from(LOOKS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_goes_has_a_step() {
        let clock = look();
        assert!(clock.step_ns.is_some_and(|step| step > 0.0));
        assert!(clock.look_ns > 0.0);
    }
}
