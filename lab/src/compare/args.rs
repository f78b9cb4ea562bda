//! The flags of `lab compare`, and the plan that follows from them.

use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use cli::units;
use server::Config;
use server::work::Work;

use super::pin::Pin;
use super::{Fault, Plan};
use crate::args::{Common, MOST_REPEATS, mode};
use crate::foreign::{self, Foreign, Lack};
use crate::modes;
use crate::plain::{self, Plain};
use crate::subject::{InvalidSubject, Subject};

/// The shortest window that says something about a rate.
const SHORTEST_WINDOW: Duration = Duration::from_millis(100);
/// The longest window.
const LONGEST_WINDOW: Duration = Duration::from_secs(3600);
/// Clients at most.
const MOST_CLIENTS: u32 = 1_000_000;

/// `lab compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// Our own modes, separated by commas, all if not given, or none; the first server is measured
    /// twice
    #[arg(long, value_name = "MODES", value_delimiter = ',', value_parser = mode_or_none)]
    pub modes: Option<Vec<String>>,
    /// A further server: one that --list-subjects names, or a name and a command line in which {port}
    /// stands for its port and {work} for --work
    #[arg(long = "subject", value_name = "NAME[=COMMAND]")]
    pub subjects: Vec<Wanted>,
    /// All servers in other languages that are installed here
    #[arg(long)]
    pub foreign: bool,
    /// Show the servers that the lab brings along, and whether they can run here
    #[arg(long)]
    pub list_subjects: bool,
    /// Numbers of clients, separated by commas
    #[arg(short = 'c', long = "connections", value_name = "N", value_delimiter = ',',
          default_value = "50", value_parser = units::count(1..=MOST_CLIENTS))]
    pub clients: Vec<u32>,
    /// Lengths of a message in bytes, separated by commas, such as 64 or 16KiB
    #[arg(short = 's', long = "size", value_name = "SIZE", value_delimiter = ',',
          default_value = "64", value_parser = units::size(1..=u64::from(loadgen::MAX_MESSAGE_BYTES)))]
    pub sizes: Vec<u64>,
    /// What a message costs before it is echoed: none, cpu=TIME, io=TIME or io=exp:MEAN
    #[arg(long, value_name = "WORK", default_value = "none")]
    pub work: Work,
    /// How long each run is measured
    #[arg(short = 'd', long = "duration", value_name = "TIME", default_value = "1s",
          value_parser = units::duration(SHORTEST_WINDOW..=LONGEST_WINDOW))]
    pub window: Duration,
    /// How often each server is measured; fewer than 5 times says nothing of differences
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = units::count(1..=MOST_REPEATS))]
    pub repeats: usize,
    /// Workers, where a server has any
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = units::count(1..=Config::MOST_WORKERS))]
    pub workers: usize,
    /// Keep the servers on one half of the processors and the load on the other
    #[arg(long)]
    pub pin: bool,
    /// Something wrong on purpose, which the comparison must notice
    #[arg(long, value_name = "FAULT", value_enum, hide = true)]
    pub fault: Option<Fault>,
}

