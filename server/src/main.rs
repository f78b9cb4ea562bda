//! The `server` program: its command line, or a worker of a process pool.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::process::ExitCode;

use server::WorkerCommand;

/// What makes this program a worker; no address looks like it.
const WORKER: &str = "@worker";

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|arg| arg == WORKER) {
        return server::worker_entry().into();
    }
    let worker = WorkerCommand::this_program(vec![WORKER.into()]);
    server::entry(&args, &worker).into()
}
