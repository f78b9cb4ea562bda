//! How a connection is read and written: the same [machine](crate::machine), driven by a blocking
//! thread, by a tokio task, by whoever knows that its socket is ready, or by whoever is told what a
//! ring has done.

pub(crate) mod blocking;
pub(crate) mod completion;
mod course;
#[cfg(test)]
mod fixture;
pub(crate) mod readiness;
pub(crate) mod tokio;

/// The most that is read at once, in bytes. One buffer serves all connections of a thread; only
/// a peer that does not take its bytes costs memory of its own.
pub(crate) const BUFFER_BYTES: usize = 64 * 1024;
