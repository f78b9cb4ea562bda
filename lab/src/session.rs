//! One sitting of the lab: a bench to work on and a document that is saved as it grows.

use std::path::{Path, PathBuf};

use cli::{Format, Interrupt, exit, stdout};

use crate::args::Common;
use crate::bench::{Bench, Failure};
use crate::compare::{self, Plan};
use crate::experiment::{Entry, Experiment};
use crate::launcher::{Launcher, NotBuilt};
use crate::modes;
use crate::report::{self, Document, ReadError, SaveError};

/// See the module.
#[derive(Debug)]
pub(crate) struct Session {
    /// Where the work is done.
    pub(crate) bench: Bench,
    document: Document,
    out: PathBuf,
    format: Format,
}

/// Why a session ended without doing its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// Without signals a report could not be saved in time.
    #[error("cannot catch signals: {0}")]
    Signals(std::io::Error),
    /// There is nowhere to put the report.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// There is nobody to tell.
    #[error("cannot write to stdout: {0}")]
    Stdout(#[from] std::io::Error),
    /// There is nothing to show or to compare.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A server that was to be compared is not there.
    #[error(transparent)]
    Lack(compare::Refusal),
    /// A server that was to be compared could not be measured.
    #[error("{0}")]
    Compare(Failure),
    /// There are results of another program, or from elsewhere.
    #[error(
        "{} is of another commit or machine; leave --resume out, or choose another folder by --out",
        .0.display()
    )]
    Resume(PathBuf),
    /// The program that is measured is not there.
    #[error("cannot start the server: {0}")]
    NotBuilt(#[from] NotBuilt),
    /// What the modes cost could not be measured.
    #[error("{0}")]
    Measure(Failure),
}

impl Session {
    /// A session whose report is already in its folder, still without results: a folder that
    /// cannot be written to is found before the first minute is spent.
    ///
    /// # Errors
    ///
    /// [`SessionError::Signals`] and [`SessionError::Save`].
    pub(crate) fn open(
        common: &Common,
        launcher: Launcher,
        command: String,
    ) -> Result<Self, SessionError> {
        let session = Self {
            bench: bench(common, launcher)?,
            document: Document::new(command, common.effort(), common.seed),
            out: common.out.clone(),
            format: common.format,
        };
        session.document.save(&session.out)?;
        Ok(session)
    }

    /// Runs experiments one after the other and saves what is known after each. Returns the exit
    /// code.
    ///
    /// # Errors
    ///
    /// [`SessionError`]; an experiment that cannot be run is a result and no error.
    pub(crate) fn run(mut self, wanted: &[&Experiment]) -> Result<u8, SessionError> {
        for lack in modes::lacks() {
            self.bench.narrator.say(&format!("left out: {lack}"));
        }
        for (number, experiment) in (1..).zip(wanted) {
            let progress = format!("[{number}/{}] {}", wanted.len(), experiment.name);
            self.bench.narrator.say(&progress);
            if self.format == Format::Text {
                stdout::emit(&report::opening_text(experiment))?;
            }
            let entry = experiment.conduct(&mut self.bench);
            self.show(&entry)?;
            self.document.experiments.push(entry);
            self.save()?;
            if self.document.interrupted {
                break;
            }
        }
        if let Some(tally) = self.document.tally() {
            self.bench.narrator.say(&tally);
        }
        let code = self.document.exit_code();
        self.finish(code)
    }

    /// Compares as planned, saving what is known after each round. Returns the exit code.
    ///
    /// # Errors
    ///
    /// [`SessionError`], also when a server could not be measured.
    pub(crate) fn compare(mut self, plan: &Plan) -> Result<u8, SessionError> {
        for lack in &plan.left_out {
            self.bench.narrator.say(&format!("left out: {lack}"));
        }
        let (document, out) = (&mut self.document, &self.out);
        let mut saved = Ok(());
        let result = compare::run(&mut self.bench, plan, &mut |known| {
            document.comparison = Some(known);
            saved = document.save(out);
        });
        self.bench.narrator.clear();
        saved?;
        match result {
            Ok(()) | Err(Failure::Interrupted) => self.save()?,
            Err(failure) => return Err(SessionError::Compare(failure)),
        }
        if let (Format::Text, Some(comparison)) = (self.format, &self.document.comparison) {
            stdout::emit(&report::comparison_text(comparison))?;
        }
        self.finish(exit::SUCCESS)
    }

    /// The experiment on stdout; where that carries the document, people are told the verdict.
    fn show(&mut self, entry: &Entry) -> Result<(), SessionError> {
        self.bench.narrator.clear();
        match self.format {
            Format::Text => stdout::emit(&report::entry_text(entry))?,
            Format::Json => self.bench.narrator.say(&entry.verdict_line()),
        }
        Ok(())
    }

    fn save(&mut self) -> Result<(), SaveError> {
        self.document.interrupted = self.bench.interrupt.signal().is_some();
        self.document.save(&self.out)
    }

    /// The document, if it was asked for, and where the page is; a signal outweighs `code`.
    fn finish(mut self, code: u8) -> Result<u8, SessionError> {
        if self.format == Format::Json {
            stdout::emit(&self.document.json())?;
        }
        let page = address(&self.out.join(report::PAGE));
        let narrator = &mut self.bench.narrator;
        narrator.say(&format!("\nthe report with its pictures: {page}"));
        Ok(self
            .bench
            .interrupt
            .signal()
            .map_or(code, exit::interrupted))
    }
}

/// A bench to work on, as the command line wants it.
///
/// # Errors
///
/// [`SessionError::Signals`].
pub(crate) fn bench(common: &Common, launcher: Launcher) -> Result<Bench, SessionError> {
    let interrupt = Interrupt::install().map_err(SessionError::Signals)?;
    Ok(Bench::new(
        launcher,
        interrupt,
        common.effort(),
        common.seed,
    ))
}

/// A path that can be opened with a click in most terminals.
pub(crate) fn address(path: &Path) -> String {
    match std::path::absolute(path) {
        Ok(path) => format!("file://{}", path.display()),
        Err(_) => path.display().to_string(),
    }
}
