//! Accepting: the loop of the blocking modes, and what an error of `accept` means in any mode.
//!
//! Nothing that goes wrong here ends the server: a connection that broke on its way is passed
//! over, and when descriptors or memory are short the loop backs off and says so, seldom.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use socket2::Socket;
use tracing::{debug, warn};

use crate::config::OnFull;
use crate::conn::{Conn, HeldPermit, Peer, Ticket};
use crate::executor::{Context, Dispatch};
use crate::stop::{Phase, Stop};

/// The first pause when the system is short of something; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause, and with it the longest time to notice that the shortage is over.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// At most one line a second says that the system is short.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// What to do about an error of `accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Nobody is there: wait for the next.
    Wait,
    /// That connection broke before it was taken: go on at once.
    Retry,
    /// The system is short of descriptors or memory: pause, then go on.
    Pause,
    /// The listening was ended: accept no more.
    End,
    /// The listener is unusable.
    GiveUp,
}

/// What an error number of `accept(2)` means.
#[must_use]
pub(crate) fn classify(error: Errno) -> Remedy {
    match error {
        Errno::AGAIN => Remedy::Wait,
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Remedy::Pause,
        Errno::INVAL => Remedy::End,
        Errno::BADF | Errno::NOTSOCK | Errno::FAULT => Remedy::GiveUp,
        // Linux passes errors of the new connection on: all of its network errors, a firewall's
        // EPERM, and whatever comes next. None of them is about the listener.
        _ => Remedy::Retry,
    }
}

/// Remembers how long the system has been short of something.
#[derive(Debug)]
pub(crate) struct Shortage {
    pause: Duration,
    logged: Option<Instant>,
}

impl Shortage {
    pub(crate) fn new() -> Self {
        Self {
            pause: FIRST_PAUSE,
            logged: None,
        }
    }

    /// Another failure at `now`; says so if it was not said lately, and how long to pause.
    pub(crate) fn again(&mut self, error: &io::Error, now: Instant) -> Duration {
        if self
            .logged
            .is_none_or(|logged| now.duration_since(logged) >= LOG_EVERY)
        {
            warn!(%error, "cannot take more connections for now; raise the limit (ulimit -n) or lower --max-connections");
            self.logged = Some(now);
        }
        let pause = self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        pause
    }

    /// It works again.
    pub(crate) fn over(&mut self) {
        self.pause = FIRST_PAUSE;
    }
}

/// The remedy for an error of `accept`.
pub(crate) fn remedy(error: &io::Error) -> Remedy {
    error.raw_os_error().map_or(Remedy::GiveUp, |number| {
        classify(Errno::from_raw_os_error(number))
    })
}

/// Accepts until the drain begins and hands each connection to `dispatch`.
///
/// # Errors
///
/// When the listener itself is unusable.
pub(crate) fn serve(cx: &Context, dispatch: &Dispatch) -> io::Result<()> {
    let mut acceptor = Acceptor::new(cx)?;
    while let Some(conn) = acceptor.next()? {
        // A connection that could not be handed over was dropped, and with it closed.
        if let Err(error) = dispatch(conn) {
            cx.shared.home_slot().rejected();
            let pause = acceptor.shortage.again(&error, Instant::now());
            Stop::sleep(cx.shared.stop.draining(), pause);
        }
    }
    Ok(())
}

/// The accepting side of the blocking modes.
struct Acceptor<'a> {
    cx: &'a Context,
    /// The listener and the beginning of the drain.
    events: std::os::fd::OwnedFd,
    shortage: Shortage,
}

impl<'a> Acceptor<'a> {
    fn new(cx: &'a Context) -> io::Result<Self> {
        let events = epoll::create(CreateFlags::CLOEXEC)?;
        // Exclusive: of several processes that share the listener, one wakes for a connection.
        let listener = EventFlags::IN | EventFlags::EXCLUSIVE;
        epoll::add(&events, &cx.listener, EventData::new_u64(0), listener)?;
        epoll::add(
            &events,
            cx.shared.stop.draining(),
            EventData::new_u64(1),
            EventFlags::IN,
        )?;
        Ok(Self {
            cx,
            events,
            shortage: Shortage::new(),
        })
    }

