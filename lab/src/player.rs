//! A process that plays a part ([`crate::part`]), as whoever started it sees it: it says lines of
//! JSON on its stdout, hears such lines and the end on its stdin, and is dead and buried when it is dropped.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::process::is_gone_within;

/// How long a part may be silent, or take to end, before something is wrong with it.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// A process that was started to play a part.
#[derive(Debug)]
pub(crate) struct Player {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Player {
    /// Starts one that hears when this one is dropped or hangs up.
    ///
    /// # Errors
    ///
    /// When the system does not start it.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        Self::given(command, Stdio::piped())
    }

    /// Starts one that has `stdin` instead, such as memory to share.
    ///
    /// # Errors
    ///
    /// As [`Player::start`].
    pub(crate) fn given(command: &mut Command, stdin: impl Into<Stdio>) -> io::Result<Self> {
        Self::of(command.stdin(stdin).stdout(Stdio::piped()))
    }

    /// Starts one with the streams that the command names.
    ///
    /// # Errors
    ///
    /// As [`Player::start`].
    pub(crate) fn of(command: &mut Command) -> io::Result<Self> {
        let mut child = command.spawn()?;
        Ok(Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(BufReader::new),
            child,
        })
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it something.
    ///
    /// # Errors
    ///
    /// When it listens no more.
    pub(crate) fn tell(&mut self, what: &impl Serialize) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let line = serde_json::to_string(what)?;
        stdin.write_all(format!("{line}\n").as_bytes())
    }

    /// Closes its stdin, which it hears as the end.
    pub(crate) fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// The next that it says.
    ///
    /// # Errors
    ///
    /// When it says nothing for too long, nothing any more, or something else.
    pub(crate) fn says<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let stdout = self.stdout.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        if stdout.buffer().is_empty() {
            let limit = Timespec::try_from(LIMIT).map_err(io::Error::other)?;
            let mut readable = [PollFd::new(stdout.get_ref(), PollFlags::IN)];
            if poll(&mut readable, Some(&limit))? == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        let mut line = String::new();
        if stdout.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        serde_json::from_str(&line).map_err(io::Error::other)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// When the system does not.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Whether it has not ended yet. A zombie that is seen here is reaped.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub(crate) fn is_alive(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub(crate) fn join(&mut self) -> io::Result<ExitStatus> {
        // Only one that was not waited for has its number for certain.
        if self.is_alive()? && !is_gone_within(self.pid(), LIMIT) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.child.wait()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
