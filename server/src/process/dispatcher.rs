//! `--accept handoff`: the master accepts, and hands each connection to the least loaded worker.
//!
//! ```text
//!            door ──▶ dispatcher ──SCM_RIGHTS──▶ worker with the fewest permits on the board
//!        (permit, policy)   ▲
//!                           └── free seats, workers that come and go
//! ```
//!
//! It works on a thread of its own, so that neither clients nor workers hold up the master: it never
//! waits for a worker to take a connection. One that nobody can take is in hand until somebody can;
//! those behind it stay in the kernel's queue. A connection has left this process when it is passed,
//! and its permit is on the worker's account.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use tracing::debug;

use super::handoff::{Hand, Refusal};
use super::intake::Invitation;
use crate::accept::{self, Guest};
use crate::board::{Board, Count};
use crate::config::OnFull;
use crate::executor::Context;
use crate::gate::{Gate, Permit};
use crate::listener::ListenEnd;
use crate::stop::{Phase, Stop};

/// Events taken from the kernel at once, only to be forgotten.
const EVENTS: usize = 64;
/// How long a client who is in hand when the server is replaced may wait for a worker.
const PATIENCE: Duration = Duration::from_secs(2);
/// A look without a wait.
const AT_ONCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// The thread, and whom it hands connections to.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    team: Arc<Team>,
    end: ListenEnd,
    thread: JoinHandle<io::Result<()>>,
}

impl Dispatcher {
    /// Begins to accept as `cx` says. Each worker may have `seats` connections, where that is less
    /// than all.
    ///
    /// # Errors
    ///
    /// When threads or descriptors are short.
    pub(super) fn start(cx: Context, end: ListenEnd, seats: Option<u32>) -> io::Result<Self> {
        let team = Arc::new(Team::new(Arc::clone(&cx.shared.board), seats)?);
        let members = Arc::clone(&team);
        let thread = thread::Builder::new().name("dispatcher".into());
        let thread = thread.spawn(move || {
            let accepted = accept::each(&cx, || (), |guest| members.place(guest, &cx));
            // Without it nobody would be served any more.
            cx.shared.stop.drain();
            accepted
        })?;
        Ok(Self { team, end, thread })
    }

    /// Prepares for a worker that is about to be started in that slot.
    ///
    /// # Errors
    ///
    /// When descriptors are short.
    pub(super) fn invite(&self, slot: usize) -> io::Result<Invitation> {
        let (hand, source) = Hand::pair()?;
        let seats = self.team.seats.map(Gate::new).transpose()?;
        let member = Member {
            hand,
            seats: seats.clone(),
            ready: false,
        };
        self.strike(slot);
        self.team.lock().insert(slot, member);
        Ok(Invitation { source, seats })
    }

    /// From now on it gets connections.
    ///
    /// # Errors
    ///
    /// When memory is short.
    pub(super) fn enlist(&self, slot: usize) -> io::Result<()> {
        let mut members = self.team.lock();
        if let Some(member) = members.get_mut(&slot) {
            member.ready = true;
            let token = EventData::new_u64(slot as u64);
            let writable = EventFlags::OUT | EventFlags::ET;
            epoll::add(&self.team.news, &member.hand, token, writable)?;
            if let Some(seats) = &member.seats {
                epoll::add(&self.team.news, seats, token, EventFlags::IN)?;
            }
        }
        drop(members);
        self.team.tell();
        Ok(())
    }

    /// From now on it gets nothing, and hears the end of what it gets. To be called before its books
    /// are settled.
    pub(super) fn strike(&self, slot: usize) {
        self.team.strike(&mut self.team.lock(), slot);
    }

    /// Hands out, or dismisses, who is left at the door once the drain began, and ends the listening.
    /// Returns its end, and how many were dismissed at last.
    ///
    /// # Errors
    ///
    /// When accepting had failed.
    pub(super) fn finish(self) -> io::Result<(ListenEnd, u64)> {
        let panicked = || io::Error::other("the dispatcher panicked");
        let accepted = self.thread.join().map_err(|_| panicked())?;
        let dismissed = self.end.dismiss_all() + self.end.refuse();
        accepted.map(|()| (self.end, dismissed))
    }
}

/// Whom connections are handed to.
#[derive(Debug)]
struct Team {
    members: Mutex<BTreeMap<usize, Member>>,
    board: Arc<Board>,
    /// How many connections each may have.
    seats: Option<u32>,
    /// Readable when somebody may be able to take a connection who was not.
    news: OwnedFd,
    /// Told of members that come.
    changed: OwnedFd,
}

/// A worker.
#[derive(Debug)]
struct Member {
    hand: Hand,
    /// Its places that nobody has.
    seats: Option<Gate>,
    ready: bool,
}

