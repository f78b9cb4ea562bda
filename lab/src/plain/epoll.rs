//! One thread that asks epoll who is ready, reads once and writes once.
//!
//! Level-triggered, so that nobody has to be read to the end: an echo costs one `recv`, one `send` and
//! its share of an `epoll_wait`.

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

/// A connection, and what its peer did not take yet.
struct Peer {
    socket: OwnedFd,
    rest: Vec<u8>,
}

/// See the module; there is one worker.
pub(super) fn serve(listener: &TcpListener, _: NonZeroUsize) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let set = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&set, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut peers = Slab::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut events = Vec::with_capacity(EVENTS);
    loop {
        epoll::wait(&set, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => accept_all(listener, &set, &mut peers)?,
                key => advance(&set, &mut peers, key, &mut buffer)?,
            }
        }
    }
}

fn accept_all(listener: &TcpListener, set: &OwnedFd, peers: &mut Slab<Peer>) -> io::Result<()> {
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
        let rest = Vec::new();
        place.insert(Peer { socket, rest });
    }
}

/// Echoes what is there, or goes on with what was left; who is gone or fails is forgotten.
fn advance(set: &OwnedFd, peers: &mut Slab<Peer>, key: u64, buffer: &mut [u8]) -> io::Result<()> {
    let place = usize::try_from(key).map_err(io::Error::other)?;
    let Some(peer) = peers.get_mut(place) else {
        return Ok(());
    };
    let had_rest = !peer.rest.is_empty();
    let goes_on = if had_rest {
        go_on(peer)
    } else {
        echo(peer, buffer)
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

/// Reads once and writes once; false when the connection is over.
fn echo(peer: &mut Peer, buffer: &mut [u8]) -> bool {
    let read = match recv(&peer.socket, &mut *buffer, RecvFlags::empty()) {
        Ok((0, _)) => return false,
        Ok((length, _)) => &buffer[..length],
        Err(error) => return error == Errno::AGAIN,
    };
    match send(&peer.socket, read, SendFlags::NOSIGNAL) {
        Ok(sent) if sent == read.len() => {}
        Ok(sent) => peer.rest.extend_from_slice(&read[sent..]),
        Err(Errno::AGAIN) => peer.rest.extend_from_slice(read),
        Err(_) => return false,
    }
    true
}

/// Writes once of what was left; false when the connection is over.
fn go_on(peer: &mut Peer) -> bool {
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
