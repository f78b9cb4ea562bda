//! A load in the background, watched and ended by whoever acts meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use cli::Interrupt;
use loadgen::report::Report;
use loadgen::{Config, Progress, RunError, Steer};

/// A load that nobody ends has gone wrong.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// How far a load has come.
#[derive(Debug, Default)]
pub struct Watch {
    progress: Mutex<(Progress, bool)>,
    changed: Condvar,
    end: AtomicBool,
}

impl Watch {
    /// Waits until `reached` holds of the load; false when it does not within `limit`, or the load
    /// has ended without.
    #[must_use]
    pub fn until(&self, limit: Duration, reached: impl Fn(&Progress) -> bool) -> bool {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |(progress, ended): &mut (Progress, bool)| !*ended && !reached(progress);
        let (progress, _) = self
            .changed
            .wait_timeout_while(progress, limit, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        reached(&progress.0)
    }

    /// Lets time pass, unless the load ends.
    pub fn pass(&self, time: Duration) {
        let _ = self.ends_within(time);
    }

    /// Lets `limit` pass, or less if the load ends; tells whether it did.
    #[must_use]
    pub fn ends_within(&self, limit: Duration) -> bool {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let going_on = |(_, ended): &mut (Progress, bool)| !*ended;
        let waited = self.changed.wait_timeout_while(progress, limit, going_on);
        let (progress, _) = waited.unwrap_or_else(PoisonError::into_inner);
        progress.1
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.0
    }

    fn note(&self, progress: Progress) -> Steer {
        self.change(|state| state.0 = progress);
        if self.end.load(Ordering::Relaxed) {
            Steer::Stop
        } else {
            Steer::Go
        }
    }

    fn change(&self, how: impl FnOnce(&mut (Progress, bool))) {
        how(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}

/// Runs a load while `act` acts, and ends it when that is done.
///
/// # Errors
///
/// When the load generator has nothing to report, and those of `act`.
pub(crate) fn meanwhile<T, E: From<RunError>>(
    config: &Config,
    interrupt: &Interrupt,
    act: impl FnOnce(&Watch) -> Result<T, E>,
) -> Result<(Report, T), E> {
    let watch = Watch::default();
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let outcome = loadgen::run(config, interrupt, &mut |progress| watch.note(progress));
            watch.change(|state| state.1 = true);
            outcome
        });
        let acted = act(&watch);
        watch.end.store(true, Ordering::Relaxed);
        let outcome = load.join().unwrap_or_else(|_| {
            let panicked = std::io::Error::other("the load panicked");
            Err(RunError::System(panicked))
        });
        Ok((outcome?.report, acted?))
    })
}

/// How many requests ended without an answer, for whatever reason.
#[must_use]
pub fn failures(report: &Report) -> u64 {
    report.errors.values().sum::<u64>() + report.requests.timeouts
}

/// The 99th percentile of the round trips in seconds; none where it cannot be told.
#[must_use]
pub fn rtt_p99(report: &Report) -> Option<f64> {
    Some(report.latency.rtt.as_ref()?.p99_us? / 1e6)
}
