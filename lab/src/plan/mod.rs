//! What it would take: from a number of clients to workers, memory, processors and machines.
//!
//! ```text
//! formulas: erlang, population ─┐
//! simulation ◀── replay         ├─▶ sizing ──▶ table, JSON
//! calibration (measured here) ──┘
//! ```
//!
//! Everything is pure but `calibrate`, which measures what the modes cost on this machine: no
//! figure of a plan comes from anywhere else. `docs/planning.md` has the formulas with their
//! sources and says where the model ends.

pub mod args;
pub mod calibrate;
pub mod calibration;
pub(crate) mod command;
pub mod demand;
pub mod erlang;
pub mod grain;
pub mod next;
pub mod population;
pub mod replay;
pub mod sampling;
pub mod show;
pub mod simulation;
pub mod sizing;
mod station;
pub mod trial;
