//! Who belongs to the server: those who hold its listener, and whom they started. Pure.
//!
//! Workers that are handed connections, and children that are forked for one, hold no listener and
//! are found as descendants. Two kinds are left out: this process with whatever it started, and
//! managers of services, which hold the listeners of others and have started everything else too.

use std::collections::{BTreeMap, BTreeSet};

use super::process::Stat;

/// Programs that listen on behalf of others and hand their sockets over.
const MANAGERS: [&str; 2] = ["systemd", "init"];

/// The server's processes among `all`, when `owners` hold its listener and `me` is this process.
pub(super) fn family(owners: &BTreeSet<u32>, all: &BTreeMap<u32, Stat>, me: u32) -> BTreeSet<u32> {
    let manages = |pid: &u32| {
        let stat = all.get(pid);
        stat.is_some_and(|stat| MANAGERS.contains(&stat.command.as_str()))
    };
    let (managers, owners): (Vec<u32>, Vec<u32>) = owners
        .iter()
        .copied()
        .filter(|pid| *pid != me)
        .partition(manages);
    if owners.is_empty() {
        return managers.into_iter().collect();
    }
    let mut children = BTreeMap::<u32, Vec<u32>>::new();
    for (pid, stat) in all {
        children.entry(stat.parent).or_default().push(*pid);
    }
    let mut family = BTreeSet::new();
    let mut found = owners;
    while let Some(pid) = found.pop() {
        if pid != me && family.insert(pid) {
            found.extend(children.get(&pid).into_iter().flatten());
        }
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Process, parent, command.
    const ALL: [(u32, u32, &str); 8] = [
        (1, 0, "systemd"),
        (10, 1, "master"),
        (11, 10, "worker"),
        (12, 11, "helper"),
        (20, 1, "sh"),
        (21, 20, "loadgen"),
        (22, 21, "child"),
        (30, 1, "other"),
    ];

    fn found(owners: &[u32], me: u32) -> Vec<u32> {
        let stat = |parent, command: &str| Stat {
            parent,
            command: command.into(),
            ..Stat::default()
        };
        let all = ALL.map(|(pid, parent, command)| (pid, stat(parent, command)));
        let owners = owners.iter().copied().collect();
        family(&owners, &all.into(), me).into_iter().collect()
    }

    #[test]
    fn those_who_were_started_belong_to_it() {
        assert_eq!(found(&[10], 21), [10, 11, 12]);
        assert_eq!(found(&[10, 11], 21), [10, 11, 12]);
        assert_eq!(found(&[11], 21), [11, 12]);
        assert!(found(&[], 21).is_empty());
    }

    #[test]
    fn the_generator_is_not_its_own_server() {
        assert!(found(&[21], 21).is_empty());
        assert_eq!(found(&[20], 21), [20], "nor is a child of the server");
        assert_eq!(found(&[21, 22], 21), [22], "a child that listens is");
    }

    #[test]
    fn a_manager_that_passes_its_listener_on_is_not_counted() {
        assert_eq!(found(&[1, 30], 21), [30]);
        assert_eq!(found(&[1], 21), [1], "unless nobody else has it yet");
    }
}
