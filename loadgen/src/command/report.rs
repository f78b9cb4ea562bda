//! `loadgen report`: results that were kept, in another form, held to promises if there are any.

use std::path::PathBuf;

use loadgen::gates;

use super::gates::GateFlags;
use super::output::Delivery;
use super::{delivering, exit, input};

/// Shows results that were kept with --format json
///
/// Exit codes: 0 shown, 1 unreadable, 2 usage. With a promise, such as --slo, the results are
/// judged by it: 3 a gate failed, 4 the run is invalid.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Results, or directories of them (*.json)
    #[arg(value_name = "FILE|DIR", required = true)]
    places: Vec<PathBuf>,
    #[command(flatten)]
    promises: GateFlags,
    #[command(flatten)]
    delivery: Delivery,
}

/// Shows the results.
pub(super) fn execute(args: &Args) -> u8 {
    delivering(&args.delivery, || show(args))
}

fn show(args: &Args) -> Result<u8, String> {
    let found = input::read_places(&args.places)?.into_iter();
    let (names, mut reports): (Vec<_>, Vec<_>) = found.unzip();
    let promises = args.promises.promises();
    if promises.is_empty() {
        args.delivery.deliver_all(&reports, &names)?;
        return Ok(cli::exit::SUCCESS);
    }
    for report in &mut reports {
        report.gates = gates::evaluate_again(&promises, report);
    }
    args.delivery.deliver_all(&reports, &names)?;
    // Of several the worst: an invalid run says less than a gate that failed.
    let codes = reports.iter().map(|report| exit::code(report, None));
    Ok(codes.max().unwrap_or(cli::exit::SUCCESS))
}
