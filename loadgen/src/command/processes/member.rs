//! One child from its start to its document, and the wait for all of them.

use std::io;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Output};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use cli::Interrupt;
use loadgen::report::Report;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::command::PROGRAM;

/// How often the parent looks at its signals.
const TICK: Duration = Duration::from_millis(20);
/// The exit codes of a run that has a document.
const DOCUMENTED: [i32; 5] = [0, 3, 4, 130, 143];

/// A child that runs.
#[derive(Debug)]
pub(super) struct Member {
    /// Means this very process, also when its number is used again.
    process: OwnedFd,
}

impl Member {
    /// Has a thread read what `child` says to its end.
    pub(super) fn watch(index: u32, mut child: Child, results: &Sender<Ended>) -> io::Result<Self> {
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
            .inspect_err(|_| drop(child.kill()))?;
        let member = Self { process };
        let results = results.clone();
        thread::Builder::new()
            .name(format!("process-{index}"))
            .spawn(move || {
                // Nobody waits for it any more when the parent has given up.
                let _ = results.send((index, child.wait_with_output()));
            })
            .inspect_err(|_| member.signal(Signal::KILL))?;
        Ok(member)
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, wanted: Signal) {
        // Who has ended already needs none.
        let _ = pidfd_send_signal(&self.process, wanted);
    }
}

/// A child that has ended, and all it said.
pub(super) type Ended = (u32, io::Result<Output>);

/// What has been gathered so far.
#[derive(Debug)]
pub(super) struct Gathering {
    processes: NonZeroU32,
    reports: Vec<(u32, Report)>,
    failure: Option<String>,
    /// Whether the children were told to end.
    told: bool,
}

impl Gathering {
    /// Nothing yet, of so many.
    pub(super) const fn new(processes: NonZeroU32) -> Self {
        Self {
            processes,
            reports: Vec::new(),
            failure: None,
            told: false,
        }
    }

    /// Waits for all children, and passes on what the parent is told.
    pub(super) fn wait(
        mut self,
        members: &[Member],
        inbox: &Receiver<Ended>,
        interrupt: &Interrupt,
    ) -> Result<Vec<(u32, Report)>, String> {
        loop {
            match inbox.recv_timeout(TICK) {
                Ok((index, output)) => self.take(index, output),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let wanted = match interrupt.signal() {
                Some(number) => Signal::from_named_raw(number.into()),
                None => self.failure.as_ref().map(|_| Signal::TERM),
            };
            if let Some(wanted) = wanted.filter(|_| !self.told) {
                self.told = true;
                members.iter().for_each(|member| member.signal(wanted));
            }
        }
        self.failure.map_or(Ok(self.reports), Err)
    }

    fn take(&mut self, index: u32, output: io::Result<Output>) {
        let document = output.map_err(|error| error.to_string()).and_then(document);
        match document {
            Ok(report) => self.reports.push((index, report)),
            Err(why) => {
                let number = index + 1;
                let why = format!("process {number} of {}: {why}", self.processes);
                self.failure.get_or_insert(why);
            }
        }
    }
}

/// The document that a child wrote, or why there is none.
fn document(output: Output) -> Result<Report, String> {
    let status = output.status;
    match (status.code(), status.signal()) {
        (Some(code), _) if DOCUMENTED.contains(&code) => serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("ended with code {code} and no whole report: {error}")),
        (_, Some(signal)) => Err(format!("was ended by signal {signal}")),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            let line = said.lines().last().unwrap_or("ended without a reason");
            let prefix = format!("{PROGRAM}: ");
            Err(line.strip_prefix(&prefix).unwrap_or(line).to_owned())
        }
    }
}
