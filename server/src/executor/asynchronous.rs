//! `async`: a task per connection on a few threads; a waiting client costs no worker.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use tracing::{Instrument, debug};

use super::{Context, Executor};
use crate::accept::{Remedy, Shortage, remedy};
use crate::config::OnFull;
use crate::conn::{HeldPermit, Peer, Shared, Ticket};
use crate::driver;
use crate::gate::Gate;
use crate::registry::LINGER;
use crate::sys::readable;

/// The strategy.
#[derive(Debug)]
pub(super) struct Tokio {
    /// Threads that run the tasks.
    pub(super) threads: NonZeroUsize,
}

impl Executor for Tokio {
    fn run(self: Box<Self>, cx: Context) -> io::Result<usize> {
        let next = AtomicUsize::new(0);
        let runtime = Builder::new_multi_thread()
            .worker_threads(self.threads.get())
            .thread_name_fn(move || format!("async-{}", next.fetch_add(1, Relaxed)))
            .enable_all()
            .build()?;
        // As a task, so that accepting happens on the worker threads too.
        runtime.block_on(async { tokio::spawn(serve(cx)).await.map_err(io::Error::other)? })
    }
}

/// Accepts until the drain begins, then sees every task to its end.
async fn serve(cx: Context) -> io::Result<usize> {
    let shared = Arc::clone(&cx.shared);
    let stop = &shared.stop;
    let draining = readable(stop.draining().try_clone_to_owned()?)?;
    let cutting = readable(stop.cutting().try_clone_to_owned()?)?;
    // Each task holds a sender, so the channel closes when the last one is gone.
    let (alive, mut gone) = mpsc::channel::<()>(1);
    let acceptor = Acceptor::new(cx, alive)?;
    let phases = Arc::clone(&acceptor.phases);
    let accepted = tokio::select! {
        result = acceptor.run() => result,
        ready = draining.readable() => ready.map(drop),
    };
    stop.drain();
    phases.notify_waiters();
    tokio::select! {
        _ = gone.recv() => return accepted.map(|()| 0),
        ready = cutting.readable() => drop(ready?),
    }
    phases.notify_waiters();
    // Twice: half of it is the time that each connection lingers.
    let _ = timeout(2 * LINGER, gone.recv()).await;
    accepted.map(|()| gone.sender_strong_count())
}

struct Acceptor {
    listener: TcpListener,
    gate: Gate,
    /// Readable while the gate has a permit.
    permits: AsyncFd<OwnedFd>,
    shared: Arc<Shared>,
    phases: Arc<Notify>,
    alive: mpsc::Sender<()>,
}

impl Acceptor {
    fn new(cx: Context, alive: mpsc::Sender<()>) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::from_std(cx.listener.into())?,
            permits: readable(cx.gate.as_fd().try_clone_to_owned()?)?,
            gate: cx.gate,
            shared: cx.shared,
            phases: Arc::new(Notify::new()),
            alive,
        })
    }

    async fn run(self) -> io::Result<()> {
        let mut shortage = Shortage::new();
        loop {
            let permit = match self.shared.config.limits.on_full {
                OnFull::Wait => Some(self.permit().await?),
                OnFull::Reject => None,
            };
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => match remedy(&error) {
                    Remedy::End => return Ok(()),
                    Remedy::GiveUp => return Err(error),
                    Remedy::Pause => {
                        sleep(shortage.again(&error, Instant::now())).await;
                        continue;
                    }
                    Remedy::Retry | Remedy::Wait => continue,
                },
            };
            shortage.over();
            let peer = Peer(Some(peer));
            let late = || HeldPermit::try_take(&self.gate, &self.shared);
            match permit.map_or_else(late, |permit| Ok(Some(permit)))? {
                Some(permit) => {
                    self.spawn(stream, Ticket::new(peer, permit, Arc::clone(&self.shared)))
                }
                None => {
                    self.shared.home_slot().rejected();
                    debug!(%peer, "rejected: the server is full");
                }
            }
        }
    }

    async fn permit(&self) -> io::Result<HeldPermit> {
        loop {
            let mut ready = self.permits.readable().await?;
            let taken = ready.try_io(|_| {
                let permit = HeldPermit::try_take(&self.gate, &self.shared)?;
                permit.ok_or_else(|| io::ErrorKind::WouldBlock.into())
            });
            if let Ok(permit) = taken {
                return permit;
            }
        }
    }

    fn spawn(&self, stream: TcpStream, ticket: Ticket) {
        let (phases, alive) = (Arc::clone(&self.phases), self.alive.clone());
        let span = ticket.span();
        let task = async move {
            let ended = driver::tokio::serve(stream, &ticket, &phases).await;
            ticket.conclude(ended);
            drop(alive);
        };
        // A span that is off would still take its place in every task.
        if span.is_disabled() {
            tokio::spawn(task);
        } else {
            tokio::spawn(task.instrument(span));
        }
    }
}
