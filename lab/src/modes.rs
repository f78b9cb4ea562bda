//! The modes of our server: a mode that is added there appears in every experiment unasked.

use server::Mode;

/// The names of all modes, from the simplest on.
pub fn all() -> impl DoubleEndedIterator<Item = &'static str> {
    Mode::ALL.iter().map(|mode| mode.name())
}
