//! The exit codes that more than one of the programs uses.

/// Everything that was asked for was done.
pub const SUCCESS: u8 = 0;
/// The program could not do its work.
pub const FAILED: u8 = 1;
/// The command line was wrong; nothing was started.
pub const USAGE: u8 = 2;

/// The code of a program that a signal ended: 130 for INT, 143 for TERM.
///
/// ```
/// assert_eq!(cli::exit::interrupted(2), 130);
/// ```
#[must_use]
pub fn interrupted(signal: u8) -> u8 {
    128 + signal
}
