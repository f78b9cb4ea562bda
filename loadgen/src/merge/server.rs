//! The server's processes as several generators saw them.

use std::collections::BTreeSet;

use super::sums::joined;
use crate::report::{Report, Server};

/// The servers of all parts: generators that saw the same processes saw the same figures, which are not added;
/// different processes are.
pub(super) fn add(parts: &[&Report], answered: u64) -> Option<Server> {
    let mut seen: Vec<Server> = Vec::new();
    for server in parts.iter().filter_map(|p| p.server.as_ref()) {
        let shared = |known: &&mut Server| known.pids.iter().any(|pid| server.pids.contains(pid));
        match seen.iter_mut().find(shared) {
            Some(known) => *known = both(known, server, Share::Same),
            None => seen.push(server.clone()),
        }
    }
    let sum = seen
        .into_iter()
        .reduce(|a, b| both(&a, &b, Share::Different))?;
    Some(Server {
        cpu_us_per_request: (answered > 0).then(|| sum.cpu_s * 1e6 / answered as f64),
        ..sum
    })
}

/// Whether two generators looked at the same processes.
#[derive(Clone, Copy)]
enum Share {
    Same,
    Different,
}

fn both(a: &Server, b: &Server, share: Share) -> Server {
    let count = |a: u64, b: u64| match share {
        Share::Same => a.max(b),
        Share::Different => a.saturating_add(b),
    };
    let pids: BTreeSet<u32> = a.pids.iter().chain(&b.pids).copied().collect();
    Server {
        pids: pids.into_iter().collect(),
        command: joined([a.command.as_str(), b.command.as_str()].into_iter()),
        cpu_s: match share {
            Share::Same => a.cpu_s.max(b.cpu_s),
            Share::Different => a.cpu_s + b.cpu_s,
        },
        cpu_us_per_request: None,
        rss_bytes: count(a.rss_bytes, b.rss_bytes),
        threads: match share {
            Share::Same => a.threads.max(b.threads),
            Share::Different => a.threads.saturating_add(b.threads),
        },
        voluntary_switches: count(a.voluntary_switches, b.voluntary_switches),
        involuntary_switches: count(a.involuntary_switches, b.involuntary_switches),
        backlog: a.backlog.max(b.backlog),
        // These two are counters of a machine and not of its processes.
        listen_overflows: a.listen_overflows.max(b.listen_overflows),
        listen_drops: a.listen_drops.max(b.listen_drops),
    }
}
