//! `thread-pool`: a fixed number of threads own a connection each; the others wait their turn.

use std::num::NonZeroUsize;
use std::sync::Arc;

use threadpool::ThreadPool;

use super::Dispatch;
use crate::conn::Shared;

/// Queues each connection; the gate bounds the queue, since the pool's own has no end.
pub(super) fn dispatch(workers: NonZeroUsize, shared: &Arc<Shared>) -> Dispatch {
    let pool = ThreadPool::with_name("pool".into(), workers.get());
    let shared = Arc::clone(shared);
    Box::new(move |conn| {
        let shared = Arc::clone(&shared);
        pool.execute(move || {
            // The crate has no hook for the start of a thread; only its first claim counts.
            shared.claim_thread_slot();
            conn.serve();
        });
        Ok(())
    })
}
