//! Accepting: the door that every mode shares, and the loop of the blocking modes.
//!
//! Nothing that goes wrong here ends the server: a connection that broke on its way is passed
//! over, and when descriptors or memory are short the loop backs off and says so, seldom.

mod trouble;

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketFlags};
use socket2::Socket;
use tracing::debug;

use self::trouble::Shortage;
pub(crate) use self::trouble::{Complaints, Remedy, remedy};
use crate::board::Count;
use crate::config::OnFull;
use crate::conn::{Conn, HeldPermit, Peer, Ticket};
use crate::executor::{Context, Dispatch};
use crate::gate::Gate;
use crate::stop::{Phase, Stop};

/// Clients turned away before those who are served have their turn.
const AT_ONCE: usize = 64;
/// What is thrown away at once of what they had sent, in bytes, and how often: as much as a client
/// can send before it is accepted.
const DISCARD_BYTES: usize = 4096;
const DISCARDS: usize = 16;

/// What is met at the door.
#[derive(Debug)]
pub(crate) enum Met {
    /// A client with a permit.
    Client(Socket, Ticket),
    /// Nobody: wait for the listener.
    Nobody,
    /// No permit is left, and clients wait outside: wait for the gate.
    Full,
    /// The system is short of something, or others have to have their turn: wait for this long.
    Short(Duration),
    /// The drain began, or the listening was ended, and nobody is left in the queue.
    Closed,
}

/// Where connections come in: permits, the policy of a full server and errors of `accept`, for all
/// executors. It never waits; how that is done is what tells them apart.
#[derive(Debug)]
pub(crate) struct Door<'a> {
    cx: &'a Context,
    /// How accepted sockets shall be.
    flags: SocketFlags,
    /// Taken before the client is there, under [`OnFull::Wait`].
    permit: Option<HeldPermit>,
    /// The gate that had no permit when it was last tried.
    full: &'a Gate,
    /// Whether a permit has been waited for since the last client came in.
    waiting: bool,
    /// Clients turned away since the others had their turn.
    turned_away: usize,
    /// Whoever has the door waits for the listener, and is woken for somebody by the kernel.
    waits: bool,
    /// It was looked out once more after the drain began.
    looked_out: bool,
    shortage: Shortage,
}

impl<'a> Door<'a> {
    /// The door of `cx`, whose sockets are accepted with `flags`.
    pub(crate) fn new(cx: &'a Context, flags: SocketFlags) -> Self {
        Self {
            cx,
            flags,
            permit: None,
            full: &cx.gate,
            waiting: false,
            turned_away: 0,
            waits: true,
            looked_out: false,
            shortage: Shortage::new(),
        }
    }

    /// Takes in the next client, if there is one and there may be.
    ///
    /// Under [`OnFull::Wait`] the permit comes first, so that a client for whom there is no place
    /// stays in the kernel's queue. Once the drain began those come who are left there, then
    /// [`Met::Closed`], and nothing else.
    ///
    /// # Errors
    ///
    /// When the listener itself is unusable.
    pub(crate) fn next(&mut self) -> io::Result<Met> {
        loop {
            match self.closed()? {
                Some(Met::Closed) if self.looks_out() => return self.look_out(),
                Some(Met::Closed) => return self.leftover(),
                Some(met) => return Ok(met),
                None => {}
            }
            self.waits = false;
            if let Some(met) = self.admit(self.cx.listener.accept(self.flags))? {
                return Ok(met);
            }
        }
    }

    /// The caller waits for the listener now, whether or not somebody is there already.
    pub(crate) fn rest(&mut self) {
        self.waits = true;
    }

    /// Whether it is to be looked out once more: by a process that goes alone, if it was waiting for
    /// a client.
    fn looks_out(&mut self) -> bool {
        let goes_alone = self.cx.end.is_none() && self.cx.shared.stop.phase() == Phase::Draining;
        goes_alone && self.waits && !std::mem::replace(&mut self.looked_out, true)
    }

