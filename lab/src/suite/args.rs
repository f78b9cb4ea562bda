//! The flags of `lab bench`, and the plan that follows from them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use cli::units;

use super::Plan;
use super::document::{self, Document};
use super::goal::{self, Goal};
use crate::args::{Common, MOST_REPEATS};
use crate::bench::Effort;
use crate::report::ReadError;
use crate::subject::Subject;

/// The shortest window that says something about a rate, and the longest.
const WINDOWS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(3600);
/// The window in the short form.
const WINDOW: Duration = Duration::from_millis(500);
/// Rounds in the short form: the table is through in ten minutes.
const FEW: usize = 7;
/// Rounds for figures to quote: a ratio to within 3 of a hundred on a machine with neighbours.
const MANY: usize = 40;

/// `lab bench`.
#[derive(Debug, Args)]
pub struct Suite {
    /// Rows by name, or all rows of a mode or of a figure, such as epoll or memory; all if not given
    #[arg(value_name = "ROW", value_parser = word)]
    pub words: Vec<String>,
    /// Show the rows and what they are measured against
    #[arg(long)]
    pub list: bool,
    /// Show how the hot functions are measured by themselves, without the kernel
    #[arg(long)]
    pub micro: bool,
    /// How often each row is measured; fewer than 5 times says nothing [default: 7, with --full 40]
    #[arg(long, value_name = "N", value_parser = units::count(1..=MOST_REPEATS))]
    pub pairs: Option<usize>,
    /// How long each run is measured [default: 500ms, with --full 2s]
    #[arg(long, value_name = "TIME", value_parser = units::duration(WINDOWS))]
    pub window: Option<Duration>,
    /// A program as reference, by the name that --list shows and a command line in which {port} stands
    /// for its port; that of a client needs {clients} and {seconds} too, and prints how many answers it
    /// got: a lone number, or one behind "answered": or "reqs":
    #[arg(long = "subject", value_name = "NAME=COMMAND")]
    pub subjects: Vec<Subject>,
    /// Say what became slower since the benchmark of this file
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Keep the rows that are in the folder of --out already and were measured in the same way
    #[arg(long)]
    pub resume: bool,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The flags do not go together.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be used.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Suite {
    /// What is measured; `command` is what was typed.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub fn plan(&self, common: &Common, command: String) -> Result<Plan, Refusal> {
        let meant = |goal: &&Goal| {
            let mut words = self.words.iter();
            self.words.is_empty() || words.any(|word| goal.is_meant_by(word))
        };
        let goals: Vec<&Goal> = goal::ALL.iter().filter(meant).collect();
        self.check_subjects(&goals)?;
        let known = common.out.join(document::FILE);
        let known = (self.resume && known.exists()).then(|| Document::read(&known));
        let baseline = self.baseline.as_deref().map(Document::read);
        let pairs = match common.effort() {
            Effort::Short => FEW,
            Effort::Full => MANY,
        };
        let window = self.window.unwrap_or(common.effort().window(WINDOW));
        Ok(Plan {
            goals,
            given: self.subjects.clone(),
            pairs: self.pairs.unwrap_or(pairs),
            window,
            known: known.transpose()?,
            baseline: baseline.transpose()?,
            out: common.out.clone(),
            format: common.format,
            command,
        })
    }

    /// A program that no row is measured against was meant for something else.
    fn check_subjects(&self, goals: &[&Goal]) -> Result<(), Refusal> {
        let mut names: Vec<&str> = Vec::new();
        for name in goals.iter().flat_map(|goal| goal.trial.against) {
            if !names.contains(name) {
                names.push(name);
            }
        }
        let stranger = self
            .subjects
            .iter()
            .find(|subject| !names.contains(&subject.name.as_str()));
        let Some(stranger) = stranger else {
            return self.check_places(goals);
        };
        let (name, names) = (&stranger.name, names.join(", "));
        Err(Refusal::Usage(format!(
            "no row is measured against --subject '{name}'; the names are {names}"
        )))
    }

    /// A program that is not told how many clients it is to have, or for how long, cannot be one.
    fn check_places(&self, goals: &[&Goal]) -> Result<(), Refusal> {
        for subject in &self.subjects {
            let (name, command) = (subject.name.as_str(), subject.template());
            let mut trials = goals.iter().map(|goal| goal.trial);
            let trial = trials.find(|trial| trial.against.contains(&name));
            let lacking = trial.map_or_else(Vec::new, |trial| trial.own.lacks(&command));
            if !lacking.is_empty() {
                let lacking = lacking.join(" and ");
                return Err(Refusal::Usage(format!(
                    "the command of --subject '{name}' must contain {lacking}: it is a client"
                )));
            }
        }
        Ok(())
    }
}

fn word(word: &str) -> Result<String, String> {
    if goal::ALL.iter().any(|goal| goal.is_meant_by(word)) {
        return Ok(word.to_owned());
    }
    Err("there is no such row; `lab bench --list` shows them".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, CommandLine};
    use clap::Parser as _;

    fn plan(args: &[&str]) -> Result<Plan, String> {
        let args = ["lab", "bench"].iter().chain(args);
        let line = CommandLine::try_parse_from(args).map_err(|error| error.to_string())?;
        let Some(Command::Bench(suite)) = &line.command else {
            panic!("{line:?}")
        };
        let plan = suite.plan(&line.common, "lab bench".into());
        plan.map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn all_rows_are_measured_a_few_times_unless_told_otherwise() {
        let short = plan(&[]).unwrap();
        assert_eq!((short.goals.len(), short.pairs), (goal::ALL.len(), FEW));
        let full = plan(&["--full"]).unwrap();
        assert_eq!((full.pairs, full.window), (MANY, 4 * WINDOW));
        let some = plan(&["memory", "epoll-rate-50", "--pairs", "5", "--window", "1s"]).unwrap();
        assert_eq!((some.goals.len(), some.pairs), (7, 5));
        assert_eq!(some.window, Duration::from_secs(1));
    }

    #[test]
    fn a_row_and_a_reference_must_be_known() {
        assert!(plan(&["epol"]).unwrap_err().contains("no such row"));
        assert_eq!(
            plan(&["ready-pool-rate-50", "--subject", "c-epoll=./x {port}"]).unwrap_err(),
            "no row is measured against --subject 'c-epoll'; the names are plain-threads"
        );
        assert!(plan(&["epoll", "--subject", "c-epoll=./x {port}"]).is_ok());
        let client = |command: &str| plan(&["loadgen", "--subject", command]);
        assert_eq!(
            client("c-client=./x {port} {seconds}").unwrap_err(),
            "the command of --subject 'c-client' must contain {clients}: it is a client"
        );
        assert!(client("c-client=./x {port} {clients} {seconds}").is_ok());
    }

    #[test]
    fn a_baseline_must_be_a_benchmark_of_this_schema() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("old.json");
        let refused = |content: &str| {
            std::fs::write(&file, content).unwrap();
            plan(&["--baseline", file.to_str().unwrap()]).unwrap_err()
        };
        assert!(refused(r#"{"schema": 99}"#).contains("has schema 99 and not 1"));
        assert!(refused("no JSON").contains("cannot understand"));
        let none = plan(&["--baseline", "/nonexistent/bench.json"]).unwrap_err();
        assert!(
            none.starts_with("cannot read /nonexistent/bench.json"),
            "{none}"
        );
    }
}
