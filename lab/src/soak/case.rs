//! One step in one mode: how its servers are started, loaded and looked after.
//!
//! What must be true after every case, whatever it did, stands here once: the server has as many
//! processes, threads and descriptors as before, ends when it is told to, and its log has neither a
//! panic nor an error.

use std::cell::RefCell;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use cli::Interrupt;
use loadgen::{Behaviour, Config, StopRule};
use rustix::process::Signal;
use server::Choice;

use super::census::{Census, until};
use super::client::Client;
use super::control::Control;
use super::figure::{Figure, Outcome};
use super::load::{self, Watch};
use super::matrix;
use super::sockets;
use super::step::Trouble;
use crate::bench::Effort;
use crate::launcher::Launcher;
use crate::process::ServerProcess;
use crate::subject::{Launch, Subject};
use crate::usage;
use loadgen::report::Report;

/// How long a server may take to be as before.
/// A server that serves one at a time takes two seconds for each of up to 64 connections whose clients
/// are gone (`overflow`).
const SETTLE_LIMIT: Duration = Duration::from_secs(150);
/// How long it may take to end once it is told to.
const END_LIMIT: Duration = Duration::from_secs(15);
/// How long one of our clients waits for an answer that nothing holds up.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Clients that are served before the first census, so that what is made once is there.
const WARM_UP_CLIENTS: u64 = 8;

/// The name of the figure that holds a census after the case against the one before.
pub const AS_BEFORE: &str = "processes, threads, descriptors not as before";
/// The name of the figure that counts what a log must not say.
pub const CLEAN_LOG: &str = "panics and errors in the log";
/// The name of the figure that counts orderly ends.
pub const ENDS: &str = "ends with code 0 when told to";

/// What all cases have in common.
#[derive(Clone, Copy, Debug)]
pub struct Common<'a> {
    /// How our own server is started.
    pub launcher: &'a Launcher,
    /// The user's wish to end.
    pub interrupt: &'a Interrupt,
    /// How thorough to be.
    pub effort: Effort,
    /// Where all random choices come from.
    pub seed: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Case<'a> {
    /// What it has in common with all others.
    pub common: Common<'a>,
    /// The mode.
    pub choice: Choice,
    notes: RefCell<Vec<String>>,
}

/// A server that is watched from its start to its end.
#[derive(Debug)]
pub struct Site {
    /// The server.
    pub server: ServerProcess,
    /// What it had before anything was done to it.
    pub baseline: Census,
    standing: Vec<u32>,
}

impl<'a> Case<'a> {
    /// A case of which nothing is known yet.
    #[must_use]
    pub fn new(common: Common<'a>, choice: Choice) -> Self {
        Self {
            common,
            choice,
            notes: RefCell::default(),
        }
    }

    /// One size for each profile.
    pub fn size<T>(&self, quick: T, full: T) -> T {
        match self.common.effort {
            Effort::Short => quick,
            Effort::Full => full,
        }
    }

    /// Remembers what a reader needs to understand a failure.
    pub fn note(&self, text: impl Into<String>) {
        self.notes.borrow_mut().push(text.into());
    }

    /// What was noted.
    #[must_use]
    pub fn into_notes(self) -> Vec<String> {
        self.notes.into_inner()
    }

    /// Whether to go on.
    ///
    /// # Errors
    ///
    /// [`Trouble::Interrupted`] when the user asked for the end.
    pub fn go_on(&self) -> Result<(), Trouble> {
        match self.common.interrupt.signal() {
            Some(_) => Err(Trouble::Interrupted),
            None => Ok(()),
        }
    }

    /// Lets time pass, unless the server ends.
    ///
    /// # Errors
    ///
    /// [`Trouble::Interrupted`].
    pub fn pass(&self, server: &ServerProcess, time: Duration) -> Result<(), Trouble> {
        let _ = until(server, time, || self.go_on().is_err());
        self.go_on()
    }

