//! A server under test as a real child process: started, waited for until it is ready, ended.
//!
//! Every server is the head of a process group of its own, so that Ctrl-C at a terminal reaches
//! the lab alone, and a server that is dropped takes its whole group with it.

use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};

use crate::launcher::Launcher;
use crate::log::Log;
use crate::ready::Ready;
use crate::subject::{Launch, Subject};

/// How long a server may take until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(10);
/// How long a server may take to end after TERM.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// How often a foreign server, which does not say when it is ready, is tried.
const TRY_EVERY: Duration = Duration::from_millis(10);

/// A server that is ready.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    log: Log,
    /// What it, and who takes over from it, says when it is ready.
    ready_lines: Mutex<Option<Receiver<String>>>,
    /// The process that is the server by now, where another one took over.
    successor: AtomicU32,
    /// The subject's name.
    pub name: String,
    /// How a person would start it.
    pub command_line: String,
    /// What it said of itself; a foreign server says nothing but is known to listen.
    pub ready: Ready,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program cannot be run at all.
    #[error("cannot start {name}: {source}")]
    Spawn {
        /// The subject.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It ended instead of becoming ready.
    #[error("{name} ended before it was ready{stderr}")]
    Ended {
        /// The subject.
        name: String,
        /// Its last words, in brackets, if it had any.
        stderr: String,
    },
    /// It said nothing for too long.
    #[error(
        "{name} was not ready within {}{stderr}",
        cli::units::span(READY_LIMIT)
    )]
    Late {
        /// The subject.
        name: String,
        /// Its last words, in brackets, if it had any.
        stderr: String,
    },
    /// Its first line is not the ready line.
    #[error("{name} is not ready but says '{line}'")]
    Unexpected {
        /// The subject.
        name: String,
        /// What it said.
        line: String,
    },
}

impl ServerProcess {
    /// Starts `subject` and waits until it is ready.
    ///
    /// Call it on a thread that outlives the server: our own server dies with the *thread* that
    /// started it, so that no accident leaves one behind.
    ///
    /// # Errors
    ///
    /// [`StartError`], with the last lines the server wrote.
    pub fn start(subject: &Subject, launcher: &Launcher) -> Result<Self, StartError> {
        let mut server = Self::begin(subject, launcher)?;
        match subject.launch {
            Launch::Own(_) | Launch::Part(_) => server.ready = server.first_line()?,
            Launch::Foreign(_) | Launch::Program(_) => server.wait_until_it_listens()?,
        }
        Ok(server)
    }

    /// Starts `subject` and does not wait: nothing is known of a server of our own but its process,
    /// and its stdout is read by nobody.
    ///
    /// # Errors
    ///
    /// [`StartError::Spawn`].
    pub fn begin(subject: &Subject, launcher: &Launcher) -> Result<Self, StartError> {
        let spawn_failed = |source| StartError::Spawn {
            name: subject.name.clone(),
            source,
        };
        let port = match subject.launch {
            Launch::Own(_) | Launch::Part(_) => 0,
            Launch::Foreign(_) | Launch::Program(_) => free_port().map_err(spawn_failed)?,
        };
        let mut child = command(subject, launcher, port)
            .process_group(0)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(spawn_failed)?;
        let log = Log::of(child.stderr.take());
        Ok(Self {
            log,
            name: subject.name.clone(),
            command_line: subject.command_line(port),
            ready: Ready::at(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            ready_lines: Mutex::default(),
            successor: AtomicU32::new(0),
            child,
        })
    }

    /// Its process; descendants do part of the work in some modes.
    #[must_use]
    pub fn pid(&self) -> u32 {
        match self.successor.load(Ordering::Relaxed) {
            0 => self.child.id(),
            successor => successor,
        }
    }

    fn process(&self) -> Pid {
        let successor = i32::try_from(self.successor.load(Ordering::Relaxed)).ok();
        let successor = successor.and_then(Pid::from_raw);
        successor.unwrap_or(Pid::from_child(&self.child))
    }

    /// Has the program started anew (USR2), and follows the one that takes over; false if none does
    /// within `limit`.
    ///
    /// # Errors
    ///
    /// When the server is gone.
    pub fn upgrade(&self, limit: Duration) -> io::Result<bool> {
        self.signal(Signal::USR2)?;
        let lines = self.ready_lines.lock();
        let lines = lines.unwrap_or_else(PoisonError::into_inner);
        let line = lines.as_ref().and_then(|it| it.recv_timeout(limit).ok());
        let pid = line.and_then(|line| Ready::parse(&line)?.pid);
        if let Some(pid) = pid {
            self.successor.store(pid, Ordering::Relaxed);
        }
        Ok(pid.is_some())
    }

    /// What it says on stderr.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Sends a signal to its process alone.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(self.process(), signal)?)
    }

