//! The whole command line as a function: from arguments to an exit code.

use std::ffi::OsString;
use std::path::Path;

use cli::{Format, Interrupt, exit, stdout, usage};

use crate::args::{Command, CommandLine, Common};
use crate::bench::{Bench, Failure};
use crate::compare;
use crate::experiment::{Entry, Experiment};
use crate::experiments;
use crate::process::Launcher;
use crate::report::{self, Document, SaveError};

/// Why the lab ended without doing its work.
#[derive(Debug, thiserror::Error)]
enum LabError {
    #[error("cannot catch signals: {0}")]
    Signals(std::io::Error),
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error("cannot write to stdout: {0}")]
    Stdout(#[from] std::io::Error),
    #[error("{0}")]
    Compare(Failure),
}

/// Runs the lab; `args[0]` is the name of the program and `launcher` starts our own server.
/// Returns the exit code.
#[must_use]
pub fn entry(args: &[OsString], launcher: Launcher) -> u8 {
    let line: CommandLine = match usage::parse(args) {
        Ok(line) => line,
        Err(code) => return code,
    };
    let shown: Vec<_> = args
        .iter()
        .skip(1)
        .map(|arg| arg.to_string_lossy())
        .collect();
    let command = format!("lab {}", shown.join(" ")).trim_end().to_owned();
    let result = match &line.command {
        Some(Command::List) => list(line.common.format),
        None => experiments_in_turn(
            &experiments::ALL.iter().collect::<Vec<_>>(),
            &line.common,
            launcher,
            command,
        ),
        Some(Command::Run(run)) => {
            experiments_in_turn(&run.experiments(), &line.common, launcher, command)
        }
        Some(Command::Compare(wanted)) => match wanted.plan(line.common.effort()) {
            Ok(plan) => compare_all(&plan, &line.common, launcher, command),
            Err(why) => return usage::refuse("lab", &why),
        },
    };
    result.unwrap_or_else(|error| {
        crate::narrator::Narrator::new().say(&format!("lab: {error}"));
        exit::FAILED
    })
}

fn list(format: Format) -> Result<u8, LabError> {
    let text = match format {
        Format::Text => experiments::ALL
            .iter()
            .map(|experiment| format!("{:12} {}\n", experiment.name, experiment.claim))
            .collect(),
        Format::Json => {
            let all = experiments::ALL.iter().map(|experiment| {
                serde_json::json!({
                    "name": experiment.name,
                    "question": experiment.question,
                    "claim": experiment.claim,
                })
            });
            format!("{:#}\n", serde_json::Value::Array(all.collect()))
        }
    };
    stdout::emit(&text)?;
    Ok(exit::SUCCESS)
}

fn bench(common: &Common, launcher: Launcher) -> Result<Bench, LabError> {
    let interrupt = Interrupt::install().map_err(LabError::Signals)?;
    Ok(Bench::new(
        launcher,
        interrupt,
        common.effort(),
        common.seed,
    ))
}

/// Runs experiments one after the other and saves what is known after each.
fn experiments_in_turn(
    wanted: &[&Experiment],
    common: &Common,
    launcher: Launcher,
    command: String,
) -> Result<u8, LabError> {
    let mut bench = bench(common, launcher)?;
    let mut document = Document::new(command, common.effort(), common.seed);
    // A folder that cannot be written to is found before the first minute is spent.
    document.save(&common.out)?;
    for (number, experiment) in (1..).zip(wanted) {
        bench
            .narrator
            .say(&format!("[{number}/{}] {}", wanted.len(), experiment.name));
        if common.format == Format::Text {
            stdout::emit(&report::opening_text(experiment))?;
        }
        let entry = experiment.conduct(&mut bench);
        bench.narrator.clear();
        show(&entry, common.format, &mut bench)?;
        document.experiments.push(entry);
        document.interrupted = bench.interrupt.signal().is_some();
        document.save(&common.out)?;
        if document.interrupted {
            break;
        }
    }
    finish(&document, common, &mut bench, document.exit_code())
}

/// The experiment on stdout; where that carries the document the verdict goes to people instead.
fn show(entry: &Entry, format: Format, bench: &mut Bench) -> Result<(), LabError> {
    match format {
        Format::Text => stdout::emit(&report::entry_text(entry))?,
        Format::Json => bench.narrator.say(&entry.verdict_line()),
    }
    Ok(())
}

fn compare_all(
    plan: &compare::Plan,
    common: &Common,
    launcher: Launcher,
    command: String,
) -> Result<u8, LabError> {
    let mut bench = bench(common, launcher)?;
    let mut document = Document::new(command, common.effort(), common.seed);
    document.save(&common.out)?;
    let mut saved = Ok(());
    let result = compare::run(&mut bench, plan, &mut |known| {
        document.comparison = Some(known);
        saved = document.save(&common.out);
    });
    saved?;
    bench.narrator.clear();
    match result {
        Ok(()) => {}
        Err(Failure::Interrupted) => {
            document.interrupted = true;
            document.save(&common.out)?;
        }
        Err(failure) => return Err(LabError::Compare(failure)),
    }
    if let (Format::Text, Some(comparison)) = (common.format, &document.comparison) {
        stdout::emit(&report::comparison_text(comparison))?;
    }
    finish(&document, common, &mut bench, exit::SUCCESS)
}

/// The document, if it was asked for, and where the page is; a signal outweighs `code`.
fn finish(
    document: &Document,
    common: &Common,
    bench: &mut Bench,
    code: u8,
) -> Result<u8, LabError> {
    if common.format == Format::Json {
        stdout::emit(&document.json())?;
    }
    let page = common.out.join(report::PAGE);
    bench.narrator.say(&format!(
        "\nthe report with its pictures: {}",
        address(&page)
    ));
    Ok(bench.interrupt.signal().map_or(code, exit::interrupted))
}

/// A path that can be opened with a click in most terminals.
fn address(path: &Path) -> String {
    match std::path::absolute(path) {
        Ok(path) => format!("file://{}", path.display()),
        Err(_) => path.display().to_string(),
    }
}
