//! The workbench that experiments are handed: it starts servers, puts loads on them, remembers what
//! was done for the report, and says meanwhile what is going on.

use std::io;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::{Duration, Instant};

use cli::Interrupt;
use loadgen::RunError;
use loadgen::report::Report;
use serde::{Deserialize, Serialize};

use crate::launcher::Launcher;
use crate::load::{self, Load, Measured};
use crate::narrator::Narrator;
use crate::process::{ServerProcess, StartError};
use crate::soak::load::Watch;
use crate::subject::Subject;

/// How much longer every window is in the long form.
const FULL_FACTOR: u32 = 4;

/// How thorough the experiments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// Short windows: for a tour and for a check at every change.
    Short,
    /// Windows four times as long: for figures to quote.
    Full,
}

impl Effort {
    /// The window that is `short` in the short form.
    #[must_use]
    pub fn window(self, short: Duration) -> Duration {
        match self {
            Self::Short => short,
            Self::Full => short * FULL_FACTOR,
        }
    }
}

/// Everything that an experiment needs from outside.
#[derive(Debug)]
pub struct Bench {
    /// How our own server is started.
    pub launcher: Launcher,
    /// The user's wish to end.
    pub interrupt: Interrupt,
    /// Where people are told what is going on.
    pub narrator: Narrator,
    /// How thorough to be.
    pub effort: Effort,
    /// Where all random choices come from.
    pub seed: u64,
    repeats: Option<NonZeroUsize>,
    faulted: bool,
    runs: Vec<RunNote>,
}

/// One run, so that a reader can repeat it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunNote {
    /// How the server was started.
    pub server: String,
    /// What was done to it.
    pub load: String,
    /// How long it really took, waiting for the clients included.
    pub took_s: f64,
    /// Clients served of those asked.
    pub served: String,
    /// What the load generator says of its own run.
    pub audit: loadgen::report::Verdict,
}

/// Why an experiment has no figures.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The user asked for the end.
    #[error("interrupted")]
    Interrupted,
    /// A server did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The system did not let it.
    #[error("{what}: {source}")]
    System {
        /// What could not be done, as "cannot …".
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A load could not be run.
    #[error("{subject}: {source}")]
    Load {
        /// The server.
        subject: String,
        /// What the load generator said.
        source: RunError,
    },
}

impl Failure {
    /// The system's reason why one cannot do `what`.
    pub fn system(what: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System {
            what: format!("cannot {what}"),
            source,
        }
    }

    /// The load generator's reason why there is no load on `server`.
    fn load(server: &ServerProcess) -> impl FnOnce(RunError) -> Self {
        let subject = server.name.clone();
        |source| Self::Load { subject, source }
    }
}

impl Bench {
    /// A bench on which nothing has been done yet.
    #[must_use]
    pub fn new(launcher: Launcher, interrupt: Interrupt, effort: Effort, seed: u64) -> Self {
        Self {
            launcher,
            interrupt,
            narrator: Narrator::new(),
            effort,
            seed,
            repeats: None,
            faulted: false,
            runs: Vec::new(),
        }
    }

    /// The same, with every measurement made so often.
    #[must_use]
    pub fn repeating(self, repeats: Option<NonZeroUsize>) -> Self {
        Self { repeats, ..self }
    }

    /// The same, on which something is wrong on purpose: each experiment says what.
    #[must_use]
    pub fn with_fault(self) -> Self {
        Self {
            faulted: true,
            ..self
        }
    }

    /// Whether something shall be wrong on purpose ([`Experiment::fault`]).
    ///
    /// [`Experiment::fault`]: crate::experiment::Experiment::fault
    #[must_use]
    pub fn faulted(&self) -> bool {
        self.faulted
    }

    /// How often each measurement is made: as the user wishes, or `usual` times.
    #[must_use]
    pub fn repeats(&self, usual: usize) -> usize {
        self.repeats.map_or(usual, NonZeroUsize::get)
    }

    /// The window that is `short` in the short form.
    #[must_use]
    pub fn window(&self, short: Duration) -> Duration {
        self.effort.window(short)
    }

    /// The runs since this was last asked for.
    pub fn take_runs(&mut self) -> Vec<RunNote> {
        std::mem::take(&mut self.runs)
    }

    /// Starts `subject` afresh.
    ///
    /// # Errors
    ///
    /// [`Failure::Start`], and [`Failure::Interrupted`] when there is no wish to go on.
    pub fn start(&mut self, subject: &Subject) -> Result<ServerProcess, Failure> {
        self.go_on()?;
        Ok(ServerProcess::start(subject, &self.launcher)?)
    }

    /// Starts `subject`, puts `load` on it and stops it again.
    ///
    /// # Errors
    ///
    /// As [`Bench::start`] and [`Bench::load_all`].
    pub fn measure(&mut self, subject: &Subject, load: &Load) -> Result<Measured, Failure> {
        let server = self.start(subject)?;
        let measured = self.load(&server, load)?;
        drop(server.stop());
        Ok(measured)
    }

    /// Puts `load` on one server.
    ///
    /// # Errors
    ///
    /// As [`Bench::load_all`].
    pub fn load(&mut self, server: &ServerProcess, load: &Load) -> Result<Measured, Failure> {
        self.narrator
            .now(&format!("{}, {}", server.name, clients(load.clients)));
        let measured = load::run(server, load, self.seed, &self.interrupt);
        self.keep(server, load.command_line(self.seed), measured)
    }

