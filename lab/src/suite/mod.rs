//! `lab bench`: whether the goals of speed and memory are reached, and what became slower.
//!
//! ```text
//! Goal (data) ──trial──▶ rounds: ours, reference, reference again, in an order drawn anew
//!                           │ every figure ──▶ bench.json ◀── an earlier one (--baseline)
//!                           ▼                                          │
//!                        judge (pure) ──▶ Verdict per goal             ▼
//!                                                            baseline (pure) ──▶ Trend per goal
//! ```
//!
//! Figures are ratios to a reference that is measured in the same minute on the same processor. Absolute
//! rates of one machine today say little about the same machine tomorrow.

pub mod args;
pub mod baseline;
pub mod document;
mod generator;
pub mod goal;
pub mod judge;
mod show;
pub mod simulation;
mod sitting;
mod take;

use std::path::PathBuf;
use std::time::Duration;

use cli::{Format, exit, stdout};

use crate::compare::pin::Pin;
use crate::launcher::Launcher;
use crate::machine::Machine;
use crate::report::{self, Tool};
use crate::session::{self, SessionError};
use crate::subject::Subject;
use document::Document;
use goal::Goal;
use sitting::Sitting;

/// What is measured, and how.
#[derive(Debug)]
pub struct Plan {
    /// The rows.
    pub goals: Vec<&'static Goal>,
    /// Programs that take the place of references, by their names.
    pub given: Vec<Subject>,
    /// Rounds.
    pub pairs: usize,
    /// How long a run is measured.
    pub window: Duration,
    /// What need not be measured again.
    pub known: Option<Document>,
    /// What it is compared with.
    pub baseline: Option<Document>,
    /// Where the document goes.
    pub out: PathBuf,
    /// What stdout carries.
    pub format: Format,
    /// The command line.
    pub command: String,
}

/// Measures what is planned and saves what is known after each row. Returns the exit code.
///
/// # Errors
///
/// [`SessionError`] when nothing can be measured or written; a row that could not be measured is a
/// result and no error.
pub(crate) fn run(
    plan: &Plan,
    common: &crate::args::Common,
    launcher: Launcher,
) -> Result<u8, SessionError> {
    let mut bench = session::bench(common, launcher.with_the_program()?)?;
    let pin = Pin::one_for_servers().ok();
    let mut document = empty(plan, pin.as_ref(), bench.seed);
    check_known(plan, &document)?;
    document.save(&plan.out)?;
    let mut sitting = Sitting::new(&mut bench, plan, pin.as_ref())?;
    for goals in plan.goals.chunk_by(|one, next| one.trial == next.trial) {
        let rows = sitting.rows(goals, document.rows.len());
        document.rows.extend(rows);
        document.interrupted = sitting.is_interrupted();
        document.changes = changes(plan, &document);
        document.save(&plan.out)?;
        if document.interrupted {
            break;
        }
    }
    bench.narrator.clear();
    stdout::emit(&match plan.format {
        Format::Text => show::text(&document),
        Format::Json => report::pretty(&document),
    })?;
    let file = plan.out.join(document::FILE);
    bench
        .narrator
        .say(&format!("\nall figures: {}", file.display()));
    let signal = bench.interrupt.signal();
    Ok(signal.map_or_else(|| document.outcome().exit_code(), exit::interrupted))
}

fn empty(plan: &Plan, pin: Option<&Pin>, seed: u64) -> Document {
    let shared = || "servers and load share one processor".to_owned();
    Document {
        schema: document::SCHEMA,
        tool: Tool::lab(),
        command: plan.command.clone(),
        interrupted: false,
        machine: Machine::here(),
        pinning: pin.map_or_else(shared, Pin::in_words),
        seed,
        rows: Vec::new(),
        changes: None,
    }
}

/// What was measured by another program, or elsewhere, does not belong into the same document.
fn check_known(plan: &Plan, document: &Document) -> Result<(), SessionError> {
    let Some(known) = &plan.known else {
        return Ok(());
    };
    let of = |it: &Document| {
        (
            it.tool.commit.clone(),
            it.machine.clone(),
            it.pinning.clone(),
        )
    };
    if of(known) == of(document) {
        return Ok(());
    }
    let file = plan.out.join(document::FILE);
    Err(SessionError::Resume(file))
}

fn changes(plan: &Plan, document: &Document) -> Option<Vec<baseline::Change>> {
    let before = plan.baseline.as_ref()?;
    Some(baseline::changes(before, document))
}

/// How the hot functions are measured: they are no part of this program.
const MICRO: &str = "\
cargo bench -p server --features bench
cargo bench -p loadgen --features bench
";

/// The rows that are there, or how the hot functions are measured. Returns the exit code.
///
/// # Errors
///
/// [`SessionError::Stdout`].
pub(crate) fn tell(wanted: &args::Suite, format: Format) -> Result<u8, SessionError> {
    let text = if wanted.list {
        show::list(format)
    } else {
        MICRO.to_owned()
    };
    stdout::emit(&text)?;
    Ok(exit::SUCCESS)
}
