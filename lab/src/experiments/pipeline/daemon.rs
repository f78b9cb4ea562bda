//! A consumer that nobody waits for: what it loses when the program ends.

use std::io;
use std::sync::Arc;
use std::thread;

use serde::Serialize;

use crate::bounded::{Bounded, Wait};
use crate::launcher::Launcher;
use crate::part;
use crate::player::{LIMIT, Player};
use crate::sync::until;

/// How the part is called.
pub(super) const PART: &str = "pipeline.daemon";
/// Texts that are put.
const TEXTS: usize = 10;
/// Of them, those that are searched before the program comes to its end.
const BEFORE: usize = 6;

const JOIN: &str = "join";
const LEAVE: &str = "leave";
const NEXT: &str = "next";

/// What a daemon consumer got done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Daemon {
    /// Texts that were put.
    pub(super) texts: usize,
    /// Of them, those that were to be searched by the time when the program comes to its end.
    pub(super) before: usize,
    /// Of them, searched before the end of a program that waits for the queue.
    pub(super) joined: usize,
    /// Of them, searched before the end of one that does not.
    pub(super) left: usize,
}

/// Has both programs run to their ends.
///
/// # Errors
///
/// When a part cannot be started, or hangs.
pub(super) fn observe(launcher: &Launcher) -> io::Result<Daemon> {
    Ok(Daemon {
        texts: TEXTS,
        before: BEFORE,
        joined: searched(launcher, JOIN)?,
        left: searched(launcher, LEAVE)?,
    })
}

/// How many texts the program searched that ends in this way.
fn searched(launcher: &Launcher, end: &str) -> io::Result<usize> {
    let mut program = Player::start(launcher.part(PART).arg(end))?;
    for _ in 0..BEFORE {
        program.tell(&NEXT)?;
        program.says::<usize>()?;
    }
    if end == LEAVE {
        // One that waits for its queue all the same is told to go on, and found out by what it does.
        let _ = program.join();
    }
    let mut done = BEFORE;
    // One that has ended hears and says nothing.
    while done < TEXTS && program.tell(&NEXT).is_ok() && program.says::<usize>().is_ok() {
        done += 1;
    }
    Ok(done)
}

/// The part: its consumer searches a text whenever it is told to; the program ends as `args` say once
/// it has put all texts and most are searched.
pub(super) fn play(args: &[String]) -> io::Result<u8> {
    let queue = Arc::new(Bounded::new(TEXTS));
    for text in 0..TEXTS {
        let _ = queue.put(text, Wait::Never);
    }
    let texts = Arc::clone(&queue);
    // Nobody joins it: it ends with the process.
    thread::Builder::new().spawn(move || consume(&texts))?;
    if args.first().is_some_and(|end| end == JOIN) {
        queue.join(Wait::Ever);
    } else {
        until(LIMIT, || queue.unfinished() <= TEXTS - BEFORE)?;
    }
    Ok(cli::exit::SUCCESS)
}

fn consume(texts: &Bounded<usize>) -> io::Result<()> {
    while part::hear::<String>()?.is_some() {
        if let Some(text) = texts.get(Wait::Ever) {
            part::say(&text)?;
            texts.done();
        }
    }
    Ok(())
}
