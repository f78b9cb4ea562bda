//! Starting: it only asks, and both sides then know the same numbers and the same name.

use std::ffi::CString;
use std::io;
use std::os::unix::process::parent_id;

use rustix::thread::set_name;
use serde::{Deserialize, Serialize};

use crate::bench::Bench;
use crate::exhibit::{Cell, Table};
use crate::part::{self, now_s};
use crate::player::Player;
use crate::usage;
use crate::verdict::Ruling;

/// Children that are started one right after the other: so many that the parent cannot have been kept
/// from its processor each time until the child had begun.
const CHILDREN: u32 = 8;

/// Who a process is: by what it knows itself, or by what its parent knows. Numbers of processes are
/// names, which no two runs have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    pid: String,
    parent: String,
    name: String,
}

/// What a child says when it begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Word {
    began_s: f64,
    identity: Identity,
}

/// One child; times count from the moment when it was asked for.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Start {
    went_on_after_s: f64,
    began_after_s: f64,
    /// The place in the order in which they began, from 1.
    began_as: usize,
    by_child: Identity,
    by_parent: Identity,
    alive_before: bool,
    alive_after_join: bool,
}

pub(super) fn run(bench: &Bench) -> io::Result<Vec<Start>> {
    let mut started = Vec::new();
    for number in 1..=CHILDREN {
        let mut command = bench.launcher.part("process-life.child");
        let asked_s = now_s();
        let child = Player::start(command.arg(format!("child-{number}")))?;
        started.push((asked_s, now_s(), child));
    }
    // Each of them waits for the end of its stdin: so nobody can have ended before this.
    let settle = |(asked_s, went_on_s, mut child): (f64, f64, Player)| {
        let word: Word = child.says()?;
        let by_parent = identity(child.pid())?;
        let alive_before = child.is_alive()?;
        child.hang_up();
        child.join()?;
        let start = Start {
            went_on_after_s: went_on_s - asked_s,
            began_after_s: word.began_s - asked_s,
            began_as: 0,
            by_child: word.identity,
            by_parent,
            alive_before,
            alive_after_join: child.is_alive()?,
        };
        Ok((word.began_s, start))
    };
    let starts: io::Result<Vec<(f64, Start)>> = started.into_iter().map(settle).collect();
    Ok(in_order(starts?))
}

/// Says of each, with the moment when it began, the how manieth it was.
fn in_order(starts: Vec<(f64, Start)>) -> Vec<Start> {
    let moments: Vec<f64> = starts.iter().map(|(began_s, _)| *began_s).collect();
    let place = |(began_s, start): (f64, Start)| Start {
        began_as: 1 + moments.iter().filter(|other| **other < began_s).count(),
        ..start
    };
    starts.into_iter().map(place).collect()
}

/// What the system says of a child.
fn identity(pid: u32) -> io::Result<Identity> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm"))?;
    Ok(Identity {
        pid: pid.to_string(),
        parent: usage::glance(pid)
            .map_or(0, |glance| glance.parent)
            .to_string(),
        name: name.trim_end().to_owned(),
    })
}

/// The part of a child: takes a name, tells who it is, and stays as long as its parent wishes.
pub(super) fn child(args: &[String]) -> io::Result<u8> {
    let began_s = now_s();
    let name = args.first().ok_or(io::ErrorKind::InvalidInput)?;
    set_name(&CString::new(name.as_str())?)?;
    part::say(&Word {
        began_s,
        identity: Identity {
            pid: std::process::id().to_string(),
            parent: parent_id().to_string(),
            name: name.clone(),
        },
    })?;
    part::stay()?;
    Ok(cli::exit::SUCCESS)
}

