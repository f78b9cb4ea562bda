//! Faults and endurance: what the server must survive, done to it again and again in every mode.
//!
//! ```text
//! session ──▶ step × mode = case ──▶ server process ◀── loads, clients, signals
//!                │ figures ──▶ outcome      └─ census, log: as before and without errors
//!                └─ document: soak.json, the table of figures to publish
//! ```
//!
//! A step is a value with a claim and a function that runs it in one mode; modes come from the
//! server's own list. What a figure must be and what follows from it is pure. Unlike an experiment,
//! a step does not explain anything: it tries to break the server and counts.

pub mod case;
pub mod census;
pub mod client;
pub mod control;
pub mod crew;
pub mod document;
pub mod figure;
mod list;
pub mod load;
pub mod matrix;
mod needs;
pub mod nuisance;
pub mod orphans;
pub mod session;
pub mod slope;
pub mod sockets;
pub mod step;
pub mod steps;
pub mod strace;

pub(crate) use list::list;
