//! An upgrade without a gap (USR2): the program is started anew by the path that this one was started
//! by, gets the listening sockets, and this one drains as soon as that one is ready.
//!
//! ```text
//!             sockets ─────▶
//! this one ═══ socket pair ═══ its successor (standard input)
//!             ◀───── ready
//!             yours  ─────▶    both listen all the while; whoever is here is served here
//! ```
//!
//! Until the word *yours* all is as before: a successor that does not come leaves no trace. From then
//! on this server goes alone, as a worker does that is replaced: it takes nobody away with it, and
//! those in the accept queue are the successor's.

mod estate;
mod succession;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use tracing::{error, info};

pub(crate) use self::estate::Estate;
pub(crate) use self::succession::{Ancestry, Succession};
use crate::admin::Running;
use crate::config::ServerCommand;
use crate::herald::{self, Herald};
use crate::listener::Tenure;
use crate::process::{Channel, Offspring, Word, fate};
use crate::stop::{Phase, Stop};

/// Tells a process that it is a successor: the number of its predecessor, which must be its parent.
pub(crate) const PREDECESSOR: &str = "ECHOLAB_PREDECESSOR";
/// How long one that is not to be may take to end by itself: it may have clients already.
const END_LIMIT: Duration = Duration::from_secs(3);

/// Where upgrades are asked for. Clones are the same place.
#[derive(Clone, Debug)]
pub(crate) struct Upgrades(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// Readable once one is asked for.
    asked: OwnedFd,
}

/// What an upgrade that is asked for meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The server itself is not ready.
    Starting,
    Possible,
    UnderWay,
    /// The server ends.
    Over,
    /// It ends because another one has taken over.
    Succeeded,
}

impl Upgrades {
    /// None is possible yet.
    ///
    /// # Errors
    ///
    /// When descriptors are short.
    pub(crate) fn new() -> io::Result<Self> {
        let asked = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        let state = Mutex::new(State::Starting);
        Ok(Self(Arc::new(Inner { state, asked })))
    }

    /// Asks for one.
    pub(crate) fn ask(&self) {
        let mut state = self.state();
        match *state {
            State::Starting => info!("ignored: the server is not ready yet; send USR2 again later"),
            State::UnderWay => info!("ignored: an upgrade is under way"),
            State::Over | State::Succeeded => info!("ignored: the server ends"),
            State::Possible => {
                *state = State::UnderWay;
                // The counter is far from its end, so the write can neither block nor fail.
                let _ = rustix::io::write(&self.0.asked, &1_u64.to_ne_bytes());
            }
        }
    }

    /// Whether another server has taken over.
    pub(crate) fn has_successor(&self) -> bool {
        *self.state() == State::Succeeded
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.state() = state;
    }
}

/// How a successor is started, and what it gets.
#[derive(Debug)]
pub(crate) struct Predecessor {
    pub(crate) command: ServerCommand,
    /// The server's own arguments.
    pub(crate) args: Vec<OsString>,
    pub(crate) estate: Estate,
    pub(crate) tenure: Tenure,
    /// The endpoint of an operator, which is the successor's then.
    pub(crate) admin: Admin,
    pub(crate) stop: Stop,
    pub(crate) herald: Herald,
    /// How long it may take to be ready.
    pub(crate) limit: Duration,
}

/// The endpoint of an operator, while this server has it. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admin(Arc<Mutex<Option<(Running, Tenure)>>>);

impl Admin {
    /// It is served from now on.
    pub(crate) fn set(&self, running: Running, tenure: Tenure) {
        *self.lock() = Some((running, tenure));
    }

    /// Ends it, where it is not somebody else's.
    pub(crate) fn end(&self) {
        drop(self.lock().take());
    }

