//! `thread-pool`: a fixed number of threads own a connection each; the others wait their turn.

use std::ffi::CString;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Barrier};

use threadpool::ThreadPool;

use super::{Dispatch, ensure_threads};
use crate::conn::Shared;
use crate::mode::Inner;

/// Queues each connection; the gate bounds the queue, since the pool's own has no end.
///
/// # Errors
///
/// When the threads cannot be started.
pub(super) fn dispatch(workers: NonZeroUsize, shared: &Arc<Shared>) -> io::Result<Dispatch> {
    ensure_threads(workers)?;
    let pool = ThreadPool::with_name("pool".into(), workers.get());
    // The crate has no hook for the start of a thread. So each gets one job, which none can end
    // before the others have theirs.
    let all_there = Arc::new(Barrier::new(workers.get()));
    for number in 0..workers.get() {
        let (shared, all_there) = (Arc::clone(shared), Arc::clone(&all_there));
        let name = CString::new(Inner::ThreadPool.thread_name(number))?;
        pool.execute(move || {
            // What `ps` shows, which a thread may always say of itself.
            let _ = rustix::thread::set_name(&name);
            shared.claim_thread_slot(number);
            all_there.wait();
        });
    }
    Ok(Box::new(move |conn| {
        pool.execute(move || conn.serve());
        Ok(())
    }))
}
