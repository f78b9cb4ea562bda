//! `async`: a task per connection on a few threads; a waiting client costs no worker.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::{self, Thread};

use rustix::net::SocketFlags;
use socket2::Socket;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tracing::Instrument;

use super::{Context, Executor, OnReady, ensure_threads};
use crate::accept::{Door, Met};
use crate::conn::Ticket;
use crate::driver::tokio::{self as driver, Calls, Session};
use crate::gate::Gate;
use crate::mode::Inner;
use crate::pulse::Beat;
use crate::registry::LINGER;
use crate::sys::readable;

/// The strategy.
#[derive(Debug)]
pub(super) struct Tokio {
    /// Threads that run the tasks.
    pub(super) threads: NonZeroUsize,
}

impl Executor for Tokio {
    fn run(self: Box<Self>, cx: Context, on_ready: OnReady<'_>) -> io::Result<usize> {
        ensure_threads(self.threads)?;
        let next = AtomicUsize::new(0);
        let shared = Arc::clone(&cx.shared);
        let runtime = Builder::new_multi_thread()
            .worker_threads(self.threads.get())
            .thread_name_fn(move || Inner::Async.thread_name(next.fetch_add(1, Relaxed)))
            .on_thread_start(move || {
                driver::enroll(&shared.pulse);
                if let Some(number) = number_of(&thread::current()) {
                    shared.claim_thread_slot(number);
                }
            })
            .on_thread_park(|| driver::with_beat(Beat::settle))
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let (standing, stands) = oneshot::channel();
            // As a task, so that accepting happens on the worker threads too.
            let served = tokio::spawn(serve(cx, standing));
            // An error means that it could not start, which it says itself.
            if stands.await.is_ok() {
                on_ready();
            }
            served.await.map_err(io::Error::other)?
        })
    }
}

/// The number that the runtime gave the thread together with its name, and tells nowhere else.
fn number_of(thread: &Thread) -> Option<usize> {
    let (_, number) = thread.name()?.rsplit_once('-')?;
    number.parse().ok()
}

/// Accepts until the drain begins, then sees every task to its end.
async fn serve(cx: Context, standing: oneshot::Sender<()>) -> io::Result<usize> {
    let shared = Arc::clone(&cx.shared);
    let stop = &shared.stop;
    let draining = readable(stop.draining().try_clone_to_owned()?)?;
    let cutting = readable(stop.cutting().try_clone_to_owned()?)?;
    let calls = Arc::new(Calls::new());
    let acceptor = Acceptor::new(&cx, Arc::clone(&calls))?;
    let _ = standing.send(());
    if let Some(limit) = shared.config.limits.idle_timeout {
        let calls = Arc::clone(&calls);
        // It ends with the runtime.
        tokio::spawn(async move { calls.by_turns(driver::round(limit)).await });
    }
    let accepted = acceptor.run(&cx, &draining).await;
    // The port is free, and nobody waits in vain, while the open connections are served on.
    drop(cx);
    stop.drain();
    calls.all();
    tokio::select! {
        () = calls.all_gone() => return accepted.map(|()| 0),
        ready = cutting.readable() => drop(ready?),
    }
    calls.all();
    // Twice: half of it is the time that each connection lingers.
    let _ = timeout(2 * LINGER, calls.all_gone()).await;
    accepted.map(|()| calls.present())
}

struct Acceptor {
    /// Readable while somebody is at the door.
    arrivals: AsyncFd<OwnedFd>,
    /// Readable while the gate has a permit.
    permits: AsyncFd<OwnedFd>,
    /// Readable while this process has a seat, where it has a limit of its own.
    seats: Option<AsyncFd<OwnedFd>>,
    calls: Arc<Calls>,
}

impl Acceptor {
    fn new(cx: &Context, calls: Arc<Calls>) -> io::Result<Self> {
        let watch = |gate: &Gate| readable(gate.as_fd().try_clone_to_owned()?);
        Ok(Self {
            arrivals: readable(cx.source(0).as_fd().try_clone_to_owned()?)?,
            permits: watch(&cx.gate)?,
            seats: cx.seats.as_ref().map(watch).transpose()?,
            calls,
        })
    }

    async fn run(self, cx: &Context, draining: &AsyncFd<OwnedFd>) -> io::Result<()> {
        let mut door = Door::new(cx, SocketFlags::NONBLOCK);
        loop {
            let met = door.next()?;
            driver::with_beat(Beat::begin);
            match met {
                Met::Client((socket, ticket)) => {
                    if let Err(error) = self.spawn_any(socket, ticket) {
                        sleep(door.refused(&error)).await;
                    }
                }
                Met::Nobody => {
                    let news = news(&self.arrivals, draining);
                    match cx.look_out_every() {
                        // Too late is no news either.
                        Some(limit) => timeout(limit, news).await.unwrap_or(Ok(()))?,
                        None => news.await?,
                    }
                }
                Met::Full => {
                    let seats = self.seats.as_ref().filter(|_| door.lacks_seat());
                    news(seats.unwrap_or(&self.permits), draining).await?;
                }
                Met::Short(pause) => sleep(pause).await,
                Met::Closed => return Ok(()),
            }
        }
    }

    /// A Unix socket is another type to tokio, though the same to the kernel.
    fn spawn_any(&self, socket: Socket, ticket: Ticket) -> io::Result<()> {
        if ticket.is_unix() {
            self.spawn(UnixStream::from_std(OwnedFd::from(socket).into())?, ticket)
        } else {
            self.spawn(TcpStream::from_std(socket.into())?, ticket)
        }
    }

    fn spawn(
        &self,
        stream: impl AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static,
        ticket: Ticket,
    ) -> io::Result<()> {
        let span = ticket.span();
        let task = Session::new(stream, ticket, &self.calls);
        // A span that is off would still take its place in every task.
        if span.is_disabled() {
            tokio::spawn(task);
        } else {
            tokio::spawn(task.instrument(span));
        }
        Ok(())
    }
}

/// Waits until `fd` became readable since the last time, or the drain began. What it stands for is
/// to be tried anew after this and before the next call: then nothing that comes in between is
/// missed.
async fn news(fd: &AsyncFd<OwnedFd>, draining: &AsyncFd<OwnedFd>) -> io::Result<()> {
    tokio::select! {
        ready = fd.readable() => ready?.clear_ready(),
        ready = draining.readable() => drop(ready?),
    }
    Ok(())
}
