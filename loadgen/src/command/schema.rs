//! `loadgen schema`: the JSON schema of a result.

use loadgen::report::schema;

use super::fail;
use super::output::Place;

/// Prints the JSON schema of a result
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
}

/// Prints the schema.
pub(super) fn execute(args: &Args) -> u8 {
    let written = args
        .place
        .check()
        .and_then(|()| args.place.write(&schema::render()));
    match written {
        Ok(()) => cli::exit::SUCCESS,
        Err(why) => fail(&why),
    }
}
