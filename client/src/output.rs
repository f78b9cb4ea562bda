//! Stdout: written only as far as it does not block, and left alone once its reader has gone.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{FileType, fstat};

use crate::failure::Failure;
use crate::wait::ready;

/// What a pipe takes for certain when it is reported as writable (`PIPE_BUF`).
const PIPE_BYTES: usize = 4096;
/// A file takes anything.
const FILE_BYTES: usize = 64 * 1024;

/// Whether anybody reads what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// As far as is known.
    Present,
    /// The other end of stdout is closed.
    Gone,
}

/// Where the echo goes.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    fd: BorrowedFd<'a>,
    /// How much can be written at once without blocking, when poll says "writable".
    piece_bytes: usize,
}

impl<'a> Output<'a> {
    /// Writes to `fd`, whose mode is left as it is: other processes may share it.
    pub(crate) fn new(fd: BorrowedFd<'a>) -> Self {
        let is_file = fstat(fd)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        let piece_bytes = if is_file { FILE_BYTES } else { PIPE_BYTES };
        Self { fd, piece_bytes }
    }

    /// What to wait for before [`Output::write`].
    pub(crate) fn interest(&self) -> PollFd<'a> {
        PollFd::from_borrowed_fd(self.fd, PollFlags::OUT)
    }

    /// Writes the beginning of `bytes` and says how much; none if the reader has gone.
    ///
    /// # Errors
    ///
    /// [`Failure::Stdout`] for what is no reader that went away, such as a full disk.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<Option<usize>, Failure> {
        let piece = &bytes[..bytes.len().min(self.piece_bytes)];
        let written = rustix::io::write(self.fd, piece).map_err(io::Error::from);
        unless_gone(ready(written)).map(|count| count.map(Option::unwrap_or_default))
    }
}

/// Writes `text` at once.
///
/// # Errors
///
/// [`Failure::Stdout`] for what is no reader that went away.
pub(crate) fn print(text: &str) -> Result<Reader, Failure> {
    use std::io::Write;

    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    let reader = unless_gone(written)?;
    Ok(reader.map_or(Reader::Gone, |()| Reader::Present))
}

/// `None` if the reader has gone, which is no failure.
fn unless_gone<T>(result: io::Result<T>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(None),
        Err(error) => Err(Failure::Stdout(error)),
    }
}
