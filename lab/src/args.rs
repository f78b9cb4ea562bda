//! The command line of the lab: what can be typed, and what it means.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use cli::Format;
use cli::units;

use crate::bench::{Bench, Effort};
use crate::compare::Plan;
use crate::experiment::Experiment;
use crate::experiments;
use crate::modes;
use crate::soak::step::Step;
use crate::soak::{self, matrix::Wanted};
use crate::subject::Subject;

/// The shortest window that says something about a rate.
const SHORTEST_WINDOW: Duration = Duration::from_millis(100);
/// The longest window.
const LONGEST_WINDOW: Duration = Duration::from_secs(3600);
/// Clients at most.
const MOST_CLIENTS: u32 = 1_000_000;
/// Workers at most.
const MOST_WORKERS: usize = 4096;
/// Repeats at most.
const MOST_REPEATS: usize = 1000;

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
    /// Show the experiments and what each claims
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

/// `lab compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// Our own modes, separated by commas, all if not given; the first is measured twice
    #[arg(long, value_name = "MODES", value_delimiter = ',', value_parser = mode)]
    pub modes: Option<Vec<String>>,
    /// A further server: a name and a command line in which {port} stands for its port
    #[arg(long = "subject", value_name = "NAME=COMMAND")]
    pub subjects: Vec<Subject>,
    /// Numbers of clients, separated by commas
    #[arg(short = 'c', long = "connections", value_name = "N", value_delimiter = ',',
          default_value = "50", value_parser = units::count(1..=MOST_CLIENTS))]
    pub clients: Vec<u32>,
    /// How long each run is measured
    #[arg(short = 'd', long = "duration", value_name = "TIME", default_value = "1s",
          value_parser = units::duration(SHORTEST_WINDOW..=LONGEST_WINDOW))]
    pub window: Duration,
    /// How often each server is measured
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = units::count(1..=MOST_REPEATS))]
    pub repeats: usize,
    /// Workers of our own modes
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = units::count(1..=MOST_WORKERS))]
    pub workers: usize,
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

impl Compare {
    /// What is compared; `effort` makes the window longer.
    ///
    /// # Errors
    ///
    /// Why the flags do not go together.
    pub fn plan(&self, effort: Effort) -> Result<Plan, String> {
        let modes = match &self.modes {
            Some(modes) => modes.clone(),
            // The most capable first: the first is measured twice to show the noise, and only a
            // server that serves everybody can show it.
            None => modes::all().map(str::to_owned).rev().collect(),
        };
        let own = modes.iter().map(|mode| Subject::own(mode, self.workers));
        let subjects: Vec<Subject> = own.chain(self.subjects.iter().cloned()).collect();
        for (index, subject) in subjects.iter().enumerate() {
            if subjects
                .iter()
                .skip(index + 1)
                .any(|other| other.name == subject.name)
            {
                return Err(format!(
                    "two subjects are called '{}'; give each its own name",
                    subject.name
                ));
            }
        }
        Ok(Plan {
            subjects,
            clients: self
                .clients
                .iter()
                .copied()
                .filter_map(NonZeroU32::new)
                .collect(),
            repeats: NonZeroUsize::new(self.repeats).unwrap_or(NonZeroUsize::MIN),
            window: effort.window(self.window),
        })
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

fn mode(name: &str) -> Result<String, String> {
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

    fn compare(args: &[&str]) -> Compare {
        let line = CommandLine::try_parse_from(["lab", "compare"].iter().chain(args)).unwrap();
        match line.command {
            Some(Command::Compare(compare)) => compare,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn all_modes_are_compared_unless_told_otherwise() {
        let plan = compare(&[]).plan(Effort::Short).unwrap();
        assert_eq!(plan.subjects.len(), modes::all().count());
        let two = compare(&["--modes", "async,rayon", "-c", "1,50"])
            .plan(Effort::Short)
            .unwrap();
        assert_eq!((two.subjects.len(), two.clients.len()), (2, 2));
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
    fn two_subjects_of_one_name_are_refused() {
        let args = ["--modes", "async", "--subject", "async=./x {port}"];
        let why = compare(&args).plan(Effort::Short).unwrap_err();
        assert_eq!(
            why,
            "two subjects are called 'async'; give each its own name"
        );
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
