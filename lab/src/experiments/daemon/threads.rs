//! Threads whose process ends: one that main joins, and one that nobody waits for.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use serde::Serialize;

use super::{HALF, STEPS, given_words, words};
use crate::bench::Bench;
use crate::exhibit::{Cell, Table, Tone};
use crate::part;
use crate::player::{LIMIT, Player};
use crate::sync::until;
use crate::verdict::Ruling;

/// How far the detached thread comes while main waits for the other.
const MEANWHILE: u32 = 15;

/// The words: how far the detached thread may go, how far it came, how far the joined one came, and how
/// often the destructor of each ran.
const WORDS: usize = 5;

/// What both are called.
const DETACHED: &str = "detached";
const JOINED: &str = "joined";

/// What became of both.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    /// The threads besides the first one, by the names that the system knows them by, while both live.
    names: Vec<String>,
    /// What the detached thread had done when main had nothing left to do.
    detached_steps_at_the_end_of_main: u32,
    pub(super) detached_steps: u32,
    pub(super) joined_steps: u32,
    detached_cleaned_up: bool,
    joined_cleaned_up: bool,
    exit_code: Option<i32>,
}

pub(super) fn run(bench: &Bench) -> io::Result<Outcome> {
    let (words, memory) = words(WORDS)?;
    let memory = memory.as_fd().try_clone_to_owned()?;
    let mut main = Player::given(&mut bench.launcher.part("daemon.threads"), memory)?;
    let detached_steps_at_the_end_of_main = main.says()?;
    let names = main.says()?;
    let status = main.join()?;
    let [may, detached, joined, detached_drops, joined_drops] = &words[..] else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // Would there still be a thread, it could do the rest now.
    may.store(STEPS, Ordering::SeqCst);
    Ok(Outcome {
        names,
        detached_steps_at_the_end_of_main,
        detached_steps: detached.load(Ordering::SeqCst),
        joined_steps: joined.load(Ordering::SeqCst),
        detached_cleaned_up: detached_drops.load(Ordering::SeqCst) > 0,
        joined_cleaned_up: joined_drops.load(Ordering::SeqCst) > 0,
        exit_code: status.code(),
    })
}

