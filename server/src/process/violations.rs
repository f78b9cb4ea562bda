//! What a locked-in worker tried in vain: refused, counted and told by the master, so that a worker
//! that is broken can neither hide it nor flood the log with it.

use std::collections::BTreeSet;
use std::io::IoSliceMut;
use std::time::{Duration, Instant};

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::warn;

use crate::board::{Count, Slot};
use crate::sandbox;
use crate::sys::seccomp::{Report, Reports};

/// A worker is spoken of once in this time at most.
const SAY_EVERY: Duration = Duration::from_secs(1);
/// Different calls that are named in one line.
const MOST_NAMED: usize = 16;
/// Bytes of a path that are looked at; a page never ends within so many from where one begins.
const PATH_BYTES: usize = 64;
/// Calls that name a file, and which of their arguments does.
const WITH_PATH: [(&str, usize); 9] = [
    ("open", 0),
    ("openat", 1),
    ("openat2", 1),
    ("execve", 0),
    ("execveat", 1),
    ("statx", 1),
    ("newfstatat", 1),
    ("access", 0),
    ("readlink", 0),
];

/// The refused calls of one worker.
#[derive(Debug)]
pub(super) struct Violations {
    reports: Reports,
    /// How many were not told yet, and which.
    untold: u64,
    calls: BTreeSet<String>,
    last_told: Option<Instant>,
}

impl Violations {
    pub(super) fn of(reports: Reports) -> Self {
        Self {
            reports,
            untold: 0,
            calls: BTreeSet::new(),
            last_told: None,
        }
    }

    /// Where they come from.
    pub(super) fn reports(&self) -> &Reports {
        &self.reports
    }

    /// Refuses the next one and counts it in the slot of its worker; false when there will be none.
    pub(super) fn refuse(&mut self, slot: &Slot) -> bool {
        let mut fds = [PollFd::new(&self.reports, PollFlags::IN)];
        let now = Timespec::default();
        let asked = poll(&mut fds, Some(&now)).map(|_| fds[0].revents());
        if !asked.is_ok_and(|events| events.contains(PollFlags::IN)) {
            // Hung up, or taken back.
            return asked.is_ok_and(|events| events.is_empty());
        }
        let Ok(report) = self.reports.next() else {
            return false;
        };
        let Some(report) = report else { return true };
        let path = path(&report);
        self.reports.refuse(&report);
        if path.as_deref().is_some_and(sandbox::is_looked_up) {
            return true;
        }
        slot.count(Count::Violations);
        self.untold += 1;
        if self.calls.len() < MOST_NAMED {
            self.calls.insert(told(&report, path.as_deref()));
        }
        true
    }

    /// Tells of those that were not told yet, if `now` it is time for that.
    pub(super) fn tell(&mut self, slot: usize, pid: u32, now: Instant) {
        if self.untold > 0 && self.due().is_none_or(|due| now >= due) {
            self.tell_at_once(slot, pid);
            self.last_told = Some(now);
        }
    }

    /// The same whatever time it is.
    pub(super) fn tell_at_once(&mut self, slot: usize, pid: u32) {
        if self.untold == 0 {
            return;
        }
        let calls = std::mem::take(&mut self.calls);
        let calls: Vec<_> = calls.into_iter().collect();
        let (calls, count) = (calls.join(", "), std::mem::take(&mut self.untold));
        warn!(slot, pid, %calls, count, "a worker tried what its sandbox refuses");
    }

    /// When there is something to tell.
    pub(super) fn due(&self) -> Option<Instant> {
        let last_told = self.last_told.filter(|_| self.untold > 0)?;
        Some(last_told + SAY_EVERY)
    }
}

/// A call by its name, and the file that it was about.
fn told(report: &Report, path: Option<&str>) -> String {
    let number = || format!("call {}", report.call);
    let name = sandbox::name(report.call).map_or_else(number, str::to_owned);
    match path {
        Some(path) => format!("{name}({})", path.escape_default()),
        None => name,
    }
}

/// The file that a waiting call is about, as far as it can be seen from here. Whoever made the call
/// may change it at any time, so it is good for telling only.
fn path(report: &Report) -> Option<String> {
    let name = sandbox::name(report.call)?;
    let (_, index) = WITH_PATH.into_iter().find(|(known, _)| *known == name)?;
    let base = usize::try_from(report.arguments[index]).ok()?;
    let thread = Pid::from_raw(report.thread.cast_signed());
    let mut bytes = [0; PATH_BYTES];
    // What is left of its page may be all there is.
    let page = rustix::param::page_size();
    let len = PATH_BYTES.min(page - base % page);
    let remote = [RemoteIoVec { base, len }];
    let read = process_vm_readv(thread, &mut [IoSliceMut::new(&mut bytes[..len])], &remote).ok()?;
    let bytes = &bytes[..read];
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_by_its_name_and_its_file_without_what_could_change_a_terminal() {
        let report =
            |name: &str| Report::of((0..512).find(|n| sandbox::name(*n) == Some(name)).unwrap());
        assert_eq!(told(&report("socket"), None), "socket");
        assert_eq!(
            told(&report("openat"), Some("/a\x1b[1m\n")),
            "openat(/a\\u{1b}[1m\\n)"
        );
        assert_eq!(told(&Report::of(99_999), None), "call 99999");
    }
}
