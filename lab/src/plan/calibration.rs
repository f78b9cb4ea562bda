//! What the modes cost on one machine, as a document: everything in a plan that is no formula.

use std::path::Path;

use serde::{Deserialize, Serialize};
use server::Mode;

use crate::machine::Machine;
use crate::report::{self, ReadError, SaveError, Tool};
use crate::stats::Spread;

/// The version of the document; it grows when a key changes its meaning.
pub const SCHEMA: u32 = 1;
/// The document's name in the output folder.
pub const DOCUMENT: &str = "calibration.json";

/// What to do about one that cannot be read.
const REMEDY: &str = "run `lab calibrate` again, or choose another folder by --out";

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// [`SCHEMA`] of the program that wrote it.
    pub schema: u32,
    /// Who measured.
    pub tool: Tool,
    /// Where.
    pub machine: Machine,
    /// How often each figure was measured.
    pub repeats: usize,
    /// Whether the program was built for speed: figures of a debug build are several times too high.
    pub optimized: bool,
    /// Microseconds that a request costs a worker of `ready-pool` besides a service that waits: the
    /// read, the write, and how much longer than asked for a sleep takes.
    pub hold_us: Option<Spread>,
    /// What the system lets a server have.
    pub limits: Limits,
    /// The modes that can run here.
    pub modes: Vec<Cost>,
}

/// What the system lets a server have at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Connections, by the hard limit on descriptors.
    pub descriptors: u64,
    /// Threads that serve one each: by mappings, threads, processes of the user.
    pub threads: u64,
    /// Processes that serve one each.
    pub processes: u64,
    /// Ports from which one address can connect to one other; none if the system does not tell.
    pub local_ports: Option<u64>,
}

/// What a mode costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Which one.
    pub mode: Mode,
    /// Microseconds of processor time of the server for an echo of 64 bytes, under load.
    pub cpu_per_request_us: Option<Spread>,
    /// The same for accepting a connection and closing it.
    pub cpu_per_connect_us: Option<Spread>,
    /// Bytes of the server with 4 workers, where it has any, and 4 quiet clients.
    pub base_bytes: Option<Spread>,
    /// Bytes of user memory for one quiet client more, and for the worker that it takes in modes
    /// where it takes one.
    pub client_bytes: Option<Spread>,
    /// The same in the kernel.
    pub kernel_client_bytes: Option<Spread>,
    /// Bytes of user memory for one worker more that has nothing to do.
    pub worker_bytes: Option<Spread>,
}

impl Calibration {
    /// The cost of `mode`, if it was measured.
    #[must_use]
    pub fn cost(&self, mode: Mode) -> Option<&Cost> {
        self.modes.iter().find(|cost| cost.mode == mode)
    }

    /// Writes it into `folder`, which is made if need be.
    ///
    /// # Errors
    ///
    /// [`SaveError`] names the file.
    pub fn save(&self, folder: &Path) -> Result<(), SaveError> {
        report::put(folder, DOCUMENT, &report::pretty(self))
    }

    /// Reads what was saved in `folder`; none if nothing was.
    ///
    /// # Errors
    ///
    /// [`ReadError`] names the file.
    pub fn read(folder: &Path) -> Result<Option<Self>, ReadError> {
        let path = folder.join(DOCUMENT);
        match std::fs::read_to_string(&path) {
            Ok(text) => report::parsed(&text, path, SCHEMA, REMEDY).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ReadError::Unreadable {
                path,
                source,
                remedy: report::FOLDER,
            }),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Round figures, so that plans can be computed by hand.
    pub(in crate::plan) fn sample() -> Calibration {
        let spread = |value| Spread::of([value]);
        let cost = |mode: &Mode| Cost {
            mode: *mode,
            cpu_per_request_us: spread(10.0),
            cpu_per_connect_us: spread(30.0),
            base_bytes: spread(4e6),
            client_bytes: spread(1_000.0),
            kernel_client_bytes: spread(4_000.0),
            worker_bytes: spread(20_000.0),
        };
        Calibration {
            schema: SCHEMA,
            tool: Tool::lab(),
            machine: Machine {
                cpus: 4,
                cpu_model: None,
                memory_bytes: Some(8_000_000_000),
                kernel: "6.0".into(),
            },
            repeats: 1,
            optimized: true,
            hold_us: spread(100.0),
            limits: Limits {
                descriptors: 20_000,
                threads: 16_000,
                processes: 8_000,
                local_ports: Some(28_000),
            },
            modes: Mode::ALL.iter().map(cost).collect(),
        }
    }

    #[test]
    fn what_is_saved_is_read_back_and_nothing_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Calibration::read(folder.path()).unwrap(), None);
        sample().save(folder.path()).unwrap();
        assert_eq!(Calibration::read(folder.path()).unwrap(), Some(sample()));
    }

    #[test]
    fn what_cannot_be_used_says_why_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |text: &str| {
            std::fs::write(folder.path().join(DOCUMENT), text).unwrap();
            Calibration::read(folder.path()).unwrap_err().to_string()
        };
        let newer = Calibration {
            schema: SCHEMA + 1,
            ..sample()
        };
        for (text, why) in [
            ("{}", "missing field"),
            ("{\"schema\": 2, \"new\": 1}", "has schema 2 and not 1"),
            (&report::pretty(&newer), "has schema 2 and not 1"),
        ] {
            let refused = refusal(text);
            for part in [DOCUMENT, why, REMEDY] {
                assert!(refused.contains(part), "{refused}");
            }
            assert_eq!(refused.lines().count(), 1);
        }
    }
}
