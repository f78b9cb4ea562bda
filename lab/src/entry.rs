//! The whole command line as a function: from arguments to an exit code.

use std::ffi::OsString;
use std::path::Path;

use cli::{Format, exit, stdout, usage};

use crate::args::{Command, CommandLine};
use crate::compare::{self, Refusal};
use crate::diff;
use crate::experiment::{Chapter, Experiment};
use crate::experiments;
use crate::launcher::Launcher;
use crate::narrator::Narrator;
use crate::plan;
use crate::report::{self, Document};
use crate::selftest;
use crate::session::{self, Session, SessionError};
use crate::soak;
use crate::suite;

/// What the tour is, for people who know nothing yet.
const WELCOME: &str = "\
Who serves whom? Real servers under real load, on this machine, in less than three minutes.
Each experiment says what it expects, runs, and judges itself.";

/// Runs the lab; `args[0]` is the name of the program and `launcher` starts our own server.
/// Returns the exit code.
#[must_use]
pub fn entry(args: &[OsString], launcher: Launcher) -> u8 {
    let line: CommandLine = match usage::parse(args) {
        Ok(line) => line,
        Err(code) => return code,
    };
    let session = || Session::open(&line.common, launcher.clone(), command_line(args));
    let result = match &line.command {
        Some(Command::List) => list(line.common.format),
        Some(Command::Run(run)) => session().and_then(|mut session| {
            session.bench = run.prepare(session.bench);
            session.run(&run.experiments())
        }),
        Some(Command::Selftest(run)) => {
            session::bench(&line.common, launcher.clone()).and_then(|bench| {
                let (out, format) = (&line.common.out, line.common.format);
                selftest::run(&run.experiments(), run.prepare(bench), out, format)
            })
        }
        Some(Command::Report(wanted)) => show_again(&wanted.folder, line.common.format),
        Some(Command::Diff(wanted)) => diff::run(&wanted.before, &wanted.after, line.common.format),
        Some(Command::Compare(wanted)) if wanted.list_subjects => {
            compare::list_subjects(line.common.format)
        }
        Some(Command::Compare(wanted)) => match wanted.plan(&line.common) {
            Ok(plan) => session().and_then(|session| session.compare(&plan)),
            Err(Refusal::Usage(why)) => return usage::refuse("lab", &why),
            Err(lack @ Refusal::Lack(_)) => Err(SessionError::Lack(lack)),
        },
        Some(Command::Bench(wanted)) if wanted.list || wanted.micro => {
            suite::tell(wanted, line.common.format)
        }
        Some(Command::Bench(wanted)) => match wanted.plan(&line.common, command_line(args)) {
            Ok(plan) => suite::run(&plan, &line.common, launcher),
            Err(suite::args::Refusal::Usage(why)) => return usage::refuse("lab", &why),
            Err(suite::args::Refusal::Read(error)) => Err(error.into()),
        },
        Some(Command::Calibrate(wanted)) => {
            plan::command::calibrate(wanted, &line.common, launcher.clone())
        }
        Some(Command::Plan(wanted)) => plan::command::plan(wanted, &line.common, launcher.clone()),
        Some(Command::Soak(wanted)) if wanted.list => soak::list(line.common.format),
        Some(Command::Soak(wanted)) => match wanted.plan(&line.common, command_line(args)) {
            Ok(plan) => soak::session::run(plan, launcher),
            Err(why) => return usage::refuse("lab", &why),
        },
        None => session().and_then(|mut session| {
            session.bench.narrator.say(WELCOME);
            session.run(&experiments::tour())
        }),
    };
    result.unwrap_or_else(|error| {
        Narrator::new().say(&format!("lab: {error}"));
        exit::FAILED
    })
}

/// How the report shows what was typed.
fn command_line(args: &[OsString]) -> String {
    let typed = args.iter().skip(1).map(|arg| arg.to_string_lossy());
    typed.fold("lab".to_owned(), |line, arg| format!("{line} {arg}"))
}

/// Writes the page of `folder` anew and shows what stands in it.
fn show_again(folder: &Path, format: Format) -> Result<u8, SessionError> {
    let document = Document::read(folder)?;
    document.save_page(folder)?;
    match format {
        Format::Text => stdout::emit(&report::document_text(&document))?,
        Format::Json => stdout::emit(&document.json())?,
    }
    let page = session::address(&folder.join(report::PAGE));
    Narrator::new().say(&format!("\nthe report with its pictures: {page}"));
    Ok(exit::SUCCESS)
}

fn list(format: Format) -> Result<u8, SessionError> {
    let text = match format {
        Format::Text => course(experiments::ALL),
        Format::Json => {
            let all = experiments::ALL.iter().map(object).collect();
            format!("{:#}\n", serde_json::Value::Array(all))
        }
    };
    stdout::emit(&text)?;
    Ok(exit::SUCCESS)
}

/// The experiments as a course: chapter by chapter, each with its question.
fn course(experiments: &[Experiment]) -> String {
    let mut text = String::new();
    let mut chapter: Option<Chapter> = None;
    for experiment in experiments {
        if chapter != Some(experiment.chapter) {
            let gap = if chapter.is_some() { "\n" } else { "" };
            text += &format!("{gap}{}\n", experiment.chapter);
            chapter = Some(experiment.chapter);
        }
        text += &format!("  {:20} {}\n", experiment.name, experiment.question);
    }
    text
}

fn object(experiment: &Experiment) -> serde_json::Value {
    serde_json::json!({
        "name": experiment.name,
        "chapter": experiment.chapter,
        "question": experiment.question,
        "claim": experiment.claim,
    })
}