/// The names of the threads of this process besides its first one.
fn names() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for thread in fs::read_dir("/proc/self/task")? {
        let thread = thread?;
        if thread.file_name().to_str() != Some(&std::process::id().to_string()) {
            let name = fs::read_to_string(thread.path().join("comm"))?;
            names.push(name.trim_end().to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Something that a thread has to leave in order.
struct CleanUp<'a>(&'a AtomicU32);

impl Drop for CleanUp<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The part of the process with both threads.
pub(super) fn main(_: &[String]) -> io::Result<u8> {
    let (words, of_detached) = (given_words(WORDS)?, given_words(WORDS)?);
    let [may, detached, joined, _, drops] = &words[..] else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    may.store(HALF, Ordering::SeqCst);
    let detach = thread::Builder::new().name(DETACHED.into());
    detach.spawn(move || {
        if let [may, steps, _, drops, _] = &of_detached[..] {
            let _clean_up = CleanUp(drops);
            while steps.load(Ordering::SeqCst) < STEPS {
                until(LIMIT, || {
                    steps.load(Ordering::SeqCst) < may.load(Ordering::SeqCst)
                })?;
                steps.fetch_add(1, Ordering::SeqCst);
            }
        }
        io::Result::Ok(())
    })?;
    until(LIMIT, || detached.load(Ordering::SeqCst) == HALF)?;
    // Here ends what main has to do by itself.
    part::say(&detached.load(Ordering::SeqCst))?;
    let to_join = || {
        let _clean_up = CleanUp(drops);
        part::say(&names()?)?;
        may.store(MEANWHILE, Ordering::SeqCst);
        until(LIMIT, || detached.load(Ordering::SeqCst) == MEANWHILE)?;
        joined.store(STEPS, Ordering::SeqCst);
        io::Result::Ok(())
    };
    thread::scope(|scope| {
        let join = thread::Builder::new().name(JOINED.into());
        let joined = join.spawn_scoped(scope, to_join)?.join();
        joined.unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    })?;
    Ok(cli::exit::SUCCESS)
}

pub(super) fn objections(outcome: &Outcome) -> Vec<Ruling> {
    let Outcome {
        ref names,
        detached_steps_at_the_end_of_main: early,
        detached_steps,
        joined_steps,
        detached_cleaned_up,
        joined_cleaned_up,
        exit_code,
    } = *outcome;
    let wrong = [
        (*names != [DETACHED, JOINED]).then(|| format!("the threads are {names:?}")),
        ((early, detached_steps) != (HALF, MEANWHILE)).then(|| {
            format!(
                "a detached thread was at {early} and {detached_steps} of {STEPS} steps when main had nothing \
                 to do and when it returned, not at {HALF} and {MEANWHILE}"
            )
        }),
        (joined_steps != STEPS)
            .then(|| format!("the joined thread did {joined_steps} of {STEPS} steps")),
        (detached_cleaned_up || !joined_cleaned_up).then(|| {
            format!("destructors ran: detached {detached_cleaned_up}, joined {joined_cleaned_up}")
        }),
        (exit_code != Some(0)).then(|| format!("the process ended with {exit_code:?}")),
    ];
    wrong
        .into_iter()
        .flatten()
        .map(Ruling::does_not_hold)
        .collect()
}

pub(super) fn table(outcome: &Outcome) -> Table {
    let row = |name: &str, early: Option<u32>, steps: u32, cleaned_up: bool| {
        let tone = if steps == STEPS {
            Tone::Good
        } else {
            Tone::Bad
        };
        vec![
            Cell::from(name),
            Cell::or_dash(early.map(|steps| format!("{steps}/{STEPS}"))),
            Cell::toned(format!("{steps}/{STEPS}"), tone),
            if cleaned_up { "ran" } else { "did not run" }.into(),
        ]
    };
    let early = Some(outcome.detached_steps_at_the_end_of_main);
    Table {
        title: "Two threads of a process whose main returns".into(),
        caption:
            "The detached one goes on while main waits for the other, and no step longer. The exit \
                  code says nothing of it."
                .into(),
        header: [
            "thread",
            "main has no more to do",
            "main has returned",
            "destructors",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows: vec![
            row(
                DETACHED,
                early,
                outcome.detached_steps,
                outcome.detached_cleaned_up,
            ),
            row(
                JOINED,
                None,
                outcome.joined_steps,
                outcome.joined_cleaned_up,
            ),
        ],
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn predicted() -> Outcome {
        Outcome {
            names: [DETACHED, JOINED].map(str::to_owned).to_vec(),
            detached_steps_at_the_end_of_main: HALF,
            detached_steps: MEANWHILE,
            joined_steps: STEPS,
            detached_cleaned_up: false,
            joined_cleaned_up: true,
            exit_code: Some(0),
        }
    }

    fn objected(change: impl FnOnce(&mut Outcome)) -> usize {
        let mut outcome = predicted();
        change(&mut outcome);
        objections(&outcome).len()
    }

    #[test]
    fn each_part_of_it_can_fail() {
        assert_eq!(objected(|_| ()), 0);
        assert_eq!(objected(|it| it.names.truncate(1)), 1);
        assert_eq!(objected(|it| it.detached_steps_at_the_end_of_main = 0), 1);
        assert_eq!(objected(|it| it.detached_steps = STEPS), 1);
        assert_eq!(objected(|it| it.joined_steps = HALF), 1);
        assert_eq!(objected(|it| it.detached_cleaned_up = true), 1);
        assert_eq!(objected(|it| it.joined_cleaned_up = false), 1);
        assert_eq!(objected(|it| it.exit_code = None), 1);
    }
}
