//! What can be typed after `lab plan` and `lab calibrate`.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use cli::units;
use server::Mode;

use super::calibration::Calibration;
use super::demand::{Demand, Kind, Slo};
use crate::machine::Machine;

/// Clients at most.
const MOST_CLIENTS: f64 = 1e9;
/// The longest think time, service and stay.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);
/// The shortest service and stay.
const SHORTEST: Duration = Duration::from_nanos(100);
/// Processors of a machine at most.
const MOST_CORES: u32 = 4096;
/// The least memory of a machine, in bytes.
const LEAST_MEMORY: u64 = 64 << 20;
/// The most.
const MOST_MEMORY: u64 = 1 << 46;
/// Measurements of each figure at most.
const MOST_REPEATS: usize = 100;

/// `lab plan`.
#[derive(Debug, Args)]
pub struct Wanted {
    /// Clients that are connected at the same time, such as 500, 10k or 1M
    #[arg(long, value_name = "N", value_parser = clients)]
    pub clients: u64,
    /// How long each is silent between an answer and its next request, on average
    #[arg(long, value_name = "TIME", required_unless_present = "rate",
          value_parser = units::duration(Duration::ZERO..=LONGEST))]
    pub think: Option<Duration>,
    /// Requests per second over all clients, in place of --think
    #[arg(long, value_name = "PER_S", conflicts_with = "think",
          value_parser = units::rate(loadgen::schedule::RATES))]
    pub rate: Option<f64>,
    /// How long a request takes on average when nobody is in its way
    #[arg(long, value_name = "TIME", value_parser = units::duration(SHORTEST..=LONGEST))]
    pub service: Duration,
    /// What that time is spent with: waiting for something else, or computing
    #[arg(long, value_name = "KIND", default_value = "io")]
    pub service_kind: Kind,
    /// What is promised of the response, such as p99<50ms; else the mean wait stays below the service
    #[arg(long, value_name = "FIGURE<TIME")]
    pub slo: Option<Slo>,
    /// How long a client stays connected on average; for ever if not given
    #[arg(long, value_name = "TIME", value_parser = units::duration(SHORTEST..=LONGEST))]
    pub stay: Option<Duration>,
    /// These modes alone, separated by commas
    #[arg(long, value_name = "MODES", value_delimiter = ',', value_parser = mode)]
    pub modes: Option<Vec<Mode>>,
    /// Processors of a machine [default: those of the calibration]
    #[arg(long, value_name = "N", value_parser = units::count(1..=MOST_CORES))]
    pub cores: Option<u32>,
    /// Memory of a machine [default: that of the calibration]
    #[arg(long, value_name = "SIZE", value_parser = units::size(LEAST_MEMORY..=MOST_MEMORY))]
    pub memory: Option<u64>,
    /// How much of a machine's processors and memory may be used
    #[arg(long, value_name = "SHARE", default_value = "80%", value_parser = share)]
    pub utilization: f64,
}

/// `lab calibrate`.
#[derive(Debug, Args)]
pub struct Calibrate {
    /// How often each figure is measured
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = units::count(1..=MOST_REPEATS))]
    pub repeats: usize,
}

impl Calibrate {
    /// How often each figure is measured.
    #[must_use]
    pub fn repeats(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.repeats).unwrap_or(NonZeroUsize::MIN)
    }
}

impl Wanted {
    /// Why no machine can do it, if so.
    #[must_use]
    pub fn is_impossible(&self) -> Option<String> {
        self.slo.as_ref()?.is_impossible(self.service)
    }

    /// The demand, on machines like the one that was measured unless said otherwise.
    ///
    /// # Errors
    ///
    /// Why it cannot be planned, with the flag that would help.
    pub fn demand(&self, calibration: &Calibration) -> Result<Demand, String> {
        let Machine {
            cpus, memory_bytes, ..
        } = calibration.machine;
        let memory_bytes = self.memory.or(memory_bytes);
        Ok(Demand {
            clients: self.clients,
            think: self.think.unwrap_or_default(),
            service: self.service,
            kind: self.service_kind,
            rate_per_s: self.rate,
            promise: self.slo.clone(),
            stay: self.stay,
            cores: self
                .cores
                .unwrap_or(u32::try_from(cpus).unwrap_or(MOST_CORES)),
            memory_bytes: memory_bytes
                .ok_or("the calibration does not tell the memory; give '--memory'")?,
            utilization: self.utilization,
        })
    }

    /// The modes to plan for.
    #[must_use]
    pub fn modes(&self, calibration: &Calibration) -> Vec<Mode> {
        let measured = || calibration.modes.iter().map(|cost| cost.mode).collect();
        self.modes.clone().unwrap_or_else(measured)
    }
}

fn clients(text: &str) -> Result<u64, String> {
    let number = units::rate(1.0..=MOST_CLIENTS)(text).ok();
    let whole = number.filter(|number| number.fract() == 0.0);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, and 1 to MOST_CLIENTS"
    )]
    let count = whole.map(|number| number as u64);
    count.ok_or_else(|| {
        format!("must be a whole number from 1 to {MOST_CLIENTS}, such as 500, 10k or 1M")
    })
}

fn share(text: &str) -> Result<f64, String> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    let share = share.ok().filter(|share| (0.01..=0.99).contains(share));
    share.ok_or_else(|| "must be a share from 1% to 99%, such as 80% or 0.8".to_owned())
}

fn mode(name: &str) -> Result<Mode, String> {
    let found = Mode::ALL.iter().find(|mode| mode.name() == name);
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = Mode::ALL.iter().map(|mode| mode.name()).collect();
        format!("there is no such mode; the modes are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_whole_and_may_be_many() {
        assert_eq!((clients("1M"), clients("500")), (Ok(1_000_000), Ok(500)));
        assert_eq!(clients("1.5k"), Ok(1_500));
        for text in ["0", "1.5", "-1", "", "2000M", "many"] {
            assert!(
                clients(text).is_err_and(|why| why.contains("10k or 1M")),
                "{text}"
            );
        }
    }

    #[test]
    fn shares_leave_something_over() {
        assert_eq!((share("80%"), share("0.5")), (Ok(0.8), Ok(0.5)));
        for text in ["0", "100%", "80", "", "-5%", "NaN"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
