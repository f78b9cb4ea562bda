//! The exit code of a run that has a report.

use loadgen::report::{Report, Verdict};

/// A promise was not kept.
const GATE_FAILED: u8 = 3;
/// The figures do not mean what they seem to mean, or bytes differ.
const INVALID: u8 = 4;

/// The exit code for `report`, when `signal` ended the run. Where several apply, an interruption
/// comes first, then an invalid run, then a gate.
pub(super) fn code(report: &Report, signal: Option<u8>) -> u8 {
    let invalid = report.audit.verdict == Verdict::Fail || report.mismatches > 0;
    let gate_failed = report.gates.iter().any(|g| g.verdict == Verdict::Fail);
    match signal.filter(|_| report.interrupted) {
        Some(signal) => cli::exit::interrupted(signal),
        None if invalid => INVALID,
        None if gate_failed => GATE_FAILED,
        None => cli::exit::SUCCESS,
    }
}
