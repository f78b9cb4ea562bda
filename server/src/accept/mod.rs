//! Accepting: the door that every mode shares, and the loop of the blocking modes (`lobby`).
//!
//! Nothing that goes wrong here ends the server: a connection that broke on its way is passed
//! over, and when descriptors or memory are short the loop backs off and says so, seldom.

mod guest;
mod lobby;
mod trouble;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::SocketFlags;
use socket2::Socket;
use tracing::debug;

pub(crate) use self::guest::Guest;
use self::guest::close_at_once;
pub(crate) use self::lobby::{each, serve};
use self::trouble::Shortage;
pub(crate) use self::trouble::{Complaints, Remedy, remedy};
use crate::board::Count;
use crate::config::{Accept, OnFull};
use crate::conn::Ticket;
use crate::executor::Context;
use crate::gate::Permit;
use crate::permit::HeldPermit;
use crate::source::{Arrival, Source};
use crate::stop::Phase;

/// Clients turned away before those who are served have their turn.
const AT_ONCE: usize = 64;

/// What is met at the door.
#[derive(Debug)]
pub(crate) enum Met<Client = (Socket, Ticket)> {
    /// A client with a permit.
    Client(Client),
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
    source: &'a Source,
    /// How accepted sockets shall be.
    flags: SocketFlags,
    /// Taken before the client is there, under [`OnFull::Wait`].
    permit: Option<HeldPermit>,
    /// A seat of this process, taken before the client is there: another one may have room for him.
    seat: Option<Permit>,
    /// Whether this process had no seat when it was last tried.
    lacks_seat: bool,
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
    /// The only door of `cx`, whose sockets are accepted with `flags`.
    pub(crate) fn new(cx: &'a Context, flags: SocketFlags) -> Self {
        Self::of(cx, 0, flags)
    }