pub(super) fn objections(starts: &[Start], own_pid: u32) -> Vec<Ruling> {
    let own_pid = own_pid.to_string();
    let wrong = starts.iter().filter_map(|start| {
        let name = &start.by_parent.name;
        if start.by_child != start.by_parent || start.by_child.parent != own_pid {
            let (child, parent) = (&start.by_child, &start.by_parent);
            Some(format!(
                "{name} takes itself for {child:?}, its parent for {parent:?}"
            ))
        } else if !start.alive_before || start.alive_after_join {
            let (before, after) = (start.alive_before, start.alive_after_join);
            Some(format!("{name} is alive: {before}, after join: {after}"))
        } else {
            None
        }
    });
    let waited = starts
        .iter()
        .all(|start| start.went_on_after_s >= start.began_after_s);
    let waited =
        waited.then(|| "the parent went on only when its child had begun, each time".into());
    wrong.chain(waited).map(Ruling::does_not_hold).collect()
}

pub(super) fn table(starts: &[Start]) -> Table {
    let header = [
        "name",
        "pid",
        "by itself",
        "ppid",
        "went on after",
        "began after",
        "as number",
        "alive",
        "joined",
    ];
    let yes = |is: bool| -> Cell { if is { "yes" } else { "no" }.into() };
    let ms = |s: f64| -> Cell { format!("{:.2} ms", s * 1e3).into() };
    let row = |start: &Start| {
        vec![
            start.by_parent.name.as_str().into(),
            start.by_parent.pid.as_str().into(),
            start.by_child.pid.as_str().into(),
            start.by_child.parent.as_str().into(),
            ms(start.went_on_after_s),
            ms(start.began_after_s),
            start.began_as.to_string().into(),
            yes(start.alive_before),
            yes(start.alive_after_join),
        ]
    };
    Table {
        title: "Started: to start is to ask".into(),
        caption: "The parent goes on when the system has the new process; when that one begins is \
                  another matter, and so is in which order they do: any is right. Both sides know \
                  the same numbers."
            .into(),
        header: header.map(str::to_owned).to_vec(),
        rows: starts.iter().map(row).collect(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What is predicted, of a child of process 1.
    pub(in super::super) fn started() -> Vec<Start> {
        let identity = Identity {
            pid: "8".into(),
            parent: "7".into(),
            name: "child-1".into(),
        };
        vec![Start {
            went_on_after_s: 0.1,
            began_after_s: 0.2,
            began_as: 1,
            by_child: identity.clone(),
            by_parent: identity,
            alive_before: true,
            alive_after_join: false,
        }]
    }

    fn objected(change: impl FnOnce(&mut Start)) -> usize {
        let mut starts = started();
        change(&mut starts[0]);
        objections(&starts, 7).len()
    }

    #[test]
    fn both_sides_have_to_agree_on_everything() {
        assert_eq!(objected(|_| ()), 0);
        assert_eq!(objected(|it| it.by_child.pid = "9".into()), 1);
        assert_eq!(objected(|it| it.by_child.name = "b".into()), 1);
        let other = |it: &mut Start| {
            it.by_parent.parent = "1".into();
            it.by_child.parent = "1".into();
        };
        assert_eq!(objected(other), 1);
        assert_eq!(objected(|it| it.alive_before = false), 1);
        assert_eq!(objected(|it| it.alive_after_join = true), 1);
    }

    #[test]
    fn to_start_is_to_ask_if_the_parent_went_on_before_one_child_at_least_had_begun() {
        assert_eq!(objected(|it| it.went_on_after_s = 0.3), 1);
        let mut starts = started();
        starts.extend(started());
        starts[0].went_on_after_s = 0.3;
        assert!(objections(&starts, 7).is_empty());
    }

    #[test]
    fn the_order_of_beginnings_is_that_of_their_stamps() {
        let begun = |began_s: f64| started().into_iter().map(move |start| (began_s, start));
        let starts = [0.7, 0.5, 0.9].into_iter().flat_map(begun).collect();
        let places: Vec<usize> = in_order(starts).iter().map(|it| it.began_as).collect();
        assert_eq!(places, [2, 1, 3]);
    }
}
