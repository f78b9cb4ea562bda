//! How a worker of the pool comes into being: the one place where its process is made, and where it
//! gets what it needs.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};

use tracing::debug;

use super::channel::{Channel, Greeting, Inheritance};
use super::intake::Invitation;
use super::master::Pool;
use super::offspring::Offspring;
use super::supervisor::Why;
use super::violations::Violations;
use super::words::{VoiceId, Words};
use crate::gate::Gate;
use crate::herald::conceal;
use crate::log;
use crate::status::{Endings, Member};

/// A worker that is not buried yet, as its master knows it.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) process: Offspring,
    /// Gone once the worker closed its end.
    pub(super) channel: Option<Channel>,
    pub(super) voice: VoiceId,
    /// Its line on the roster, without what the supervisor knows.
    pub(super) member: Member,
    /// Why it was told to go.
    pub(super) why: Option<Why>,
    /// What it tried in vain, where it is locked in.
    pub(super) violations: Option<Violations>,
    /// What the master did to it.
    pub(super) ended: Option<Ended>,
}

/// How the master ended a worker that did not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It hung.
    Hung,
    /// It did not end in time.
    Late,
}

impl Worker {
    /// Starts one for that slot of the board. A worker that died before it was greeted is noticed
    /// like any other death.
    ///
    /// # Errors
    ///
    /// When processes, descriptors or memory are short.
    pub(super) fn start(
        pool: &Pool<'_>,
        slot: usize,
        invitation: &Invitation,
        words: &Words,
    ) -> io::Result<Self> {
        pool.board.assign(slot);
        let before = pool.board[slot].counters();
        let (channel, theirs) = Channel::pair()?;
        let (voice, their_voice) = words.voice()?;
        let process = Offspring::start(
            conceal(&mut Command::new(&pool.worker.program))
                .args(&pool.worker.args)
                .arg0(format!("echolab-worker-{slot}"))
                .stdin(Stdio::from(theirs))
                // The ready line is the master's alone.
                .stdout(Stdio::null())
                .stderr(Stdio::from(their_voice)),
        );
        let process = process.inspect_err(|_| drop(words.last(voice)))?;
        let greeting = Greeting {
            slot,
            slots: pool.board.len(),
            master: std::process::id(),
            config: pool.config.clone(),
            worker: pool.worker.clone(),
            log: log::format(),
        };
        let inheritance = Inheritance {
            source: invitation.source.as_fd(),
            gate: pool.gate.as_fd(),
            board: pool.board.as_fd(),
            seats: invitation.seats.as_ref().map(Gate::as_fd),
        };
        let _ = channel.greet(&greeting, &inheritance);
        debug!(slot, pid = process.pid(), "started a worker");
        Ok(Self {
            member: Member::new(slot, process.pid(), before),
            process,
            channel: Some(channel),
            voice,
            why: None,
            violations: None,
            ended: None,
        })
    }

    /// Where it counts that it ended so, while the server goes on.
    pub(super) fn kind_of_end<'a>(
        &self,
        status: ExitStatus,
        endings: &'a mut Endings,
    ) -> &'a mut u64 {
        match (self.ended, self.why, status.code()) {
            (Some(Ended::Hung), ..) => &mut endings.hung,
            (Some(Ended::Late), ..) => &mut endings.late,
            (None, Some(Why::Asked), Some(0)) => &mut endings.asked,
            (None, Some(Why::Restarted), Some(0)) => &mut endings.restarted,
            (None, Some(Why::Recycled), Some(0)) => &mut endings.recycled,
            (None, _, Some(_)) => &mut endings.exit,
            (None, _, None) => &mut endings.signal,
        }
    }
}
