//! What the children are told of the parent's command line.

use std::ffi::{OsStr, OsString};

use clap::ArgMatches;
use clap::parser::ValueSource;

/// Flags that are the parent's own business: children get others in their place, or none.
const OWN_FLAGS: [&str; 6] = [
    "processes",
    "shard",
    "start_at",
    "threads",
    "format",
    "output",
];
/// What was typed for `command`, without what is the parent's own business.
///
/// It is put together from what clap has understood and not cut out of the text, where the value of
/// one flag may look like another flag.
pub(in crate::command) fn shared_flags(
    command: &clap::Command,
    matches: &ArgMatches,
) -> Vec<OsString> {
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