/// Why nobody takes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Because {
    /// All who could have as many as they may have.
    Full,
    /// Nobody is there, or has taken what he was given before.
    NobodyComes,
}

impl Team {
    fn new(board: Arc<Board>, seats: Option<u32>) -> io::Result<Self> {
        let news = epoll::create(CreateFlags::CLOEXEC)?;
        let changed = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        epoll::add(
            &news,
            &changed,
            EventData::new_u64(u64::MAX),
            EventFlags::IN,
        )?;
        Ok(Self {
            members: Mutex::default(),
            board,
            seats,
            news,
            changed,
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Member>> {
        // Nobody panics with it; if so, the map would still be whole.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        // The counter is far from its end, so the write can neither block nor fail.
        let _ = rustix::io::write(&self.changed, &1_u64.to_ne_bytes());
    }

    fn strike(&self, members: &mut BTreeMap<usize, Member>, slot: usize) {
        if let Some(Member { hand, seats, ready }) = members.remove(&slot)
            && ready
        {
            // They would stay in the set as long as the worker has them.
            let _ = epoll::delete(&self.news, &hand);
            seats.map(|seats| epoll::delete(&self.news, seats));
        }
    }

    /// Hands a connection out, as soon as somebody can take it.
    fn place(&self, mut guest: Guest, cx: &Context) -> io::Result<()> {
        let (shared, stop) = (&cx.shared, &cx.shared.stop);
        let (mut is_counted, mut until) = (false, None);
        loop {
            let because;
            (guest, because) = match self.offer(guest) {
                Ok(()) => return Ok(()),
                Err(unplaced) => unplaced,
            };
            let limit = match (stop.phase(), until) {
                (Phase::Serving, _) => None,
                // Those behind this one are left to whoever listens on; this one is in our hands.
                (Phase::Draining, None) if cx.goes_alone() => {
                    until = Some(Instant::now() + PATIENCE);
                    Some(PATIENCE)
                }
                (Phase::Draining, Some(until)) if Instant::now() < until => {
                    Some(until.saturating_duration_since(Instant::now()))
                }
                _ => {
                    shared.home_slot().count(Count::Dismissed);
                    guest.dismiss(cx);
                    return Ok(());
                }
            };
            if because == Because::Full {
                if shared.config.limits.on_full == OnFull::Reject {
                    shared.home_slot().count(Count::Rejected);
                    guest.reject();
                    return Ok(());
                }
                if !std::mem::replace(&mut is_counted, true) {
                    shared.home_slot().count(Count::Full);
                }
            }
            let event = match limit {
                None => stop.draining(),
                Some(_) => stop.cutting(),
            };
            self.wait(event, limit)?;
        }
    }

    /// Gives a connection to the member that has the fewest, of those who can take it.
    fn offer(&self, mut guest: Guest) -> Result<(), (Guest, Because)> {
        let mut members = self.lock();
        let ready = members.iter().filter(|(_, member)| member.ready);
        let mut ready: Vec<_> = ready
            .map(|(slot, _)| (self.board[*slot].held(), *slot))
            .collect();
        ready.sort_unstable();
        let mut because = match ready.is_empty() {
            true => Because::NobodyComes,
            false => Because::Full,
        };
        for (_, slot) in ready {
            let Some(Member { hand, seats, .. }) = members.get(&slot) else {
                continue;
            };
            let seat = seats.as_ref().map(Gate::try_enter);
            let Ok(seat) = seat.transpose() else { continue };
            if matches!(seat, Some(None)) {
                continue;
            }
            let refusal;
            (guest, refusal) =
                match guest.pass_on(slot, |connection, passing| hand.pass(connection, &passing)) {
                    Ok(()) => {
                        seat.flatten().into_iter().for_each(Permit::pass_on);
                        return Ok(());
                    }
                    Err(refused) => refused,
                };
            because = Because::NobodyComes;
            if refusal == Refusal::Gone {
                debug!(slot, "a worker takes no connections any more");
                self.strike(&mut members, slot);
            }
        }
        Err((guest, because))
    }

    /// Waits until somebody may be able to take a connection, or `event` happened, or `limit` passed.
    fn wait(&self, event: BorrowedFd<'_>, limit: Option<Duration>) -> io::Result<()> {
        Stop::wait_readable(self.news.as_fd(), event, limit)?;
        let mut room = Vec::with_capacity(EVENTS);
        // What was told is looked at as a whole.
        epoll::wait(
            &self.news,
            rustix::buffer::spare_capacity(&mut room),
            Some(&AT_ONCE),
        )?;
        let _ = rustix::io::read(&self.changed, &mut [0_u8; 8]);
        Ok(())
    }
}
