//! What the children are told of the parent's command line.

use std::ffi::{OsStr, OsString};
use std::num::{NonZeroU32, NonZeroUsize};
use std::thread;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory};

/// Flags that are the parent's own business: children get others in their place, or none.
const OWN_FLAGS: [&str; 8] = [
    "processes",
    "shard",
    "start_at",
    "format",
    "output",
    "csv",
    "hdr_log",
    "timeseries",
];

/// What `processes` children are told of what was `typed` for the program `P`. Without `--threads`
/// they share the processors.
pub(in crate::command) fn shared_flags<P: CommandFactory>(
    typed: &[OsString],
    processes: NonZeroU32,
) -> Vec<OsString> {
    // A command line that is refused never gets here.
    let Some(matches) = cli::usage::matches::<P>(typed) else {
        return Vec::new();
    };
    let mut flags = without_own(&P::command(), &matches);
    if matches.value_source("threads") != Some(ValueSource::CommandLine) {
        let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let each = (cpus / processes.get() as usize).max(1);
        flags.insert(0, format!("--threads={each}").into());
    }
    flags
}

/// The command line in `matches` without what is the parent's own business.
///
/// It is put together from what clap has understood and not cut out of the text, where the value of
/// one flag may look like another flag.
fn without_own(command: &clap::Command, matches: &ArgMatches) -> Vec<OsString> {
    let arguments = command.get_arguments();
    let typed = arguments.filter(|argument| {
        let id = argument.get_id().as_str();
        matches.value_source(id) == Some(ValueSource::CommandLine) && !OWN_FLAGS.contains(&id)
    });
    let (places, flags): (Vec<_>, Vec<_>) = typed.partition(|argument| argument.is_positional());
    let mut line: Vec<_> = flags
        .iter()
        .flat_map(|flag| as_typed(flag, matches))
        .collect();
    line.push("--".into());
    for place in places {
        let values = matches.get_raw(place.get_id().as_str());
        line.extend(values.into_iter().flatten().map(OsString::from));
    }
    line
}

/// One flag with its values, as often as it was typed.
fn as_typed(flag: &clap::Arg, matches: &ArgMatches) -> Vec<OsString> {
    let name = match (flag.get_long(), flag.get_short()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => return Vec::new(),
    };
    let values = matches.get_raw(flag.get_id().as_str());
    let with_value = |value: &OsStr| {
        let mut whole = OsString::from(&name);
        whole.push("=");
        whole.push(value);
        whole
    };
    // A switch has values too: what it means when it is there.
    match values {
        Some(values) if flag.get_action().takes_values() => values.map(with_value).collect(),
        _ => vec![name.into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{CommandLine, PROGRAM};
    use clap::{Arg, ArgAction};
    use std::any::TypeId;
    use std::path::PathBuf;

    #[test]
    fn children_are_told_what_was_typed_except_what_is_the_parents() {
        let flag = |id: &'static str| Arg::new(id).long(id).action(ArgAction::Append);
        let command = clap::Command::new(PROGRAM)
            .arg(flag("connections").short('c'))
            .arg(flag("bind").value_delimiter(','))
            .arg(flag("threads"))
            .arg(flag("output").short('o'))
            .arg(Arg::new("once").long("once").action(ArgAction::SetTrue))
            .arg(Arg::new("other").long("other").action(ArgAction::SetTrue))
            .arg(Arg::new("targets").action(ArgAction::Append));
        let typed = [
            "loadgen",
            ":7",
            "-c",
            "9",
            "-o",
            "--once",
            "--bind=a,b",
            "--once",
            ":8",
        ];
        let lenient = command
            .clone()
            .mut_arg("output", |arg| arg.allow_hyphen_values(true));
        let matches = lenient.try_get_matches_from(typed).unwrap();
        let shared = without_own(&command, &matches);
        let expected = [
            "--connections=9",
            "--bind=a",
            "--bind=b",
            "--once",
            "--",
            ":7",
            ":8",
        ];
        assert_eq!(shared, expected);
    }

    fn shared(typed: &[&str]) -> Vec<OsString> {
        let typed: Vec<_> = [PROGRAM].iter().chain(typed).map(Into::into).collect();
        shared_flags::<CommandLine>(&typed, NonZeroU32::MAX)
    }

    #[test]
    fn the_flags_of_the_parent_are_there_and_are_left_out() {
        let command = CommandLine::command();
        let known: Vec<_> = command
            .get_arguments()
            .map(|arg| arg.get_id().as_str())
            .collect();
        assert!(OWN_FLAGS.iter().all(|own| known.contains(own)), "{known:?}");
        let typed = [
            "--processes=2",
            "--shard=0/2",
            "--start-at=+1s",
            "--format=json",
            "-ox",
        ];
        assert_eq!(shared(&typed), ["--threads=1", "--"]);
        assert_eq!(shared(&["-t", "7", ":8"]), ["--threads=7", "--", ":8"]);
    }

    /// Children that all write one file would leave what the last of them had to say.
    #[test]
    fn no_child_writes_a_file() {
        for arg in CommandLine::command().get_arguments() {
            let is_file = arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
            let id = arg.get_id().as_str();
            assert!(!is_file || OWN_FLAGS.contains(&id), "--{id} is passed on");
        }
    }
}
