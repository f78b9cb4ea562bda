//! `thread-per-connection`: a new thread for each client, gone with it.

use std::thread;

use super::Dispatch;

/// A connection needs little stack: what it reads at once of who says much is on the heap.
const STACK_BYTES: usize = 128 * 1024;

/// Starts a thread for each connection; the system refuses when threads are used up.
pub(super) fn dispatch() -> Dispatch {
    Box::new(|conn| {
        let builder = thread::Builder::new()
            .name("conn".into())
            .stack_size(STACK_BYTES);
        builder.spawn(move || conn.serve()).map(drop)
    })
}
