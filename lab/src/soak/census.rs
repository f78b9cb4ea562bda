//! How many processes, threads and descriptors a server has, read from outside: whatever is done
//! to it, they must be as many afterwards as before.

use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::process::ServerProcess;
use crate::usage;

/// How often a server is looked at that has to calm down.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How many looks in a row have to agree with the one before.
const AGREEING: u32 = 3;

/// A server's processes, its own and all that descend from it, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Census {
    /// Processes.
    pub processes: usize,
    /// Those that are dead and not buried.
    pub zombies: usize,
    /// Threads.
    pub threads: usize,
    /// Open descriptors, without those that the lab itself was given.
    pub descriptors: usize,
}

/// Number and file of what whoever started the lab has left open for all its descendants. A server
/// has it too, and its successor has not: it is no part of what a server uses.
static STRAYS: LazyLock<Vec<(OsString, PathBuf)>> = LazyLock::new(|| {
    let strays = fs::read_dir("/proc/self/fd").into_iter().flatten();
    let strays = strays.filter_map(|entry| {
        let (number, file) = identity(&entry.ok()?)?;
        let info = fs::read_to_string(PathBuf::from("/proc/self/fdinfo").join(&number)).ok()?;
        let is_standard = ["0", "1", "2"].iter().any(|standard| number == *standard);
        (!is_standard && is_inheritable(&info)).then_some((number, file))
    });
    strays.collect()
});

impl Census {
    /// Of the process `root` and its descendants, now.
    #[must_use]
    pub fn of(root: u32) -> Self {
        let mut census = Self::default();
        for pid in usage::family_of(root) {
            let entries = |folder| fs::read_dir(format!("/proc/{pid}/{folder}"));
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            census.processes += 1;
            census.zombies += usize::from(is_zombie(&status));
            census.threads += entries("task").map_or(0, Iterator::count);
            let descriptors = entries("fd").into_iter().flatten().flatten();
            let own = descriptors.filter(|entry| {
                let identity = identity(entry);
                identity.is_none_or(|identity| !STRAYS.contains(&identity))
            });
            census.descriptors += own.count();
        }
        census
    }

    /// Once `calm` holds and some looks one after the other agree, or `limit` has passed.
    #[must_use]
    pub fn settled(server: &ServerProcess, limit: Duration, calm: impl Fn(&Self) -> bool) -> Self {
        let mut before = Self::of(server.pid());
        let mut agreeing = 0;
        let _ = until(server, limit, || {
            let now = Self::of(server.pid());
            let same = now == before && now.zombies == 0 && calm(&now);
            agreeing = if same { agreeing + 1 } else { 0 };
            before = now;
            agreeing == AGREEING
        });
        before
    }

    /// How many there are that `baseline` does not have, or that it has and are missing.
    #[must_use]
    pub fn distance(&self, baseline: &Self) -> u64 {
        let pairs = [
            (self.processes, baseline.processes),
            (self.zombies, baseline.zombies),
            (self.threads, baseline.threads),
            (self.descriptors, baseline.descriptors),
        ];
        pairs.iter().map(|(a, b)| a.abs_diff(*b) as u64).sum()
    }
}

/// Looks again and again until `done`; false when `limit` passes or the server ends before that.
pub fn until(server: &ServerProcess, limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if done() {
            return true;
        }
        // The wait between two looks is a wait for the end, after which nothing changes.
        if Instant::now() >= end || server.ends_within(LOOK_EVERY) {
            return false;
        }
    }
}

/// Whether `/proc/PID/status` is that of a process which is dead and not buried.
fn is_zombie(status: &str) -> bool {
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    state.is_some_and(|state| state.trim_start().starts_with('Z'))
}

/// The number of a descriptor and its file, from `/proc/PID/fd`.
fn identity(entry: &DirEntry) -> Option<(OsString, PathBuf)> {
    Some((entry.file_name(), fs::read_link(entry.path()).ok()?))
}

/// Whether programs that are executed get it, from its `/proc/PID/fdinfo`.
fn is_inheritable(info: &str) -> bool {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & CLOSE_ON_EXEC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_at_exec_is_inherited_by_nobody() {
        assert!(is_inheritable("pos:\t0\nflags:\t0100000\nmnt_id:\t14\n"));
        assert!(!is_inheritable("pos:\t0\nflags:\t02100000\nmnt_id:\t14\n"));
        assert!(!is_inheritable(""));
    }

    #[test]
    fn a_zombie_is_told_from_the_living() {
        assert!(is_zombie("Name:\tx\nState:\tZ (zombie)\n"));
        assert!(!is_zombie("Name:\tZ\nState:\tS (sleeping)\n"));
        assert!(!is_zombie(""));
    }

    #[test]
    fn we_are_counted_and_nobody_is_not() {
        let us = Census::of(std::process::id());
        assert!(us.processes >= 1 && us.threads >= 1 && us.descriptors >= 3);
        assert_eq!(Census::of(u32::MAX), Census::default());
    }

    #[test]
    fn what_is_missing_counts_like_what_is_left_over() {
        let baseline = Census {
            processes: 2,
            zombies: 0,
            threads: 6,
            descriptors: 20,
        };
        let other = Census {
            threads: 5,
            descriptors: 23,
            ..baseline
        };
        assert_eq!(
            (baseline.distance(&baseline), other.distance(&baseline)),
            (0, 4)
        );
    }
}
