//! Whose the listening is. It is decided once: a server that ends the listening cannot give it to its
//! successor any more, and one that gave it away, or never had it, must not end it.
//!
//! ```text
//! coming ──take──▶ ours ──end───▶ ending        foreign (whoever started the server listens)
//!                      └──give──▶ given
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Its predecessor's, until that one says otherwise.
const COMING: u8 = 0;
const OURS: u8 = 1;
const ENDING: u8 = 2;
const GIVEN: u8 = 3;
const FOREIGN: u8 = 4;

/// Whose the listening is. Clones are the same answer.
#[derive(Clone, Debug)]
pub(crate) struct Tenure(Arc<AtomicU8>);

impl Tenure {
    /// This server's: it ends the listening, and removes what it left in the file system.
    pub(crate) fn ours() -> Self {
        Self(Arc::new(AtomicU8::new(OURS)))
    }

    /// That of another server, which is about to give it to this one.
    pub(crate) fn coming() -> Self {
        Self(Arc::new(AtomicU8::new(COMING)))
    }

    /// That of whoever started this server, and goes on listening when it ends.
    pub(crate) fn foreign() -> Self {
        Self(Arc::new(AtomicU8::new(FOREIGN)))
    }

    /// What was coming is ours now.
    pub(crate) fn take(&self) {
        self.change(COMING, OURS);
    }

    /// Whether it can be given away or need not be; then it is not ours any more.
    pub(crate) fn give(&self) -> bool {
        self.change(OURS, GIVEN) || self.is_foreign()
    }

    /// Whether the listening may be ended here; then it cannot be given away any more.
    pub(crate) fn end(&self) -> bool {
        self.change(OURS, ENDING) || self.state() == ENDING
    }

    /// Whether this server is, or was, the one to end the listening.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.state(), OURS | ENDING)
    }

    /// Whether it never was and will never be.
    pub(crate) fn is_foreign(&self) -> bool {
        self.state() == FOREIGN
    }

    fn change(&self, from: u8, to: u8) -> bool {
        let order = Ordering::AcqRel;
        self.0
            .compare_exchange(from, to, order, Ordering::Acquire)
            .is_ok()
    }

    fn state(&self) -> u8 {
        self.0.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_the_listening_cannot_give_it_away_and_the_other_way_round() {
        let ended = Tenure::ours();
        assert!(ended.end() && ended.end() && ended.is_ours());
        assert!(!ended.give());
        let given = Tenure::ours();
        assert!(given.clone().give());
        assert!(!given.end() && !given.give() && !given.is_ours());
    }

    #[test]
    fn what_is_coming_is_nobodys_to_end_until_it_is_taken() {
        let coming = Tenure::coming();
        assert!(!coming.is_ours() && !coming.end() && !coming.give());
        coming.take();
        assert!(coming.is_ours() && coming.give());
        coming.take();
        assert!(!coming.is_ours(), "it was given away");
    }

    #[test]
    fn what_is_foreign_is_never_ended_and_goes_on_to_any_successor() {
        let foreign = Tenure::foreign();
        foreign.take();
        assert!(foreign.give() && foreign.give());
        assert!(!foreign.end() && !foreign.is_ours() && foreign.is_foreign());
    }
}
