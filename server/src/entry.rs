//! The program's edge: argv, stdout, signals and exit codes meet the library here.

use std::ffi::OsString;
use std::io;

use cli::{Format, exit, stdout, usage};
use tracing::{error, info, warn};

use crate::admin::{self, BindError};
use crate::args::{Args, Asked};
use crate::board::info_counters;
use crate::config::WorkerCommand;
use crate::identity::{Identity, IdentityError};
use crate::limits::{self, kernel_backlog};
use crate::listener::{ListenError, Listener};
use crate::orders::Control;
use crate::run::{Drained, Ready, RunError, Server, probe};
use crate::sandbox::{Sandbox, probe_sandbox};
use crate::{log, process, signals, sys};

/// Runs the server as its command line says and returns the exit code: 0 stopped on request, 1
/// could not start or crash loop, 2 usage.
///
/// `args[0]` is the name of the program. `worker` starts a process that ends up in
/// [`worker_entry`].
#[must_use]
pub fn entry(args: &[OsString], worker: &WorkerCommand) -> u8 {
    let args: Args = match usage::parse(args) {
        Ok(args) => args,
        Err(code) => return code,
    };
    // Whoever started this program may have left something open. Workers get what they need.
    let _ = sys::keep_inherited_descriptors();
    // First, since what the machine allows is part of the configuration.
    limits::raise_descriptor_limit();
    let asked = match args.asked() {
        Ok(asked) => asked,
        Err(invalid) => return usage::refuse("server", &invalid.to_string()),
    };
    log::init(args.log_format);
    for advice in args.advice(&asked.config, kernel_backlog()) {
        warn!("{advice}");
    }
    match start(&args, &asked, worker) {
        Ok(drained) => {
            farewell(&drained);
            exit::SUCCESS
        }
        Err(failure) => {
            error!("{failure}");
            exit::FAILED
        }
    }
}

/// Serves as a worker of a process pool, or one connection; the parent is on the other end of standard input.
#[must_use]
pub fn worker_entry() -> u8 {
    match process::run_worker() {
        Ok(code) => code,
        Err(failure) => {
            error!("worker: {failure}");
            exit::FAILED
        }
    }
}

/// The last line of the log: the books, and what had to be cut.
fn farewell(drained: &Drained) {
    let left = drained.left;
    info_counters!({} drained.counters, { left, } "stopped");
}

/// Why the server did not run to its end.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Admin(#[from] BindError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("cannot give the socket file to the user of --user: {0}")]
    Give(io::Error),
    #[error("cannot catch signals: {0}")]
    Signals(io::Error),
}

fn start(args: &Args, asked: &Asked, worker: &WorkerCommand) -> Result<Drained, Failure> {
    let config = &asked.config;
    probe(config.choice())?;
    let control = Control::new().map_err(RunError::from)?;
    signals::catch(&control).map_err(Failure::Signals)?;
    let listener = Listener::bind(&args.addr, args.listen_options(config))?;
    let admin = asked
        .admin
        .as_ref()
        .map(admin::Listener::bind)
        .transpose()?;
    if let Some(identity) = &asked.identity {
        // After the last socket is bound, and before anything else is started.
        let admin = admin.iter().map(|admin| &admin.socket);
        step_down(
            identity,
            &std::iter::once(&listener).chain(admin).collect::<Vec<_>>(),
        )?;
    }
    let sandbox = probe_sandbox(config)?;
    let ceiling = args.ceiling(config.plan());
    let by_default = config.limits.max_connections == ceiling.count;
    info!(
        max_connections = config.limits.max_connections,
        limited_by = by_default.then(|| tracing::field::display(ceiling.by)),
        backlog = args.listen_options(config).backlog.min(kernel_backlog().unwrap_or(u32::MAX)),
        dual_stack = listener.is_dual_stack().then_some(true),
        work = %config.work,
        sandbox = (config.sandbox != Sandbox::Off).then(|| tracing::field::display(sandbox)),
        "starting",
    );
    let server = Server::new(listener, config.clone()).map_err(RunError::from)?;
    // Until the end of this function: whoever listens to events sees the whole drain.
    let _admin = admin
        .map(|admin| admin::start(admin, server.observer(), &control.orders))
        .transpose()
        .map_err(RunError::from)?;
    let drained = server.run(worker, &control, |ready| {
        // A reader of the ready line that went away does not end the server.
        let _ = stdout::emit(&announce(&ready, args.format));
    })?;
    Ok(drained)
}

/// Leaves root's rights behind, but not the files of Unix sockets, which somebody has to remove.
fn step_down(identity: &Identity, listeners: &[&Listener]) -> Result<(), Failure> {
    let given = listeners.iter().map(|one| one.give_to(identity.owner()));
    given.collect::<io::Result<()>>().map_err(Failure::Give)?;
    identity.assume()?;
    for directory in listeners.iter().filter_map(|one| one.closed_directory()) {
        warn!(
            directory = %directory.display(),
            "the socket file will be left behind: this user may not write to its directory"
        );
    }
    Ok(())
}

/// The ready line.
fn announce(ready: &Ready, format: Format) -> String {
    let Ready {
        addr,
        mode,
        workers,
        capacity,
    } = ready;
    let pid = std::process::id();
    match format {
        Format::Text => {
            format!(
                "listening on {addr} mode={mode} workers={workers} capacity={capacity} pid={pid}\n"
            )
        }
        Format::Json => {
            let line = serde_json::json!({
                "event": "listening",
                "addr": addr.to_string(),
                "mode": mode,
                "workers": workers,
                "capacity": capacity,
                "pid": pid,
            });
            format!("{line}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::Mode;

    #[test]
    fn the_ready_line_has_the_agreed_form() {
        let ready = Ready {
            addr: "[::1]:7007".parse().unwrap(),
            mode: Mode::ProcessPool,
            workers: 4,
            capacity: 4,
        };
        let pid = std::process::id();
        let text =
            format!("listening on [::1]:7007 mode=process-pool workers=4 capacity=4 pid={pid}\n");
        assert_eq!(announce(&ready, Format::Text), text);
        let json: serde_json::Value =
            serde_json::from_str(&announce(&ready, Format::Json)).unwrap();
        let keys: Vec<_> = json.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            ["event", "addr", "mode", "workers", "capacity", "pid"]
        );
        assert_eq!(
            (json["mode"].as_str(), json["pid"].as_u64()),
            (Some("process-pool"), Some(pid.into()))
        );
        let on_a_path = Ready {
            addr: "unix:/run/echo.sock".parse().unwrap(),
            ..ready
        };
        let text = announce(&on_a_path, Format::Text);
        assert!(text.starts_with("listening on unix:/run/echo.sock mode=process-pool "));
    }
}
