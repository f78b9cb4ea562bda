//! The exit codes that only the lab uses; the others are in [`cli::exit`].

/// A claim does not hold.
pub const DOES_NOT_HOLD: u8 = 3;
/// No claim was contradicted, but at least one run could not tell.
pub const INCONCLUSIVE: u8 = 4;
