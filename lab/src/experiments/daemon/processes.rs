//! Children whose main program ends in the middle of their work.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use super::{HALF, STEPS, given_words, words};
use crate::bench::Bench;
use crate::exhibit::{Cell, Table, Tone};
use crate::part;
use crate::player::{LIMIT, Player};
use crate::process::is_gone_within;
use crate::sync::until;
use crate::verdict::Ruling;

/// How long a child that is bound may take to end; one that is not waits for longer than that.
const END_LIMIT: Duration = Duration::from_secs(3);

/// What ties a child to the main program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Bond {
    /// KILL from the kernel.
    Signal,
    /// End of file on a socket pair.
    SocketPair,
    /// KILL from the kernel, asked for when the parent was dead.
    TooLate,
    /// The same, and then a look at the parent.
    TooLateWithALook,
    /// KILL from the kernel, to a child that was started by a thread that is done.
    OfAThread,
    /// None.
    Free,
}

impl Bond {
    const ALL: [Self; 6] = [
        Self::Signal,
        Self::SocketPair,
        Self::TooLate,
        Self::TooLateWithALook,
        Self::OfAThread,
        Self::Free,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Signal => "PDEATHSIG",
            Self::SocketPair => "socket pair, end of file",
            Self::TooLate => "PDEATHSIG, set too late",
            Self::TooLateWithALook => "the same, then looks at its parent",
            Self::OfAThread => "PDEATHSIG, started by a thread that ends",
            Self::Free => "none",
        }
    }

    /// Whether it ends with whoever started it.
    fn holds(self) -> bool {
        !matches!(self, Self::TooLate | Self::Free)
    }

    /// The word in which its steps are counted.
    fn steps(self) -> usize {
        FIRST_STEPS + Self::ALL.iter().position(|bond| *bond == self).unwrap_or(0)
    }
}

/// How the main program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum MainEnd {
    Returns,
    Killed,
}

impl MainEnd {
    pub(super) const ALL: [Self; 2] = [Self::Returns, Self::Killed];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Returns => "returns",
            Self::Killed => "is killed",
        }
    }
}

/// The words: a mark for the main program to return, one for the second half, how many children have
/// done what they do about a dead parent, and the steps of each child.
const LEAVE: usize = 0;
const GO_ON: usize = 1;
const TOO_LATE: usize = 2;
const FIRST_STEPS: usize = 3;
const WORDS: usize = FIRST_STEPS + Bond::ALL.len();

/// What became of one child.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Outcome {
    main: MainEnd,
    bond: Bond,
    /// Whether the main program ended while its children had work to do.
    main_ended: bool,
    /// Whether it lived when the main program was gone and those who are bound had time to end.
    outlived: bool,
    /// Whether it was gone when the main program still lived.
    gone_before: bool,
    pub(super) steps: u32,
}

/// A child as the main program tells of it.
type Told = (Bond, u32);

pub(super) fn run(bench: &Bench, end: MainEnd) -> io::Result<Vec<Outcome>> {
    let (words, memory) = words(WORDS)?;
    let mut command = bench.launcher.part("daemon.main");
    if bench.faulted() {
        command.arg("unbound");
    }
    let memory = memory.as_fd().try_clone_to_owned()?;
    let mut main = Player::given(&mut command, memory)?;
    let children: Vec<Told> = main.says()?;
    let of_thread = children.iter().find(|(bond, _)| *bond == Bond::OfAThread);
    let gone_before = of_thread.is_some_and(|(_, pid)| is_gone_within(*pid, LIMIT));
    until(LIMIT, || {
        Bond::ALL
            .iter()
            .all(|bond| load(&words, bond.steps()) >= HALF)
    })?;
    match end {
        MainEnd::Returns => mark(&words, LEAVE),
        MainEnd::Killed => main.signal(Signal::KILL)?,
    }
    let main_ended = is_gone_within(main.pid(), END_LIMIT);
    if !main_ended {
        // What becomes of the children can still be seen.
        main.signal(Signal::KILL)?;
    }
    main.join()?;
    until(LIMIT, || load(&words, TOO_LATE) == 2)?;
    let gone = |bond: Bond, pid| bond.holds() && is_gone_within(pid, END_LIMIT);
    let outlived: Vec<bool> = children
        .iter()
        .map(|(bond, pid)| !gone(*bond, *pid))
        .collect();
    mark(&words, GO_ON);
    let outcome = |((bond, pid), outlived): (Told, bool)| {
        let _ = is_gone_within(pid, LIMIT);
        Outcome {
            main: end,
            bond,
            main_ended,
            outlived,
            gone_before: gone_before && bond == Bond::OfAThread,
            steps: load(&words, bond.steps()),
        }
    };
    Ok(children.into_iter().zip(outlived).map(outcome).collect())
}

