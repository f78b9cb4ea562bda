//! Lines in both directions over a socket: what is said to a part whose stdin is that socket, and to
//! others who are reached by one.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::player::LIMIT;

/// One side of it.
#[derive(Debug)]
pub(crate) struct Words {
    stream: UnixStream,
    unread: Vec<u8>,
}

impl Words {
    /// Words over `stream`.
    pub(crate) fn over(stream: UnixStream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Those of a part with whoever started it.
    ///
    /// # Errors
    ///
    /// When descriptors are short.
    pub(crate) fn of_this_part() -> io::Result<Self> {
        let socket = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self::over(UnixStream::from(socket)))
    }

    /// Says a line.
    ///
    /// # Errors
    ///
    /// When nobody listens any more.
    pub(crate) fn say(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(format!("{line}\n").as_bytes())
    }

    /// The next line; none when there is none within `limit`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnexpectedEof`] when the other side is gone.
    pub(crate) fn hear(&mut self, limit: Duration) -> io::Result<Option<String>> {
        let give_up_at = Instant::now() + limit;
        loop {
            if let Some(line) = self.line() {
                return Ok(Some(line));
            }
            let left = give_up_at.saturating_duration_since(Instant::now());
            // A time limit of nothing would mean none.
            self.stream
                .set_read_timeout(Some(left.max(Duration::from_micros(1))))?;
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.unread.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// The next line, which must come.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`] when it does not come within [`LIMIT`], and as [`Words::hear`].
    pub(crate) fn expect(&mut self) -> io::Result<String> {
        let silent = || io::Error::new(ErrorKind::TimedOut, "the other side says nothing");
        self.hear(LIMIT)?.ok_or_else(silent)
    }

    /// The next line, however late.
    ///
    /// # Errors
    ///
    /// As [`Words::hear`].
    pub(crate) fn listen(&mut self) -> io::Result<String> {
        loop {
            if let Some(line) = self.hear(LIMIT)? {
                return Ok(line);
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        let end = self.unread.iter().position(|byte| *byte == b'\n')?;
        let line = self.unread.drain(..=end).take(end).collect::<Vec<u8>>();
        Some(String::from_utf8_lossy(&line).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_lines_however_they_were_cut() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut words = Words::over(ours);
        theirs.write_all(b"wai").unwrap();
        assert_eq!(words.hear(Duration::ZERO).unwrap(), None);
        theirs.write_all(b"ting\ninside\n").unwrap();
        assert_eq!(words.expect().unwrap(), "waiting");
        assert_eq!(words.expect().unwrap(), "inside");
        drop(theirs);
        let gone = words.hear(Duration::ZERO).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::UnexpectedEof);
    }
}