    /// The server in this mode with further flags.
    #[must_use]
    pub fn subject(&self, flags: &[&str]) -> Subject {
        let subject = Subject {
            name: self.choice.to_string(),
            launch: Launch::Own(matrix::flags(self.choice)),
        };
        subject.with(flags)
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    ///
    /// [`Trouble::Start`], and [`Trouble::Interrupted`].
    pub fn start(&self, flags: &[&str]) -> Result<ServerProcess, Trouble> {
        self.go_on()?;
        let server = ServerProcess::start(&self.subject(flags), self.common.launcher)?;
        Ok(server)
    }

    /// Starts the server and does not wait.
    ///
    /// # Errors
    ///
    /// As [`Case::start`].
    pub fn begin(&self, flags: &[&str]) -> Result<ServerProcess, Trouble> {
        self.go_on()?;
        let server = ServerProcess::begin(&self.subject(flags), self.common.launcher)?;
        Ok(server)
    }

    /// Starts the server, has `act` do its worst, and judges what every server must stand; a server
    /// that the case ends itself is not for this.
    ///
    /// # Errors
    ///
    /// As [`Case::start`], and those of `act`.
    pub fn serve(
        &self,
        flags: &[&str],
        act: impl FnOnce(&Site) -> Result<Vec<Figure>, Trouble>,
    ) -> Result<Vec<Figure>, Trouble> {
        let site = self.prepare(flags)?;
        let figures = act(&site).inspect_err(|trouble| {
            if trouble.outcome() > Outcome::Skipped {
                self.note(format!("the server{}", site.server.log().last_words()));
            }
        });
        let mut figures = figures?;
        self.go_on()?;
        figures.push(self.as_before(&site));
        figures.extend(self.farewell(site.server)?);
        Ok(figures)
    }

    /// A server that has made what it makes once, and has been counted.
    fn prepare(&self, flags: &[&str]) -> Result<Site, Trouble> {
        let server = self.start(flags)?;
        let standing = usage::family_of(server.pid());
        for name in 0..WARM_UP_CLIENTS {
            let mut client = Client::connect(server.ready.addr, name, ANSWER_LIMIT)?;
            client.round_trip()?;
            client.finish()?;
        }
        // What belongs to one of these clients must be gone.
        let baseline = Census::settled(&server, SETTLE_LIMIT, |now| {
            now.processes == standing.len() && sockets::connections(server.ready.addr) == 0
        });
        Ok(Site {
            server,
            baseline,
            standing,
        })
    }

    /// Whether the server is as before, soon.
    fn as_before(&self, site: &Site) -> Figure {
        let (baseline, now) = (site.baseline, site.settle());
        if now != baseline {
            self.note(format!("before {baseline:?}, after {now:?}"));
        }
        Figure::none(AS_BEFORE, now.distance(&baseline))
    }

    /// Tells the server to end, and judges how it did and what it said.
    ///
    /// # Errors
    ///
    /// When the system loses the child.
    pub fn farewell(&self, mut server: ServerProcess) -> Result<Vec<Figure>, Trouble> {
        // One that is gone already has ended with a code of its own.
        let _ = server.signal(Signal::TERM);
        let status = server.wait(END_LIMIT)?;
        let orderly = status.is_some_and(|status| status.success());
        if !orderly {
            let how = status.map_or("it did not end".into(), |status| status.to_string());
            self.note(how);
        }
        let ends = Figure::always(ENDS, u64::from(orderly), 1);
        Ok(vec![ends, self.clean_log(server, orderly)])
    }

    /// What a server said that has ended, or is ended now.
    pub fn clean_log(&self, server: ServerProcess, ended: bool) -> Figure {
        let log = server.log().clone();
        if !ended {
            let _ = server.signal_group(Signal::KILL);
        }
        drop(server);
        let (lines, dropped) = log.rest();
        let alarms: Vec<&String> = lines.iter().filter(|line| is_alarm(line)).collect();
        if let Some(first) = alarms.first() {
            self.note(format!("the log says: {first}"));
        }
        // What was not kept was not judged.
        Figure::none(CLEAN_LOG, (alarms.len() + dropped) as u64)
    }

    /// A load of `clients` on the server, to be changed as the step needs it.
    #[must_use]
    pub fn load(&self, server: &ServerProcess, clients: NonZeroU32) -> Config {
        Config {
            connections: clients,
            warmup: Duration::ZERO,
            threads: NonZeroUsize::MIN,
            seed: self.common.seed,
            behaviour: Behaviour::default(),
            // A load that nobody ends has gone wrong, and ends by itself.
            stop: StopRule::After(load::LONGEST),
            ..Config::new(server.ready.addr.into())
        }
    }

    /// Runs a load to its end.
    ///
    /// # Errors
    ///
    /// [`Trouble::Load`], and [`Trouble::Interrupted`].
    pub fn run(&self, config: &Config) -> Result<Report, Trouble> {
        let outcome = loadgen::run(config, self.common.interrupt, &mut |_| loadgen::Steer::Go)?;
        self.go_on()?;
        Ok(outcome.report)
    }

    /// Runs a load while `act` acts, and ends it when that is done.
    ///
    /// # Errors
    ///
    /// As [`Case::run`], and those of `act`.
    pub fn while_loaded<T>(
        &self,
        config: &Config,
        act: impl FnOnce(&Watch) -> Result<T, Trouble>,
    ) -> Result<(Report, T), Trouble> {
        let both = load::meanwhile(config, self.common.interrupt, act);
        self.go_on()?;
        both
    }
}

impl Site {
    /// Waits until the server is as before, for a while; tells what it has then.
    pub fn settle(&self) -> Census {
        let mut now = Census::of(self.server.pid());
        let _ = until(&self.server, SETTLE_LIMIT, || {
            now = Census::of(self.server.pid());
            now == self.baseline
        });
        now
    }

    /// The resident memory in bytes of the processes that stood ready before anything was done; none
    /// when one of them is gone.
    #[must_use]
    pub fn resident_bytes(&self) -> Option<u64> {
        usage::resident_bytes(&self.standing)
    }

    /// A control client that is served from now on; each answer may take `limit`.
    ///
    /// # Errors
    ///
    /// When it is not served even now.
    pub fn control(&self, limit: Duration) -> Result<Control, Trouble> {
        Ok(Control::start(&self.server, limit)?)
    }

    /// A client of our own.
    ///
    /// # Errors
    ///
    /// When it cannot connect.
    pub fn client(&self, name: u64) -> Result<Client, Trouble> {
        let addr = self.server.ready.addr;
        Ok(Client::connect(addr, name, ANSWER_LIMIT)?)
    }
}

/// What no log may say, whatever happened.
fn is_alarm(line: &str) -> bool {
    line.contains(" ERROR ") || line.contains("panicked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_panics_are_alarms_and_warnings_are_not() {
        assert!(is_alarm(
            "2026-01-01T00:00:00Z ERROR a connection was ended by a panic"
        ));
        assert!(is_alarm("thread 'main' panicked at src/x.rs"));
        assert!(!is_alarm("2026-01-01T00:00:00Z  WARN a worker died"));
    }
}
