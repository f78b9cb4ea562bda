//! How many connections this machine lets a mode have: what really limits it, and by whose word.

use std::fmt;
use std::num::NonZeroU32;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::mode::{Inner, Plan};

/// Descriptors that are not connections: streams, listener, semaphores, epoll sets, logs.
const OTHER_DESCRIPTORS: u64 = 64;
/// The kernel's default for `vm.max_map_count`.
const MAX_MAP_COUNT: u64 = 65_530;
/// Memory mappings of one thread: its stack and guard page, and half as much again to spare.
const MAPPINGS_PER_THREAD: u64 = 4;
/// Threads that are not connections.
const OTHER_THREADS: u64 = 64;

/// A limit and who sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ceiling {
    /// Connections at once.
    pub count: NonZeroU32,
    /// What to raise if that is not enough.
    pub by: LimitedBy,
}

/// What limits the number of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitedBy {
    /// `RLIMIT_NOFILE`.
    Descriptors,
    /// `vm.max_map_count`: a thread needs mappings.
    Mappings,
    /// `kernel.threads-max`.
    Threads,
    /// `RLIMIT_NPROC`.
    UserProcesses,
}

impl fmt::Display for LimitedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => "descriptors (ulimit -Hn)",
            Self::Mappings => "memory mappings (vm.max_map_count)",
            Self::Threads => "threads (kernel.threads-max)",
            Self::UserProcesses => "processes of this user (ulimit -u)",
        })
    }
}

/// Raises the soft limit on descriptors to the hard one, which needs no privilege.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Refused only where there is nothing to gain; the default of the connections follows from
    // what the limit then is.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}

/// The most connections that `plan` can have here.
///
/// Processes that share the load have a descriptor table each, but one of them may get it all.
#[must_use]
pub(crate) fn default_max_connections(plan: Plan) -> Ceiling {
    let unlimited = u64::from(u32::MAX);
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(unlimited);
    let mut ceiling = (
        descriptors.saturating_sub(OTHER_DESCRIPTORS),
        LimitedBy::Descriptors,
    );
    if plan.inside == Inner::ThreadPerConnection {
        let mappings = kernel_setting("vm/max_map_count").unwrap_or(MAX_MAP_COUNT);
        let threads = kernel_setting("kernel/threads-max").unwrap_or(unlimited);
        let processes = getrlimit(Resource::Nproc).current.unwrap_or(unlimited);
        ceiling = [
            ceiling,
            (mappings / MAPPINGS_PER_THREAD, LimitedBy::Mappings),
            (threads.saturating_sub(OTHER_THREADS), LimitedBy::Threads),
            (
                processes.saturating_sub(OTHER_THREADS),
                LimitedBy::UserProcesses,
            ),
        ]
        .into_iter()
        .min_by_key(|(count, _)| *count)
        .unwrap_or(ceiling);
    }
    let count = u32::try_from(ceiling.0).unwrap_or(u32::MAX);
    Ceiling {
        count: NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN),
        by: ceiling.1,
    }
}

/// The longest accept queue that the kernel permits, in connections.
#[must_use]
pub(crate) fn kernel_backlog() -> Option<u32> {
    kernel_setting("net/core/somaxconn").and_then(|limit| limit.try_into().ok())
}

fn kernel_setting(name: &str) -> Option<u64> {
    std::fs::read_to_string(format!("/proc/sys/{name}"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::Mode;
    use std::num::NonZeroUsize;

    #[test]
    fn a_thread_per_connection_is_never_allowed_more_than_a_task() {
        let ceiling = |mode: Mode| default_max_connections(mode.plan(NonZeroUsize::MIN));
        assert!(ceiling(Mode::ThreadPerConnection).count <= ceiling(Mode::Async).count);
        let mappings = kernel_setting("vm/max_map_count").unwrap() / MAPPINGS_PER_THREAD;
        assert!(u64::from(ceiling(Mode::ThreadPerConnection).count.get()) <= mappings);
    }
}
