//! What else the machine had to do meanwhile: a time that was too long because others had the
//! processors says nothing of the server.

use std::fs;
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;

use crate::usage;

/// From here on, in processors, others disturb what is measured.
const DISTURBING_CORES: f64 = 0.25;
/// Over less time the kernel's ticks tell nothing.
const SHORTEST: Duration = Duration::from_millis(200);

/// A moment to compare with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neighbours {
    at: Instant,
    all: Duration,
    own: Duration,
}

impl Neighbours {
    /// From now on; none where the system does not tell.
    #[must_use]
    pub(crate) fn now() -> Option<Self> {
        // What we and all that we started used, the dead included.
        let own = usage::sample(std::process::id())?.cpu;
        let all = busy(&fs::read_to_string("/proc/stat").ok()?)?;
        let at = Instant::now();
        Some(Self { at, all, own })
    }

    /// How many processors others kept busy since then, if that was enough to disturb.
    #[must_use]
    pub(crate) fn disturbed_since(&self) -> Option<f64> {
        Self::now().and_then(|now| self.disturbing(&now))
    }

    fn disturbing(&self, later: &Self) -> Option<f64> {
        let elapsed = later.at.saturating_duration_since(self.at);
        let all = later.all.saturating_sub(self.all);
        let own = later.own.saturating_sub(self.own);
        let others = all.saturating_sub(own).as_secs_f64() / elapsed.as_secs_f64();
        (elapsed >= SHORTEST && others >= DISTURBING_CORES).then_some(others)
    }
}

/// The time that all processors were busy, as `/proc/stat` has it: with the time that the host took
/// away, and without waiting.
fn busy(stat: &str) -> Option<Duration> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line
        .split_ascii_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; the rest is contained in the first two.
    let [user, nice, system, _idle, _iowait, irq, softirq, steal] = *ticks.first_chunk()?;
    let busy = user + nice + system + irq + softirq + steal;
    let ticks_per_s = clock_ticks_per_second().max(1);
    Some(Duration::from_nanos(
        busy.saturating_mul(1_000_000_000 / ticks_per_s),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_not_busy_and_stolen_time_is() {
        let ticks_per_s = clock_ticks_per_second();
        let stat = format!(
            "cpu  {t} 0 {t} 9 9 0 0 {t} 5 5\ncpu0 1 1 1 1\n",
            t = ticks_per_s
        );
        assert_eq!(busy(&stat), Some(Duration::from_secs(3)));
        assert_eq!(busy("cpu  1 2 3\n"), None);
        assert_eq!(busy(""), None);
    }

    #[test]
    fn only_what_others_did_disturbs() {
        let start = Neighbours {
            at: Instant::now(),
            all: Duration::from_secs(10),
            own: Duration::from_secs(3),
        };
        let after = |seconds, all, own| Neighbours {
            at: start.at + Duration::from_secs_f64(seconds),
            all: start.all + Duration::from_secs_f64(all),
            own: start.own + Duration::from_secs_f64(own),
        };
        assert_eq!(start.disturbing(&after(2.0, 4.0, 3.8)), None);
        assert_eq!(start.disturbing(&after(2.0, 3.0, 1.0)), Some(1.0));
        assert_eq!(
            start.disturbing(&after(0.1, 3.0, 0.0)),
            None,
            "too short to tell"
        );
    }
}
