//! `loadgen diff`: whether two results, or two sets of results, differ.

use std::path::{Path, PathBuf};

use cli::Format;
use loadgen::diff::{self, Side, Unlike};

use super::output::Place;
use super::{fail, input};

/// Compares results: by how much B differs from A, with 95 % bootstrap intervals
///
/// "No difference" is an answer. Exit codes: 0 compared, whatever came out; 1 unreadable or not
/// comparable; 2 usage.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A result, or a directory of results of the same load (*.json)
    #[arg(value_name = "A")]
    a: PathBuf,
    /// What to compare with it
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Compare results that were asked for different things
    #[arg(long)]
    force: bool,
    /// The form of the comparison
    #[arg(long, default_value_t)]
    format: Format,
    #[command(flatten)]
    place: Place,
}

/// Compares the results.
pub(super) fn execute(args: &Args) -> u8 {
    match compare(args) {
        Ok(()) => cli::exit::SUCCESS,
        Err(why) => fail(&why),
    }
}

fn compare(args: &Args) -> Result<(), String> {
    args.place.check()?;
    let unlike = if args.force {
        Unlike::Compare
    } else {
        Unlike::Refuse
    };
    let diff = diff::diff(&side(&args.a)?, &side(&args.b)?, unlike);
    let diff = diff.map_err(|why| why.to_string())?;
    args.place.write(&match args.format {
        Format::Text => diff::render(&diff),
        Format::Json => {
            let text = serde_json::to_string_pretty(&diff);
            format!("{}\n", text.expect("a comparison has only string keys"))
        }
    })
}

fn side(place: &Path) -> Result<Side, String> {
    let runs = input::read_all(place)?;
    Ok(Side {
        name: place.display().to_string(),
        runs: runs.into_iter().map(|(_, report)| report).collect(),
    })
}
