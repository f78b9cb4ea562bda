//! A file with a letter in each direction, as people share files: one writes, and the other looks
//! whether there is something new, or has the kernel tell it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;

use super::link::{Link, open};
use crate::player::LIMIT;

/// From one look to the next.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Where the letters of the other direction begin, in bytes: behind the largest one.
const APART: u64 = 1 << 20;
/// Where a letter begins, in bytes: behind its number and that of the letter that was read last.
const LETTER: u64 = 16;

/// How one learns of something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// By looking every [`LOOK_EVERY`].
    Looked,
    /// The kernel tells of every change.
    Told,
}

/// One end.
pub(super) struct Letterbox {
    file: File,
    changes: Option<OwnedFd>,
    /// Where our letters are, and those to us.
    ours: u64,
    theirs: u64,
    sent: u64,
    received: u64,
}

impl Letterbox {
    /// An end of the letterbox at `path`; `far` is that of the process that was started.
    pub(super) fn at(path: &Path, notice: Notice, far: bool) -> io::Result<Self> {
        let changes = match notice {
            Notice::Looked => None,
            Notice::Told => {
                let changes = inotify::init(inotify::CreateFlags::CLOEXEC)?;
                inotify::add_watch(&changes, path, inotify::WatchFlags::MODIFY)?;
                Some(changes)
            }
        };
        let (ours, theirs) = if far { (APART, 0) } else { (0, APART) };
        Ok(Self {
            file: open(path)?,
            changes,
            ours,
            theirs,
            sent: 0,
            received: 0,
        })
    }

    /// Waits until a number in the file is `wanted`.
    fn until(&self, offset: u64, wanted: u64) -> io::Result<()> {
        let give_up_at = Instant::now() + LIMIT;
        loop {
            let mut number = [0; 8];
            // The file has no such place yet until something was written behind it.
            let there = self.file.read_exact_at(&mut number, offset).is_ok();
            if there && u64::from_ne_bytes(number) == wanted {
                return Ok(());
            }
            if Instant::now() > give_up_at {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match &self.changes {
                None => thread::sleep(LOOK_EVERY),
                Some(changes) => changed(changes)?,
            }
        }
    }
}

impl Link for Letterbox {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        // There is one letter at a time: the last one must have been read.
        if self.sent > 0 {
            self.until(self.ours + 8, self.sent)?;
        }
        self.sent += 1;
        self.file.write_all_at(message, self.ours + LETTER)?;
        self.file.write_all_at(&self.sent.to_ne_bytes(), self.ours)
    }

    fn receive(&mut self, message: &mut [u8]) -> io::Result<()> {
        self.until(self.theirs, self.received + 1)?;
        self.received += 1;
        self.file.read_exact_at(message, self.theirs + LETTER)?;
        let read = self.received.to_ne_bytes();
        self.file.write_all_at(&read, self.theirs + 8)
    }
}

/// Waits until the kernel tells of a change, though not for ever, and takes note of all it told.
fn changed(changes: &OwnedFd) -> io::Result<()> {
    let limit = Timespec::try_from(LIMIT).ok();
    let mut told = [PollFd::new(changes, PollFlags::IN)];
    if rustix::io::retry_on_intr(|| poll(&mut told, limit.as_ref()))? > 0 {
        rustix::io::read(changes, &mut [0; 4096])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_arrive_one_after_the_other_in_both_directions() {
        for notice in [Notice::Looked, Notice::Told] {
            let folder = tempfile::TempDir::new().unwrap();
            let path = folder.path().join("letters");
            File::create(&path).unwrap();
            let [mut near, mut far] =
                [false, true].map(|end| Letterbox::at(&path, notice, end).unwrap());
            let echo = thread::spawn(move || {
                for _ in 0..3 {
                    let mut message = [0; 8];
                    far.receive(&mut message).unwrap();
                    far.send(&message).unwrap();
                }
            });
            for number in 1..=3_u64 {
                near.send(&number.to_ne_bytes()).unwrap();
                let mut answer = [0; 8];
                near.receive(&mut answer).unwrap();
                assert_eq!(u64::from_ne_bytes(answer), number);
            }
            echo.join().unwrap();
        }
    }
}
