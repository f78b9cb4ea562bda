//! Processes that this one starts, and the burial of those that it did not.
//!
//! A program may be executed by one that had children already (`sh -c 'sleep 1 & exec server'`),
//! and the first process of a container inherits every orphan. Those have to be buried too, and the
//! status of one of our own must not be taken from whoever waits for it: so it is known which are.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tracing::debug;

use crate::signals::HeldBack;

/// Our own that are not buried yet. The kernel keeps one list of children for a process, so there
/// is one of ours. Held while a process is started: one that dies at once is no stranger.
static OURS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Whether strangers are ours to bury.
static ADOPTING: AtomicBool = AtomicBool::new(false);

fn ours() -> MutexGuard<'static, BTreeSet<u32>> {
    // Nobody panics with it; if so, the set would still be whole.
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process of ours. Dropped before its burial, it is killed and buried.
#[derive(Debug)]
pub(crate) struct Offspring {
    child: Child,
    /// Readable when it is dead; unlike its number, it can never mean another process.
    pidfd: OwnedFd,
}

impl Offspring {
    /// Starts a process, from which signals are held back until it can catch them.
    ///
    /// # Errors
    ///
    /// When the program cannot be run, or processes, descriptors or memory are short.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let mut ours = ours();
        let held_back = HeldBack::begin()?;
        let mut child = command.spawn()?;
        drop(held_back);
        match open(child.id()) {
            Ok(pidfd) => {
                ours.insert(child.id());
                Ok(Self { child, pidfd })
            }
            Err(error) => {
                end(&mut child);
                Err(error)
            }
        }
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it is dead; that buries it.
    ///
    /// # Errors
    ///
    /// When it is no child of this process.
    pub(crate) fn bury(&mut self) -> io::Result<Option<ExitStatus>> {
        let mut ours = ours();
        let status = self.child.try_wait()?;
        if status.is_some() && ours.remove(&self.child.id()) {
            // It may have stood in front of a stranger.
            bury_strangers_but(&ours);
        }
        Ok(status)
    }

    /// Lets it live its own life: it is a stranger from now on, and buried as one should it die first.
    pub(crate) fn release(self) {
        ours().remove(&self.child.id());
        // It may have died already.
        bury_strangers();
    }

    /// Sends it a signal. Fails only when it is dead, which is noticed elsewhere.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.pidfd, signal);
    }
}

impl Drop for Offspring {
    fn drop(&mut self) {
        if ours().remove(&self.child.id()) {
            end(&mut self.child);
        }
    }
}

impl AsFd for Offspring {
    /// Readable when it is dead.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

fn open(number: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidData)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

fn end(child: &mut Child) {
    // It can only have died by itself meanwhile.
    let _ = child.kill();
    let _ = child.wait();
}

/// From now on strangers are buried. Only the program may ask for that: within a library it would
/// take the children of whoever uses it.
pub(crate) fn adopt_strangers() {
    ADOPTING.store(true, Relaxed);
}

/// Buries dead children that nobody here has started.
pub(crate) fn bury_strangers() {
    bury_strangers_but(&ours());
}

fn bury_strangers_but(ours: &BTreeSet<u32>) {
    if !ADOPTING.load(Relaxed) {
        return;
    }
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
    // Looks first, and takes the status only of a stranger.
    while let Ok(status) = waitid(Id::All, look | WaitPidFlag::WNOWAIT) {
        let Some(pid) = status.pid() else { return };
        if ours.contains(&pid.as_raw().cast_unsigned()) {
            // Whoever started it buries it soon, and looks again.
            return;
        }
        debug!(%pid, "buried a child that was not ours");
        if waitid(Id::Pid(pid), look).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("3600");
        command
    }

    #[test]
    fn one_that_is_dropped_is_dead_and_buried() {
        let one = Offspring::start(&mut sleeper()).unwrap();
        let pid = Pid::from_raw(one.pid().cast_signed()).unwrap();
        assert!(rustix::process::test_kill_process(pid).is_ok());
        drop(one);
        assert!(rustix::process::test_kill_process(pid).is_err());
    }

    #[test]
    fn one_is_buried_once_and_the_children_of_others_are_left_to_them() {
        let mut foreign = sleeper().spawn().unwrap();
        foreign.kill().unwrap();
        let mut own = Offspring::start(&mut sleeper()).unwrap();
        assert!(own.bury().unwrap().is_none());
        own.signal(Signal::KILL);
        let mut fds = [rustix::event::PollFd::new(
            &own.pidfd,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut fds, None).unwrap();
        assert!(own.bury().unwrap().is_some());
        assert!(!foreign.wait().unwrap().success());
    }
}
