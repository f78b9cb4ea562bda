//! `sequential`: the accepting thread is the worker, so one client is served at a time.

use super::Dispatch;

/// Runs each connection to its end before the next is accepted.
pub(super) fn dispatch() -> Dispatch {
    Box::new(|conn| {
        conn.serve();
        Ok(())
    })
}
