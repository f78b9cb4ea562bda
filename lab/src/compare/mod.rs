//! What the strategies cost: several servers under the same loads, by turns and repeatedly.
//!
//! ```text
//! Plan ──rounds, each in an order of its own──▶ a fresh server and a load each ──▶ Observation
//!   1. saturation: as fast as they can                                                │
//!   2. equal load: half of what the slowest comparable one reaches                    ▼
//!   3. system calls, counted apart                          Row ◀──judge── first, first again
//! ```
//!
//! The first server takes part twice in every round (A/A). What differs between the two is noise, and
//! if it differs too much nothing else is believed. A server that leaves clients unserved is marked
//! and never ranked: its figures describe the survivors.

pub mod args;
mod figures;
mod fresh;
pub mod judge;
mod list;
mod observation;
pub(crate) mod order;
pub mod pin;
mod series;
mod sitting;
pub(crate) mod syscalls;
mod table;
mod words;

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use server::work::Work;

use crate::bench::{Bench, Failure, RunNote};
use crate::foreign;
use crate::subject::Subject;
pub use args::{Compare, Refusal};
pub use figures::Figures;
pub(crate) use list::list_subjects;
pub use observation::{Cell, GENERATOR_LOAD, Observation, Row};
use pin::Pin;
use sitting::Sitting;
pub use table::tables;
pub use words::headline;

/// Everybody is connected and served before the window begins, who ever will be.
const WARMUP: Duration = Duration::from_millis(300);
/// The equal load, as a share of what the slowest comparable server reaches: all can sustain it, and
/// none is idle.
const OFFERED_SHARE: f64 = 0.5;

/// What is compared.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The servers, at least one, each told its work.
    pub subjects: Vec<Subject>,
    /// Why others take no part.
    pub left_out: Vec<String>,
    /// Numbers of clients.
    pub clients: Vec<NonZeroU32>,
    /// Lengths of a message in bytes.
    pub sizes: Vec<NonZeroU32>,
    /// What a message costs.
    pub work: Work,
    /// How often each server is measured under each load.
    pub repeats: NonZeroUsize,
    /// How long each run is measured.
    pub window: Duration,
    /// Which processors are whose.
    pub pin: Option<Pin>,
    /// What is wrong on purpose.
    pub fault: Option<Fault>,
}

/// Something wrong on purpose, which a comparison must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// The control is the last server and not the first once more.
    OtherControl,
    /// A server is not started afresh for each run.
    KeptServer,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// How often each row was to be measured.
    pub repeats: usize,
    /// How long each run was measured.
    pub window_s: f64,
    /// How it was measured.
    pub conditions: Conditions,
    /// Why nothing of it can be ranked, if so.
    pub flaw: Option<String>,
    /// One for each server, load, number of clients and length of message.
    pub rows: Vec<Row>,
    /// What was run.
    pub runs: Vec<RunNote>,
}

/// What has to be known of how it was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// What a message cost.
    pub work: String,
    /// Where servers and load ran.
    pub pinning: String,
    /// What runs the servers in other languages.
    pub versions: BTreeMap<String, String>,
    /// Why system calls were not counted, if so.
    pub uncounted: Option<String>,
}

/// Compares, and hands over what is known after each round: the last one also when the work ended
/// early.
///
/// # Errors
///
/// [`Failure`] when a server could not be measured or the user wants to end.
pub fn run(
    bench: &mut Bench,
    plan: &Plan,
    known: &mut dyn FnMut(Comparison),
) -> Result<(), Failure> {
    if let Some(pin) = &plan.pin {
        pin.take_to_load()
            .map_err(Failure::system("pin the load"))?;
    }
    let (counter, uncounted) = match syscalls::Counter::here() {
        Ok(counter) => (Some(counter), None),
        Err(why) => (None, Some(why)),
    };
    let mut sitting = Sitting::new(bench, plan, conditions(plan, uncounted));
    let rounds = plan.repeats.get();
    let orders = order::of_rounds(sitting.seed(), 2 * rounds, sitting.count());
    let (saturation, offered) = orders.split_at(rounds);
    for (number, order) in (1..).zip(saturation) {
        sitting.say(&format!("saturation, round {number} of {rounds}"));
        let result = sitting.saturate(order);
        known(sitting.comparison());
        result?;
    }
    sitting.choose_loads();
    for (number, order) in (1..).zip(offered) {
        sitting.say(&format!("equal load, round {number} of {rounds}"));
        let result = sitting.offer(order);
        known(sitting.comparison());
        result?;
    }
    if let Some(counter) = counter {
        sitting.say("system calls");
        let result = sitting.count_calls(counter);
        known(sitting.comparison());
        result?;
    }
    Ok(())
}

fn conditions(plan: &Plan, uncounted: Option<String>) -> Conditions {
    let version = |subject: &Subject| {
        let version = foreign::find(&subject.name)?.version()?;
        Some((subject.name.clone(), version))
    };
    let unpinned = || "servers and load share all processors".to_owned();
    Conditions {
        work: plan.work.to_string(),
        pinning: plan.pin.as_ref().map_or_else(unpinned, Pin::in_words),
        versions: plan.subjects.iter().filter_map(version).collect(),
        uncounted,
    }
}
