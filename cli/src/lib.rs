//! What echolab's four command lines share, so that they agree to the letter.
//!
//! Addresses ([`Addr`]), sizes, durations and rates ([`units`]), one-line usage errors
//! ([`usage`]), a stdout that may close ([`stdout`]), and Ctrl-C ([`Interrupt`]).
//!
//! Nothing here knows what a server, a client or a measurement is.

#![forbid(unsafe_code)]

mod addr;
pub mod exit;
mod format;
mod interrupt;
pub mod stdout;
pub mod units;
pub mod usage;

pub use addr::{Addr, InvalidAddr};
pub use format::Format;
pub use interrupt::Interrupt;
