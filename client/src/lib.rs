//! One conversation with an echo server, in three forms.
//!
//! ```text
//!              ┌─ talk    a terminal: a line, its echo, its round-trip time
//! Config ──▶ connect ─┼─ filter  a pipe: stdin goes out, the verified echo is stdout
//!              └─ ping    messages on a schedule, a summary
//!                   all over one Exchange: a Link (the socket) and a Ledger (the comparison)
//! ```
//!
//! [`run`] takes a [`Config`] and ends with nothing or with a [`Failure`], whose exit code it knows.
//! Every byte that comes back is compared with what was sent, and no other byte reaches stdout.
//! Nothing here reads flags or installs signal handlers: the binary does that and passes values in.

#![forbid(unsafe_code)]

mod args;
mod config;
mod connect;
mod exchange;
mod failure;
mod filter;
mod ledger;
mod link;
mod output;
pub mod people;
mod ping;
mod silence;
mod talk;
mod wait;

pub use args::{Args, Surroundings};
pub use config::{Config, Form, Patience, PingPlan};
pub use failure::Failure;
pub use ledger::{Difference, Ledger, MAX_UNANSWERED_BYTES, Verified};

use cli::Interrupt;

/// Connects and holds the conversation that `config` asks for, until it ends or `interrupt` is
/// raised.
///
/// # Errors
///
/// [`Failure`] unless every byte that was sent came back equal; see [`Failure::exit_code`].
pub fn run(config: &Config, interrupt: &Interrupt) -> Result<(), Failure> {
    let link = connect::connect(&config.target, &config.patience, interrupt)?;
    match &config.form {
        Form::Talk { history } => talk::run(link, &config.patience, history.clone(), interrupt),
        Form::Filter => filter::run(link, &config.patience, interrupt),
        Form::Ping(plan) => ping::run(link, plan, interrupt),
    }
}
