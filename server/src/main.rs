//! The `server` program: its command line, or a worker of a process pool.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::process::ExitCode;

use server::{Programs, ServerCommand, WorkerCommand};

/// What makes this program a worker; no address looks like it.
const WORKER: &str = "@worker";

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|arg| arg == WORKER) {
        return server::worker_entry().into();
    }
    let worker = WorkerCommand::this_program(vec![WORKER.into()]);
    // Without its own path it can still serve, but not be upgraded.
    let program = std::env::current_exe().unwrap_or_else(|_| "server".into());
    let name = args.first().map(OsString::as_os_str).unwrap_or_default();
    let programs = Programs {
        server: ServerCommand::named(name, program),
        worker,
    };
    server::entry(&args, &programs).into()
}