    /// That of reactor `number`.
    pub(crate) fn of(cx: &'a Context, number: usize, flags: SocketFlags) -> Self {
        Self {
            cx,
            source: cx.source(number),
            flags,
            permit: None,
            seat: None,
            lacks_seat: false,
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
        let met = self.meet()?;
        Ok(self.open(met))
    }

    /// The same, with a client who is not counted yet.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    pub(crate) fn meet(&mut self) -> io::Result<Met<Guest>> {
        loop {
            match self.closed()? {
                Some(Met::Closed) if self.looks_out() => return self.look_out(),
                Some(Met::Closed) => return self.leftover(),
                Some(met) => return Ok(met),
                None => {}
            }
            self.waits = false;
            let arrived = self.source.accept(self.flags);
            if let Some(met) = self.receive(arrived)? {
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
        let goes_alone = self.cx.goes_alone() && self.cx.shared.stop.phase() == Phase::Draining;
        goes_alone && self.waits && !std::mem::replace(&mut self.looked_out, true)
    }

    /// Takes in the client that this process may have been woken for. Of those that share the
    /// listener the kernel wakes one; if that left without him, he would wait until the next client
    /// comes.
    fn look_out(&mut self) -> io::Result<Met<Guest>> {
        self.waits = false;
        if self.cx.shared.config.limits.on_full == OnFull::Wait && self.permit.is_none() {
            self.permit = self.try_permit()?;
            if self.permit.is_none() {
                return Ok(Met::Closed);
            }
        }
        loop {
            let arrived = self.source.accept(self.flags);
            match self.receive(arrived)? {
                None => {}
                Some(client @ Met::Client(..)) => return Ok(client),
                Some(_) => return Ok(Met::Closed),
            }
        }
    }

    fn open(&self, met: Met<Guest>) -> Met {
        match met {
            Met::Client(guest) => Met::Client(guest.open(&self.cx.shared)),
            Met::Nobody => Met::Nobody,
            Met::Full => Met::Full,
            Met::Short(pause) => Met::Short(pause),
            Met::Closed => Met::Closed,
        }
    }

    /// The next of those whom the drain found in the accept queue. Who finds a place is served like
    /// all others that a drain finds, and who does not is told to go.
    fn leftover(&mut self) -> io::Result<Met<Guest>> {
        let (cx, shared) = (self.cx, &self.cx.shared);
        let take = || cx.end.as_ref().and_then(|end| Some((end, end.take()?)));
        while let Some((
            end,
            Arrival {
                socket,
                peer,
                accepted,
                handed,
            },
        )) = take()
        {
            let is_counted = handed.is_some();
            let permit = match handed {
                Some(handed) => Some(HeldPermit::handed(&cx.gate, handed, shared)),
                None => match self.permit.take() {
                    None => self.try_permit()?,
                    permit => permit,
                }
                // One whose address has too many has no place either.
                .and_then(|mut permit| permit.is_for(peer).then_some(permit)),
            };
            let Some(permit) = permit.filter(|_| shared.stop.phase() != Phase::Cutting) else {
                shared.home_slot().count(Count::Dismissed);
                end.dismiss(socket, &peer);
                continue;
            };
            let guest = Guest {
                socket: socket.into(),
                peer,
                accepted,
                permit,
                is_counted,
            };
            guest.suit(self.flags)?;
            return Ok(Met::Client(guest));
        }
        self.hold_nothing();
        Ok(Met::Closed)
    }

    /// Why nobody may be accepted just now, or none: then whoever is, is to be
    /// [admitted](Self::admit).
    ///
    /// # Errors
    ///
    /// When the gate is unusable.
    pub(crate) fn closed(&mut self) -> io::Result<Option<Met<Guest>>> {
        let shared = &self.cx.shared;
        if shared.stop.phase() != Phase::Serving {
            return Ok(Some(Met::Closed));
        }
        // Who was handed out has one.
        let needs_permit = matches!(self.source, Source::Listener(_)) && self.permit.is_none();
        if shared.config.limits.on_full == OnFull::Wait && needs_permit {
            self.permit = self.try_permit()?;
            if self.permit.is_none() {
                if !std::mem::replace(&mut self.waiting, true) {
                    shared.home_slot().count(Count::Full);
                }
                return Ok(Some(Met::Full));
            }
            self.waiting = false;
        }
        if shared.config.limits.on_full == OnFull::Reject
            && !self.try_seat()?
            && !self.cx.gate.is_empty()?
        {
            // The server is not full, so that nobody is rejected: others have seats.
            return Ok(Some(Met::Full));
        }
        Ok(None)
    }

    /// What is met, now that accepting was tried, whoever tried it; none if it may be tried anew
    /// at once.
    ///
    /// # Errors
    ///
    /// When the listener itself is unusable.
    pub(crate) fn admit(&mut self, arrived: io::Result<Arrival>) -> io::Result<Option<Met>> {
        let met = self.receive(arrived)?;
        Ok(met.map(|met| self.open(met)))
    }

    fn receive(&mut self, arrived: io::Result<Arrival>) -> io::Result<Option<Met<Guest>>> {
        let Arrival {
            socket,
            peer,
            accepted,
            handed,
        } = match arrived {
            Ok(arrived) => arrived,
            Err(error) => return self.failed(error),
        };
        self.shortage.over();
        let shared = &self.cx.shared;
        if let Some(handed) = handed {
            let guest = Guest {
                socket: socket.into(),
                peer,
                accepted,
                permit: HeldPermit::handed(&self.cx.gate, handed, shared),
                is_counted: true,
            };
            guest.suit(self.flags)?;
            return Ok(Some(Met::Client(guest)));
        }
        let permit = match self.permit.take() {
            Some(permit) => Some(permit),
            None => self.try_permit()?,
        };
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
        Ok(Some(Met::Client(Guest {
            socket: socket.into(),
            peer,
            accepted,
            permit,
            is_counted: false,
        })))
    }

    /// Closes a connection that nobody will serve. Those who are served have their turn after some.
    fn turn_away(&mut self, socket: OwnedFd) -> Option<Met<Guest>> {
        close_at_once(socket.into());
        self.turned_away += 1;
        if self.turned_away < AT_ONCE {
            return None;
        }
        self.turned_away = 0;
        Some(Met::Short(Duration::ZERO))
    }

    fn failed(&mut self, error: io::Error) -> io::Result<Option<Met<Guest>>> {
        Ok(Some(match remedy(&error) {
            Remedy::Wait => {
                self.rest();
                if self.looks_first() {
                    self.hold_nothing();
                }
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
        self.cx.shared.home_slot().count_short();
        self.complain(error)
    }

    fn complain(&mut self, error: &io::Error) -> Duration {
        let complaints = &self.cx.shared.complaints;
        self.shortage.again(error, complaints, Instant::now())
    }

    /// First a seat of this process, so that nobody holds a place which he cannot use.
    fn try_permit(&mut self) -> io::Result<Option<HeldPermit>> {
        if !self.try_seat()? {
            return Ok(None);
        }
        // It is not kept without a permit, for which this door waits now.
        let seat = self.seat.take();
        let permit = HeldPermit::try_take(&self.cx.gate, &self.cx.shared)?;
        Ok(permit.map(|permit| permit.with(seat)))
    }

    /// Whether a seat of this process is in hand, or none is needed.
    fn try_seat(&mut self) -> io::Result<bool> {
        let cx = self.cx;
        if self.seat.is_none()
            && let Some(seats) = &cx.seats
        {
            self.seat = seats.try_enter()?;
            self.lacks_seat = self.seat.is_none();
        }
        Ok(!self.lacks_seat)
    }

    /// Gives back what was taken for a client who has not come: somebody else may have one for it.
    fn hold_nothing(&mut self) {
        self.permit = None;
        self.seat = None;
    }

    /// Whether this process has no seat for anybody. At the listener it can only reject then, in a
    /// server that is full, and must leave those who come when that is over to the others: it may
    /// not be the only one to be woken for them.
    pub(crate) fn lacks_seat(&self) -> bool {
        self.lacks_seat
    }

    /// Whether nobody may wait for a client with a permit in his hand: he would keep it from those
    /// who have one, at a socket of their own.
    pub(crate) fn looks_first(&self) -> bool {
        self.cx.shared.config.accept != Accept::Shared
    }

    /// Readable while somebody is there.
    pub(crate) fn source(&self) -> &'a Source {
        self.source
    }

    /// Readable when it is worth while to try again after [`Met::Full`].
    pub(crate) fn full(&self) -> BorrowedFd<'a> {
        let cx = self.cx;
        let seats = cx.seats.as_ref().filter(|_| self.lacks_seat);
        seats.unwrap_or(&cx.gate).as_fd()
    }
}

#[cfg(test)]
mod tests;
