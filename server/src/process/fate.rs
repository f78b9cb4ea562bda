//! How a process ended, in words.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use rustix::process::Signal;

use crate::limits::control_group_files;
use crate::signals;

/// How a process ended.
pub(crate) fn fate(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was ended by {} ({signal})", signals::name(signal)),
        (None, None) => "ended in an unknown way".into(),
    }
}

/// Whether it was killed.
pub(super) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}

/// Where the kernel counts for the whole machine.
const MACHINE: &str = "/proc/vmstat";

/// Whether the kernel kills for want of memory, by its own count.
#[derive(Debug)]
pub(super) struct OutOfMemory {
    counter: Option<PathBuf>,
    /// Whether it counts nobody but the members of our group.
    is_ours: bool,
    last: Option<u64>,
}

impl OutOfMemory {
    /// Counts from now on.
    pub(super) fn watch() -> Self {
        let group = control_group_files("memory", "memory.events");
        let group = group.chain(control_group_files("memory", "memory.oom_control"));
        // The counter of the machine knows less: that it was somebody.
        let machine = PathBuf::from(MACHINE);
        let mut counters = group.chain([machine.clone()]);
        let counter = counters.find(|file| kills(file).is_some());
        let is_ours = counter.as_ref().is_some_and(|counter| *counter != machine);
        let last = counter.as_deref().and_then(kills);
        Self {
            counter,
            is_ours,
            last,
        }
    }

    /// What is to be said of a process that somebody else killed: that it was for want of memory,
    /// that it may have been, or nothing.
    pub(super) fn hint(&mut self) -> Option<&'static str> {
        let now = self.counter.as_deref().and_then(kills);
        let before = std::mem::replace(&mut self.last, now);
        match (before, now) {
            (Some(before), Some(now)) if now <= before => None,
            (Some(_), Some(_)) if self.is_ours => Some("OOM"),
            _ => Some("OOM?"),
        }
    }
}

/// The number of processes that were killed for want of memory, where the file tells.
fn kills(file: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let mut numbers = text
        .lines()
        .filter_map(|line| line.strip_prefix("oom_kill "));
    numbers.next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_told_by_its_code_or_by_the_name_of_its_signal() {
        assert_eq!(fate(ExitStatus::from_raw(3 << 8)), "exited with code 3");
        assert_eq!(fate(ExitStatus::from_raw(11)), "was ended by SIGSEGV (11)");
        assert_eq!(
            fate(ExitStatus::from_raw(6 | 128)),
            "was ended by SIGABRT (6)"
        );
        assert!(was_killed(ExitStatus::from_raw(9)) && !was_killed(ExitStatus::from_raw(15)));
    }

    #[test]
    fn want_of_memory_is_suspected_where_nobody_counts_and_known_where_the_count_grew() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("memory.events");
        let write =
            |kills: u64| std::fs::write(&file, format!("oom 9\noom_kill {kills}\n")).unwrap();
        write(7);
        let mut memory = OutOfMemory {
            counter: Some(file.clone()),
            is_ours: true,
            last: kills(&file),
        };
        assert_eq!(memory.hint(), None);
        write(8);
        assert_eq!((memory.hint(), memory.hint()), (Some("OOM"), None));
        write(9);
        memory.is_ours = false;
        assert_eq!(memory.hint(), Some("OOM?"));
        memory.counter = None;
        assert_eq!(memory.hint(), Some("OOM?"));
    }
}
