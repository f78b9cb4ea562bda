//! Runs the strategies against each other and shows what each can and cannot do.
//!
//! ```text
//! entry ──▶ experiments (question, claim, prediction) ──▶ bench ──▶ server process ◀── load
//!              │ figures ──▶ verdict                                  └─ usage, from /proc
//!              └─ exhibits ──▶ report: text, results.json, report.html (svg)
//! ```
//!
//! Servers are real processes, so that what they use can be read from outside. An experiment says
//! what it expects before it runs; its verdict is a pure function of its figures. Nothing here
//! talks to any address but the loopback one.

pub mod admin;
pub mod args;
pub mod bench;
mod bounded;
pub mod compare;
pub mod dice;
mod diff;
mod entry;
pub mod exhibit;
pub mod exit;
pub mod experiment;
pub mod experiments;
pub mod foreign;
pub mod latency;
pub mod launcher;
pub mod load;
pub mod log;
pub mod machine;
pub mod modes;
pub mod narrator;
mod neighbours;
pub mod part;
pub mod plain;
pub mod plan;
mod player;
pub mod process;
pub mod ready;
pub mod report;
mod selftest;
mod session;
pub mod soak;
pub mod stats;
pub mod subject;
pub mod suite;
mod sync;
mod sys;
pub mod usage;
pub mod verdict;
mod words;

pub use entry::entry;