    /// Whoever asks from now on asks the successor, and whoever listens to events is told to.
    fn give(&self) {
        if let Some((running, tenure)) = self.lock().take() {
            tenure.give();
            drop(running);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Running, Tenure)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no successor.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot run it: {0}")]
    Start(io::Error),
    #[error("it {} before it was ready", fate(*.0))]
    Ended(ExitStatus),
    #[error("it was not ready within {}", cli::units::span(*.0))]
    Late(Duration),
    #[error("this server ends")]
    Overtaken,
    #[error("it cannot be watched: {0}")]
    System(#[from] io::Error),
}

impl Predecessor {
    /// From now on upgrades are possible; they are made on a thread of its own, which ends with the
    /// server and must be waited for: it leaves no successor behind that is not ready.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub(crate) fn start(self, upgrades: Upgrades) -> io::Result<JoinHandle<()>> {
        let thread = thread::Builder::new().name("upgrade".into());
        upgrades.set(State::Possible);
        thread.spawn(move || {
            let asked = upgrades.0.asked.as_fd();
            // Polling two valid descriptors does not fail.
            while let Ok(asks) = Stop::wait_readable(asked, self.stop.draining(), None) {
                if self.stop.phase() != Phase::Serving {
                    break;
                }
                if asks {
                    let _ = rustix::io::read(asked, &mut [0_u8; 8]);
                    let outcome = self.attempt();
                    let succeeded = outcome.is_ok();
                    // Before it is said: whoever hears of it may ask again.
                    upgrades.set(match succeeded {
                        true => State::Succeeded,
                        false => State::Possible,
                    });
                    self.say(outcome);
                    if succeeded {
                        return self.stop.drain();
                    }
                }
            }
            upgrades.set(State::Over);
        })
    }

    fn say(&self, outcome: Result<u32, Failure>) {
        let program = self.command.program.display();
        match outcome {
            Ok(pid) => info!(
                pid,
                "upgraded: the new server has taken over, this one drains"
            ),
            Err(Failure::Overtaken) => info!("the upgrade is given up: this server ends"),
            Err(why) => error!(
                %program, %why,
                "the upgrade is given up, this server goes on: the program's last words, if it had any, are above; put it right and send USR2 again"
            ),
        }
    }

    /// Starts a successor and lets it take over; returns its number.
    fn attempt(&self) -> Result<u32, Failure> {
        let program = self.command.program.display();
        info!(%program, "upgrading: starting the program anew");
        let (channel, theirs) = Channel::pair()?;
        let mut process = self.spawn(theirs).map_err(Failure::Start)?;
        // One that is gone, or reads nothing, is found out below.
        let _ = self.estate.pass(&channel);
        let awaited = self.wait(&channel, &mut process);
        match awaited {
            // From here on it cannot be called back.
            Ok(()) if self.tenure.give() => {
                let pid = process.pid();
                self.admin.give();
                self.herald.succeeded_by(pid);
                let _ = channel.say(Word::Yours);
                process.release();
                Ok(pid)
            }
            Ok(()) => {
                see_off(&channel, &process);
                Err(Failure::Overtaken)
            }
            Err(why) => {
                see_off(&channel, &process);
                Err(why)
            }
        }
    }

    fn spawn(&self, channel: OwnedFd) -> io::Result<Offspring> {
        let mut command = Command::new(&self.command.program);
        command
            .args(&self.command.args)
            .args(&self.args)
            .env(PREDECESSOR, std::process::id().to_string())
            // Its ready line is for whoever reads ours, and its log goes where ours goes.
            .stdin(Stdio::from(channel));
        Offspring::start(herald::conceal_own(&mut command))
    }

    /// Until it is ready.
    fn wait(&self, channel: &Channel, process: &mut Offspring) -> Result<(), Failure> {
        let deadline = Instant::now() + self.limit;
        let mut listens = true;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // A channel without another end stays readable.
            let heard = if listens {
                channel.as_fd()
            } else {
                process.as_fd()
            };
            let draining = self.stop.draining();
            let news = wait_for([heard, process.as_fd(), draining], left)?;
            if listens && news[0] {
                match channel.hear() {
                    Ok(Some(Word::Ready)) => return Ok(()),
                    // Whoever has another program in its place finds out by its end, or by the clock.
                    _ => listens = false,
                }
            } else if news[1]
                && let Some(status) = process.bury()?
            {
                return Err(Failure::Ended(status));
            } else if news[2] {
                return Err(Failure::Overtaken);
            } else if left.is_zero() {
                return Err(Failure::Late(self.limit));
            }
        }
    }
}

/// Ends one that is not to be: in order, if it can within [`END_LIMIT`]. Whoever drops it then kills it.
fn see_off(channel: &Channel, process: &Offspring) {
    if channel.say(Word::Drain).is_ok() {
        let _ = wait_for([process.as_fd()], END_LIMIT);
    }
}

/// Which of them are readable, after `limit` at the latest.
fn wait_for<const N: usize>(
    fds: [std::os::fd::BorrowedFd<'_>; N],
    limit: Duration,
) -> io::Result<[bool; N]> {
    let mut polled = fds.each_ref().map(|fd| PollFd::new(fd, PollFlags::IN));
    let limit = Timespec::try_from(limit).ok();
    match poll(&mut polled, limit.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(polled.map(|fd| !fd.revents().is_empty()))
}
