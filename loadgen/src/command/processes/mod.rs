//! `--processes N`: this program started N times, each with its part of the clients.
//!
//! ```text
//! parent ──▶ child --shard 0/N --start-at T ──document──▶ ┐
//!        ──▶ child --shard 1/N --start-at T ──document──▶ ┴▶ one list of reports, to be merged
//! ```
//!
//! A child has a descriptor limit of its own, which is what this is for. Children live in process
//! groups of their own: Ctrl-C at a terminal reaches the parent alone, who passes it on once, since
//! a child that gets it twice ends without a report. Nothing here measures anything.

mod flags;
mod member;

use std::ffi::OsString;
use std::io;
use std::num::NonZeroU32;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use cli::Interrupt;
use loadgen::report::Report;
use loadgen::{Shard, StartAt};
use rustix::process::Signal;

pub(super) use flags::shared_flags;
use member::{Gathering, Member};

/// What a child needs from its start until it is ready to begin, and what each further one adds.
const START_ALLOWANCE: Duration = Duration::from_secs(1);
const START_ALLOWANCE_EACH: Duration = Duration::from_millis(100);
/// The processes that are to be started.
#[derive(Clone, Debug)]
pub(super) struct Crew {
    /// What is started.
    pub(super) program: PathBuf,
    /// What all of them are told, from [`shared_flags`].
    pub(super) flags: Vec<OsString>,
    /// The part of the clients that is shared among them.
    pub(super) shard: Shard,
    /// How many there are.
    pub(super) processes: NonZeroU32,
    /// When all begin, in seconds since 1970.
    pub(super) start_unix_s: f64,
}

/// When `processes` children that are started now, at `now_unix_s`, can all begin.
pub(super) fn common_start(processes: NonZeroU32, now_unix_s: f64) -> f64 {
    let allowance = START_ALLOWANCE + START_ALLOWANCE_EACH * processes.get();
    now_unix_s + allowance.as_secs_f64()
}

impl Crew {
    /// Starts all, passes a signal on to them, and returns what they found out.
    ///
    /// # Errors
    ///
    /// Why one of them has no report, in one line; the others are ended then.
    pub(super) fn run(&self, interrupt: &Interrupt) -> Result<Vec<Report>, String> {
        let (results, inbox) = mpsc::channel();
        let mut members = Vec::new();
        for index in 0..self.processes.get() {
            match self
                .start(index)
                .and_then(|child| Member::watch(index, child, &results))
            {
                Ok(member) => members.push(member),
                Err(error) => {
                    members
                        .iter()
                        .for_each(|member| member.signal(Signal::TERM));
                    return Err(format!("cannot start process {}: {error}", index + 1));
                }
            }
        }
        drop(results);
        let mut reports = Gathering::new(self.processes).wait(&members, &inbox, interrupt)?;
        reports.sort_by_key(|(index, _)| *index);
        Ok(reports.into_iter().map(|(_, report)| report).collect())
    }

    fn start(&self, index: u32) -> io::Result<Child> {
        Command::new(&self.program)
            .args(self.arguments(index))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    /// The command line of child number `index`. A part that is shared further stays every n-th
    /// client: part 1 of 3, shared by 2, is parts 1 and 4 of 6.
    fn arguments(&self, index: u32) -> Vec<OsString> {
        let Shard { index: own, count } = self.shard;
        let shard = u64::from(own) + u64::from(count.get()) * u64::from(index);
        let shards = u64::from(count.get()) * u64::from(self.processes.get());
        let start = StartAt::Unix(self.start_unix_s);
        let mut line: Vec<OsString> = vec![
            format!("--shard={shard}/{shards}").into(),
            format!("--start-at={start}").into(),
            "--format=json".into(),
        ];
        // One of them looks at the server for all. To find its processes it looks once at what each
        // process has open, and the last one does so before the others have their connections.
        if index + 1 < self.processes.get() {
            line.push("--no-witness".into());
        }
        line.extend(self.flags.iter().cloned());
        line
    }
}

#[cfg(test)]
mod tests;
