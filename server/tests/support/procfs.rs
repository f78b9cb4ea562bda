//! What the kernel tells about a process: its children, threads, descriptors and state.

use std::fs::{read_dir, read_link, read_to_string};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::LIMIT;

/// The number as the system calls take it.
pub(crate) fn pid(number: u32) -> Pid {
    Pid::from_raw(number.cast_signed()).unwrap()
}

/// A process that is there, by a descriptor.
pub(crate) fn open(number: u32) -> OwnedFd {
    pidfd_open(pid(number), PidfdFlags::empty()).unwrap()
}

/// Sends a signal to one that is alive.
pub(crate) fn kill(number: u32, signal: Signal) {
    kill_process(pid(number), signal).unwrap();
}

/// The same to one that may have ended since it was listed.
pub(crate) fn kill_if_there(number: u32, signal: Signal) {
    let sent = kill_process(pid(number), signal);
    assert!(matches!(sent, Ok(()) | Err(Errno::SRCH)), "{sent:?}");
}

/// Kills them, and waits until they have ended: one that is about to may still take a client in.
pub(crate) fn kill_and_wait(numbers: &[u32]) {
    let pidfds: Vec<_> = numbers.iter().map(|number| open(*number)).collect();
    for number in numbers {
        kill(*number, Signal::KILL);
    }
    for pidfd in &pidfds {
        assert!(wait_for_end(pidfd, LIMIT), "{numbers:?} do not end");
    }
}

/// The children of all its threads, in order.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let mut children: Vec<u32> = tasks(parent)
        .iter()
        .filter_map(|task| read_to_string(format!("{task}/children")).ok())
        .flat_map(|list| numbers(&list))
        .collect();
    children.sort_unstable();
    children
}

/// It and all that descend from it.
pub(crate) fn family(eldest: u32) -> Vec<u32> {
    let descendants = children(eldest).into_iter().flat_map(family);
    std::iter::once(eldest).chain(descendants).collect()
}

/// The TCP sockets that it has open, by number, each once: a table that changes while it is read
/// may name one twice.
pub(crate) fn tcp_sockets(number: u32) -> Vec<u64> {
    let known = tcp_table(number);
    let mut open = sockets(number);
    open.sort_unstable();
    open.dedup();
    open.retain(|socket| known.iter().any(|(inode, _)| inode == socket));
    open
}

fn numbers(list: &str) -> Vec<u32> {
    let numbers = list
        .split_whitespace()
        .map(|number| number.parse().unwrap());
    numbers.collect()
}

fn tasks(number: u32) -> Vec<String> {
    let tasks = read_dir(format!("/proc/{number}/task"))
        .into_iter()
        .flatten();
    tasks
        .filter_map(|task| Some(task.ok()?.path().to_str()?.to_owned()))
        .collect()
}

/// The numbers of its threads, in no order.
pub(crate) fn threads(number: u32) -> Vec<u32> {
    let tasks = tasks(number).into_iter();
    tasks
        .filter_map(|task| task.rsplit('/').next()?.parse().ok())
        .collect()
}

/// The names of its threads, in no order.
pub(crate) fn thread_names(number: u32) -> Vec<String> {
    tasks(number)
        .iter()
        .filter_map(|task| read_to_string(format!("{task}/comm")).ok())
        .map(|name| name.trim_end().to_owned())
        .collect()
}

/// How many descriptors it has open.
pub(crate) fn descriptors(number: u32) -> usize {
    read_dir(format!("/proc/{number}/fd")).map_or(0, Iterator::count)
}

/// `R`, `S`, `Z` … and the process group; none when it is gone.
pub(crate) fn state_and_group(number: u32) -> Option<(char, u32)> {
    state_and_group_in(&format!("/proc/{number}"))
}

fn state_and_group_in(directory: &str) -> Option<(char, u32)> {
    let stat = read_to_string(format!("{directory}/stat")).ok()?;
    // The name may hold spaces and brackets; what follows the last one does not.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(1)?.parse().ok()?))
}

