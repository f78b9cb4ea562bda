//! The parent's side of a process for each connection: start it, hand the connection over, tell it
//! of the drain, and bury it.
//!
//! The place of a connection (its permit, its line in the books, its entry for the drain) stays
//! here until its process is buried, however that died. The socket does not: the parent's copy is
//! closed as soon as the child has its own, or the client would see no end.
//!
//! Invariant: processes are started on the thread that accepts, which lives as long as the server:
//! the kernel kills a child when the *thread* that started it is gone.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use tracing::{debug, warn};

use super::channel::{Channel, Handover, Legacy, Word};
use super::connection::COULD_NOT_SERVE;
use super::fate::fate;
use super::offspring::Offspring;
use crate::config::WorkerCommand;
use crate::conn::{Conn, Place, Shared};
use crate::herald::conceal;
use crate::log;
use crate::stop::{Phase, Stop};

/// Deaths taken from the kernel at once.
const EVENTS: usize = 64;
/// Tokens that are no number of a connection; those begin at 1 and never come near.
const DRAINING: u64 = u64::MAX;
const CUTTING: u64 = u64::MAX - 1;
const CLOSED: u64 = u64::MAX - 2;
/// With the number of a connection: its process has said something.
const WORD: u64 = 1 << 63;

/// Starts processes, each with a connection.
#[derive(Debug)]
pub(crate) struct Nursery {
    shared: Arc<Shared>,
    worker: WorkerCommand,
    ward: Arc<Ward>,
}

/// Where the living are watched, by a thread of its own.
#[derive(Debug)]
struct Ward {
    /// The deaths, the signs of the end, and `closed`.
    events: OwnedFd,
    /// Readable once nobody will be started any more.
    closed: OwnedFd,
    living: Mutex<HashMap<u64, Living>>,
}

#[derive(Debug)]
struct Living {
    process: Offspring,
    channel: Channel,
    place: Place,
}

impl Nursery {
    /// A nursery whose processes are started by `worker`.
    ///
    /// # Errors
    ///
    /// When threads or descriptors are short.
    pub(crate) fn new(shared: Arc<Shared>, worker: WorkerCommand) -> io::Result<Self> {
        let ward = Arc::new(Ward::open(&shared.stop)?);
        let (watched, watcher) = (Arc::clone(&ward), Arc::clone(&shared));
        let thread = thread::Builder::new().name("reaper".into());
        thread.spawn(move || {
            if let Err(error) = watched.watch(&watcher) {
                warn!(%error, "cannot watch the processes any more: ending all of them");
                watcher.stop.cut();
            }
        })?;
        Ok(Self {
            shared,
            worker,
            ward,
        })
    }

    /// Starts a process for `conn` and hands it over.
    ///
    /// # Errors
    ///
    /// When processes, descriptors or memory are short; then the connection is closed.
    pub(crate) fn raise(&self, conn: Conn) -> io::Result<()> {
        // The last is the first to be dropped: a socket is closed before its place is free.
        let (place, entry) = conn.into_parts();
        let (id, peer, accepted) = place.holder();
        let (channel, theirs) = Channel::pair()?;
        let process = self.start(id, theirs)?;
        let handover = Handover {
            id,
            peer,
            accepted,
            slot: self.shared.home,
            slots: self.shared.board.len(),
            parent: std::process::id(),
            config: self.shared.config.clone(),
            log: log::format(),
        };
        let legacy = Legacy {
            connection: entry.socket.as_fd(),
            board: self.shared.board.as_fd(),
        };
        let handed_over = channel.hand_over(&handover, &legacy);
        // Now or never: the child has the connection, or nobody shall.
        drop(entry);
        handed_over?;
        place.begun();
        debug!(
            id,
            pid = process.pid(),
            "started a process for a connection"
        );
        let living = Living {
            process,
            channel,
            place,
        };
        self.ward.admit(id, living, &self.shared.stop)
    }

    fn start(&self, id: u64, channel: OwnedFd) -> io::Result<Offspring> {
        Offspring::start(
            conceal(&mut Command::new(&self.worker.program))
                .args(&self.worker.args)
                .arg0(format!("echolab-conn-{id}"))
                .stdin(Stdio::from(channel))
                // The ready line is the server's alone.
                .stdout(Stdio::null()),
        )
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        // The counter is 0 before, so the write can neither block nor fail.
        let _ = rustix::io::write(&self.ward.closed, &1_u64.to_ne_bytes());
    }
}

