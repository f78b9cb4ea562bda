//! `loadgen report`: results that were kept, in another form, held to promises if there are any.

use std::path::PathBuf;

use loadgen::gates;
use loadgen::report::Report;

use super::gates::GateFlags;
use super::output::Delivery;
use super::{PROGRAM, exit, fail, input};

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
    if let Err(why) = args.delivery.no_file_twice() {
        return cli::usage::refuse(PROGRAM, &why);
    }
    match show(args) {
        Ok(code) => code,
        Err(why) => fail(&why),
    }
}

fn show(args: &Args) -> Result<u8, String> {
    args.delivery.check()?;
    let (names, mut reports) = read(&args.places)?;
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

/// The results with the names of their files.
fn read(places: &[PathBuf]) -> Result<(Vec<String>, Vec<Report>), String> {
    let mut found = Vec::new();
    for place in places {
        found.extend(input::read_all(place)?);
    }
    let named = found.into_iter();
    Ok(named
        .map(|(file, report)| (file.display().to_string(), report))
        .unzip())
}