/// Whether all its threads are stopped: one that is not yet may still take a client in.
pub(crate) fn is_stopped(number: u32) -> bool {
    let threads = tasks(number);
    let stopped =
        |thread: &String| state_and_group_in(thread).is_some_and(|(state, _)| state == 'T');
    !threads.is_empty() && threads.iter().all(stopped)
}

/// What `/proc/PID/status` says of a process or a thread, at one moment.
pub(crate) struct Status(String);

/// None when it is gone: what was listed a moment ago need not be there any more.
pub(crate) fn status(number: u32) -> Option<Status> {
    let text = read_to_string(format!("/proc/{number}/status")).ok()?;
    Some(Status(text))
}

impl Status {
    /// The words of that line.
    pub(crate) fn words(&self, name: &str) -> Vec<&str> {
        let mut lines = self.0.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().split_whitespace().collect()
    }
}

/// Whether none of its threads runs any more: the first may be dead while another one still has
/// the descriptors.
pub(crate) fn is_dead(number: u32) -> bool {
    let threads = tasks(number);
    let mut states = threads
        .iter()
        .filter_map(|thread| state_and_group_in(thread));
    states.all(|(state, _)| matches!(state, 'Z' | 'X'))
}

/// The members of a process group that are not dead.
pub(crate) fn group(leader: u32) -> Vec<u32> {
    let all = read_dir("/proc").unwrap();
    all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| {
            state_and_group(*number).is_some_and(|(_, group)| group == leader && !is_dead(*number))
        })
        .collect()
}

/// Waits until the group has no living member; says who is left when `limit` has passed.
pub(crate) fn wait_for_empty_group(leader: u32, limit: Duration) {
    let end = Instant::now() + limit;
    loop {
        let left = group(leader);
        let Some(first) = left.first() else { return };
        assert!(Instant::now() < end, "still alive: {left:?}");
        // One that ended since then is no failure.
        if let Ok(pidfd) = pidfd_open(pid(*first), PidfdFlags::empty()) {
            wait_for_end(&pidfd, end.saturating_duration_since(Instant::now()));
        }
    }
}

/// Whether the process ended within the limit.
pub(crate) fn wait_for_end(pidfd: &OwnedFd, limit: Duration) -> bool {
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    let limit = Timespec::try_from(limit).unwrap();
    // A test that runs a program with a limit of its own has the children's signals caught.
    retry_on_intr(|| poll(&mut fds, Some(&limit))).unwrap() > 0
}

/// The sockets at which it listens on `port`, by number.
pub(crate) fn listening_sockets_at(number: u32, port: u16) -> Vec<u64> {
    let (open, port) = (sockets(number), format!(":{port:04X}"));
    let table = tcp_table(number).into_iter();
    let listening = table.filter(|(_, line)| line[3] == "0A" && line[1].ends_with(&port));
    let mut listening: Vec<u64> = listening.map(|(inode, _)| inode).collect();
    listening.retain(|inode| open.contains(inode));
    listening.sort_unstable();
    listening.dedup();
    listening
}

/// The port that the process listens on.
pub(crate) fn listening_port(number: u32) -> Option<u16> {
    let sockets = sockets(number);
    let table = tcp_table(number);
    let mut listening = table
        .iter()
        .filter(|(inode, line)| line[3] == "0A" && sockets.contains(inode));
    let port = listening.next()?.1[1].split_once(':')?.1;
    u16::from_str_radix(port, 16).ok()
}

/// The sockets of whatever kind that it has open, by number.
fn sockets(number: u32) -> Vec<u64> {
    let open = read_dir(format!("/proc/{number}/fd")).into_iter().flatten();
    open.filter_map(|entry| {
        let target = read_link(entry.ok()?.path()).ok()?;
        let inode = target
            .to_str()?
            .strip_prefix("socket:[")?
            .strip_suffix(']')?;
        inode.parse().ok()
    })
    .collect()
}

/// The TCP sockets of its network, by number, each with the fields of its line.
fn tcp_table(number: u32) -> Vec<(u64, Vec<String>)> {
    let table = read_to_string(format!("/proc/{number}/net/tcp")).unwrap_or_default();
    let lines = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Some((fields.get(9)?.parse().ok()?, fields))
    });
    lines.collect()
}
