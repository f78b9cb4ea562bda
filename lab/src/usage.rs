//! What a process and all its descendants use, read from outside in `/proc`.
//!
//! A server cannot be trusted to measure itself, and a process pool is more than one process. A
//! process that ends while it is read is left out.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rustix::param::clock_ticks_per_second;
use serde::Serialize;

/// The lines of `smaps_rollup` with all that is resident, and with what no file backs.
const ALL: &str = "Rss:";
const WITHOUT_FILE: &str = "Anonymous:";

/// The use of a process tree at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When it was read.
    pub at: Instant,
    /// CPU time since each process began, of children that were waited for as well.
    pub cpu: Duration,
    /// Memory in bytes; pages that processes share are divided among them.
    pub memory_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Context switches of the threads that live.
    pub switches: u64,
}

/// The use of a process tree over a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Usage {
    /// Processors kept busy on average: 0.5 is half of one core.
    pub cpu_cores: f64,
    /// Memory in bytes at the end; shared pages are divided among the processes.
    pub memory_bytes: u64,
    /// Threads at the end.
    pub threads: u64,
    /// Context switches per second.
    pub switches_per_s: f64,
}

impl Usage {
    /// What was used from one sample to a later one; `None` if no time has passed.
    #[must_use]
    pub fn between(first: &Sample, last: &Sample) -> Option<Self> {
        let elapsed_s = last.at.checked_duration_since(first.at)?.as_secs_f64();
        if elapsed_s <= 0.0 {
            return None;
        }
        // Threads and processes that ended in between may take their part away with them.
        let cpu_s = last.cpu.saturating_sub(first.cpu).as_secs_f64();
        let switches = last.switches.saturating_sub(first.switches);
        Some(Self {
            cpu_cores: cpu_s / elapsed_s,
            memory_bytes: last.memory_bytes,
            threads: last.threads,
            switches_per_s: switches as f64 / elapsed_s,
        })
    }
}

/// Reads what the process `root` and its descendants use now; `None` once it is gone.
#[must_use]
pub fn sample(root: u32) -> Option<Sample> {
    let at = Instant::now();
    let processes = all_processes();
    processes.get(&root)?;
    let mut sum = Sample {
        at,
        cpu: Duration::ZERO,
        memory_bytes: 0,
        threads: 0,
        switches: 0,
    };
    for pid in family(root, &processes) {
        let stat = &processes[&pid];
        sum.cpu += stat.cpu();
        sum.threads += stat.threads;
        sum.memory_bytes += memory_bytes(pid, stat);
        sum.switches += switches(pid);
    }
    Some(sum)
}

/// The process `root`, if it is there, and all that descend from it.
#[must_use]
pub fn family_of(root: u32) -> Vec<u32> {
    let processes = all_processes();
    if processes.contains_key(&root) {
        family(root, &processes)
    } else {
        Vec::new()
    }
}

/// The processor time of all children of this process that have ended and were waited for, with that
/// of theirs; to the microsecond, unlike a sample.
///
/// # Errors
///
/// When the system does not tell.
pub(crate) fn cpu_of_ended_children() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    u64::try_from(micros)
        .map(Duration::from_micros)
        .map_err(io::Error::other)
}

/// The processes that `parent` started and that are still there, each with all that descend from
/// it.
#[must_use]
pub fn households_of(parent: u32) -> Vec<Vec<u32>> {
    let processes = all_processes();
    let children = processes.iter().filter(|(_, stat)| stat.parent == parent);
    let mut children: Vec<u32> = children.map(|(pid, _)| *pid).collect();
    children.sort_unstable();
    let households = children.into_iter().map(|child| family(child, &processes));
    households.collect()
}

/// What the system says of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Glance {
    /// What it does: `R` runs, `S` sleeps, `Z` is dead and not yet buried, as in proc(5).
    pub state: char,
    /// Whose child it is.
    pub parent: u32,
    /// The memory that it has, in bytes.
    pub resident_bytes: u64,
}

/// Looks at one process; none once it is gone.
#[must_use]
pub fn glance(pid: u32) -> Option<Glance> {
    let stat = stat_of(pid)?;
    Some(Glance {
        state: stat.state,
        parent: stat.parent,
        resident_bytes: stat.resident_pages * rustix::param::page_size() as u64,
    })
}

/// The state of who waits for something that may come at any time.
const SLEEPING: char = 'S';

/// Whether a process of one thread waits for something.
pub(crate) fn sleeps(pid: u32) -> bool {
    stat_of(pid).is_some_and(|stat| stat.state == SLEEPING)
}