fn load(words: &[AtomicU32], index: usize) -> u32 {
    words
        .get(index)
        .map_or(0, |word| word.load(Ordering::SeqCst))
}

fn mark(words: &[AtomicU32], index: usize) {
    if let Some(word) = words.get(index) {
        word.fetch_add(1, Ordering::SeqCst);
    }
}

/// The part of the main program: starts its children, and waits for none of them.
pub(super) fn main(args: &[String]) -> io::Result<u8> {
    let words = given_words(WORDS)?;
    let unbound = !args.is_empty();
    let (near, far) = UnixStream::pair()?;
    let mut far = Some(OwnedFd::from(far));
    let mut told: Vec<Told> = Vec::new();
    for bond in Bond::ALL {
        let stdout = match bond {
            Bond::SocketPair => far.take().map_or(Stdio::null(), Stdio::from),
            _ => Stdio::null(),
        };
        let really = if unbound && bond == Bond::Signal {
            Bond::Free
        } else {
            bond
        };
        let start = || start(bond, really, stdout);
        let child = if bond == Bond::OfAThread {
            // The thread lives until its child is in the middle of its work.
            let in_a_thread = || {
                let child = start()?;
                until(LIMIT, || load(&words, bond.steps()) >= HALF)?;
                Ok(child)
            };
            let child = thread::scope(|scope| scope.spawn(in_a_thread).join());
            child.unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))?
        } else {
            start()?
        };
        told.push((bond, child.id()));
    }
    part::say(&told)?;
    until(LIMIT, || load(&words, LEAVE) > 0)?;
    drop(near);
    Ok(cli::exit::SUCCESS)
}

fn start(bond: Bond, really: Bond, stdout: Stdio) -> io::Result<Child> {
    let mut command = part::another("daemon.child")?;
    command.args([
        serde_json::to_string(&bond)?,
        serde_json::to_string(&really)?,
    ]);
    // It shares the memory that this process has as its stdin.
    command.stdin(Stdio::inherit()).stdout(stdout).spawn()
}

/// The part of a child: half of its work, then what its bond demands, then the other half.
pub(super) fn child(args: &[String]) -> io::Result<u8> {
    let bonds = args.iter().map(|bond| serde_json::from_str(bond));
    let bonds: Vec<Bond> = bonds.collect::<Result<_, _>>()?;
    let [named, bond] = bonds[..] else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // Every part of the lab is bound by it until it says otherwise.
    if !matches!(bond, Bond::Signal | Bond::OfAThread) {
        set_parent_process_death_signal(None)?;
    }
    let parent = getppid();
    let words = given_words(WORDS)?;
    work(&words, named);
    if matches!(bond, Bond::TooLate | Bond::TooLateWithALook) {
        until(LIMIT, || getppid() != parent)?;
        set_parent_process_death_signal(Some(Signal::KILL))?;
        mark(&words, TOO_LATE);
        if bond == Bond::TooLateWithALook && getppid() != parent {
            return Ok(cli::exit::SUCCESS);
        }
    }
    let cut_off = || bond == Bond::SocketPair && hung_up();
    until(LIMIT, || load(&words, GO_ON) > 0 || cut_off())?;
    if !cut_off() {
        work(&words, named);
    }
    Ok(cli::exit::SUCCESS)
}