impl Ward {
    fn open(stop: &Stop) -> io::Result<Self> {
        let events = epoll::create(CreateFlags::CLOEXEC)?;
        let closed = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        for (fd, token) in [
            (stop.draining(), DRAINING),
            (stop.cutting(), CUTTING),
            (closed.as_fd(), CLOSED),
        ] {
            // Once each: it stays raised.
            let flags = EventFlags::IN | EventFlags::ONESHOT;
            epoll::add(&events, fd, EventData::new_u64(token), flags)?;
        }
        Ok(Self {
            events,
            closed,
            living: Mutex::default(),
        })
    }

    fn living(&self) -> MutexGuard<'_, HashMap<u64, Living>> {
        // Nobody panics with it; if so, the map would still be whole.
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches over one that was started.
    fn admit(&self, id: u64, newcomer: Living, stop: &Stop) -> io::Result<()> {
        // Under the lock, so that whoever hears of its death finds it, and the announcement of a
        // phase comes either before this look at it or after the newcomer is there.
        let mut living = self.living();
        let token = EventData::new_u64(id);
        epoll::add(&self.events, &newcomer.process, token, EventFlags::IN)?;
        // Once: there is one word to be heard, and after it the end.
        let (token, flags) = (
            EventData::new_u64(WORD | id),
            EventFlags::IN | EventFlags::ONESHOT,
        );
        epoll::add(&self.events, &newcomer.channel, token, flags)?;
        newcomer.tell(stop.phase());
        living.insert(id, newcomer);
        Ok(())
    }

    /// Until nobody is left and nobody will come.
    fn watch(&self, shared: &Shared) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS);
        let mut closed = false;
        while !(closed && self.living().is_empty()) {
            events.clear();
            match epoll::wait(
                &self.events,
                rustix::buffer::spare_capacity(&mut events),
                None,
            ) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    DRAINING | CUTTING => {
                        let phase = shared.stop.phase();
                        self.living().values().for_each(|one| one.tell(phase));
                    }
                    CLOSED => closed = true,
                    token if token & WORD != 0 => self.hear(token & !WORD),
                    id => self.bury(id, shared)?,
                }
            }
        }
        Ok(())
    }

    /// Notes what one says, whose channel is readable. At its end there is nothing to note.
    fn hear(&self, id: u64) {
        if let Some(one) = self.living().get(&id)
            && let Ok(Some(Word::Answered)) = one.channel.hear()
        {
            one.place.answered();
        }
    }

    /// Reads a dead one's fate, which removes the zombie, and gives its place back.
    fn bury(&self, id: u64, shared: &Shared) -> io::Result<()> {
        let mut living = self.living();
        let Some(one) = living.get_mut(&id) else {
            return Ok(());
        };
        let Some(status) = one.process.bury()? else {
            return Ok(());
        };
        epoll::delete(&self.events, &one.process)?;
        let buried = living.remove(&id);
        drop(living);
        let (pid, fate) = (buried.as_ref().map(|one| one.process.pid()), fate(status));
        match status.code() {
            Some(0) => debug!(id, pid, "the process of a connection ended"),
            Some(code) if code == i32::from(COULD_NOT_SERVE) => {
                shared.home_slot().count_short();
                if shared.complaints.may(Instant::now()) {
                    warn!(id, pid, %fate, "cannot take more connections for now: a new process lacks what it needs; lower --max-connections");
                }
            }
            _ => warn!(id, pid, %fate, "the process of a connection died"),
        }
        drop(buried);
        // What it served was counted by itself.
        shared.wear.note(shared.home_slot().counters().requests);
        Ok(())
    }
}

impl Living {
    /// Tells it how far the end has come. One that cannot be told is dead, which is noticed soon.
    fn tell(&self, phase: Phase) {
        let word = match phase {
            Phase::Serving => return,
            Phase::Draining => Word::Drain,
            Phase::Cutting => Word::Cut,
        };
        let _ = self.channel.say(word);
    }
}
