//! `thread-pool`: a fixed number of threads own a connection each; the others wait their turn.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use threadpool::ThreadPool;

use super::{Dispatch, ensure_threads};
use crate::conn::Shared;

/// Queues each connection; the gate bounds the queue, since the pool's own has no end.
///
/// # Errors
///
/// When the threads cannot be started.
pub(super) fn dispatch(workers: NonZeroUsize, shared: &Arc<Shared>) -> io::Result<Dispatch> {
    ensure_threads(workers)?;
    let pool = ThreadPool::with_name("pool".into(), workers.get());
    let shared = Arc::clone(shared);
    Ok(Box::new(move |conn| {
        let shared = Arc::clone(&shared);
        pool.execute(move || {
            // The crate has no hook for the start of a thread; only its first claim counts.
            shared.claim_thread_slot();
            conn.serve();
        });
        Ok(())
    }))
}
