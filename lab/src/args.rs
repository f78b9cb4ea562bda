//! The command line of the lab: what can be typed, and what it means.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use cli::Format;
use cli::units;

use crate::bench::{Bench, Effort};
use crate::compare::Compare;
use crate::experiment::Experiment;
use crate::experiments;
use crate::modes;
use crate::plan;
use crate::soak::step::Step;
use crate::soak::{self, matrix::Wanted};
use crate::suite::args::Suite;

/// Repeats at most.
pub(crate) const MOST_REPEATS: usize = 1000;

/// Runs the strategies against each other and shows what each can and cannot do
///
/// Without a command: the tour, in less than three minutes, with a report as a page.
#[derive(Debug, Parser)]
#[command(name = "lab", version, args_conflicts_with_subcommands = false)]
pub struct CommandLine {
    /// What to do; the tour if nothing is said
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What is common to all commands
    #[command(flatten)]
    pub common: Common,
}

/// Flags of all commands.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Folder for report.html and results.json
    #[arg(long, global = true, value_name = "DIR", default_value = "target/lab")]
    pub out: PathBuf,
    /// What stdout carries
    #[arg(long, global = true, value_name = "FORMAT", default_value_t)]
    pub format: Format,
    /// Windows four times as long, for figures to quote
    #[arg(long, global = true)]
    pub full: bool,
    /// Where all random choices come from
    #[arg(long, global = true, value_name = "N", default_value_t = 1,
          value_parser = units::count(0..=u64::MAX))]
    pub seed: u64,
}

/// What the lab can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the experiments and what each asks
    List,
    /// Run experiments by name
    Run(Run),
    /// Check the checks: run experiments with a fault in each, which it must notice
    ///
    /// Exits 0 if every experiment says "does not hold", 3 if one is content with its fault, and 4
    /// if one cannot tell. The folder of --out receives selftest.json.
    Selftest(Run),
    /// Write the report of a folder anew from its results.json, and show it
    Report(Report),
    /// What differs between the results of two machines or two versions
    ///
    /// Exits 3 if a claim that held in the first does not hold in the second.
    Diff(Diff),
    /// Measure what the strategies cost, by turns and repeatedly
    Compare(Compare),
    /// Measure whether the goals of speed and memory are reached, and what became slower
    ///
    /// Ours and a reference by turns, on a processor of their own. Exits 3 if a goal is missed or a row
    /// became slower for sure, and 4 if none is but of one nothing can be said. The folder of --out
    /// receives bench.json.
    Bench(Suite),
    /// Measure what the modes cost on this machine, for plans
    ///
    /// The folder of --out receives calibration.json.
    Calibrate(plan::args::Calibrate),
    /// How many workers, processors, machines and how much memory so many clients need
    ///
    /// By the calibration.json in the folder of --out, or a short calibration if there is none.
    Plan(plan::args::Wanted),
    /// Try to break the server in every mode, and count: faults, endurance, leaks
    ///
    /// In full, which takes hours, unless --quick is given. The folder of --out receives soak.json;
    /// exit codes are as for experiments, and what cannot run here is skipped with a reason.
    Soak(Soak),
}

/// `lab soak`.
#[derive(Debug, Args)]
pub struct Soak {
    /// Small numbers and short times: three minutes on two processors
    #[arg(long)]
    pub quick: bool,
    /// These steps alone, separated by commas; `--list` shows them
    #[arg(long, value_name = "STEP", value_delimiter = ',', value_parser = step)]
    pub only: Vec<NamedStep>,
    /// These modes alone, separated by commas, such as epoll, process-pool or process-pool:epoll
    #[arg(long = "mode", value_name = "MODE", value_delimiter = ',')]
    pub modes: Vec<Wanted>,
    /// Show the steps, what each claims, and how many modes it applies to
    #[arg(long)]
    pub list: bool,
}

/// A step by its name, as clap wants it: it can be copied.
#[derive(Clone, Copy, Debug)]
pub struct NamedStep(pub &'static Step);

/// `lab run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Experiments, as `lab list` shows them
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all",
          value_parser = experiment)]
    pub names: Vec<Named>,
    /// All of them
    #[arg(long)]
    pub all: bool,
    /// How often each measurement is made that is repeated, in place of the usual number
    #[arg(long, value_name = "N", value_parser = units::count(1..=MOST_REPEATS))]
    pub repeats: Option<usize>,
    /// With what each experiment names as its fault
    #[arg(long, hide = true)]
    pub seeded_fault: bool,
}

/// `lab report`.
#[derive(Debug, Args)]
pub struct Report {
    /// A folder that --out named when something was run
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// `lab diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The folder with the results to compare with
    #[arg(value_name = "A")]
    pub before: PathBuf,
    /// The folder with the results that are compared
    #[arg(value_name = "B")]
    pub after: PathBuf,
}

