//! One thread that asks epoll who is ready, reads once and writes once.
//!
//! Level-triggered, so that nobody has to be read to the end: an answer costs one `recv`, one `send` and
//! its share of an `epoll_wait`. What is answered is the echo, or whatever else the connection speaks.

use std::io;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};
use slab::Slab;

/// What the listener is called, which no connection is.
const LISTENER: u64 = u64::MAX;
/// Events that are taken at once.
const EVENTS: usize = 512;
/// Bytes that are read at once.
const BUFFER_BYTES: usize = 64 << 10;

/// What a connection says; a new one has heard nothing yet.
pub(super) trait Speech: Default {
    /// The answer to what was `read`, which may be a part of a request or several of them. What is neither
    /// in it nor always the same is put together in `room`.
    fn answer<'a>(&mut self, read: &'a [u8], room: &'a mut Vec<u8>) -> &'a [u8];
}

/// What was sent comes back.
#[derive(Default)]
pub(super) struct Echo;

impl Speech for Echo {
    fn answer<'a>(&mut self, read: &'a [u8], _: &'a mut Vec<u8>) -> &'a [u8] {
        read
    }
}

/// A connection, and what its peer did not take yet.
struct Peer<S> {
    socket: OwnedFd,
    speech: S,
    rest: Vec<u8>,
}

/// Where what is read and what is answered have their place for the moment.
struct Desk {
    buffer: Vec<u8>,
    room: Vec<u8>,
}

/// See the module; there is one worker.
pub(super) fn serve<S: Speech>(listener: &TcpListener, _: NonZeroUsize) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let set = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&set, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut peers: Slab<Peer<S>> = Slab::new();
    let mut desk = Desk {
        buffer: vec![0; BUFFER_BYTES],
        room: Vec::new(),
    };
    let mut events = Vec::with_capacity(EVENTS);
    loop {
        epoll::wait(&set, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => accept_all(listener, &set, &mut peers)?,
                key => advance(&set, &mut peers, key, &mut desk)?,
            }
        }
    }
}

fn accept_all<S: Speech>(
    listener: &TcpListener,
    set: &OwnedFd,
    peers: &mut Slab<Peer<S>>,
) -> io::Result<()> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    loop {
        let socket = match accept_with(listener, flags) {
            Ok(socket) => socket,
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let place = peers.vacant_entry();
        let key = EventData::new_u64(place.key() as u64);
        epoll::add(set, &socket, key, EventFlags::IN)?;
        place.insert(Peer {
            socket,
            speech: S::default(),
            rest: Vec::new(),
        });
    }
}

/// Answers what is there, or goes on with what was left; who is gone or fails is forgotten.
fn advance<S: Speech>(
    set: &OwnedFd,
    peers: &mut Slab<Peer<S>>,
    key: u64,
    desk: &mut Desk,
) -> io::Result<()> {
    let place = usize::try_from(key).map_err(io::Error::other)?;
    let Some(peer) = peers.get_mut(place) else {
        return Ok(());
    };
    let had_rest = !peer.rest.is_empty();
    let goes_on = if had_rest {
        go_on(peer)
    } else {
        answer(peer, desk)
    };
    if !goes_on {
        peers.remove(place);
    } else if peer.rest.is_empty() == had_rest {
        let wish = if had_rest {
            EventFlags::IN
        } else {
            EventFlags::OUT
        };
        epoll::modify(set, &peer.socket, EventData::new_u64(key), wish)?;
    }
    Ok(())
}

/// Reads once and writes once, if there is something to say; false when the connection is over.
fn answer<S: Speech>(peer: &mut Peer<S>, desk: &mut Desk) -> bool {
    let read = match recv(&peer.socket, &mut *desk.buffer, RecvFlags::empty()) {
        Ok((0, _)) => return false,
        Ok((length, _)) => &desk.buffer[..length],
        Err(error) => return error == Errno::AGAIN,
    };
    let answer = peer.speech.answer(read, &mut desk.room);
    if answer.is_empty() {
        return true;
    }
    match send(&peer.socket, answer, SendFlags::NOSIGNAL) {
        Ok(sent) if sent == answer.len() => {}
        Ok(sent) => peer.rest.extend_from_slice(&answer[sent..]),
        Err(Errno::AGAIN) => peer.rest.extend_from_slice(answer),
        Err(_) => return false,
    }
    true
}

/// Writes once of what was left; false when the connection is over.
fn go_on<S>(peer: &mut Peer<S>) -> bool {
    match send(&peer.socket, &peer.rest, SendFlags::NOSIGNAL) {
        Ok(sent) => drop(peer.rest.drain(..sent)),
        Err(error) => return error == Errno::AGAIN,
    }
    if peer.rest.is_empty() {
        // Whoever was slow once does not keep memory for it.
        peer.rest = Vec::new();
    }
    true
}
