//! From a demand and the costs of a machine to what each mode needs of both.
//!
//! ```text
//! clients ─▶ how many a machine takes: by workers, threads, descriptors, memory, processors
//!            └─ the least of these binds ─▶ machines ─▶ clients, workers, cores, bytes of each
//! ```
//!
//! Pure. All clients are spread evenly, and each machine runs one server. `docs/planning.md` says
//! where the model ends.

use serde::{Serialize, Serializer};
use server::Mode;

use super::calibration::Calibration;
use super::demand::Demand;
use super::next::{self, Next};
use super::station::Station;
use super::trial::{self, Trial};

/// What one mode needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Which one.
    pub mode: Mode,
    /// What it needs; none where it cannot be done.
    pub need: Option<Need>,
    /// Why it cannot be done.
    pub why_not: Option<String>,
}

/// What is needed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Need {
    /// Machines, with one server each.
    pub machines: u64,
    /// What there would have to be more of, for fewer machines; none where one is enough.
    pub binds: Option<Bound>,
    /// What each machine has.
    pub each: Share,
    /// The mean response in milliseconds.
    pub response_ms: f64,
    /// The figure of the response that was promised, in milliseconds.
    pub promised_ms: Option<f64>,
    /// The same on the simulation; none before it was tried, and where requests wait in no queue.
    pub trial: Option<Trial>,
    /// What one client more sees.
    pub next: Next,
}

/// One machine's part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Clients.
    pub clients: u64,
    /// Requests per second.
    pub rate_per_s: f64,
    /// Workers: threads or processes.
    pub workers: u64,
    /// Processors.
    pub cores: u64,
    /// Bytes.
    pub memory_bytes: u64,
}

/// What limits a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The workers that a server may have, or the promise with all of them.
    Workers,
    /// Threads.
    Threads,
    /// Processes.
    Processes,
    /// Descriptors.
    Descriptors,
    /// Memory.
    Memory,
    /// Processors.
    Processors,
}

impl Bound {
    /// What helps where a machine has too little for a single client.
    const fn remedy(self, demand: &Demand) -> &'static str {
        match (self, &demand.promise) {
            (Self::Workers, Some(_)) => "give --slo more, or --rate or --service less",
            (Self::Workers, None) => "give --rate or --service less",
            (Self::Threads | Self::Processes | Self::Descriptors, _) => {
                "raise that limit and run `lab calibrate` again"
            }
            (Self::Memory, _) => "give --memory or --utilization more",
            (Self::Processors, Some(_)) => "give --cores, --utilization or --slo more",
            (Self::Processors, None) => "give --cores or --utilization more",
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Workers => "workers",
            Self::Threads => "threads",
            Self::Processes => "processes",
            Self::Descriptors => "descriptors",
            Self::Memory => "memory",
            Self::Processors => "processors",
        })
    }
}

impl Serialize for Bound {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What each of `modes` needs for `demand`, by the costs of `calibration`.
#[must_use]
pub fn plan(demand: &Demand, calibration: &Calibration, modes: &[Mode]) -> Vec<Row> {
    let row = |mode: &Mode| {
        let need = need(demand, calibration, *mode);
        Row {
            mode: *mode,
            why_not: need.as_ref().err().cloned(),
            need: need.ok(),
        }
    };
    modes.iter().map(row).collect()
}

/// The same rows, tried out on the simulation with random choices that follow from `seed`.
#[must_use]
pub fn tried(rows: Vec<Row>, demand: &Demand, calibration: &Calibration, seed: u64) -> Vec<Row> {
    let tried = |mut row: Row| {
        if let Some(need) = &mut row.need {
            let station = Station::new(demand, calibration, row.mode);
            need.trial = station.and_then(|station| trial::of(&station, &need.each, seed));
        }
        row
    };
    rows.into_iter().map(tried).collect()
}

fn need(demand: &Demand, calibration: &Calibration, mode: Mode) -> Result<Need, String> {
    if let Some(why) = demand.is_impossible() {
        return Err(why);
    }
    let station = Station::new(demand, calibration, mode).ok_or("it was not measured")?;
    let (binds, most) = station.binding();
    if most == 0 {
        return Err(format!(
            "a machine has too little for a single client: {binds}; {}",
            binds.remedy(demand)
        ));
    }
    let machines = demand.clients.div_ceil(most);
    let each = station.share(demand.clients.div_ceil(machines));
    let each = each.ok_or("the promise cannot be kept; give --slo more")?;
    Ok(Need {
        machines,
        binds: (machines > 1).then_some(binds),
        response_ms: station.response_s(each.clients, &each) * 1e3,
        promised_ms: station.promised_s(&each).map(|promised_s| promised_s * 1e3),
        trial: None,
        next: next::of(&station, &each, machines),
        each,
    })
}

#[cfg(test)]
#[path = "sizing_tests.rs"]
mod tests;
