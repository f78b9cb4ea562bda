//! The whole command line as a function: from arguments to an exit code.

use std::ffi::OsString;

use cli::{Format, exit, stdout, usage};

use crate::args::{Command, CommandLine};
use crate::experiment::Experiment;
use crate::experiments;
use crate::narrator::Narrator;
use crate::process::Launcher;
use crate::session::{Session, SessionError};
use crate::soak;

/// What the tour is, for people who know nothing yet.
const WELCOME: &str = "\
Who serves whom? Real servers under real load, on this machine, in less than a minute.
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
        Some(Command::Run(run)) => session().and_then(|session| session.run(&run.experiments())),
        Some(Command::Compare(wanted)) => match wanted.plan(line.common.effort()) {
            Ok(plan) => session().and_then(|session| session.compare(&plan)),
            Err(why) => return usage::refuse("lab", &why),
        },
        Some(Command::Soak(wanted)) if wanted.list => soak::list(line.common.format),
        Some(Command::Soak(wanted)) => match wanted.plan(&line.common, command_line(args)) {
            Ok(plan) => soak::session::run(plan, launcher),
            Err(why) => return usage::refuse("lab", &why),
        },
        None => session().and_then(|mut session| {
            session.bench.narrator.say(WELCOME);
            session.run(&experiments::ALL.iter().collect::<Vec<_>>())
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

fn list(format: Format) -> Result<u8, SessionError> {
    let text = match format {
        Format::Text => experiments::ALL.iter().map(line).collect(),
        Format::Json => {
            let all = experiments::ALL.iter().map(object).collect();
            format!("{:#}\n", serde_json::Value::Array(all))
        }
    };
    stdout::emit(&text)?;
    Ok(exit::SUCCESS)
}

fn line(experiment: &Experiment) -> String {
    format!("{:12} {}\n", experiment.name, experiment.claim)
}

fn object(experiment: &Experiment) -> serde_json::Value {
    serde_json::json!({
        "name": experiment.name,
        "question": experiment.question,
        "claim": experiment.claim,
    })
}
