//! A worker that is driven by hand, and what its events are waited for with.

use std::net::TcpListener;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::batch::{Batch, Happened};
use super::live::Live;
use super::shared::Shared;
use super::target::Targets;
use super::worker::Worker;
use crate::Config;
use crate::client::Event;
use crate::time::Moment;

/// How long something may take that takes a moment.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// The only worker of a run of `clients` clients against `listener`, all of whom have begun to
/// connect.
pub(super) fn with_worker(
    clients: u32,
    listener: &TcpListener,
    test: impl FnOnce(&mut Worker<'_>),
) {
    let config = Config {
        connections: NonZeroU32::new(clients).unwrap(),
        ..Config::new(listener.local_addr().unwrap().into())
    };
    let targets = Targets::resolve(&config.targets, &config.bind).unwrap();
    let shared = Shared::new(&config, targets).unwrap();
    let mut worker = Worker::new(&shared, 0, Arc::new(Live::default())).unwrap();
    for slot in 0..worker.slots.len() {
        worker.step(slot, Event::Start, Moment::START).unwrap();
    }
    test(&mut worker);
}

/// Waits until the socket of each client has bytes, and takes the events of all.
pub(super) fn wait_until_all_may_read(worker: &mut Worker<'_>) {
    let end = Instant::now() + LIMIT;
    let patience = Timespec::try_from(LIMIT).unwrap();
    for slot in &worker.slots {
        let mut wanted = [PollFd::new(slot.socket.as_ref().unwrap(), PollFlags::IN)];
        assert_eq!(poll(&mut wanted, Some(&patience)).unwrap(), 1);
    }
    assert_eq!(worker.batch.rest(), []);
    let now = Moment::START;
    let mut events: Vec<Happened> = Vec::new();
    while events.len() < worker.slots.len() {
        assert!(Instant::now() < end, "{events:?}");
        // Only an empty batch takes more, and those who may read need not all be reported at once.
        worker.wait_until(now, now).unwrap();
        while let Some((token, flags)) = worker.batch.pop() {
            match events.iter_mut().find(|(known, _)| *known == token) {
                Some((_, so_far)) => *so_far |= flags,
                None => events.push((token, flags)),
            }
        }
    }
    worker.batch = Batch::of(events);
}
