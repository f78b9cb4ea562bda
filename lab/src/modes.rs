//! The modes of our server: a mode that is added there appears in every experiment unasked.

use server::{Choice, Mode, RunError};

/// The names of all modes that this machine can run, from the simplest on.
pub fn all() -> impl DoubleEndedIterator<Item = &'static str> {
    possible().map(Mode::name)
}

/// The same modes, to be taken apart.
pub fn possible() -> impl DoubleEndedIterator<Item = Mode> {
    let modes = Mode::ALL.iter().copied();
    modes.filter(|mode| lack(*mode).is_none())
}

/// Why the other modes cannot run here.
pub fn lacks() -> impl Iterator<Item = RunError> {
    Mode::ALL.iter().filter_map(|mode| lack(*mode))
}

fn lack(mode: Mode) -> Option<RunError> {
    let probed = server::probe(Choice::of(mode)).err();
    probed.filter(|error| matches!(error, RunError::Unsupported { .. }))
}