/// An experiment by its name, as clap wants it: it can be copied.
#[derive(Clone, Copy, Debug)]
pub struct Named(pub &'static Experiment);

impl Common {
    /// How thorough to be.
    #[must_use]
    pub fn effort(&self) -> Effort {
        if self.full {
            Effort::Full
        } else {
            Effort::Short
        }
    }
}

impl Run {
    /// The bench, prepared as the flags say.
    #[must_use]
    pub fn prepare(&self, bench: Bench) -> Bench {
        let bench = bench.repeating(self.repeats.and_then(NonZeroUsize::new));
        if self.seeded_fault {
            bench.with_fault()
        } else {
            bench
        }
    }

    /// The experiments, each once, in the order of their names on the command line.
    #[must_use]
    pub fn experiments(&self) -> Vec<&'static Experiment> {
        if self.all {
            return experiments::ALL.iter().collect();
        }
        let mut wanted: Vec<&'static Experiment> = Vec::new();
        for Named(experiment) in &self.names {
            if !wanted.iter().any(|known| known.name == experiment.name) {
                wanted.push(experiment);
            }
        }
        wanted
    }
}

impl Soak {
    /// What is soaked, and how; `command` is what was typed.
    ///
    /// # Errors
    ///
    /// Why the flags do not go together.
    pub fn plan(&self, common: &Common, command: String) -> Result<soak::session::Plan, String> {
        if self.quick && common.full {
            return Err("'--quick' and '--full' cannot be used together; give one of them".into());
        }
        let all = soak::steps::ALL.iter();
        let named = |step: &&Step| self.only.iter().any(|only| only.0.name == step.name);
        let steps = all.filter(|step| self.only.is_empty() || named(step));
        let modes = server::Choice::ALL.iter().copied();
        let meant = |choice| self.modes.iter().any(|wanted| wanted.means(choice));
        let modes = modes.filter(|choice| self.modes.is_empty() || meant(*choice));
        Ok(soak::session::Plan {
            steps: steps.collect(),
            modes: modes.collect(),
            effort: if self.quick {
                Effort::Short
            } else {
                Effort::Full
            },
            seed: common.seed,
            out: common.out.clone(),
            format: common.format,
            command,
        })
    }
}

fn step(name: &str) -> Result<NamedStep, String> {
    soak::steps::find(name).map(NamedStep).ok_or_else(|| {
        let names: Vec<&str> = soak::steps::ALL.iter().map(|known| known.name).collect();
        format!("there is no such step; the steps are {}", names.join(", "))
    })
}

fn experiment(name: &str) -> Result<Named, String> {
    experiments::find(name).map(Named).ok_or_else(|| {
        let names: Vec<&str> = experiments::ALL.iter().map(|known| known.name).collect();
        format!(
            "there is no such experiment; the experiments are {}",
            names.join(", ")
        )
    })
}

/// A mode by its name.
pub(crate) fn mode(name: &str) -> Result<String, String> {
    if modes::all().any(|known| known == name) {
        return Ok(name.to_owned());
    }
    let names: Vec<&str> = modes::all().collect();
    Err(format!(
        "there is no such mode; the modes are {}",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }

    fn soak(args: &[&str]) -> Result<soak::session::Plan, String> {
        let line = CommandLine::try_parse_from(["lab", "soak"].iter().chain(args)).unwrap();
        let Some(Command::Soak(soak)) = line.command else {
            panic!()
        };
        soak.plan(&line.common, "lab soak".into())
    }

    #[test]
    fn a_soak_is_full_and_of_everything_unless_told_otherwise() {
        let all = soak(&[]).unwrap();
        assert_eq!(all.effort, Effort::Full);
        assert_eq!(
            (all.steps.len(), all.modes.len()),
            (soak::steps::ALL.len(), server::Choice::ALL.len())
        );
        let some = soak(&["--quick", "--only", "leaks,integrity", "--mode", "epoll"]).unwrap();
        let names: Vec<&str> = some.steps.iter().map(|step| step.name).collect();
        assert_eq!((names, some.modes.len()), (vec!["integrity", "leaks"], 1));
        assert_eq!(some.effort, Effort::Short);
        assert!(soak(&["--quick", "--full"]).is_err());
    }

    #[test]
    fn an_experiment_named_twice_is_run_once() {
        let line =
            CommandLine::try_parse_from(["lab", "run", "trap", "staircase", "trap"]).unwrap();
        let Some(Command::Run(run)) = line.command else {
            panic!()
        };
        let names: Vec<&str> = run.experiments().iter().map(|known| known.name).collect();
        assert_eq!(names, ["trap", "staircase"]);
    }
}