/// A server as typed behind `--subject`.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// One in another language that the lab brings along.
    Known(&'static Foreign),
    /// One without anything.
    Plain(&'static Plain),
    /// A command line.
    Command(Subject),
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The flags do not go together.
    #[error("{0}")]
    Usage(String),
    /// Something is not there.
    #[error("{0}; install it, or leave that server out")]
    Lack(Lack),
}

impl Compare {
    /// What is compared.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub fn plan(&self, common: &Common) -> Result<Plan, Refusal> {
        let (subjects, left_out) = self.all_subjects(common)?;
        if subjects.is_empty() {
            let why =
                "'--modes none' leaves nothing to compare; give --subject or --foreign as well";
            return Err(Refusal::Usage(why.to_owned()));
        }
        let names: Vec<&str> = subjects.iter().map(|it| it.name.as_str()).collect();
        if let Some(twice) = first_twice(&names) {
            let why = format!("two subjects are called '{twice}'; give each its own name");
            return Err(Refusal::Usage(why));
        }
        // No two rows have the same load, or nobody could tell them apart.
        for (flag, twice) in [
            (
                "--connections",
                first_twice(&self.clients).map(u32::to_string),
            ),
            ("--size", first_twice(&self.sizes).map(u64::to_string)),
        ] {
            if let Some(twice) = twice {
                let why = format!("'{flag}' has {twice} twice; give each number once");
                return Err(Refusal::Usage(why));
            }
        }
        let pin = self.pin.then(Pin::halves).transpose();
        Ok(Plan {
            subjects,
            left_out,
            clients: self
                .clients
                .iter()
                .copied()
                .filter_map(NonZeroU32::new)
                .collect(),
            sizes: self
                .sizes
                .iter()
                .filter_map(|size| NonZeroU32::new((*size).try_into().ok()?))
                .collect(),
            work: self.work,
            repeats: NonZeroUsize::new(self.repeats).unwrap_or(NonZeroUsize::MIN),
            window: common.effort().window(self.window),
            pin: pin.map_err(|why| Refusal::Usage(why.to_string()))?,
            fault: self.fault,
        })
    }

    /// The servers, and why others are left out.
    fn all_subjects(&self, common: &Common) -> Result<(Vec<Subject>, Vec<String>), Refusal> {
        let modes = match &self.modes {
            Some(modes) => modes
                .iter()
                .filter(|mode| *mode != NO_MODE)
                .cloned()
                .collect(),
            // The most capable first: the first is measured twice to show the noise, and only a
            // server that serves everybody can show it.
            None => modes::all().map(str::to_owned).rev().collect::<Vec<_>>(),
        };
        let work = self.work.to_string();
        let own = |mode: &String| match self.work {
            Work::None => Subject::own(mode, self.workers),
            _ => Subject::own(mode, self.workers).with(&["--work", &work]),
        };
        let mut subjects: Vec<Subject> = modes.iter().map(own).collect();
        let mut left_out = Vec::new();
        for wanted in &self.subjects {
            subjects.push(match wanted {
                Wanted::Known(foreign) => self.start_of(foreign, common)?,
                Wanted::Plain(plain) => self.only_echoing(plain)?,
                Wanted::Command(subject) => self.told_its_work(subject)?,
            });
        }
        for foreign in foreign::ALL.iter().filter(|_| self.foreign) {
            let named = |subject: &Subject| subject.name == foreign.name;
            match foreign.lack(self.work) {
                _ if subjects.iter().any(named) => {}
                Some(lack) => left_out.push(lack.to_string()),
                None => subjects.push(self.start_of(foreign, common)?),
            }
        }
        Ok((subjects, left_out))
    }

    fn start_of(&self, foreign: &Foreign, common: &Common) -> Result<Subject, Refusal> {
        let subject = foreign.subject(self.workers, self.work, &common.out);
        subject.map_err(|lack| match lack {
            Lack::NoWork { .. } => Refusal::Usage(lack.to_string()),
            Lack::Missing { .. } | Lack::Build { .. } => Refusal::Lack(lack),
        })
    }

    fn only_echoing(&self, plain: &Plain) -> Result<Subject, Refusal> {
        let (name, work) = (plain.name, self.work);
        match work {
            Work::None => Ok(plain.subject(self.workers)),
            _ => Err(Refusal::Usage(Lack::NoWork { name, work }.to_string())),
        }
    }

    /// A server that does not do the work that all others do would win unasked.
    fn told_its_work(&self, subject: &Subject) -> Result<Subject, Refusal> {
        let told = subject.clone().told_work(self.work);
        told.ok_or_else(|| {
            Refusal::Usage(format!(
                "'{}' is not told of --work {}; put {{work}} into its command",
                subject.name, self.work
            ))
        })
    }
}

/// What `--modes` is if none of ours shall take part.
const NO_MODE: &str = "none";

fn mode_or_none(name: &str) -> Result<String, String> {
    if name == NO_MODE {
        return Ok(name.to_owned());
    }
    mode(name)
}

