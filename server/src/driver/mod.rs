//! How a connection is read and written: the same [machine](crate::machine), driven by a blocking
//! thread, by a tokio task, or by whoever knows that its socket is ready.

pub(crate) mod blocking;
pub(crate) mod readiness;
pub(crate) mod tokio;

use crate::config::Fault;

/// The most that is read at once, in bytes. One buffer serves all connections of a thread; only
/// a peer that does not take its bytes costs memory of its own.
pub(crate) const BUFFER_BYTES: usize = 64 * 1024;

/// Lets the fault happen that was asked for, if `input` asks for it.
pub(crate) fn provoke(fault: Option<&Fault>, input: &[u8]) {
    if let Some(Fault::PanicOn(text)) = fault {
        assert!(
            memchr::memmem::find(input, text.as_bytes()).is_none(),
            "the fault that --fault asked for"
        );
    }
}