    /// Takes in the client that this process may have been woken for. Of those that share the
    /// listener the kernel wakes one; if that left without him, he would wait until the next client
    /// comes.
    fn look_out(&mut self) -> io::Result<Met> {
        self.waits = false;
        if self.cx.shared.config.limits.on_full == OnFull::Wait && self.permit.is_none() {
            self.permit = self.try_permit()?;
            if self.permit.is_none() {
                return Ok(Met::Closed);
            }
        }
        loop {
            match self.admit(self.cx.listener.accept(self.flags))? {
                None => {}
                Some(client @ Met::Client(..)) => return Ok(client),
                Some(_) => return Ok(Met::Closed),
            }
        }
    }

    /// The next of those whom the drain found in the accept queue. Who finds a place is served like
    /// all others that a drain finds, and who does not is told to go.
    fn leftover(&mut self) -> io::Result<Met> {
        let (cx, shared) = (self.cx, &self.cx.shared);
        let take = || cx.end.as_ref().and_then(|end| Some((end, end.take()?)));
        while let Some((end, (socket, peer))) = take() {
            let permit = match self.permit.take() {
                _ if shared.stop.phase() == Phase::Cutting => None,
                None => self.try_permit()?,
                permit => permit,
            };
            // One whose address has too many has no place either.
            let permit = permit.and_then(|mut permit| permit.is_for(peer).then_some(permit));
            let Some(permit) = permit else {
                shared.home_slot().count(Count::Dismissed);
                end.dismiss(socket, &peer);
                continue;
            };
            let socket = Socket::from(socket);
            // Fails on no socket that is open.
            socket.set_nonblocking(self.flags.contains(SocketFlags::NONBLOCK))?;
            let ticket = Ticket::new(peer, permit, Arc::clone(shared));
            return Ok(Met::Client(socket, ticket));
        }
        Ok(Met::Closed)
    }

    /// Why nobody may be accepted just now, or none: then whoever is, is to be
    /// [admitted](Self::admit).
    ///
    /// # Errors
    ///
    /// When the gate is unusable.
    pub(crate) fn closed(&mut self) -> io::Result<Option<Met>> {
        let shared = &self.cx.shared;
        if shared.stop.phase() != Phase::Serving {
            return Ok(Some(Met::Closed));
        }
        if shared.config.limits.on_full == OnFull::Wait && self.permit.is_none() {
            self.permit = self.try_permit()?;
            if self.permit.is_none() {
                if !std::mem::replace(&mut self.waiting, true) {
                    shared.home_slot().count(Count::Full);
                }
                return Ok(Some(Met::Full));
            }
            self.waiting = false;
        }
        Ok(None)
    }

