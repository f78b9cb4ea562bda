//! The modes of our server: a mode that is added there appears in every experiment unasked.

use server::{Choice, Mode, RunError};

/// The names of all modes that this machine can run, from the simplest on.
pub fn all() -> impl DoubleEndedIterator<Item = &'static str> {
    let possible = Mode::ALL.iter().filter(|mode| lack(**mode).is_none());
    possible.map(|mode| mode.name())
}

/// Why the other modes cannot run here.
pub fn lacks() -> impl Iterator<Item = RunError> {
    Mode::ALL.iter().filter_map(|mode| lack(*mode))
}

fn lack(mode: Mode) -> Option<RunError> {
    let probed = server::probe(Choice::of(mode)).err();
    probed.filter(|error| matches!(error, RunError::Unsupported { .. }))
}
