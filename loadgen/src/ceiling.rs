//! What this generator can do at most on this machine, and which runs that says something about.
//!
//! `loadgen selftest` finds it out and the command keeps it. Here it is a value: nothing in the
//! library knows where it is kept.

use serde::{Deserialize, Serialize};

use crate::Config;
use crate::config::Pace;
use crate::protocol::{Protocol, Sizes};
use crate::report::{Machine, Tool};

/// The length of the messages that ceilings are measured with, in bytes.
pub(crate) const MESSAGE_BYTES: u32 = 64;
/// Above this share of its ceiling a generator may itself be what is measured.
pub const HIGH_SHARE: f64 = 0.7;

/// The most that a generator could do against a server that costs as little as possible.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// The program that measured itself.
    pub tool: Tool,
    /// Where it did.
    pub machine: Machine,
    /// What it reached, by the number of connections.
    pub points: Vec<Point>,
}

/// What was reached with a number of connections.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// How many connections.
    pub connections: u32,
    /// Generator threads.
    pub threads: usize,
    /// Answers per second.
    pub rate_per_s: f64,
}

impl Ceiling {
    /// Whether it was measured by this `tool` on this `machine`; else what differs.
    ///
    /// # Errors
    ///
    /// The difference, as a clause.
    pub fn of_here(&self, tool: &Tool, machine: &Machine) -> Result<(), String> {
        let here = [&machine.kernel, &tool.version];
        let there = [&self.machine.kernel, &self.tool.version];
        let cpus = (self.machine.cpus, machine.cpus);
        if cpus.0 == cpus.1 && here == there {
            return Ok(());
        }
        Err(format!(
            "the stored ceiling is of loadgen {} on {} processors with kernel {}; run `loadgen \
             selftest` again",
            there[1], cpus.0, there[0]
        ))
    }

    /// The point for `clients` clients. One client alone is bound by its round trip and not by the
    /// generator, so that its point stands for nobody else.
    #[must_use]
    pub fn nearest(&self, clients: u32) -> Option<Point> {
        let distance = |point: &Point| {
            let ratio = f64::from(point.connections.max(1)) / f64::from(clients.max(1));
            ratio.ln().abs()
        };
        let alone = |connections: u32| connections <= 1;
        let alike = |point: &&Point| alone(point.connections) == alone(clients);
        let points = self.points.iter().filter(alike);
        points
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
            .copied()
    }
}

/// Whether a run of `config` is of the kind that ceilings are measured with; else why not.
pub(crate) fn comparable(config: &Config) -> Result<(), &'static str> {
    let sizes = match &config.protocol {
        Protocol::Echo(sizes) => sizes,
        _ => return Err("the ceiling is of the echo protocol"),
    };
    let behaviour = config.behaviour;
    if config.pace != Pace::Closed {
        Err("an open loop; see schedule-kept")
    } else if !matches!(sizes, Sizes::Fixed(bytes) if bytes.get() == MESSAGE_BYTES) {
        Err("the ceiling is of messages of 64 bytes")
    } else if !config.verify {
        Err("the ceiling is with every byte compared")
    } else if behaviour.pipeline.get() > 1 || !behaviour.think.is_zero() {
        Err("the ceiling is of one request at a time without pauses")
    } else if !behaviour.hold.is_zero() || behaviour.requests_per_conn.is_some() {
        Err("the ceiling is of connections that stay and are busy")
    } else if !config.profiles.is_empty() {
        Err("clients of several kinds")
    } else if config.shard.count.get() > 1 {
        Err("one of several generators")
    } else {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn point(connections: u32, rate_per_s: f64) -> Point {
        Point {
            connections,
            threads: 1,
            rate_per_s,
        }
    }

    /// A ceiling of `rate_per_s` from 50 connections on, measured on `machine`.
    pub(crate) fn ceiling(rate_per_s: f64, machine: Machine) -> Ceiling {
        Ceiling {
            tool: Tool {
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            machine,
            points: vec![point(1, 100.0), point(50, rate_per_s), point(500, 900.0)],
        }
    }

    fn machine() -> Machine {
        Machine {
            cpus: 2,
            kernel: "6.18.0".to_owned(),
        }
    }

    #[test]
    fn the_nearest_point_is_by_ratio_and_one_client_stands_alone() {
        let ceiling = ceiling(1_000.0, machine());
        let nearest = |clients| ceiling.nearest(clients).unwrap().connections;
        assert_eq!(
            [1, 2, 50, 150, 170, 9_000].map(nearest),
            [1, 50, 50, 50, 500, 500]
        );
        let none = Ceiling {
            points: vec![point(1, 1.0)],
            ..ceiling
        };
        assert_eq!(none.nearest(4), None);
    }

    #[test]
    fn another_machine_is_told_apart() {
        let ceiling = ceiling(1.0, machine());
        let tool = ceiling.tool.clone();
        assert_eq!(ceiling.of_here(&tool, &machine()), Ok(()));
        let kernel = Machine {
            kernel: "7.0".to_owned(),
            ..machine()
        };
        let cpus = Machine {
            cpus: 3,
            ..machine()
        };
        for other in [kernel, cpus] {
            let why = ceiling.of_here(&tool, &other).unwrap_err();
            assert!(
                why.contains("6.18.0") && why.contains("selftest` again"),
                "{why}"
            );
        }
        let newer = Tool {
            version: "9.0.0".to_owned(),
        };
        assert!(ceiling.of_here(&newer, &machine()).is_err());
    }
}