    /// What is met, now that accepting was tried, whoever tried it; none if it may be tried anew
    /// at once.
    ///
    /// # Errors
    ///
    /// When the listener itself is unusable.
    pub(crate) fn admit(
        &mut self,
        accepted: io::Result<(OwnedFd, Peer)>,
    ) -> io::Result<Option<Met>> {
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => return self.failed(error),
        };
        self.shortage.over();
        let permit = match self.permit.take() {
            Some(permit) => Some(permit),
            None => self.try_permit()?,
        };
        let shared = &self.cx.shared;
        let Some(mut permit) = permit else {
            shared.home_slot().count(Count::Rejected);
            debug!(%peer, "rejected: the server is full");
            return Ok(self.turn_away(socket));
        };
        if !permit.is_for(peer) {
            shared.home_slot().count(Count::PerIp);
            debug!(%peer, "rejected: its address has too many connections");
            return Ok(self.turn_away(socket));
        }
        self.turned_away = 0;
        let ticket = Ticket::new(peer, permit, Arc::clone(shared));
        Ok(Some(Met::Client(socket.into(), ticket)))
    }

    /// Closes a connection that nobody will serve. Those who are served have their turn after some.
    fn turn_away(&mut self, socket: OwnedFd) -> Option<Met> {
        close_at_once(socket.into());
        self.turned_away += 1;
        if self.turned_away < AT_ONCE {
            return None;
        }
        self.turned_away = 0;
        Some(Met::Short(Duration::ZERO))
    }

    fn failed(&mut self, error: io::Error) -> io::Result<Option<Met>> {
        Ok(Some(match remedy(&error) {
            Remedy::Wait => {
                self.rest();
                Met::Nobody
            }
            Remedy::Retry => {
                debug!(%error, "a connection broke before it was accepted");
                return Ok(None);
            }
            Remedy::Pause => {
                self.rest();
                Met::Short(self.complain(&error))
            }
            Remedy::End => self.leftover()?,
            Remedy::GiveUp => return Err(error),
        }))
    }

    /// A client could not be handed to anybody and was dropped: how long to pause.
    pub(crate) fn refused(&mut self, error: &io::Error) -> Duration {
        self.cx.shared.home_slot().count(Count::Rejected);
        self.complain(error)
    }

    fn complain(&mut self, error: &io::Error) -> Duration {
        let complaints = &self.cx.shared.complaints;
        self.shortage.again(error, complaints, Instant::now())
    }

    /// First a seat of this process, so that nobody holds a place which he cannot use.
    fn try_permit(&mut self) -> io::Result<Option<HeldPermit>> {
        let cx = self.cx;
        self.full = cx.seats.as_ref().unwrap_or(&cx.gate);
        let seat = cx.seats.as_ref().map(Gate::try_enter).transpose()?;
        if matches!(seat, Some(None)) {
            return Ok(None);
        }
        self.full = &cx.gate;
        let permit = HeldPermit::try_take(&cx.gate, &cx.shared)?;
        Ok(permit.map(|permit| permit.with(seat.flatten())))
    }

    /// Readable when it is worth while to try again after [`Met::Full`].
    pub(crate) fn full(&self) -> BorrowedFd<'a> {
        self.full.as_fd()
    }
}

/// Closes a connection without a wait, and without a reset if what the client has sent is here: a
/// reset would be all that it learns.
fn close_at_once(socket: Socket) {
    let mut scratch = [0; DISCARD_BYTES];
    // Each fails only on a connection that is gone already.
    let _ = socket.shutdown(Shutdown::Write);
    for _ in 0..DISCARDS {
        match rustix::net::recv(&socket, &mut scratch, RecvFlags::DONTWAIT) {
            Ok((count, _)) if count > 0 => {}
            _ => break,
        }
    }
}

/// Says that it is ready, then accepts until the drain begins and hands each connection to
/// `dispatch`.
///
/// # Errors
///
/// When the listener itself is unusable.
pub(crate) fn serve(cx: &Context, dispatch: &Dispatch, on_ready: impl FnOnce()) -> io::Result<()> {
    let stop = &cx.shared.stop;
    let events = watch_listener(cx)?;
    on_ready();
    let mut door = Door::new(cx, SocketFlags::empty());
    loop {
        match door.next()? {
            Met::Client(socket, ticket) => {
                // A connection that could not be handed over was dropped, and with it closed.
                if let Err(error) = dispatch(Conn::new(socket, ticket)) {
                    Stop::sleep(stop.draining(), door.refused(&error));
                }
            }
            Met::Nobody => wait(&events)?,
            Met::Full => drop(Stop::wait_readable(door.full(), stop.draining(), None)?),
            Met::Short(pause) => Stop::sleep(stop.draining(), pause),
            Met::Closed => return Ok(()),
        }
    }
}

/// An epoll set of the listener and of the beginning of the drain.
fn watch_listener(cx: &Context) -> io::Result<OwnedFd> {
    let events = epoll::create(CreateFlags::CLOEXEC)?;
    // Exclusive: of several processes that share the listener, one wakes for a connection.
    let listener = EventFlags::IN | EventFlags::EXCLUSIVE;
    epoll::add(&events, &cx.listener, EventData::new_u64(0), listener)?;
    let draining = cx.shared.stop.draining();
    epoll::add(&events, draining, EventData::new_u64(1), EventFlags::IN)?;
    Ok(events)
}

fn wait(events: &OwnedFd) -> io::Result<()> {
    let mut room = Vec::with_capacity(2);
    match epoll::wait(events, rustix::buffer::spare_capacity(&mut room), None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
