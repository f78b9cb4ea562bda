//! Threads that print: a mutex keeps a block of lines together, where each line by itself would be whole
//! without one.

use std::io::{self, PipeWriter, Read as _, Write as _};
use std::sync::atomic::AtomicU32;
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde::Serialize;

use crate::sync::meet;

/// Threads that print.
pub(super) const PRINTERS: usize = 3;
/// How many lines each prints.
pub(super) const EACH: usize = 100;

/// What came out of the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Lines {
    pub(super) lines: usize,
    /// Runs of lines of the same thread.
    pub(super) blocks: usize,
}

impl Lines {
    fn of(text: &str) -> Self {
        let mut authors: Vec<_> = text.lines().map(|line| line.split(' ').next()).collect();
        let lines = authors.len();
        authors.dedup();
        Self {
            lines,
            blocks: authors.len(),
        }
    }
}

/// Has all print, under one mutex or without.
pub(super) fn print(with_mutex: bool) -> io::Result<Lines> {
    let (mut reader, writer) = io::pipe()?;
    let (mutex, place) = (Mutex::new(()), AtomicU32::new(0));
    let count = u32::try_from(PRINTERS).map_err(io::Error::other)?;
    let mut text = String::new();
    thread::scope(|scope| {
        for printer in 0..PRINTERS {
            let mut writer = writer.try_clone()?;
            let (mutex, place) = (&mutex, &place);
            scope.spawn(move || {
                meet(place, count);
                let lock = || mutex.lock().unwrap_or_else(PoisonError::into_inner);
                let _guard = with_mutex.then(lock);
                write(printer, &mut writer)
            });
        }
        drop(writer);
        reader.read_to_string(&mut text).map(drop)
    })?;
    Ok(Lines::of(&text))
}

/// A line is one write, which a pipe keeps whole.
fn write(printer: usize, writer: &mut PipeWriter) -> io::Result<()> {
    for line in 0..EACH {
        writer.write_all(format!("printer-{printer} prints line {line}\n").as_bytes())?;
        // Lets the others have the processor, as a slow terminal would.
        thread::yield_now();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_run_of_lines_of_the_same_thread() {
        let of = |text| (Lines::of(text).lines, Lines::of(text).blocks);
        assert_eq!(of("a 1\na 2\nb 1\na 3\n"), (4, 3));
        assert_eq!(of(""), (0, 0));
    }

    #[test]
    fn under_one_mutex_everybody_prints_a_block() {
        assert_eq!(
            print(true).unwrap(),
            Lines {
                lines: PRINTERS * EACH,
                blocks: PRINTERS
            }
        );
    }
}
