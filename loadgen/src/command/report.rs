//! `loadgen report`: a result that was kept, in another form.

use std::path::PathBuf;

use super::output::Delivery;
use super::{fail, input};

/// Shows a result that was kept with --format json
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The result
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    delivery: Delivery,
}

/// Shows the result.
pub(super) fn execute(args: &Args) -> u8 {
    let shown = args
        .delivery
        .check()
        .and_then(|()| input::read(&args.file))
        .and_then(|report| args.delivery.deliver(&report));
    match shown {
        Ok(()) => cli::exit::SUCCESS,
        Err(why) => fail(&why),
    }
}
