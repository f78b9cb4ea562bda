//! `rayon`: a pool made for computing, used for connections. It works, and it is the wrong tool:
//! a thread that waits for a client computes nothing.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use rayon::ThreadPoolBuilder;

use super::{Dispatch, ensure_threads};
use crate::conn::Shared;
use crate::mode::Inner;

/// Spawns each connection as a job; the gate bounds the queue, since the pool's own has no end.
///
/// # Errors
///
/// When the threads cannot be started.
pub(super) fn dispatch(workers: NonZeroUsize, shared: &Arc<Shared>) -> io::Result<Dispatch> {
    // Its own threads, once some of them are there, abort the process where memory is short.
    ensure_threads(workers)?;
    let shared = Arc::clone(shared);
    let pool = ThreadPoolBuilder::new()
        .num_threads(workers.get())
        .thread_name(|index| Inner::Rayon.thread_name(index))
        .start_handler(move |index| shared.claim_thread_slot(index))
        // Without a handler a panic that escapes a job aborts the process.
        .panic_handler(|_| tracing::error!("a job panicked outside of its connection"))
        .build()
        .map_err(io::Error::other)?;
    Ok(Box::new(move |conn| {
        pool.spawn(move || conn.serve());
        Ok(())
    }))
}
