//! The program `lab`: the lab itself, and under hidden names the processes that it starts: servers,
//! their workers, and the parts of experiments.

#![forbid(unsafe_code)]

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use lab::launcher::Launcher;

/// Runs the server instead of the lab: `lab @server ARGS…`.
const SERVER: &str = "@server";
/// The same for one that replaces another, and outlives it.
const SUCCESSOR: &str = "@successor";
/// Runs a worker of the server's process pool.
const WORKER: &str = "@worker";
/// Plays a part of an experiment: `lab @part NAME ARGS…`.
const PART: &str = "@part";

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().collect();
    let program = env::current_exe().unwrap_or_else(|_| "lab".into());
    let first = args.get(1).and_then(|arg| arg.to_str());
    ExitCode::from(match first {
        Some(name @ (SERVER | SUCCESSOR)) => {
            // Should the lab be killed without a chance to clean up, its servers go with it.
            if name == SERVER {
                let signal = Some(rustix::process::Signal::TERM);
                let _ = rustix::process::set_parent_process_death_signal(signal);
            }
            let programs = server::Programs {
                worker: server::WorkerCommand::this_program(vec![WORKER.into()]),
                server: server::ServerCommand {
                    program,
                    args: vec![SUCCESSOR.into()],
                },
            };
            let name = OsString::from("server");
            let args: Vec<OsString> = std::iter::once(name)
                .chain(args.into_iter().skip(2))
                .collect();
            server::entry(&args, &programs)
        }
        Some(WORKER) => server::worker_entry(),
        Some(PART) => lab::part::entry(&args[2..]),
        _ => lab::entry(&args, Launcher::of_one(program, SERVER, PART)),
    })
}
