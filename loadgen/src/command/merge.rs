//! `loadgen merge`: the results of several generators as one.

use std::path::PathBuf;

use loadgen::merge::{Mixed, Part, merge};

use super::gates::GateFlags;
use super::output::Delivery;
use super::{delivering, exit, input};

/// Adds up the results of generators that loaded one server at the same time
///
/// Histograms are added; no percentile is averaged. Exit codes are those of a run: 0, 1 unreadable
/// or not of one load, 2 usage, 3 a gate failed, 4 the sum is invalid.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Results, or directories of them (*.json)
    #[arg(value_name = "FILE|DIR", required = true)]
    places: Vec<PathBuf>,
    /// Merge results that were asked for different things or ran at different times
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    promises: GateFlags,
    #[command(flatten)]
    delivery: Delivery,
}

/// Merges the results.
pub(super) fn execute(args: &Args) -> u8 {
    delivering(&args.delivery, || add(args))
}

fn add(args: &Args) -> Result<u8, String> {
    let found = input::read_places(&args.places)?.into_iter();
    let parts: Vec<_> = found.map(|(name, report)| Part { name, report }).collect();
    let mixed = if args.force {
        Mixed::Add
    } else {
        Mixed::Refuse
    };
    let sum = merge(&parts, mixed, &args.promises.promises()).map_err(|why| why.to_string())?;
    args.delivery.deliver(&sum)?;
    Ok(exit::code(&sum, None))
}
