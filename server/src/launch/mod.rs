//! From a configuration to a server that serves: its sockets, whoever they come from, and all who are
//! told when it is ready.

mod grounds;
mod origin;
mod pid_file;

use std::ffi::OsString;
use std::io;
use std::thread::JoinHandle;

use cli::{Format, stdout};
use tracing::{info, warn};

use self::grounds::{Grounds, NoGrounds, Wish};
pub(crate) use self::origin::{Origin, ReadyFd};
use self::pid_file::{PidFile, PidFileError, Published};
use crate::admin;
use crate::args::{Args, Asked};
use crate::config::Programs;
use crate::herald::Herald;
use crate::identity::{Identity, IdentityError};
use crate::limits::kernel_backlog;
use crate::listener::Listener;
use crate::orders::Control;
use crate::run::{Drained, Ready, RunError, Server, probe};
use crate::sandbox::{Sandbox, SandboxLevel, probe_sandbox};
use crate::signals;
use crate::upgrade::{Admin, Estate, Predecessor, Succession, Upgrades};

/// Why the server did not run to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Grounds(#[from] NoGrounds),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("cannot give the socket file to the user of --user: {0}")]
    Give(io::Error),
    #[error("cannot catch signals: {0}")]
    Signals(io::Error),
}

/// What a server is made of.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) args: &'a Args,
    /// The command line without the name of the program, for a successor.
    pub(crate) typed: &'a [OsString],
    pub(crate) asked: &'a Asked,
    pub(crate) programs: &'a Programs,
    pub(crate) ready_fd: Option<ReadyFd>,
}

impl Launch<'_> {
    /// Runs the server to its end.
    ///
    /// # Errors
    ///
    /// [`Failure`], with the remedy.
    pub(crate) fn start(self, origin: Origin) -> Result<Drained, Failure> {
        let Self { args, asked, .. } = self;
        let config = &asked.config;
        probe(config.choice())?;
        let mut control = Control::new().map_err(RunError::from)?;
        control.herald = Herald::of_environment();
        let upgrades = Upgrades::new().map_err(RunError::from)?;
        signals::catch(&control, &upgrades).map_err(Failure::Signals)?;
        let pid_file = args.manager.pid_file.as_deref();
        let pid_file = pid_file.map(PidFile::prepare).transpose()?;
        let wish = Wish {
            addr: args.addr(),
            options: args.listen_options(config),
            admin: asked.admin.as_ref(),
        };
        let grounds = Grounds::take(origin, &wish, &control.stop)?;
        if let Some(identity) = &asked.identity {
            // After the last socket is bound, and before anything else is started.
            let admin = grounds.admin.iter().map(admin::Listener::socket);
            let listeners = std::iter::once(&grounds.listener).chain(admin);
            step_down(identity, &listeners.collect::<Vec<_>>())?;
        }
        let sandbox = probe_sandbox(config)?;
        self.say_how(&grounds.listener, sandbox);
        let predecessor = self.predecessor(&grounds, &control);
        let predecessor = predecessor.map_err(RunError::from)?;
        let Grounds {
            listener,
            admin,
            succession,
        } = grounds;
        let endpoint = predecessor.admin.clone();
        let (mut published, mut upgrading) = (None, None);
        let announcement = Announcement {
            succession,
            predecessor,
            upgrades: upgrades.clone(),
            pid_file,
            ready_fd: self.ready_fd,
            format: args.format,
        };
        let server = Server::new(listener, config.clone()).map_err(RunError::from)?;
        if let Some(admin) = admin {
            let tenure = admin.socket().tenure().clone();
            let running = admin::start(admin, server.observer(), &control.orders);
            endpoint.set(running.map_err(RunError::from)?, tenure);
        }
        let drained = server.run(&self.programs.worker, &control, |ready| {
            (published, upgrading) = announcement.make(&ready, &control.herald);
        });
        // Also where it ended by itself.
        control.stop.drain();
        upgrading.map(JoinHandle::join);
        // Not before: whoever listens to events sees the whole drain.
        endpoint.end();
        if upgrades.has_successor() {
            published.into_iter().for_each(Published::leave);
        }
        Ok(drained?)
    }

    /// The first line of the log.
    fn say_how(&self, listener: &Listener, sandbox: SandboxLevel) {
        let (args, config) = (self.args, &self.asked.config);
        let ceiling = args.ceiling(config.plan());
        let by_default = config.limits.max_connections == ceiling.count;
        let backlog = args.listen_options(config).backlog;
        let backlog = backlog.min(kernel_backlog().unwrap_or(u32::MAX));
        let is_ours = listener.tenure().is_ours();
        info!(
            max_connections = config.limits.max_connections,
            limited_by = by_default.then(|| tracing::field::display(ceiling.by)),
            backlog = is_ours.then_some(backlog),
            inherited = (!is_ours).then_some(true),
            dual_stack = listener.is_dual_stack().then_some(true),
            work = %config.work,
            sandbox = (config.sandbox != Sandbox::Off).then(|| tracing::field::display(sandbox)),
            "starting",
        );
    }

    /// What this server is to its successor.
    fn predecessor(&self, grounds: &Grounds, control: &Control) -> io::Result<Predecessor> {
        let listener = &grounds.listener;
        let tenure = listener.tenure().clone();
        let admin = grounds.admin.as_ref().map(|admin| admin.socket().bequest());
        Ok(Predecessor {
            command: self.programs.server.clone(),
            args: self.typed.to_vec(),
            estate: Estate {
                listening: listener.bequest()?,
                is_foreign: tenure.is_foreign(),
                admin: admin.transpose()?,
            },
            tenure,
            admin: Admin::default(),
            stop: control.stop.clone(),
            herald: control.herald.clone(),
            limit: self.args.manager.upgrade_timeout,
        })
    }
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

/// All that is to be said and done when the server is ready.
#[derive(Debug)]
struct Announcement {
    succession: Option<Succession>,
    predecessor: Predecessor,
    upgrades: Upgrades,
    pid_file: Option<PidFile>,
    ready_fd: Option<ReadyFd>,
    format: Format,
}

impl Announcement {
    /// Whoever reads the ready line may rely on all the rest.
    fn make(self, ready: &Ready, herald: &Herald) -> (Option<Published>, Option<JoinHandle<()>>) {
        if self.succession.is_some_and(|it| !it.take_over()) {
            return (None, None);
        }
        let published = self.pid_file.and_then(PidFile::publish);
        let upgrading = self.predecessor.start(self.upgrades);
        let upgrading = upgrading
            .inspect_err(|error| warn!(%error, "there can be no upgrade (USR2)"))
            .ok();
        let line = announce(ready, self.format);
        // A reader of the ready line that went away does not end the server.
        let _ = stdout::emit(&line);
        if let Some(fd) = self.ready_fd {
            fd.say(&line);
        }
        herald.ready(line.trim_end());
        (published, upgrading)
    }
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
