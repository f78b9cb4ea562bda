//! The status as it changes: server-sent events.
//!
//! One sampler looks for all who listen, and only while somebody does. Each gets the latest picture
//! when it has taken the one before, so that a slow reader costs nobody anything.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::channel::{Channel, Sender};
use hyper::body::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep};

use super::over;
use crate::status::Observer;

/// Listeners at once: half of the places, so that the metrics stay within reach.
const LISTENERS: usize = 32;
/// From one look to the next.
const PAUSE: Duration = Duration::from_millis(250);
/// How much longer than a look itself the pause after it is, at least: the status of thousands of
/// workers must not become an occupation.
const REST: u32 = 20;
/// How long a browser waits before it comes again when the server is gone, in milliseconds.
const HELLO: &str = "retry: 1000\n\n";
/// The last event: the server has ended in order.
const GOODBYE: &str = "event: end\ndata: {}\n\n";

/// Whoever looks for all who listen.
#[derive(Debug)]
pub(super) struct Sampler {
    /// The latest event; empty while nobody looks.
    latest: Arc<watch::Sender<Bytes>>,
    /// Somebody listens.
    wake: Arc<Notify>,
    places: Arc<Semaphore>,
    ended: watch::Receiver<bool>,
}

impl Sampler {
    /// Begins to look as soon as somebody listens, on the runtime that this is called in.
    pub(super) fn start(observer: Observer, ended: watch::Receiver<bool>) -> Self {
        let sampler = Self {
            latest: Arc::new(watch::channel(Bytes::new()).0),
            wake: Arc::default(),
            places: Arc::new(Semaphore::new(LISTENERS)),
            ended,
        };
        let (latest, wake) = (Arc::clone(&sampler.latest), Arc::clone(&sampler.wake));
        tokio::spawn(look(observer, latest, wake));
        sampler
    }

    /// The events from now on, unless there are enough who listen.
    pub(super) fn listen(&self) -> Option<Channel<Bytes>> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        // One on its way to the socket, and the next.
        let (sender, body) = Channel::new(1);
        let mut latest = self.latest.subscribe();
        // Where somebody listens already there is a picture, which is news for this one.
        latest.mark_changed();
        let listener = Listener {
            latest,
            ended: self.ended.clone(),
            sender,
            _place: place,
        };
        self.wake.notify_one();
        tokio::spawn(listener.tell());
        Some(body)
    }
}

async fn look(observer: Observer, latest: Arc<watch::Sender<Bytes>>, wake: Arc<Notify>) {
    loop {
        while latest.receiver_count() == 0 {
            latest.send_replace(Bytes::new());
            wake.notified().await;
        }
        let begin = Instant::now();
        latest.send_replace(event(&observer));
        sleep(PAUSE.max(begin.elapsed() * REST)).await;
    }
}

/// The status as an event. JSON has no line breaks but those that are escaped.
fn event(observer: &Observer) -> Bytes {
    // Nothing in a status can fail to be written.
    let status = serde_json::to_string(&observer.status()).unwrap_or_default();
    format!("data: {status}\n\n").into()
}

/// One who listens.
struct Listener {
    latest: watch::Receiver<Bytes>,
    ended: watch::Receiver<bool>,
    sender: Sender<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// Sends what is new until the listener has gone or the server has ended.
    async fn tell(mut self) {
        let mut event = Bytes::from_static(HELLO.as_bytes());
        while self.sender.send_data(event).await.is_ok() {
            tokio::select! {
                news = next(&mut self.latest) => match news {
                    Some(news) => event = news,
                    None => return,
                },
                () = over(&mut self.ended) => {
                    let _ = self.sender.send_data(GOODBYE.into()).await;
                    return;
                }
            }
        }
    }
}

/// The next event that was not seen yet; none where nobody looks any more.
async fn next(latest: &mut watch::Receiver<Bytes>) -> Option<Bytes> {
    loop {
        latest.changed().await.ok()?;
        let event = latest.borrow_and_update().clone();
        if !event.is_empty() {
            return Some(event);
        }
    }
}
