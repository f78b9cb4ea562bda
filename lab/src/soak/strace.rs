//! System calls of a running server that fail on demand: strace attaches to its processes, makes
//! the calls fail, and lets go again.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::census::until;
use super::step::Trouble;
use crate::log::Log;
use crate::process::{self, ServerProcess};
use crate::usage;

/// The program.
pub const PROGRAM: &str = "strace";
/// How long it may take to attach.
const ATTACH_LIMIT: Duration = Duration::from_secs(10);
/// How long it may take to let go.
const DETACH_LIMIT: Duration = Duration::from_secs(1);
/// What it writes behind each call that it made fail.
const INJECTED: &str = "(INJECTED)";

/// Calls that fail until this is let go.
#[derive(Debug)]
pub struct Injection {
    strace: Child,
    log: Log,
}

impl Injection {
    /// Makes the system calls `calls` of `server`, separated by commas, fail with `error`; `when`
    /// tells which of them, such as `1+` for all.
    ///
    /// # Errors
    ///
    /// [`Trouble::Skip`] when this user may not attach.
    pub fn into(
        server: &ServerProcess,
        calls: &str,
        error: &str,
        when: &str,
    ) -> Result<Self, Trouble> {
        let family = usage::family_of(server.pid());
        let mut command = Command::new(PROGRAM);
        // Without names the lines stay short, and what stands at their end is kept.
        command.args(["-f", "-q", "-e", "raw=all", "-e", &format!("trace={calls}")]);
        command.args(["-e", &format!("inject={calls}:error={error}:when={when}")]);
        for pid in &family {
            command.args(["-p", &pid.to_string()]);
        }
        let mut strace = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = Log::of(strace.stderr.take());
        let mut injection = Self { strace, log };
        let attached = |pid: &u32| is_traced(*pid);
        if until(server, ATTACH_LIMIT, || family.iter().all(attached)) {
            return Ok(injection);
        }
        if matches!(injection.strace.try_wait(), Ok(Some(_))) {
            let (said, _) = injection.log.rest();
            let said = said.first().map_or("nothing", |line| line);
            return Err(Trouble::Skip(format!("strace cannot attach here: {said}")));
        }
        let gone = io::ErrorKind::ConnectionAborted;
        Err(io::Error::new(gone, "the server ended when its calls failed").into())
    }

    /// How many calls failed so far, as far as the log of strace was kept.
    #[must_use]
    pub fn failed_calls(&self) -> usize {
        self.log.count(INJECTED)
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        // It detaches from all of them before it ends, and may wait for ever for one that is ending.
        let _ = kill_process(Pid::from_child(&self.strace), Signal::TERM);
        if !process::is_gone_within(self.strace.id(), DETACH_LIMIT) {
            // Then the kernel detaches for it.
            let _ = self.strace.kill();
        }
        let _ = self.strace.wait();
    }
}

/// Whether somebody traces all threads of the process.
fn is_traced(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    let statuses = tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
    let mut tracers = statuses.map(|status| tracer(&status));
    tracers.all(|tracer| tracer.is_some_and(|tracer| tracer != 0))
}

fn tracer(status: &str) -> Option<u32> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tracer_is_read() {
        assert_eq!(tracer("Name:\tx\nTracerPid:\t17\n"), Some(17));
        assert_eq!(tracer("Name:\tx\n"), None);
        assert!(!is_traced(std::process::id()));
    }
}
