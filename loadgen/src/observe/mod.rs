//! The machine around a run: the server's processes, when they are on this machine, and what the
//! kernel says of the connections.
//!
//! ```text
//! target ──▶ listeners ──inode──▶ owners ──▶ family ──▶ Sample ─┐
//!            (netlink, /proc/net)  (/proc/PID/fd)               ├─▶ report::Server
//!                                                       Sample ─┘
//! ```
//!
//! Nothing here asks the server anything or changes anything: it reads `/proc` as `top` and `ss`
//! do. A look takes some milliseconds, and tens of microseconds more for each thread of the server,
//! so it is taken at the ends of the window and by no thread that makes requests.

mod diag;
mod family;
mod listeners;
mod process;
pub(crate) mod tcp;
mod usage;

use std::collections::{BTreeMap, BTreeSet};

use socket2::SockAddr;

use crate::kernel::ListenTrouble;
use crate::report::Server;
use listeners::Endpoint;
pub(crate) use listeners::is_ours;
use process::{Stat, Vitals};
use usage::Usage;

/// Looks at the server from outside.
#[derive(Debug)]
pub(crate) struct Eye {
    endpoints: Vec<Endpoint>,
    inodes: Vec<u64>,
    /// Whether a process holds one of the listeners; it is looked up once for each.
    judged: BTreeMap<Identity, bool>,
}

/// A process's number, and when it began: numbers are used again.
type Identity = (u32, u64);

/// The server at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// When, in ticks since the machine started.
    at_ticks: u64,
    processes: BTreeMap<u32, Vitals>,
    /// The limit of the longest queue among the listeners.
    backlog: Option<u32>,
}

impl Eye {
    /// Finds the server at `addresses`, and looks once. None when it is not on this machine, not in
    /// this network namespace, not ours to look at, or when it is this very process.
    pub(crate) fn open<'a>(
        addresses: impl IntoIterator<Item = &'a SockAddr>,
    ) -> Option<(Self, Sample)> {
        let mut eye = Self {
            endpoints: addresses.into_iter().filter_map(Endpoint::of).collect(),
            inodes: Vec::new(),
            judged: BTreeMap::new(),
        };
        if eye.endpoints.is_empty() {
            return None;
        }
        let sample = eye.sample();
        (!sample.processes.is_empty()).then_some((eye, sample))
    }

    /// Looks once.
    pub(crate) fn sample(&mut self) -> Sample {
        let backlog = self.find_listeners();
        let all = process::all();
        let owners = self.owners(&all);
        let family = family::family(&owners, &all, std::process::id());
        let vitals = |(pid, stat): (u32, Stat)| (pid, Vitals::read(pid, stat));
        let members = all.into_iter().filter(|(pid, _)| family.contains(pid));
        Sample {
            at_ticks: process::ticks_now(),
            processes: members.map(vitals).collect(),
            backlog,
        }
    }

    /// Finds the listeners anew, since a server may have been restarted, and returns the limit of
    /// the longest queue.
    fn find_listeners(&mut self) -> Option<u32> {
        let all: Vec<_> = self
            .endpoints
            .iter()
            .flat_map(Endpoint::listeners)
            .collect();
        let inodes: BTreeSet<u64> = all.iter().map(|listener| listener.inode).collect();
        let inodes: Vec<u64> = inodes.into_iter().collect();
        if inodes != self.inodes {
            self.inodes = inodes;
            self.judged.clear();
        }
        all.iter().filter_map(|listener| listener.backlog).max()
    }

    /// Who holds one of the listeners. A process of which that is known is not searched again: it
    /// may have ten thousand connections open by now.
    fn owners(&mut self, all: &BTreeMap<u32, Stat>) -> BTreeSet<u32> {
        let identity = |(pid, stat): (&u32, &Stat)| (*pid, stat.started_ticks);
        let present: BTreeSet<Identity> = all.iter().map(identity).collect();
        self.judged.retain(|known, _| present.contains(known));
        let inodes = &self.inodes;
        let mut owners = BTreeSet::new();
        for known in present {
            let judge = || !inodes.is_empty() && process::holds(known.0, inodes);
            if *self.judged.entry(known).or_insert_with(judge) {
                owners.insert(known.0);
            }
        }
        owners
    }
}

impl Server {
    /// What the server did from `first` to `last`, in which it answered `answered` requests and
    /// the machine's listeners had `trouble`. Where the server was gone at the last look, what it
    /// holds is told as of the first.
    pub(crate) fn between(
        first: &Sample,
        last: &Sample,
        answered: u64,
        trouble: ListenTrouble,
    ) -> Self {
        let held = if last.processes.is_empty() {
            first
        } else {
            last
        };
        let stats = || held.processes.values().map(|vitals| &vitals.stat);
        let used = Usage::between(first, last);
        let cpu_s = used.cpu_nanos as f64 / 1e9;
        Self {
            pids: held.processes.keys().copied().collect(),
            command: held.command(),
            cpu_s,
            cpu_us_per_request: (answered > 0).then(|| cpu_s * 1e6 / answered as f64),
            rss_bytes: stats().map(|stat| stat.rss_bytes).sum(),
            threads: stats().map(|stat| stat.threads).sum(),
            voluntary_switches: used.switches.voluntary,
            involuntary_switches: used.switches.involuntary,
            backlog: last.backlog.or(first.backlog),
            listen_overflows: trouble.overflows,
            listen_drops: trouble.drops,
        }
    }
}

impl Sample {
    /// The name of the eldest process: a master is older than its workers.
    fn command(&self) -> String {
        let eldest = self
            .processes
            .values()
            .min_by_key(|vitals| vitals.stat.started_ticks);
        eldest.map_or_else(String::new, |vitals| vitals.stat.command.clone())
    }
}

#[cfg(test)]
mod tests;
