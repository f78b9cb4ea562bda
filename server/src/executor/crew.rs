//! Reactors, each on a thread of its own from its first descriptor to its last.

use std::io;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use super::OnReady;
use crate::conn::Shared;
use crate::mode::Inner;

/// Runs `threads` reactors of a mode to their end; returns how many connections they left.
///
/// `open`, with its number, and `run` are called on the thread of each. Ready is when all of them stand.
///
/// # Errors
///
/// That of the first which could not stand, or failed; then all of them end.
pub(super) fn serve<R>(
    (inside, threads): (Inner, NonZeroUsize),
    shared: &Shared,
    on_ready: OnReady<'_>,
    open: impl Fn(usize) -> io::Result<R> + Sync,
    run: impl Fn(R) -> io::Result<usize> + Sync,
) -> io::Result<usize> {
    let (stands, standing) = channel();
    let one = |number: usize, stands: Sender<()>| {
        shared.claim_thread_slot(number);
        let reactor = open(number);
        if reactor.is_ok() {
            let _ = stands.send(());
        }
        drop(stands);
        let left = reactor.and_then(&run);
        // Without one of them the others have no reason to go on.
        shared.stop.drain();
        left
    };
    let one = &one;
    thread::scope(|scope| {
        let started = (0..threads.get()).map(|number| {
            let stands = stands.clone();
            let builder = thread::Builder::new().name(inside.thread_name(number));
            builder.spawn_scoped(scope, move || one(number, stands))
        });
        let started = started.collect::<io::Result<Vec<_>>>();
        drop(stands);
        if standing.iter().count() == threads.get() {
            on_ready();
        } else {
            // Those that stand must not go on alone.
            shared.stop.cut();
        }
        let left = started?.into_iter().map(|reactor| {
            let joined = reactor.join();
            joined.unwrap_or_else(|_| Err(io::Error::other("a reactor panicked")))
        });
        // All of them, before the first error counts.
        left.collect::<Vec<_>>().into_iter().sum()
    })
}