    /// Sends a signal to it and all that it started, as a terminal does.
    ///
    /// # Errors
    ///
    /// When they are all gone.
    pub fn signal_group(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process_group(Pid::from_child(&self.child), signal)?)
    }

    /// Lets `limit` pass, or less if it ends; tells whether it did.
    #[must_use]
    pub fn ends_within(&self, limit: Duration) -> bool {
        ended_within(self.process(), limit)
    }

    /// Waits until it has ended by itself; none when it has not within `limit`. Of one that took over
    /// nobody but the system knows the status: then it is that of the first.
    ///
    /// # Errors
    ///
    /// When the system loses the child, which it should not.
    pub fn wait(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        if self.ends_within(limit) {
            return self.child.wait().map(Some);
        }
        Ok(None)
    }

    /// Asks it to end, waits, and kills what is left of its group.
    ///
    /// # Errors
    ///
    /// When the system loses the child, which it should not.
    pub fn stop(mut self) -> io::Result<ExitStatus> {
        let pid = Pid::from_child(&self.child);
        // A foreign server may be the child of a shell, which would not pass the signal on.
        let asked = kill_process(pid, Signal::TERM);
        if asked.is_ok() && self.ready.pid.is_none() {
            let _ = kill_process_group(pid, Signal::TERM);
        }
        if !ended_within(pid, STOP_LIMIT) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        self.child.wait()
    }

    /// The ready line, which our own server prints first.
    fn first_line(&mut self) -> Result<Ready, StartError> {
        let stdout = self.child.stdout.take();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout.into_iter().next()?).lines();
            // The lab may have given up waiting; then nobody is interested.
            let said = lines.by_ref().map_while(Result::ok);
            let _ = said.map(|line| sender.send(line)).find(Result::is_err);
            // A pipe that nobody empties would block the server in the end.
            lines.map_while(Result::ok).for_each(drop);
            Some(())
        });
        let first = receiver.recv_timeout(READY_LIMIT);
        self.ready_lines = Mutex::new(Some(receiver));
        match first {
            Ok(line) => Ready::parse(&line).ok_or_else(|| StartError::Unexpected {
                name: self.name.clone(),
                line,
            }),
            Err(RecvTimeoutError::Timeout) => Err(self.late()),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
        }
    }

    /// A foreign server is ready when it can be connected to.
    fn wait_until_it_listens(&mut self) -> Result<(), StartError> {
        let give_up_at = Instant::now() + READY_LIMIT;
        while TcpStream::connect(self.ready.addr).is_err() {
            // The wait between two attempts is a wait for the process to end.
            if ended_within(Pid::from_child(&self.child), TRY_EVERY) {
                return Err(self.ended());
            }
            if Instant::now() >= give_up_at {
                return Err(self.late());
            }
        }
        Ok(())
    }

    fn ended(&self) -> StartError {
        StartError::Ended {
            name: self.name.clone(),
            stderr: self.log.last_words(),
        }
    }

    fn late(&self) -> StartError {
        StartError::Late {
            name: self.name.clone(),
            stderr: self.log.last_words(),
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if self.successor.load(Ordering::Relaxed) != 0 && !self.ends_within(Duration::ZERO) {
            // It has the number of the group, which then cannot be another's.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        }
        // After `stop` the child is known to be gone and its number may belong to someone else.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// The command that starts `subject`; `port` is what a program that is not ours is told.
pub(crate) fn command(subject: &Subject, launcher: &Launcher, port: u16) -> Command {
    match &subject.launch {
        Launch::Own(flags) => {
            let mut command = launcher.server.command();
            command
                .args(["127.0.0.1:0", "--format", "json"])
                .args(flags)
                // Its log is judged: it must not depend on who runs the lab.
                .env_remove("RUST_LOG")
                .stdout(Stdio::piped());
            command
        }
        Launch::Part(told) => {
            let mut command = launcher.part.command();
            command.args(told);
            command.stdout(Stdio::piped());
            command
        }
        Launch::Foreign(_) => {
            let mut command = Command::new("sh");
            command
                .args(["-c", &subject.command_line(port)])
                .stdout(Stdio::null());
            command
        }
        Launch::Program(program) => {
            let mut told = program.told(port);
            let mut command = Command::new(told.next().unwrap_or_default());
            command.args(told).stdout(Stdio::null());
            command
        }
    }
}

/// A port that was free a moment ago; the system does not hand it out again soon.
fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// Whether the process of that number ends (or has ended) within `limit`.
#[must_use]
pub fn is_gone_within(pid: u32, limit: Duration) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_none_or(|pid| ended_within(pid, limit))
}

/// Whether the process ends (or has ended) within `limit`.
fn ended_within(pid: Pid, limit: Duration) -> bool {
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return true;
    };
    let Ok(limit) = Timespec::try_from(limit) else {
        return false;
    };
    let mut fds = [PollFd::new(&process, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&limit)), Ok(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sync, usage};

    /// A server of ours that is a script.
    fn shell(script: &str) -> Launcher {
        let mut launcher = Launcher::of_one("sh", "-c", "");
        launcher.server.args.push(script.to_owned());
        launcher
    }

    fn foreign(command: &str) -> Result<ServerProcess, StartError> {
        let subject: Subject = format!("it={command}").parse().unwrap();
        let launcher = Launcher::of_one("false", "", "");
        ServerProcess::start(&subject, &launcher)
    }

    #[test]
    fn a_server_that_ends_at_once_is_reported_with_its_last_words() {
        let error = foreign("echo no luck on {port} >&2; exit 3").unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("it ended before it was ready (it said: no luck on "),
            "{text}"
        );
    }

    #[test]
    fn our_own_server_must_say_that_it_is_ready() {
        let subject = Subject::own("async", 4);
        let error = ServerProcess::start(&subject, &shell("echo hello; sleep 60")).unwrap_err();
        assert_eq!(error.to_string(), "async is not ready but says 'hello'");
        let error = ServerProcess::start(&subject, &shell("echo bad >&2")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "async ended before it was ready (it said: bad)"
        );
        let none = Launcher::of_one("/nonexistent/x", "", "");
        assert!(matches!(
            ServerProcess::start(&subject, &none),
            Err(StartError::Spawn { .. })
        ));
    }

    #[test]
    fn a_dropped_server_takes_its_children_along() {
        let line = r#"{"event":"listening","addr":"127.0.0.1:9","mode":"m","workers":1,"capacity":1,"pid":1}"#;
        let script = format!("sleep 60 & echo '{line}'; wait");
        let server = ServerProcess::start(&Subject::own("m", 1), &shell(&script)).unwrap();
        let group = server.pid();
        drop(server);
        // The children end a moment later, and whether somebody reaps them is the system's affair.
        let gone = || usage::living_members_of(group).is_empty();
        let ended = sync::until(Duration::from_secs(20), gone);
        assert!(ended.is_ok(), "the group lives on");
    }
}