/// The threads of a process that have this name and wait for something.
pub(crate) fn sleeping_threads(pid: u32, name: &str) -> usize {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let sleeping = tasks.filter(|task| {
        let of = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let stat = Stat::parse(&of("stat"));
        of("comm").trim_end() == name && stat.is_some_and(|stat| stat.state == SLEEPING)
    });
    sleeping.count()
}

/// The members of a process group that are not dead, in order.
#[must_use]
pub fn living_members_of(leader: u32) -> Vec<u32> {
    let processes = all_processes().into_iter();
    let members = processes.filter(|(_, stat)| stat.group == leader && stat.alive());
    let mut members: Vec<u32> = members.map(|(pid, _)| pid).collect();
    members.sort_unstable();
    members
}

/// The process `pid`, and when it began in ticks since the machine did: numbers are used again. None
/// once it is gone.
#[must_use]
pub fn identity(pid: u32) -> Option<(u32, u64)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some((pid, Stat::parse(&line)?.started_ticks))
}

/// The resident memory in bytes of these processes together; a page that two of them have counts
/// twice. None when one of them is gone.
#[must_use]
pub fn resident_bytes(pids: &[u32]) -> Option<u64> {
    // The figure in `stat` is late by some pages for each thread.
    sum_of(pids, ALL)
}

/// The resident memory of these processes together that no file backs, in bytes: heaps and stacks.
/// None when one of them is gone.
#[must_use]
pub fn anonymous_bytes(pids: &[u32]) -> Option<u64> {
    sum_of(pids, WITHOUT_FILE)
}

/// The sum of a line of `smaps_rollup`.
fn sum_of(pids: &[u32], name: &str) -> Option<u64> {
    let told = pids
        .iter()
        .map(|pid| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok());
    let bytes = told.map(|told| bytes_of(&told?, name));
    (!pids.is_empty()).then(|| bytes.sum()).flatten()
}

fn bytes_of(told: &str, name: &str) -> Option<u64> {
    Some(field(told, name)? * 1024)
}

/// How many threads of these processes have or want a processor now.
#[must_use]
pub fn runnable_threads(pids: &[u32]) -> usize {
    let tasks = pids
        .iter()
        .flat_map(|pid| fs::read_dir(format!("/proc/{pid}/task")))
        .flatten()
        .flatten();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    stats.filter(|stat| is_runnable(stat)).count()
}

/// Whether a line of `/proc/PID/stat` says so.
fn is_runnable(stat: &str) -> bool {
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| rest.trim_start().starts_with('R'))
}

/// The fields of `/proc/PID/stat` that are of use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    parent: u32,
    group: u32,
    cpu_ticks: u64,
    threads: u64,
    started_ticks: u64,
    resident_pages: u64,
}

impl Stat {
    /// Reads a line of `/proc/PID/stat`. The name in it may hold blanks and brackets, so counting
    /// starts after its last bracket.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // proc(5) counts from 1 with the pid and the name; `fields` begins with number 3.
        let number = |index: usize| fields.get(index - 3)?.parse::<u64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: number(4)?.try_into().ok()?,
            group: number(5)?.try_into().ok()?,
            // Own user and system time, then those of the children that were waited for.
            cpu_ticks: number(14)? + number(15)? + number(16)? + number(17)?,
            threads: number(20)?,
            started_ticks: number(22)?,
            resident_pages: number(24)?,
        })
    }

    fn alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }

    fn cpu(&self) -> Duration {
        let ticks_per_s = clock_ticks_per_second().max(1);
        Duration::from_nanos(self.cpu_ticks.saturating_mul(1_000_000_000 / ticks_per_s))
    }
}

fn all_processes() -> HashMap<u32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return HashMap::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, stat_of(pid)?))).collect()
}

fn stat_of(pid: u32) -> Option<Stat> {
    Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `root` and all who descend from it.
fn family(root: u32, processes: &HashMap<u32, Stat>) -> Vec<u32> {
    let mut family = vec![root];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        let children = processes
            .iter()
            .filter(|(pid, stat)| stat.parent == parent && !family.contains(pid));
        let children: Vec<u32> = children.map(|(pid, _)| *pid).collect();
        family.extend(children);
        next += 1;
    }
    family
}

/// The proportional size, or the resident one where the kernel does not tell.
fn memory_bytes(pid: u32, stat: &Stat) -> u64 {
    let told = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    field(&told, "Pss:").map_or_else(
        || stat.resident_pages * rustix::param::page_size() as u64,
        |kib| kib * 1024,
    )
}

