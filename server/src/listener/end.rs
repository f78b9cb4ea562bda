//! The end of the listening, and those who are still in the accept queue then.
//!
//! Closing a listener resets all who are in its queue, though they believe that they are connected
//! and may have sent something. So the way in is narrowed first, then the queue is emptied, and only
//! then is the listening ended: whoever was in the queue is served or gets a close in order. Who was
//! about to be in it has a moment to arrive, and is told to go.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, recv};
use socket2::{SockFilter, Socket};
use tracing::{debug, warn};

use super::Listener;
use super::tenure::Tenure;
use crate::conn::Peer;
use crate::registry::LINGER;
use crate::source::{Arrival, Source};

/// How long a handshake that has begun may take to end; one that takes longer is reset. Whoever
/// begins one in this time is refused at its second try only, a second later, so it is short.
const HANDSHAKE: Duration = Duration::from_millis(10);
/// What is thrown away at once of what a peer still sends, in bytes.
const DISCARD_BYTES: usize = 16 * 1024;
/// After this long it is looked whether the time is over, however much a peer still sends.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Ends the listening, once, for all who share the listener, if it is this server's to end. Clones are
/// the same end.
#[derive(Clone, Debug)]
pub(crate) struct ListenEnd {
    tenure: Tenure,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// All that listen at the address.
    sources: Vec<Source>,
    narrowed: bool,
    /// Taken out of the queue, first come first.
    queued: VecDeque<Arrival>,
    /// They got their end, and may not have seen it yet.
    dismissed: Vec<Socket>,
}

impl ListenEnd {
    /// Of all that listen at one address, which others may use too.
    pub(crate) fn of(sources: Vec<Source>, tenure: Tenure) -> Self {
        let state = State {
            sources,
            narrowed: false,
            queued: VecDeque::new(),
            dismissed: Vec::new(),
        };
        Self {
            tenure,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Whether another server listens on here: then whoever ends goes alone, and those in the queue
    /// are left to that one.
    pub(crate) fn is_left_to_others(&self) -> bool {
        !self.tenure.is_ours()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody panics with it; if so, the lists would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nobody can connect, in no process that shares the listener; `accept` says
    /// `EINVAL`, or on a path that nobody is there. Takes [`HANDSHAKE`], which a path does not have;
    /// returns how many were about to arrive, and were dismissed. Nothing of it where it is left to
    /// others.
    pub(crate) fn refuse(&self) -> u64 {
        if !self.tenure.end() {
            return 0;
        }
        let mut state = self.lock();
        state.narrow();
        if state.sources.iter().any(Source::has_handshakes) {
            drop(state);
            thread::sleep(HANDSHAKE);
            state = self.lock();
        }
        let late = state.empty();
        state.sources.iter().for_each(Source::shut);
        drop(state);
        late.into_iter()
            .map(|client| self.dismiss(client.socket, &client.peer))
            .count() as u64
    }

    /// The next of those who were in the queue when the end began, which this begins if need be.
    /// The socket blocks.
    pub(crate) fn take(&self) -> Option<Arrival> {
        if !self.tenure.end() {
            return None;
        }
        let mut state = self.lock();
        state.narrow();
        state.queued.pop_front()
    }

    /// Tells a client that nobody will serve it.
    pub(crate) fn dismiss(&self, client: OwnedFd, peer: &Peer) {
        debug!(%peer, "dismissed: the server ends, and is full");
        let client = Socket::from(client);
        // Fails only on a connection that is gone already.
        let _ = client.shutdown(Shutdown::Write);
        self.lock().dismissed.push(client);
    }

    /// Dismisses all that are left; returns how many.
    pub(crate) fn dismiss_all(&self) -> u64 {
        let next = || {
            self.take()
                .map(|client| self.dismiss(client.socket, &client.peer))
        };
        std::iter::from_fn(next).count() as u64
    }

    /// Waits until those who were dismissed have closed too, for [`LINGER`] at most: closing with
    /// unread bytes would make the kernel send a reset.
    pub(crate) fn see_off(&self) {
        let mut dismissed = std::mem::take(&mut self.lock().dismissed);
        let end = Instant::now() + LINGER;
        while !dismissed.is_empty() && Instant::now() < end {
            dismissed.retain(is_there);
            let mut fds: Vec<_> = dismissed
                .iter()
                .map(|client| PollFd::new(client, PollFlags::IN))
                .collect();
            let limit = Timespec::try_from(LOOK_EVERY).ok();
            // Too many to be polled at once fails, and then they are looked at again at once.
            let _ = poll(&mut fds, limit.as_ref());
        }
    }
}

/// Throws away what a client sent; false once it has closed, or broke.
fn is_there(client: &Socket) -> bool {
    let mut scratch = [0; DISCARD_BYTES];
    match recv(client, &mut scratch, RecvFlags::DONTWAIT) {
        Ok((count, _)) => count > 0,
        Err(error) => matches!(error, rustix::io::Errno::AGAIN | rustix::io::Errno::INTR),
    }
}

impl State {
    /// The first step, once: nobody new, and the queue is taken out of the kernel.
    fn narrow(&mut self) {
        if std::mem::replace(&mut self.narrowed, true) {
            return;
        }
        for source in &self.sources {
            if let Err(error) = source.narrow() {
                // Without it some may come between the last look and the end, and be reset.
                debug!(%error, "cannot keep newcomers away while the accept queue is emptied");
            }
        }
        self.queued = self.empty().into();
        debug!(clients = self.queued.len(), "the accept queue was emptied");
    }

    fn empty(&self) -> Vec<Arrival> {
        let mut queued = Vec::new();
        for (clients, shortage) in self.sources.iter().map(Source::empty) {
            queued.extend(clients);
            if let Some(error) = shortage {
                warn!(%error, "some who were in the accept queue are reset");
            }
        }
        queued
    }
}

impl Listener {
    /// Keeps newcomers away, and lets those in the queue, and those who are about to be in it, come.
    pub(crate) fn narrow(&self) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.remove();
        }
        if self.is_unix() {
            // A Unix socket keeps its queue when it is shut.
            return self.socket.shutdown(Shutdown::Read);
        }
        self.socket.attach_filter(&NO_NEW_CONNECTIONS)
    }

    /// Nobody can connect any more, in no process that shares it.
    pub(crate) fn shut(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Both)
    }
}

/// Lets every TCP segment pass but those that would begin a connection. Its sender takes it for
/// lost, tries again after a second, and is refused.
const NO_NEW_CONNECTIONS: [SockFilter; 5] = [
    // The flags of the segment, and of them SYN.
    SockFilter::new(LOAD_BYTE, 0, 0, 13),
    SockFilter::new(AND, 0, 0, 0b10),
    // Without it the next one is skipped.
    SockFilter::new(JUMP_IF_EQUAL, 1, 0, 0),
    SockFilter::new(RETURN, 0, 0, 0),
    SockFilter::new(RETURN, 0, 0, u32::MAX),
];
/// `BPF_LD | BPF_B | BPF_ABS`, and so on, of `linux/filter.h`.
const LOAD_BYTE: u16 = 0x30;
const AND: u16 = 0x54;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
