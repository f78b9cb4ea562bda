//! The parents of processes: processes with one thread, since a process that has several cannot be
//! copied, and with as much memory as they are told to have.

use std::io;
use std::process::{Child, Stdio};

use nix::sys::prctl;
use rustix::process::{WaitOptions, waitpid};
use serde::{Deserialize, Serialize};

use super::{Cost, Way};
use crate::bench::Bench;
use crate::part::{self, Part};
use crate::player::Player;
use crate::sys::forked;

/// What a large parent has.
pub(super) const LARGE_BYTES: usize = 256 << 20;
/// Repetitions in a round, and of the copy that takes long.
const REPEATS: usize = 5;
const FEW: usize = 2;

/// Does what it is told until its stdin ends: to copy itself, or to spawn [`NOTHING`], so often.
pub(super) const PARENT: Part = Part {
    name: "spawn-cost.parent",
    play: parent,
};
/// Ends at once.
pub(super) const NOTHING: Part = Part {
    name: "spawn-cost.nothing",
    play: |_| Ok(0),
};

/// What a parent is told.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Order {
    copy: bool,
    repeats: usize,
}

/// A small parent and a large one.
#[derive(Debug)]
pub(super) struct Parents {
    small: Player,
    large: Player,
}

impl Parents {
    pub(super) fn start(bench: &Bench) -> io::Result<Self> {
        let with = |bytes: usize| -> io::Result<Player> {
            let mut command = bench.launcher.part(PARENT.name);
            let mut parent = Player::start(command.arg(bytes.to_string()))?;
            // The memory is there when it says so for the first time.
            let () = parent.says()?;
            Ok(parent)
        };
        let small = with(0)?;
        let large = with(LARGE_BYTES)?;
        Ok(Self { small, large })
    }

    /// One round of a way.
    pub(super) fn measure(&mut self, way: Way) -> io::Result<Vec<Cost>> {
        let (copy, large) = match way {
            Way::ForkSmall => (true, false),
            Way::ForkLarge => (true, true),
            Way::SpawnLarge => (false, true),
            _ => (false, false),
        };
        let parent = if large {
            &mut self.large
        } else {
            &mut self.small
        };
        let repeats = if copy && large { FEW } else { REPEATS };
        parent.tell(&Order { copy, repeats })?;
        parent.says()
    }
}

fn parent(args: &[String]) -> io::Result<u8> {
    let bytes = args.first().and_then(|bytes| bytes.parse().ok());
    // A huge page is one entry in place of 512, which only some machines have.
    prctl::set_thp_disable(true)?;
    let memory = vec![1_u8; bytes.unwrap_or(0)];
    part::say(&())?;
    while let Some(order) = part::hear::<Order>()? {
        let cost = if order.copy { copy } else { spawn };
        let costs = (0..order.repeats).map(|_| cost());
        let costs = costs.collect::<io::Result<Vec<_>>>()?;
        part::say(&costs)?;
    }
    drop(memory);
    Ok(0)
}

fn copy() -> io::Result<Cost> {
    let mut ended = Ok(None);
    let wait = |child| Ok(waitpid(Some(child), WaitOptions::empty())?);
    let cost = Cost::of(|| forked(|| 0), |child| ended = child.and_then(wait));
    ended.map(|_| cost)
}

fn spawn() -> io::Result<Cost> {
    let mut command = part::another(NOTHING.name)?;
    command.stdin(Stdio::null());
    let mut ended = Ok(());
    let wait = |mut child: Child| child.wait().map(drop);
    let cost = Cost::of(|| command.spawn(), |child| ended = child.and_then(wait));
    ended.map(|()| cost)
}
