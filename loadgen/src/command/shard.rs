//! `--shard`: which of the clients this generator plays, as typed or as the job's launcher says.
//!
//! The environment counts only when `auto` is typed: a run inside a job must not change its meaning
//! silently. It is passed in as a function, so that nothing here reads it.

use std::num::NonZeroU32;
use std::str::FromStr;

use loadgen::{MAX_CONNECTIONS, Shard};

/// A part of the clients, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Just this one: `0/4`.
    Part(Shard),
    /// What the launcher says; the number of parts may be typed: `auto`, `auto/4`.
    Auto(Option<NonZeroU32>),
}

/// What a launcher tells its processes: who they are, and how many there are.
struct Launcher {
    index: &'static str,
    /// The first that is set counts.
    count: &'static [&'static str],
}

/// The innermost launcher first: under `mpirun` inside a Slurm job both are set, and Slurm's number
/// is that of the job's script for all.
const LAUNCHERS: [Launcher; 3] = [
    Launcher {
        index: "OMPI_COMM_WORLD_RANK",
        count: &["OMPI_COMM_WORLD_SIZE"],
    },
    Launcher {
        index: "SLURM_PROCID",
        count: &["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"],
    },
    // Kubernetes sets no number of completions: the manifest has to, or the command line.
    Launcher {
        index: "JOB_COMPLETION_INDEX",
        count: &["JOB_COMPLETIONS"],
    },
];

impl Choice {
    /// The part, with the variables of the environment from `lookup`.
    ///
    /// # Errors
    ///
    /// What the environment does not say, in one line.
    pub(super) fn part(self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Shard, String> {
        match self {
            Self::Part(shard) => Ok(shard),
            Self::Auto(typed) => automatic(typed, lookup).map_err(|why| format!("--shard {why}")),
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = match text.split_once('/') {
            None => (text == "auto").then_some(Self::Auto(None)),
            Some(("auto", count)) => self::count(count).map(|count| Self::Auto(Some(count))),
            Some((index, count)) => self::count(count)
                .zip(number(index))
                .and_then(|(count, index)| shard(index, count))
                .map(Self::Part),
        };
        found.ok_or_else(|| {
            format!(
                "must be I/N with I from 0 to N-1 and N up to {MAX_CONNECTIONS}, such as 0/4, or \
                 auto, or auto/4"
            )
        })
    }
}

fn automatic(
    typed: Option<NonZeroU32>,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Shard, String> {
    let Some(launcher) = LAUNCHERS.iter().find(|one| lookup(one.index).is_some()) else {
        let names = LAUNCHERS.map(|launcher| launcher.index).join(", ");
        return Err(format!("auto: none of {names} is set; write --shard I/N"));
    };
    let value = |name: &str| {
        let value = lookup(name).unwrap_or_default();
        number(&value).ok_or_else(|| format!("auto: {name}={value} is no number"))
    };
    let index = value(launcher.index)?;
    let count = match (
        typed,
        launcher.count.iter().find(|name| lookup(name).is_some()),
    ) {
        (Some(count), _) => count.get(),
        (None, Some(name)) => value(name)?,
        (None, None) => {
            let names = launcher.count.join(" or ");
            return Err(format!(
                "auto: {}={index} says which part this is, and of how many is not in {names}; \
                 write --shard auto/N",
                launcher.index
            ));
        }
    };
    let found = NonZeroU32::new(count).and_then(|count| shard(index, count));
    found.ok_or_else(|| {
        format!(
            "auto: {}={index} is none of {count} parts, which count from 0",
            launcher.index
        )
    })
}

fn shard(index: u32, count: NonZeroU32) -> Option<Shard> {
    (index < count.get()).then_some(Shard { index, count })
}

fn count(text: &str) -> Option<NonZeroU32> {
    let count = NonZeroU32::new(number(text)?)?;
    (count.get() <= MAX_CONNECTIONS).then_some(count)
}

/// A whole number; `u32::from_str` also takes a plus sign.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(index: u32, count: u32) -> Shard {
        let count = NonZeroU32::new(count).unwrap();
        Shard { index, count }
    }

    fn found(typed: &str, environment: &[(&str, &str)]) -> Result<Shard, String> {
        let lookup = |wanted: &str| {
            let mut pairs = environment.iter();
            let (_, value) = pairs.find(|(name, _)| *name == wanted)?;
            Some((*value).to_owned())
        };
        typed.parse::<Choice>()?.part(&lookup)
    }

    #[test]
    fn parts_count_from_nought() {
        assert_eq!(found("0/4", &[]), Ok(part(0, 4)));
        assert_eq!(found("3/4", &[]), Ok(part(3, 4)));
        for text in [
            "",
            "4/4",
            "1/0",
            "-1/4",
            "+1/4",
            "1",
            "a/b",
            "auto/0",
            "auto/x",
            "0/1000001",
        ] {
            let why = found(text, &[]).unwrap_err();
            assert!(why.contains("I from 0 to N-1"), "{text}: {why}");
        }
    }

    #[test]
    fn what_is_typed_counts_whatever_a_job_says() {
        let slurm = [("SLURM_PROCID", "2"), ("SLURM_NTASKS", "3")];
        assert_eq!(found("0/4", &slurm), Ok(part(0, 4)));
        assert_eq!(found("auto/5", &slurm), Ok(part(2, 5)));
    }

    #[test]
    fn launchers_are_asked_from_the_inside_out() {
        let slurm = [("SLURM_PROCID", "2"), ("SLURM_NTASKS", "3")];
        assert_eq!(found("auto", &slurm), Ok(part(2, 3)));
        let step = [("SLURM_STEP_NUM_TASKS", "4"), slurm[0], slurm[1]];
        assert_eq!(
            found("auto", &step),
            Ok(part(2, 4)),
            "the step is part of the job"
        );
        let mpi = [
            ("OMPI_COMM_WORLD_RANK", "5"),
            ("OMPI_COMM_WORLD_SIZE", "6"),
            slurm[0],
            slurm[1],
        ];
        assert_eq!(found("auto", &mpi), Ok(part(5, 6)));
        let pods = [("JOB_COMPLETION_INDEX", "1"), ("JOB_COMPLETIONS", "2")];
        assert_eq!(found("auto", &pods), Ok(part(1, 2)));
        assert_eq!(found("auto/7", &pods[..1]), Ok(part(1, 7)));
    }

    #[test]
    fn what_the_environment_does_not_say_is_named() {
        for (environment, wanted) in [
            (&[][..], ["SLURM_PROCID", "--shard I/N"]),
            (
                &[("JOB_COMPLETION_INDEX", "1")],
                ["JOB_COMPLETIONS", "--shard auto/N"],
            ),
            (
                &[("SLURM_PROCID", "x"), ("SLURM_NTASKS", "2")],
                ["SLURM_PROCID=x", "no number"],
            ),
            (
                &[("SLURM_PROCID", "2"), ("SLURM_NTASKS", "2")],
                ["SLURM_PROCID=2", "of 2 parts"],
            ),
            (
                &[("SLURM_PROCID", "2"), ("SLURM_NTASKS", "0")],
                ["SLURM_PROCID=2", "of 0 parts"],
            ),
        ] {
            let why = found("auto", environment).unwrap_err();
            assert!(wanted.iter().all(|part| why.contains(part)), "{why}");
        }
    }
}