fn first_twice<T: PartialEq>(all: &[T]) -> Option<&T> {
    let is_repeated = |(place, one): &(usize, &T)| all[..*place].contains(one);
    all.iter().enumerate().find(is_repeated).map(|(_, one)| one)
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(known) = foreign::find(text) {
            return Ok(Self::Known(known));
        }
        if let Some(plain) = plain::find(text) {
            return Ok(Self::Plain(plain));
        }
        text.parse()
            .map(Self::Command)
            .map_err(|error| match error {
                InvalidSubject::Form => {
                    let plain = plain::ALL.iter().map(|known| known.name);
                    let foreign = foreign::ALL.iter().map(|known| known.name);
                    let names: Vec<&str> = plain.chain(foreign).collect();
                    format!("{error}, or one of {}", names.join(", "))
                }
                InvalidSubject::NoPort => error.to_string(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, CommandLine};
    use clap::Parser as _;

    fn plan(args: &[&str]) -> Result<Plan, String> {
        let args = ["lab", "compare"].iter().chain(args);
        let line = CommandLine::try_parse_from(args).map_err(|error| error.to_string())?;
        let Some(Command::Compare(compare)) = &line.command else {
            panic!("{line:?}")
        };
        compare
            .plan(&line.common)
            .map_err(|refusal| refusal.to_string())
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.subjects
            .iter()
            .map(|subject| subject.name.as_str())
            .collect()
    }

    #[test]
    fn all_modes_are_compared_unless_told_otherwise() {
        assert_eq!(plan(&[]).unwrap().subjects.len(), modes::all().count());
        let two = plan(&["--modes", "async,rayon", "-c", "1,50", "-s", "64,16KiB"]).unwrap();
        assert_eq!((two.subjects.len(), two.clients.len()), (2, 2));
        assert_eq!(two.sizes.last().map(|size| size.get()), Some(16 << 10));
        let none = plan(&["--modes", "none", "--subject", "mine=./x {port}"]).unwrap();
        assert_eq!(names(&none), ["mine"]);
    }

    #[test]
    fn all_do_the_same_work_or_take_no_part() {
        let own = plan(&["--modes", "async", "--work", "io=5ms"]).unwrap();
        assert!(own.subjects[0].command_line(0).ends_with("--work io=5ms"));
        let told = plan(&[
            "--modes",
            "none",
            "--work",
            "cpu=1ms",
            "--subject",
            "x=./x {port} {work}",
        ]);
        assert_eq!(told.unwrap().subjects[0].command_line(7), "./x 7 cpu=1ms");
        assert_eq!(
            plan(&["--work", "cpu=1ms", "--subject", "x=./x {port}"]).unwrap_err(),
            "'x' is not told of --work cpu=1ms; put {work} into its command"
        );
        assert_eq!(
            plan(&["--work", "cpu=1ms", "--subject", "socat"]).unwrap_err(),
            "socat only echoes: it cannot do --work cpu=1ms"
        );
        assert_eq!(
            plan(&["--work", "cpu=1ms", "--subject", "plain-epoll"]).unwrap_err(),
            "plain-epoll only echoes: it cannot do --work cpu=1ms"
        );
    }

    #[test]
    fn two_subjects_of_one_name_are_refused_and_nothing_at_all_too() {
        assert_eq!(
            plan(&["--modes", "async", "--subject", "async=./x {port}"]).unwrap_err(),
            "two subjects are called 'async'; give each its own name"
        );
        assert!(
            plan(&["--modes", "none"])
                .unwrap_err()
                .contains("nothing to compare")
        );
    }

    #[test]
    fn a_load_that_is_asked_for_twice_is_refused() {
        let refused = |flag, numbers| plan(&[flag, numbers]).unwrap_err();
        assert_eq!(
            refused("-c", "50,1,50"),
            "'--connections' has 50 twice; give each number once"
        );
        assert_eq!(
            refused("-s", "64,1KiB,1024"),
            "'--size' has 1024 twice; give each number once"
        );
    }

    #[test]
    fn a_name_alone_must_be_known() {
        let why = plan(&["--subject", "cobol"]).unwrap_err();
        assert!(
            ["must be NAME=COMMAND", "python-thread-pool", "plain-epoll"]
                .iter()
                .all(|part| why.contains(part)),
            "{why}"
        );
    }
}
