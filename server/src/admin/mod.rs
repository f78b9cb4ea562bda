//! The admin endpoint: how it goes, over HTTP, for people, probes and Prometheus.
//!
//! ```text
//! Listener ──▶ Door (how many) ──▶ Stream (how fast) ──▶ hyper ──▶ Guard (who) ──▶ routes ──▶ Observer
//! ```
//!
//! It is served by the leading process alone, on one thread of low priority that shares nothing with
//! the echo but what an [`Observer`] reads. It only looks: no request changes anything, reads a file
//! or starts a process. Each connection has one request without a body, bounded in bytes and time.
//!
//! To bind and to serve are two steps, so that privileges can be given up in between.

mod assets;
mod bind;
mod door;
mod events;
mod guard;
mod health;
mod metrics;
mod negotiate;
mod routes;
mod socket;
mod stream;
mod tally;
mod text;
mod token;

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use cli::Addr;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime;
use tokio::sync::watch;
use tracing::info;

use self::bind::Access;
pub(crate) use self::bind::{BindError, Listener, Wanted};
use self::door::Door;
use self::events::Sampler;
use self::guard::Guard;
use self::routes::Routes;
use self::tally::Tally;
use crate::orders::Orders;
use crate::status::Observer;

/// How much less important it is than the echo (`nice`).
const NICENESS: i32 = 10;
/// How long those who still read may take for the rest, once the server has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The descriptors that the endpoint may need besides those of the echo: its connections, spare ones,
/// its listener, and those of its runtime.
pub(crate) const DESCRIPTORS: u64 = door::CONNECTIONS as u64 + 16;

/// The endpoint while it is served. Dropped, it ends: who listens to events gets their end.
#[derive(Debug)]
pub(crate) struct Running {
    end: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Serves at `listener` from a thread of its own until the result is dropped.
///
/// # Errors
///
/// When the system has no thread or descriptor left.
pub(crate) fn start(
    listener: Listener,
    observer: &Observer,
    orders: &Orders,
) -> io::Result<Running> {
    let Listener { socket, access } = listener;
    let (end, ended) = watch::channel(false);
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (addr, tally) = (socket.addr().clone(), Arc::new(Tally::default()));
    let within = runtime.enter();
    let door = Door::new(socket, Arc::clone(&tally))?;
    announce(&addr, &access);
    let routes = Routes {
        guard: Guard::of(&addr, access),
        observer: observer.clone(),
        orders: orders.clone(),
        sampler: Sampler::start(observer.clone(), ended.clone()),
        tally,
        started_s: since_1970_s() - observer.status().uptime_s,
    };
    drop(within);
    let thread = Builder::new().name("admin".into()).spawn(move || {
        // Where it is refused the endpoint is as important as the echo, which is still little.
        let _ = rustix::process::setpriority_process(None, NICENESS);
        runtime.block_on(door.serve(Arc::new(routes), ended));
        runtime.shutdown_background();
    })?;
    Ok(Running {
        end,
        thread: Some(thread),
    })
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // If it panicked, the log has it.
            let _ = thread.join();
        }
    }
}

/// Where it is, once; the ready line is a contract of its own.
fn announce(addr: &Addr, access: &Access) {
    let token = access.token.is_some();
    match addr {
        Addr::Unix(_) => info!(admin = %addr, token, "admin endpoint"),
        Addr::Tcp { .. } => info!(admin = %format_args!("http://{addr}/"), token, "admin endpoint"),
    }
}

/// The time of day, only to say when the server was started.
fn since_1970_s() -> f64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Waits until the server has ended.
async fn over(ended: &mut watch::Receiver<bool>) {
    // Whoever would tell is gone: that is the end too.
    let _ = ended.wait_for(|ended| *ended).await;
}
