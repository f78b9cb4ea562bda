//! How many connections this machine lets a mode have: what really limits it, and by whose word.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread::available_parallelism;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::mode::{Inner, Plan};

/// Descriptors that are not connections: streams, listener, semaphores, epoll sets, logs.
const OTHER_DESCRIPTORS: u64 = 64;
/// The kernel's default for `vm.max_map_count`.
const MAX_MAP_COUNT: u64 = 65_530;
/// Memory mappings of one thread: its stack and guard page, and half as much again to spare.
const MAPPINGS_PER_THREAD: u64 = 4;
/// Threads that are not connections.
const OTHER_THREADS: u64 = 64;
/// Threads of the process of one connection: it serves, listens to signals and to its parent, and
/// watches the drain. The kernel counts them like processes.
const THREADS_PER_PROCESS: u64 = 4;
/// Descriptors that the parent keeps for the process of one connection: its channel and its pidfd.
const DESCRIPTORS_PER_PROCESS: u64 = 2;
/// Those that it needs while such a process is started.
const DESCRIPTORS_PER_START: u64 = 4;
/// Those of a reactor: its set, its waker, and what it watches besides connections.
const DESCRIPTORS_PER_THREAD: u64 = 16;
/// Those of a worker process that are not connections: what it shares with its master and the others,
/// and some to spare.
const DESCRIPTORS_PER_WORKER: u64 = 24;
/// What each of its threads adds to that.
const DESCRIPTORS_PER_WORKER_THREAD: u64 = 4;
/// The most connections of a server; the table of addresses counts no further.
pub(crate) const MOST_CONNECTIONS: u32 = 1_000_000;
/// The kernel's default for `kernel.pid_max`.
const PID_MAX: u64 = 32_768;

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
    /// `kernel.pid_max`.
    ProcessNumbers,
    /// `pids.max` of the control group, or of one that it is in.
    ControlGroup,
}

impl fmt::Display for LimitedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => "descriptors (ulimit -Hn)",
            Self::Mappings => "memory mappings (vm.max_map_count)",
            Self::Threads => "threads (kernel.threads-max)",
            Self::UserProcesses => "processes of this user (ulimit -u)",
            Self::ProcessNumbers => "process numbers (kernel.pid_max)",
            Self::ControlGroup => "processes of the control group (pids.max)",
        })
    }
}

/// The processors that this process may use. They are asked for once, since a worker that is locked
/// in can ask no more.
pub(crate) fn processors() -> NonZeroUsize {
    static PROCESSORS: OnceLock<NonZeroUsize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| available_parallelism().unwrap_or(NonZeroUsize::MIN))
}

/// The most descriptors that a worker of such a server needs.
pub(crate) fn worker_descriptors(config: &Config) -> u64 {
    let each = match config.plan().inside {
        Inner::ProcessPerConnection => DESCRIPTORS_PER_PROCESS + DESCRIPTORS_PER_START,
        _ => 1,
    };
    let connections = u64::from(config.limits.max_connections.get());
    let threads = config.plan().workers.get() as u64;
    OTHER_DESCRIPTORS + threads * DESCRIPTORS_PER_THREAD + connections * each
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

/// The most connections that `plan` can have here. Processes that share the load have a descriptor
/// table each. `promised` descriptors of the leading process are for others.
#[must_use]
pub(crate) fn default_max_connections(plan: Plan, promised: u64) -> Ceiling {
    let mut ceilings = match plan.processes {
        Some(workers) => {
            let each = worker_room(plan);
            let all = u64::from(each.count.get()).saturating_mul(workers.get() as u64);
            vec![(all, each.by)]
        }
        None => process_ceilings(plan.inside, OTHER_DESCRIPTORS + promised),
    };
    match plan.inside {
        Inner::ThreadPerConnection => ceilings.extend(thread_ceilings(1)),
        Inner::ProcessPerConnection => ceilings.extend(thread_ceilings(THREADS_PER_PROCESS)),
        _ => {}
    }
    least(ceilings)
}

/// The most connections that one worker process of `plan` can have here, whatever the others have.
#[must_use]
pub(crate) fn worker_room(plan: Plan) -> Ceiling {
    let threads = plan.workers.get() as u64;
    let others = match plan.inside {
        // A thread that only serves has nothing open but its connection.
        Inner::ThreadPool | Inner::Rayon => DESCRIPTORS_PER_WORKER,
        _ => DESCRIPTORS_PER_WORKER + threads * DESCRIPTORS_PER_WORKER_THREAD,
    };
    least(process_ceilings(plan.inside, others))
}

/// What bounds the connections of one process, `others` of whose descriptors are none.
fn process_ceilings(inside: Inner, others: u64) -> Vec<(u64, LimitedBy)> {
    let unlimited = u64::from(u32::MAX);
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(unlimited);
    let descriptors = descriptors.saturating_sub(others);
    match inside {
        Inner::ThreadPerConnection => {
            let mappings = kernel_setting("vm/max_map_count").unwrap_or(MAX_MAP_COUNT);
            vec![
                (descriptors, LimitedBy::Descriptors),
                (mappings / MAPPINGS_PER_THREAD, LimitedBy::Mappings),
            ]
        }
        Inner::ProcessPerConnection => {
            vec![(
                descriptors / DESCRIPTORS_PER_PROCESS,
                LimitedBy::Descriptors,
            )]
        }
        _ => vec![(descriptors, LimitedBy::Descriptors)],
    }
}

/// The one of them that counts; at least one connection, at most as many as can be asked for.
fn least(ceilings: Vec<(u64, LimitedBy)>) -> Ceiling {
    let most = (MOST_CONNECTIONS.into(), LimitedBy::Descriptors);
    let least = ceilings.into_iter().min_by_key(|(count, _)| *count);
    let (count, by) = least.unwrap_or(most);
    let count = u32::try_from(count.clamp(1, most.0)).unwrap_or(MOST_CONNECTIONS);
    Ceiling {
        count: NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN),
        by,
    }
}

