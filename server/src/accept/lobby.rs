//! The loop of those who accept on a thread of their own: the blocking modes, and the master that
//! hands connections out.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::{Door, Guest, Met};
use crate::conn::Conn;
use crate::executor::{Context, Dispatch};
use crate::source::Source;
use crate::stop::Stop;

/// Says that it is ready, then accepts until the drain begins and hands each connection to
/// `dispatch`.
///
/// # Errors
///
/// When the source itself is unusable.
pub(crate) fn serve(cx: &Context, dispatch: &Dispatch, on_ready: impl FnOnce()) -> io::Result<()> {
    each(cx, on_ready, |guest| {
        let (socket, ticket) = guest.open(&cx.shared);
        dispatch(Conn::new(socket, ticket))
    })
}

/// The same with `take`, which gets clients who are not counted yet. One that it could not take was
/// dropped, and with it closed.
///
/// # Errors
///
/// When the source itself is unusable.
pub(crate) fn each(
    cx: &Context,
    on_ready: impl FnOnce(),
    mut take: impl FnMut(Guest) -> io::Result<()>,
) -> io::Result<()> {
    let stop = &cx.shared.stop;
    let mut door = Door::new(cx, SocketFlags::empty());
    let events = watch(door.source(), stop)?;
    on_ready();
    loop {
        match door.meet()? {
            Met::Client(guest) => {
                if let Err(error) = take(guest) {
                    Stop::sleep(stop.draining(), door.refused(&error));
                }
            }
            Met::Nobody if door.lacks_seat() => {
                // Not exclusive: he who comes when others have seats again is theirs.
                let source = door.source().as_fd();
                Stop::wait_readable(source, stop.draining(), cx.look_out_every())?;
            }
            Met::Nobody => wait(&events, cx.look_out_every())?,
            Met::Full => {
                Stop::wait_readable(door.full(), stop.draining(), None)?;
            }
            Met::Short(pause) => Stop::sleep(stop.draining(), pause),
            Met::Closed => return Ok(()),
        }
    }
}

/// An epoll set of the source and of the beginning of the drain.
fn watch(source: &Source, stop: &Stop) -> io::Result<OwnedFd> {
    let events = epoll::create(CreateFlags::CLOEXEC)?;
    // Exclusive: of several processes that share a listener, one wakes for a connection.
    let flags = EventFlags::IN | EventFlags::EXCLUSIVE;
    epoll::add(&events, source, EventData::new_u64(0), flags)?;
    epoll::add(
        &events,
        stop.draining(),
        EventData::new_u64(1),
        EventFlags::IN,
    )?;
    Ok(events)
}

fn wait(events: &OwnedFd, limit: Option<Duration>) -> io::Result<()> {
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    let mut room = [std::mem::MaybeUninit::uninit(); 2];
    match epoll::wait(events, &mut room, limit.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
