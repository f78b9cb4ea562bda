//! `loadgen report`: results that were kept, in another form.

use std::path::PathBuf;

use clap::ValueHint;
use loadgen::report::Report;

use super::output::Delivery;
use super::{PROGRAM, fail, input};

/// Shows a result that was kept with --format json, or several beside each other
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The results; more than one with --format html
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    delivery: Delivery,
}

/// Shows the results.
pub(super) fn execute(args: &Args) -> u8 {
    if args.files.len() > 1 && !args.delivery.takes_several() {
        let why = format!(
            "{} results are shown together by --format html; give one, or that",
            args.files.len()
        );
        return cli::usage::refuse(PROGRAM, &why);
    }
    match show(args) {
        Ok(()) => cli::exit::SUCCESS,
        Err(why) => fail(&why),
    }
}

fn show(args: &Args) -> Result<(), String> {
    args.delivery.check()?;
    let read = args.files.iter().map(|file| input::read(file));
    let reports = read.collect::<Result<Vec<Report>, String>>()?;
    match reports.as_slice() {
        [report] => args.delivery.deliver(report),
        reports => args.delivery.deliver_several(reports),
    }
}
