//! The `loadgen` command: flags in, one of its subcommands, an exit code out.

#![forbid(unsafe_code)]

mod command;

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let typed: Vec<OsString> = std::env::args_os().collect();
    ExitCode::from(command::execute(&typed))
}