fn work(words: &[AtomicU32], bond: Bond) {
    for _ in 0..HALF {
        mark(words, bond.steps());
    }
}

/// Whether whoever has the other end of the socket pair, here the stdout, has let go of it.
fn hung_up() -> bool {
    let stdout = io::stdout();
    let mut end = [PollFd::new(&stdout, PollFlags::IN)];
    let at_once = Timespec::default();
    matches!(poll(&mut end, Some(&at_once)), Ok(1))
}

pub(super) fn objections(outcomes: &[Outcome]) -> Vec<Ruling> {
    let wrong = outcomes.iter().filter_map(|outcome| {
        let Outcome { main, bond, main_ended, outlived, gone_before, steps } = *outcome;
        let (main, name) = (main.name(), bond.name());
        let expected = if bond.holds() { HALF } else { STEPS };
        if !main_ended {
            Some(format!("a main program that {main} waits for its child with bond '{name}'"))
        } else if outlived == bond.holds() || steps != expected {
            let verb = if outlived { "lives on" } else { "ends" };
            Some(format!(
                "bond '{name}', main {main}: the child {verb} and does {steps} of {STEPS} steps, not \
                 {expected}"
            ))
        } else if bond == Bond::OfAThread && !gone_before {
            Some(format!("bond '{name}': the child outlives the thread"))
        } else {
            None
        }
    });
    wrong.map(Ruling::does_not_hold).collect()
}

pub(super) fn table(outcomes: &[Outcome]) -> Table {
    let of = |bond: Bond, main: MainEnd| {
        let mut all = outcomes.iter();
        let outcome = all.find(|it| it.bond == bond && it.main == main);
        let steps = outcome.map(|it| (it.steps, it.outlived));
        steps.map_or(Cell::or_dash(None), |(steps, outlived)| {
            let tone = if outlived { Tone::Plain } else { Tone::Good };
            let then = if outlived { "lives on" } else { "ends" };
            Cell::toned(format!("{steps}/{STEPS}, {then}"), tone)
        })
    };
    let row = |bond: Bond| {
        let cells = MainEnd::ALL.map(|main| of(bond, main));
        std::iter::once(bond.name().into()).chain(cells).collect()
    };
    Table {
        title: "Steps that a child does, and what becomes of it".into(),
        caption: "Half of the steps are possible only after the main program is gone.".into(),
        header: ["bond", "main returns", "main is killed"]
            .map(str::to_owned)
            .to_vec(),
        rows: Bond::ALL.into_iter().map(row).collect(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn predicted() -> Vec<Outcome> {
        let outcome = |main: MainEnd, bond: Bond| Outcome {
            main,
            bond,
            main_ended: true,
            outlived: !bond.holds(),
            gone_before: bond == Bond::OfAThread,
            steps: if bond.holds() { HALF } else { STEPS },
        };
        let both = MainEnd::ALL.into_iter();
        both.flat_map(|main| Bond::ALL.map(|bond| outcome(main, bond)))
            .collect()
    }

    #[test]
    fn each_bond_can_fail() {
        assert!(objections(&predicted()).is_empty());
        for index in 0..predicted().len() {
            let mut outcomes = predicted();
            outcomes[index].outlived ^= true;
            assert_eq!(objections(&outcomes).len(), 1, "{index}");
            let mut outcomes = predicted();
            outcomes[index].steps = HALF + 1;
            assert_eq!(objections(&outcomes).len(), 1, "{index}");
            let mut outcomes = predicted();
            outcomes[index].main_ended = false;
            assert_eq!(objections(&outcomes).len(), 1, "{index}");
        }
        let mut outcomes = predicted();
        outcomes[4].gone_before = false;
        assert_eq!(objections(&outcomes).len(), 1);
    }
}
