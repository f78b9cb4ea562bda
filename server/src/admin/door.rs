//! How many may ask at once, and for how long.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::SocketFlags;
use tokio::io::unix::AsyncFd;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::routes::Routes;
use super::socket::{Socket, Spares};
use super::stream::Stream;
use super::tally::{Tally, Unheard};
use super::{LAST_WORDS, over};
use crate::accept::{Remedy, remedy};
use crate::listener::Listener;
use crate::sys;

/// Connections at once; the next one is closed at once.
pub(super) const CONNECTIONS: u32 = 64;
/// How long the head of a request may take.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
/// The most bytes that it may have, and that an answer may have waiting.
const HEAD_BYTES: usize = 16 << 10;
/// The most headers in it.
const HEADERS: usize = 64;
/// How long a connection may last that does not listen to events.
const WHOLE_LIMIT: Duration = Duration::from_secs(30);
/// The pause where no descriptor is to be had, not even a spare one.
const PAUSE: Duration = Duration::from_millis(100);

/// The listening socket, and the places behind it.
pub(super) struct Door {
    listener: Listener,
    /// Readable while somebody waits there.
    news: AsyncFd<OwnedFd>,
    places: Arc<Semaphore>,
    spares: Spares,
    tally: Arc<Tally>,
}

impl Door {
    /// # Errors
    ///
    /// When the runtime cannot watch the socket.
    pub(super) fn new(listener: Listener, tally: Arc<Tally>) -> io::Result<Self> {
        Ok(Self {
            news: sys::readable(listener.as_fd().try_clone_to_owned()?)?,
            listener,
            places: Arc::new(Semaphore::new(CONNECTIONS as usize)),
            spares: Spares::new()?,
            tally,
        })
    }

    /// Serves until `ended`, and those who are inside to their end, which comes soon.
    pub(super) async fn serve(mut self, routes: Arc<Routes>, mut ended: watch::Receiver<bool>) {
        loop {
            let arrived = tokio::select! {
                arrived = self.next() => arrived,
                () = over(&mut ended) => break,
            };
            match arrived {
                Ok(socket) => self.admit(socket, &routes, &ended),
                Err(error) => {
                    warn!(%error, "the admin endpoint takes no more connections");
                    break;
                }
            }
        }
        let places = Arc::clone(&self.places);
        // Nobody new.
        drop(self);
        let _ = timeout(LAST_WORDS, places.acquire_many(CONNECTIONS)).await;
    }

    /// The next connection, whatever the system is short of meanwhile.
    ///
    /// # Errors
    ///
    /// When the listener is unusable.
    async fn next(&mut self) -> io::Result<OwnedFd> {
        self.spares.refill();
        loop {
            let mut news = self.news.readable().await?;
            let accepted = news.try_io(|_| self.listener.accept(SocketFlags::NONBLOCK));
            let Ok(accepted) = accepted else { continue };
            let error = match accepted {
                Ok((socket, _)) => return Ok(socket),
                Err(error) => error,
            };
            match remedy(&error) {
                Remedy::Wait | Remedy::Retry => {}
                Remedy::Pause => {
                    if !self.spares.give_up() {
                        sleep(PAUSE).await;
                    }
                }
                Remedy::End | Remedy::GiveUp => return Err(error),
            }
        }
    }

    fn admit(&self, socket: OwnedFd, routes: &Arc<Routes>, ended: &watch::Receiver<bool>) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.spares.keep(socket);
            self.tally.turn_away();
            return;
        };
        self.tally.take_in();
        let visit = Visit {
            routes: Arc::clone(routes),
            tally: Arc::clone(&self.tally),
            ended: ended.clone(),
            _place: place,
        };
        match Socket::new(socket, self.listener.is_unix(), self.spares.clone()) {
            Ok(socket) => drop(tokio::spawn(visit.serve(socket))),
            Err(error) => debug!(%error, "an admin connection is unusable"),
        }
    }
}

/// One connection.
struct Visit {
    routes: Arc<Routes>,
    tally: Arc<Tally>,
    ended: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Visit {
    async fn serve(mut self, socket: Socket) {
        let stays = AtomicBool::new(false);
        let service = service_fn(async |request| {
            let answer = self.routes.answer(&request).await;
            stays.store(answer.stays, Relaxed);
            io::Result::Ok(answer.response)
        });
        let conversation = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_LIMIT)
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEADERS)
            .keep_alive(false)
            // Who says nothing more still hears the answer.
            .half_close(true)
            .serve_connection(
                TokioIo::new(Stream::new(socket, Arc::clone(&self.tally))),
                service,
            );
        let mut conversation = pin!(conversation);
        let mut limit = pin!(sleep(WHOLE_LIMIT));
        let (mut may_last, mut is_ending) = (false, false);
        loop {
            tokio::select! {
                result = &mut conversation => {
                    if let Err(error) = result {
                        debug!(%error, "an admin connection failed");
                        self.tally.lose(Unheard::of(&error));
                    }
                    return;
                }
                () = &mut limit, if !may_last => {
                    may_last = stays.load(Relaxed);
                    if !may_last {
                        self.tally.lose(Unheard::Slow);
                        return;
                    }
                }
                () = over(&mut self.ended), if !is_ending => {
                    is_ending = true;
                    conversation.as_mut().graceful_shutdown();
                }
            }
        }
    }
}