    /// Puts the same load on several servers at the same time: for loads that mostly wait.
    ///
    /// # Errors
    ///
    /// As [`Bench::load_each`].
    pub fn load_all(
        &mut self,
        servers: &[ServerProcess],
        load: &Load,
    ) -> Result<Vec<Measured>, Failure> {
        let pairs: Vec<_> = servers.iter().map(|server| (server, load)).collect();
        self.load_each(&pairs)
    }

    /// Puts a load of its own on each of several servers, all at the same time.
    ///
    /// # Errors
    ///
    /// [`Failure::Load`] for the first that could not be run; [`Failure::Interrupted`] when the
    /// user ended them, since a part of a run answers no question.
    pub fn load_each(
        &mut self,
        pairs: &[(&ServerProcess, &Load)],
    ) -> Result<Vec<Measured>, Failure> {
        self.together(pairs, None)
    }

    /// Puts the same load on several servers at the same time, which have clients already: those of
    /// `first` are there before and stay.
    ///
    /// # Errors
    ///
    /// As [`Bench::load_each`].
    pub fn load_all_beside(
        &mut self,
        servers: &[ServerProcess],
        first: &Load,
        load: &Load,
    ) -> Result<Vec<Measured>, Failure> {
        let pairs: Vec<_> = servers.iter().map(|server| (server, load)).collect();
        self.together(&pairs, Some(first))
    }

    /// Puts `load` on one server for as long as `act` acts, whatever its window.
    ///
    /// # Errors
    ///
    /// As [`Bench::load_each`], and those of `act`.
    pub fn while_loaded<T>(
        &mut self,
        server: &ServerProcess,
        load: &Load,
        act: impl FnOnce(&Watch) -> Result<T, Failure>,
    ) -> Result<(Report, T), Failure> {
        self.narrator
            .now(&format!("{}, {}", server.name, clients(load.clients)));
        let start = Instant::now();
        // What `act` failed of is not what the load failed of.
        let act = |watch: &Watch| Ok(act(watch));
        let both = load::run_meanwhile(server, load, self.seed, &self.interrupt, act);
        self.go_on()?;
        let (report, acted) = both.map_err(Failure::load(server))?;
        let line = load.command_line(self.seed);
        self.note(server, line, &report, start.elapsed());
        Ok((report, acted?))
    }

    /// What comes of a load on each server at the same time, beside the clients of `first` if any.
    fn together(
        &mut self,
        pairs: &[(&ServerProcess, &Load)],
        first: Option<&Load>,
    ) -> Result<Vec<Measured>, Failure> {
        let each: Vec<String> = pairs
            .iter()
            .map(|(server, load)| format!("{} on {}", clients(load.clients), server.name))
            .collect();
        self.narrator.now(&each.join(", "));
        let (seed, interrupt) = (self.seed, &self.interrupt);
        let run = |server: &ServerProcess, load: &Load| match first {
            None => load::run(server, load, seed, interrupt),
            Some(first) => load::run_beside(server, first, load, seed, interrupt),
        };
        let measured: Vec<_> = std::thread::scope(|scope| {
            let runs: Vec<_> = pairs
                .iter()
                .map(|&(server, load)| scope.spawn(move || run(server, load)))
                .collect();
            let panicked = || Err(RunError::System(std::io::Error::other("the run panicked")));
            runs.into_iter()
                .map(|run| run.join().unwrap_or_else(|_| panicked()))
                .collect()
        });
        let beside = first.map_or_else(String::new, |first| {
            format!(", beside {}", first.command_line(self.seed))
        });
        pairs
            .iter()
            .zip(measured)
            .map(|(&(server, load), measured)| {
                let line = load.command_line(self.seed) + &beside;
                self.keep(server, line, measured)
            })
            .collect()
    }

    /// The measurement, written down, unless nobody wants it any more.
    fn keep(
        &mut self,
        server: &ServerProcess,
        line: String,
        measured: Result<Measured, RunError>,
    ) -> Result<Measured, Failure> {
        self.go_on()?;
        let measured = measured.map_err(Failure::load(server))?;
        self.note(server, line, &measured.report, measured.took);
        Ok(measured)
    }

    fn note(&mut self, server: &ServerProcess, load: String, report: &Report, took: Duration) {
        let clients = &report.clients;
        self.runs.push(RunNote {
            server: server.command_line.clone(),
            load,
            took_s: took.as_secs_f64(),
            served: format!("{}/{}", clients.served, clients.asked),
            audit: report.audit.verdict,
        });
    }

    /// Fails once the user asked for the end; whoever works for long asks from time to time.
    ///
    /// # Errors
    ///
    /// [`Failure::Interrupted`].
    pub fn go_on(&self) -> Result<(), Failure> {
        match self.interrupt.signal() {
            Some(_) => Err(Failure::Interrupted),
            None => Ok(()),
        }
    }
}

/// A number of clients in words.
fn clients(count: NonZeroU32) -> String {
    match count.get() {
        1 => "1 client".to_owned(),
        count => format!("{count} clients"),
    }
}
