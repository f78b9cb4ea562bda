//! One soak from its first step to its last: what is known is saved after each.

use std::path::PathBuf;
use std::time::Instant;

use cli::{Format, Interrupt, exit, stdout};
use server::Choice;

use super::case::{Case, Common};
use super::document::{CaseEntry, Document, FILE, StepEntry};
use super::figure::{Figure, Outcome};
use super::needs::Surroundings;
use super::step::{Pace, Step};
use crate::bench::Effort;
use crate::experiment::ATTEMPTS;
use crate::launcher::Launcher;
use crate::narrator::Narrator;
use crate::neighbours::Neighbours;
use crate::report;
use crate::session::SessionError;

/// How many modes of a step that mostly waits run at once.
const AT_ONCE: usize = 6;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The steps, in order.
    pub steps: Vec<&'static Step>,
    /// The modes, where a step applies to them.
    pub modes: Vec<Choice>,
    /// How thorough to be.
    pub effort: Effort,
    /// Where all random choices come from.
    pub seed: u64,
    /// Where the document goes.
    pub out: PathBuf,
    /// What stdout carries.
    pub format: Format,
    /// The command line.
    pub command: String,
}

struct Session {
    plan: Plan,
    launcher: Launcher,
    interrupt: Interrupt,
    surroundings: Surroundings,
    narrator: Narrator,
    document: Document,
}

/// Soaks as planned. Returns the exit code.
///
/// # Errors
///
/// [`SessionError`]; a case that cannot be run is a result and no error.
pub(crate) fn run(plan: Plan, launcher: Launcher) -> Result<u8, SessionError> {
    let interrupt = Interrupt::install().map_err(SessionError::Signals)?;
    no_core_files();
    let document = Document::new(plan.command.clone(), plan.effort, plan.seed);
    let session = Session {
        surroundings: Surroundings::of(&launcher, plan.effort),
        plan,
        launcher,
        interrupt,
        narrator: Narrator::new(),
        document,
    };
    session.run()
}

impl Session {
    fn run(mut self) -> Result<u8, SessionError> {
        // A folder that cannot be written to is found before the first minute is spent.
        self.save()?;
        let steps = self.plan.steps.clone();
        for (number, step) in (1..).zip(&steps) {
            let progress = format!("[{number}/{}] {}", steps.len(), step.name);
            self.narrator.say(&progress);
            let entry = self.conduct(step);
            self.narrator.clear();
            let text = entry.text();
            match self.plan.format {
                Format::Text => stdout::emit(&text)?,
                Format::Json => self.narrator.say(text.trim_end()),
            }
            self.document.steps.push(entry);
            self.save()?;
            if self.document.interrupted {
                break;
            }
        }
        self.finish()
    }

    fn save(&mut self) -> Result<(), SessionError> {
        self.document.interrupted = self.interrupt.signal().is_some();
        report::put(&self.plan.out, FILE, &self.document.json())?;
        Ok(())
    }

    fn finish(mut self) -> Result<u8, SessionError> {
        let text = match self.plan.format {
            Format::Json => self.document.json(),
            Format::Text => {
                format!("\n{}", report::captioned_text(&self.document.table()))
            }
        };
        stdout::emit(&text)?;
        let path = self.plan.out.join(FILE);
        self.narrator
            .say(&format!("\nthe document: {}", path.display()));
        let code = self.document.exit_code();
        Ok(self.interrupt.signal().map_or(code, exit::interrupted))
    }

    /// A step in all modes that it applies to and that are wanted.
    fn conduct(&mut self, step: &Step) -> StepEntry {
        let start = Instant::now();
        let applies = |choice: &&Choice| (step.modes)(**choice);
        let modes: Vec<Choice> = self.plan.modes.iter().filter(applies).copied().collect();
        let cases = match self.surroundings.lack(step.needs) {
            Some(reason) => modes
                .iter()
                .map(|choice| skipped(*choice, reason.clone()))
                .collect(),
            None => self.cases(step, &modes),
        };
        StepEntry::of(step, cases, start.elapsed().as_secs_f64())
    }

    fn cases(&mut self, step: &Step, modes: &[Choice]) -> Vec<CaseEntry> {
        let at_once = match step.pace {
            Pace::Alone => 1,
            Pace::Together => AT_ONCE,
        };
        let mut entries = Vec::new();
        for chunk in modes.chunks(at_once) {
            if self.interrupt.signal().is_some() {
                break;
            }
            let names: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let names = names.join(", ");
            self.narrator.now(&format!("{}: {names}", step.name));
            let common = Common {
                launcher: &self.launcher,
                interrupt: &self.interrupt,
                effort: self.plan.effort,
                seed: self.plan.seed,
            };
            entries.extend(side_by_side(step, chunk, common));
        }
        entries
    }
}

/// A case for each mode, at the same time.
fn side_by_side(step: &Step, modes: &[Choice], common: Common<'_>) -> Vec<CaseEntry> {
    std::thread::scope(|scope| {
        let cases: Vec<_> = modes
            .iter()
            .map(|choice| scope.spawn(move || conduct(step, *choice, common)))
            .collect();
        let ended = cases.into_iter().zip(modes).map(|(case, choice)| {
            case.join().unwrap_or_else(|_| {
                let reason = "the step itself panicked".into();
                CaseEntry::without_figures(choice.to_string(), Outcome::Broken, reason)
            })
        });
        ended.collect()
    })
}

/// A step in one mode, again while it [may have been the machine](CaseEntry::may_be_the_machine).
fn conduct(step: &Step, choice: Choice, common: Common<'_>) -> CaseEntry {
    let start = Instant::now();
    let mut attempts = 1;
    let mut entry = attempt(step, choice, common);
    while entry.may_be_the_machine() && attempts < ATTEMPTS && common.interrupt.signal().is_none() {
        attempts += 1;
        entry = attempt(step, choice, common);
    }
    entry.attempts = attempts;
    entry.took_s = start.elapsed().as_secs_f64();
    entry
}

fn attempt(step: &Step, choice: Choice, common: Common<'_>) -> CaseEntry {
    let case = Case::new(common, choice);
    let neighbours = Neighbours::now();
    let result = (step.run)(&case);
    let mode = choice.to_string();
    match result {
        Ok(mut figures) => {
            if let Some(cores) = neighbours.and_then(|since| since.disturbed_since()) {
                case.note(format!("others kept {cores:.1} processors busy meanwhile"));
                figures = figures.into_iter().map(Figure::disturbed).collect();
            }
            CaseEntry::measured(mode, figures, &case.into_notes())
        }
        Err(trouble) => {
            let reason = [vec![trouble.to_string()], case.into_notes()].concat();
            CaseEntry::without_figures(mode, trouble.outcome(), reason.join("; "))
        }
    }
}

fn skipped(choice: Choice, reason: String) -> CaseEntry {
    CaseEntry::without_figures(choice.to_string(), Outcome::Skipped, reason)
}

/// Servers that are ended by ABRT and SEGV on purpose leave no files behind.
fn no_core_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Core);
    limit.current = Some(0);
    // Lowering one's own limit is always allowed.
    let _ = setrlimit(Resource::Core, limit);
}