fn switches(pid: u32) -> u64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0;
    };
    let statuses = tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    statuses
        .map(|status| {
            field(&status, "voluntary_ctxt_switches:").unwrap_or(0)
                + field(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0)
        })
        .sum()
}

/// The number behind `name` at the start of a line.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let line =
            "42 (a) b (c)) S 7 42 42 0 -1 4194560 100 0 0 0 11 22 3 4 20 0 9 0 1000 5000 123 0";
        assert_eq!(
            Stat::parse(line),
            Some(Stat {
                state: 'S',
                parent: 7,
                group: 42,
                cpu_ticks: 40,
                threads: 9,
                started_ticks: 1000,
                resident_pages: 123,
            })
        );
        let dead = Stat::parse(&line.replace(" S ", " Z "));
        assert!(dead.is_some_and(|stat| !stat.alive()));
        assert_eq!(Stat::parse("42 (x) S 7"), None);
    }

    #[test]
    fn a_thread_that_waits_is_seen_to() {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let name = || std::thread::Builder::new().name("sleeper".into());
        let sleeper = name().spawn(move || wait.recv().is_err()).unwrap();
        assert!(
            crate::sync::until(crate::player::LIMIT, || sleeping_threads(
                std::process::id(),
                "sleeper"
            ) == 1)
            .is_ok()
        );
        drop(go);
        assert!(sleeper.join().unwrap());
        assert_eq!(sleeping_threads(std::process::id(), "sleeper"), 0);
    }

    #[test]
    fn who_wants_a_processor_is_told_from_who_sleeps() {
        assert!(is_runnable("42 (a) R b)) R 7 42"));
        assert!(!is_runnable("42 (R) S 7 42") && !is_runnable(""));
        // The thread that reads has one.
        assert!(runnable_threads(&[std::process::id()]) >= 1);
        assert_eq!(runnable_threads(&[u32::MAX]), 0);
    }

    #[test]
    fn grandchildren_belong_to_the_family() {
        let child_of = |parent| Stat {
            state: 'S',
            parent,
            group: 10,
            cpu_ticks: 0,
            threads: 1,
            started_ticks: 0,
            resident_pages: 0,
        };
        let processes = HashMap::from([
            (10, child_of(1)),
            (11, child_of(10)),
            (12, child_of(11)),
            (13, child_of(1)),
        ]);
        assert_eq!(family(10, &processes), [10, 11, 12]);
        assert!(households_of(u32::MAX).is_empty());
    }

    #[test]
    fn we_can_be_read_and_nobody_cannot() {
        let sample = sample(std::process::id()).unwrap();
        assert!(sample.threads >= 1 && sample.memory_bytes > 0);
        let own = [std::process::id()];
        assert!(resident_bytes(&own) > Some(0) && anonymous_bytes(&own) > Some(0));
        for nobody in [&[u32::MAX][..], &[]] {
            assert_eq!(resident_bytes(nobody), None);
        }
        assert!(super::sample(u32::MAX).is_none());
        let glance = glance(std::process::id()).unwrap();
        assert!(glance.state != 'Z' && glance.resident_bytes > 0);
    }

    #[test]
    fn all_that_is_resident_is_told_from_what_no_file_backs() {
        let told = "Rss:   812 kB\nPss:  9 kB\nAnonymous:   300 kB\n";
        let bytes = |name| bytes_of(told, name);
        assert_eq!(bytes(ALL), Some(812 << 10));
        assert_eq!(bytes(WITHOUT_FILE), Some(300 << 10));
    }

    #[test]
    fn a_child_counts_once_it_was_waited_for() {
        let before = cpu_of_ended_children().unwrap();
        let mut child = std::process::Command::new("sh");
        let loops = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";
        assert!(child.args(["-c", loops]).status().unwrap().success());
        assert!(cpu_of_ended_children().unwrap() > before);
    }

    #[test]
    fn use_is_a_difference_over_time() {
        let first = Sample {
            at: Instant::now(),
            cpu: Duration::from_millis(100),
            memory_bytes: 1,
            threads: 1,
            switches: 5,
        };
        let last = Sample {
            at: first.at + Duration::from_secs(2),
            cpu: Duration::from_millis(1100),
            memory_bytes: 4096,
            threads: 6,
            switches: 25,
        };
        let expected = Usage {
            cpu_cores: 0.5,
            memory_bytes: 4096,
            threads: 6,
            switches_per_s: 10.0,
        };
        assert_eq!(Usage::between(&first, &last), Some(expected));
        assert_eq!(Usage::between(&last, &first), None);
    }
}
