//! How large the experiment can be here: clients, workers and generators, from what the machine
//! gives. Pure but for [`Room::here`].

use std::fs;

use rustix::process::{Resource, getrlimit};

use crate::usage;

/// Descriptors of a worker or generator that are not connections.
const OTHER_DESCRIPTORS: u64 = 64;
/// What a connection may cost with both of its ends, in bytes: two sockets with their files in the
/// kernel, and a place in the server and in the generator. A quarter more than was seen.
const CONNECTION_BYTES: u64 = 13 * 1024;
/// What is left to everybody else.
const SPARE_BYTES: u64 = 1 << 30;
/// The kernel's own limit on open files counts both ends.
const ENDS: u64 = 2;
/// Few workers would say little of how they share.
const LEAST_WORKERS: u64 = 2;

/// What the machine gives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Descriptors of a process.
    pub(super) descriptors: u64,
    /// Descriptors of all processes.
    pub(super) files: u64,
    /// Memory that can be had, in bytes.
    pub(super) memory_bytes: u64,
}

/// What is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) clients: u32,
    pub(super) workers: u32,
    pub(super) generators: u32,
    /// What made it fewer clients than were wanted.
    pub(super) limited_by: Option<&'static str>,
}

impl Room {
    /// That of this machine, as far as it tells.
    pub(super) fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let files = read("/proc/sys/fs/file-max").trim().parse();
        let memory = usage::field(&read("/proc/meminfo"), "MemAvailable:");
        Self {
            descriptors: getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX),
            files: files.unwrap_or(u64::MAX),
            memory_bytes: memory.map_or(u64::MAX, |kib| kib.saturating_mul(1024)),
        }
    }

    /// The size for `wanted` clients, or for as many of them as have room.
    pub(super) fn size(self, wanted: u32) -> Size {
        let memory = self.memory_bytes.saturating_sub(SPARE_BYTES) / CONNECTION_BYTES;
        let files = self.files / ENDS;
        let (most, by) = [(memory, "memory"), (files, "open files (fs.file-max)")]
            .into_iter()
            .min_by_key(|(most, _)| *most)
            .unwrap_or((u64::MAX, "nothing"));
        let clients = u64::from(wanted).min(most).max(1);
        let each = self.descriptors.saturating_sub(OTHER_DESCRIPTORS).max(1);
        let processes = clients.div_ceil(each);
        let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Size {
            clients: count(clients),
            workers: count(processes.max(LEAST_WORKERS)),
            generators: count(processes),
            limited_by: (clients < u64::from(wanted)).then_some(by),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOM: Room = Room {
        descriptors: 20_000,
        files: 2_400_000,
        memory_bytes: 22 << 30,
    };

    #[test]
    fn a_million_takes_fifty_one_processes_on_either_side() {
        let size = ROOM.size(1_000_000);
        assert_eq!((size.clients, size.limited_by), (1_000_000, None));
        assert_eq!((size.workers, size.generators), (51, 51));
        let small = ROOM.size(10_000);
        assert_eq!((small.workers, small.generators), (2, 1));
    }

    #[test]
    fn a_small_machine_has_fewer_and_says_why() {
        let poor = Room {
            memory_bytes: 2 << 30,
            ..ROOM
        };
        let size = poor.size(100_000);
        assert_eq!((size.clients, size.limited_by), (80_659, Some("memory")));
        let few = Room {
            files: 1_000,
            ..ROOM
        };
        let size = few.size(100_000);
        assert_eq!(size.clients, 500);
        assert_eq!(size.limited_by, Some("open files (fs.file-max)"));
        let none = Room {
            memory_bytes: 0,
            ..ROOM
        };
        assert_eq!(none.size(5).clients, 1);
    }

    proptest! {
        #[test]
        fn everybody_has_a_place(wanted in 1_u32..2_000_000, descriptors in 65_u64..1_000_000) {
            let size = Room { descriptors, ..ROOM }.size(wanted);
            let each = descriptors - OTHER_DESCRIPTORS;
            for processes in [size.workers, size.generators] {
                prop_assert!(u64::from(processes) * each >= u64::from(size.clients));
            }
        }
    }
}