    /// The next admitted connection; none once the drain began or the listening was ended.
    fn next(&mut self) -> io::Result<Option<Conn>> {
        loop {
            let Some(permit) = self.permit_before_accept()? else {
                return Ok(None);
            };
            let Some((socket, peer)) = self.accept()? else {
                return Ok(None);
            };
            let Some(permit) =
                permit.map_or_else(|| self.try_permit(), |permit| Ok(Some(permit)))?
            else {
                self.cx.shared.home_slot().rejected();
                debug!(%peer, "rejected: the server is full");
                continue;
            };
            let ticket = Ticket::new(peer, permit, Arc::clone(&self.cx.shared));
            return Ok(Some(Conn::new(socket, ticket)));
        }
    }

    /// Under [`OnFull::Wait`] the permit comes first, so that a client for whom there is no place
    /// stays in the kernel's queue. The outer `None` means that the drain began.
    fn permit_before_accept(&self) -> io::Result<Option<Option<HeldPermit>>> {
        let shared = &self.cx.shared;
        if shared.config.limits.on_full == OnFull::Reject {
            return Ok((shared.stop.phase() == Phase::Serving).then_some(None));
        }
        while shared.stop.phase() == Phase::Serving {
            if let Some(permit) = self.try_permit()? {
                return Ok(Some(Some(permit)));
            }
            Stop::wait_readable(self.cx.gate.as_fd(), shared.stop.draining(), None)?;
        }
        Ok(None)
    }

    fn try_permit(&self) -> io::Result<Option<HeldPermit>> {
        HeldPermit::try_take(&self.cx.gate, &self.cx.shared)
    }

    /// The next connection, whoever it is; none once the drain began or the listening was ended.
    fn accept(&mut self) -> io::Result<Option<(Socket, Peer)>> {
        let stop = &self.cx.shared.stop;
        while stop.phase() == Phase::Serving {
            let error = match self.cx.listener.accept(SocketFlags::empty()) {
                Ok((socket, peer)) => {
                    self.shortage.over();
                    return Ok(Some((socket.into(), peer)));
                }
                Err(error) => error,
            };
            match remedy(&error) {
                Remedy::Wait => self.wait()?,
                Remedy::Retry => debug!(%error, "a connection broke before it was accepted"),
                Remedy::Pause => {
                    let pause = self.shortage.again(&error, Instant::now());
                    Stop::sleep(stop.draining(), pause);
                }
                Remedy::End => return Ok(None),
                Remedy::GiveUp => return Err(error),
            }
        }
        Ok(None)
    }

    fn wait(&self) -> io::Result<()> {
        let mut events = Vec::with_capacity(2);
        match epoll::wait(
            &self.events,
            rustix::buffer::spare_capacity(&mut events),
            None,
        ) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_accept_has_its_remedy() {
        for (remedy, errors) in [
            (Remedy::Wait, &[Errno::AGAIN][..]),
            (
                Remedy::Pause,
                &[Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM],
            ),
            (Remedy::End, &[Errno::INVAL]),
            (Remedy::GiveUp, &[Errno::BADF, Errno::NOTSOCK, Errno::FAULT]),
            (
                Remedy::Retry,
                &[
                    Errno::CONNABORTED,
                    Errno::INTR,
                    Errno::PERM,
                    Errno::PROTO,
                    Errno::NETDOWN,
                    Errno::NOPROTOOPT,
                    Errno::HOSTDOWN,
                    Errno::NONET,
                    Errno::HOSTUNREACH,
                    Errno::OPNOTSUPP,
                    Errno::NETUNREACH,
                    Errno::TIMEDOUT,
                ],
            ),
        ] {
            assert!(
                errors.iter().all(|error| classify(*error) == remedy),
                "{remedy:?}"
            );
        }
    }

    #[test]
    fn a_shortage_pauses_longer_and_longer_and_is_logged_seldom() {
        let (mut shortage, start) = (Shortage::new(), Instant::now());
        let error = io::Error::from_raw_os_error(24);
        let pauses: Vec<_> = (0..8)
            .map(|_| shortage.again(&error, start).as_millis())
            .collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 500, 500]);
        assert_eq!(shortage.logged, Some(start));
        shortage.again(&error, start + LOG_EVERY);
        assert_eq!(shortage.logged, Some(start + LOG_EVERY));
        shortage.over();
        assert_eq!(shortage.again(&error, start), FIRST_PAUSE);
    }
}
