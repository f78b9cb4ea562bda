//! The one place with `unsafe` in the lab: a process that is copied (fork(2)), as Unix starts them.
//! Everything else that the lab starts is spawned.

#![allow(unsafe_code, reason = "fork has no safe interface; see each block")]

use std::io;

use nix::libc;
use nix::unistd::{ForkResult, fork};
use rustix::process::Pid;

/// Copies this process, which must have one thread only. The copy runs `child` and ends with what
/// it returns as its exit code; nothing that was buffered here is written by it. Whoever calls reaps
/// it.
///
/// # Errors
///
/// When this process has other threads (a lock that one of them holds would be held for ever in the
/// copy), and when the system has no room for another process.
pub(crate) fn forked(child: impl FnOnce() -> u8) -> io::Result<Pid> {
    if std::fs::read_dir("/proc/self/task")?.count() > 1 {
        return Err(io::Error::other(
            "a process with several threads cannot be copied",
        ));
    }
    // SAFETY: there is no other thread, as was just read, and the only one is here and starts none.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            Pid::from_raw(child.as_raw()).ok_or_else(|| io::Error::other("the copy has no number"))
        }
        ForkResult::Child => {
            let code = child();
            // SAFETY: it takes a number and does not come back; handlers of the original do not run.
            unsafe { libc::_exit(i32::from(code)) }
        }
    }
}