/// How many connections the limits on threads allow, where each takes `each` of them.
fn thread_ceilings(each: u64) -> impl Iterator<Item = (u64, LimitedBy)> {
    let of_user = getrlimit(Resource::Nproc).current;
    let numbers = kernel_setting("kernel/pid_max").unwrap_or(PID_MAX);
    [
        (kernel_setting("kernel/threads-max"), LimitedBy::Threads),
        (of_user, LimitedBy::UserProcesses),
        (Some(numbers), LimitedBy::ProcessNumbers),
        (control_group_limit(), LimitedBy::ControlGroup),
    ]
    .into_iter()
    .filter_map(move |(threads, by)| Some((threads?.saturating_sub(OTHER_THREADS) / each, by)))
}

/// The least `pids.max` of this process's control group and of those around it.
fn control_group_limit() -> Option<u64> {
    let files = control_group_files("pids", "pids.max");
    files.filter_map(|file| number_in(&file)).min()
}

/// Where a file of `controller` may lie for this process's control group and those around it, from
/// the inside out, in both versions of control groups where they are usually mounted.
pub(crate) fn control_group_files(
    controller: &str,
    name: &'static str,
) -> impl Iterator<Item = PathBuf> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let files = groups.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let root = match fields.next() {
            Some("") => Path::new("/sys/fs/cgroup").to_owned(),
            Some(list) if list.split(',').any(|one| one == controller) => {
                Path::new("/sys/fs/cgroup").join(controller)
            }
            _ => return Vec::new(),
        };
        let path = fields.next().unwrap_or_default().trim_start_matches('/');
        let group = root.join(path);
        let around = group
            .ancestors()
            .take_while(|group| group.starts_with(&root));
        around.map(|group| group.join(name)).collect()
    });
    files.collect::<Vec<_>>().into_iter()
}

/// The longest accept queue that the kernel permits, in connections.
#[must_use]
pub(crate) fn kernel_backlog() -> Option<u32> {
    kernel_setting("net/core/somaxconn").and_then(|limit| limit.try_into().ok())
}

/// A number under `/proc/sys`.
#[must_use]
pub(crate) fn kernel_setting(name: &str) -> Option<u64> {
    number_in(&Path::new("/proc/sys").join(name))
}

/// None where the file is missing, or says `max`.
fn number_in(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::{Choice, Mode};

    #[test]
    fn a_thread_per_connection_is_never_allowed_more_than_a_task() {
        let ceiling = |mode: Mode| default_max_connections(mode.plan(NonZeroUsize::MIN), 0);
        assert!(ceiling(Mode::ThreadPerConnection).count <= ceiling(Mode::Async).count);
        let mappings = kernel_setting("vm/max_map_count").unwrap() / MAPPINGS_PER_THREAD;
        assert!(u64::from(ceiling(Mode::ThreadPerConnection).count.get()) <= mappings);
    }

    #[test]
    fn each_worker_of_a_pool_brings_its_own_descriptors() {
        let plan = |workers, threads| {
            let numbers = [workers, threads].map(|number| NonZeroUsize::new(number).unwrap());
            Choice::pool_of(Inner::Epoll).plan(numbers[0], numbers[1])
        };
        let each = worker_room(plan(1, 1)).count.get();
        let of_three = default_max_connections(plan(3, 1), 0);
        assert_eq!(of_three.count.get(), (3 * each).min(MOST_CONNECTIONS));
        assert_eq!(of_three.by, LimitedBy::Descriptors);
        // What the leading process promised to others is not its workers' loss.
        assert_eq!(default_max_connections(plan(3, 1), 99), of_three);
        assert!(worker_room(plan(1, 9)).count.get() < each);
        let most = default_max_connections(plan(4096, 1), 0).count;
        assert!(most.get() <= MOST_CONNECTIONS);
    }

    #[test]
    fn a_process_per_connection_is_never_allowed_more_than_its_threads_or_descriptors() {
        let ceiling =
            default_max_connections(Mode::ProcessPerConnection.plan(NonZeroUsize::MIN), 0);
        let count = u64::from(ceiling.count.get());
        let numbers = kernel_setting("kernel/pid_max").unwrap();
        assert!(count * THREADS_PER_PROCESS <= numbers, "{ceiling:?}");
        let descriptors = getrlimit(Resource::Nofile).current.unwrap();
        assert!(
            count * DESCRIPTORS_PER_PROCESS <= descriptors,
            "{ceiling:?}"
        );
    }
}
