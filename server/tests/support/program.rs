//! The server as its users meet it: a program with a ready line, signals and an exit code.

use std::fs::Permissions;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::process::Signal;
use tempfile::TempDir;

use server::{Choice, Mode};

use super::log::field;
use super::{LIMIT, Log, WORKERS, procfs, sandbox};

/// A running program in a process group of its own; dropped, it is killed.
pub(crate) struct ServerProcess {
    child: Child,
    ready: String,
    /// What it and its successors say when they are ready.
    stdout: Option<Log>,
    /// The process that is the server now, after upgrades.
    successor: Option<u32>,
    upgrades: usize,
    pub(crate) addr: SocketAddr,
    pub(crate) log: Option<Log>,
}

/// How a program ended.
pub(crate) struct Farewell {
    pub(crate) status: ExitStatus,
    /// All that it said on stderr.
    pub(crate) log: Vec<String>,
}

/// The program.
pub(crate) const SERVER: &str = env!("CARGO_BIN_EXE_server");

/// A helper program that may be missing; then this tells why the test is skipped.
pub(crate) fn tool(name: &str) -> Option<&str> {
    let works = Command::new(name).arg("--version").output();
    if works.is_ok_and(|output| output.status.success()) {
        return Some(name);
    }
    println!("SKIPPED: the program {name} is not installed");
    None
}

/// Whether this is root, who can become somebody else; if not, this tells why the test is skipped.
pub(crate) fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("SKIPPED: only root can change to another user");
    }
    is_root
}

/// A pool of three workers.
pub(crate) fn pool() -> ServerProcess {
    pool_with(&[])
}

pub(crate) fn pool_with(args: &[&str]) -> ServerProcess {
    let pool = ["--mode", "process-pool", "--workers", "3"];
    ServerProcess::start(&[&pool, args].concat())
}

/// A pool of three workers (of two threads each, where they have a fixed number) that is made like
/// `mode`; none where that is no pool, which this says.
pub(crate) fn pool_of(mode: Choice, args: &[&str]) -> Option<ServerProcess> {
    if mode.mode != Mode::ProcessPool {
        println!("not in {mode}: it has no worker processes");
        return None;
    }
    let numbers = ["--workers", "3", "--worker-threads", "2"];
    Some(ServerProcess::start(
        &[&mode.args()[..], &numbers, args].concat(),
    ))
}

/// Waits until the pool is complete without any of `gone`, while new clients are served on.
pub(crate) fn until_replaced(server: &ServerProcess, gone: &[u32], mut meanwhile: impl FnMut()) {
    let count = server.ready_field("workers");
    server.until(
        "a full pool without them",
        || {
            meanwhile();
            server.moment();
        },
        || {
            let workers = server.workers();
            workers.len() == count
                && !gone.iter().any(|worker| workers.contains(worker))
                && server.ready_processes() == count
        },
    );
}

/// Waits until the server itself has no connection: who passes one on has a copy for a moment, and a
/// copy that it kept would hold back the end.
pub(crate) fn until_only_the_listener_is_left(server: &ServerProcess) {
    let alone = || procfs::tcp_sockets(server.pid()).len() == 1;
    server.until("the listener alone", || server.moment(), alone);
}

/// A conversation with each worker of such a pool.
pub(crate) fn converse_with_all(server: &ServerProcess) -> Vec<TcpStream> {
    let mut clients: Vec<_> = (0..WORKERS).map(|_| server.connect()).collect();
    for client in &mut clients {
        super::round_trip(client, b"hello").unwrap();
    }
    clients
}

/// A copy of the program that any user may run, for as long as the directory lives.
pub(crate) fn public_copy() -> (TempDir, String) {
    let everybody = Permissions::from_mode(0o755);
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("server");
    // By another process: a server that this one starts at the same moment would hold the file
    // open for writing, and such a file cannot be run.
    let copied = Command::new("cp").arg(SERVER).arg(&copy).status().unwrap();
    assert!(copied.success());
    std::fs::set_permissions(&copy, everybody.clone()).unwrap();
    std::fs::set_permissions(directory.path(), everybody).unwrap();
    (directory, copy.to_str().unwrap().to_owned())
}

/// A server whose user, who runs nothing else, may have no more threads than those; and its program,
/// for as long as the directory lives.
pub(crate) fn with_few_threads(
    user: u32,
    threads: usize,
    args: &[&str],
) -> Option<(ServerProcess, TempDir)> {
    let (mut command, directory) = command_with_few_threads(user, threads, args)?;
    command.stdout(Stdio::piped());
    Some((ServerProcess::spawn(command).until_ready(), directory))
}

/// The same, before it is started.
pub(crate) fn command_with_few_threads(
    user: u32,
    threads: usize,
    args: &[&str],
) -> Option<(Command, TempDir)> {
    if !is_root() {
        return None;
    }
    let (setpriv, prlimit) = (tool("setpriv")?, tool("prlimit")?);
    let (directory, copy) = public_copy();
    let user = [format!("--reuid={user}"), format!("--regid={user}")];
    let limit = format!("--nproc={threads}:{threads}");
    let wrapper = [
        setpriv,
        &user[0],
        &user[1],
        "--clear-groups",
        prlimit,
        &limit,
        &copy,
    ];
    Some((ServerProcess::command(&wrapper, args), directory))
}

impl ServerProcess {
    /// Starts it on a free port of this machine and waits for the ready line.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::wrapped(&[SERVER], args)
    }

    /// As [`start`](Self::start), but listening there.
    pub(crate) fn start_at(addr: &str, args: &[&str]) -> Self {
        let mut command = Self::command_at(&[SERVER], addr, args);
        command.stdout(Stdio::piped());
        Self::spawn(command).until_ready()
    }

    /// The same, and it says everything that it does.
    pub(crate) fn start_verbose_at(addr: &str, args: &[&str]) -> Self {
        let mut command = Self::command_at(&[SERVER], addr, args);
        command.env("RUST_LOG", "debug").stdout(Stdio::piped());
        Self::spawn(command).until_ready()
    }

    /// As [`start`](Self::start), by a command that becomes the server: a wrapper and the program.
    pub(crate) fn wrapped(wrapper: &[&str], args: &[&str]) -> Self {
        let mut command = Self::command(wrapper, args);
        command.stdout(Stdio::piped());
        Self::spawn(command).until_ready()
    }

    /// Starts it, lets it say everything it does, and does not wait.
    pub(crate) fn begin(args: &[&str]) -> Self {
        let mut command = Self::command(&[SERVER], args);
        command.env("RUST_LOG", "debug").stdout(Stdio::null());
        Self::spawn(command)
    }

    /// What [`spawn`](Self::spawn) takes.
    pub(crate) fn command(wrapper: &[&str], args: &[&str]) -> Command {
        Self::command_at(wrapper, "127.0.0.1:0", args)
    }

    fn command_at(wrapper: &[&str], addr: &str, args: &[&str]) -> Command {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(addr).args(args);
        command.args(sandbox::usual_args(args));
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.process_group(0).spawn().unwrap();
        let log = child.stderr.take().map(Log::of);
        Self {
            child,
            ready: String::new(),
            stdout: None,
            successor: None,
            upgrades: 0,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            log,
        }
    }

    /// Waits for its port where there is no ready line.
    pub(crate) fn until_listening(mut self) -> Self {
        let listening = || procfs::listening_port(self.pid());
        self.until("listening", || self.moment(), || listening().is_some());
        self.addr.set_port(listening().unwrap());
        self
    }

    pub(crate) fn until_ready(mut self) -> Self {
        let stdout = Log::of(self.child.stdout.take().unwrap());
        stdout.wait_for("listening", 1);
        self.ready = stdout.first();
        // A ready line in JSON is the business of the test that asked for it.
        let word = self.ready.split(' ').nth(2).unwrap_or_default();
        self.addr = word.parse().unwrap_or(self.addr);
        self.stdout = Some(stdout);
        self
    }

    /// The ready line, without its end.
    pub(crate) fn ready_line(&self) -> &str {
        &self.ready
    }

    /// A number of the ready line, such as `capacity`.
    pub(crate) fn ready_field(&self, name: &str) -> usize {
        let mut words = self
            .ready
            .split(' ')
            .filter_map(|word| word.split_once('='));
        let (_, value) = words.find(|(key, _)| *key == name).unwrap();
        value.parse().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.successor.unwrap_or(self.child.id())
    }

    /// The number of its process group, which all successors are in.
    pub(crate) fn group(&self) -> u32 {
        self.child.id()
    }

    /// Lets a successor take over, and returns the process that was the server until then.
    pub(crate) fn upgrade(&mut self) -> OwnedFd {
        let old = procfs::open(self.pid());
        self.signal(Signal::USR2);
        self.follow();
        old
    }

    /// Waits until a successor that is on its way has taken over.
    pub(crate) fn follow(&mut self) {
        let stdout = self.stdout.as_ref().unwrap();
        self.upgrades += 1;
        stdout.wait_for("listening", self.upgrades + 1);
        let line = stdout.lines_with("listening").swap_remove(self.upgrades);
        assert_eq!(line.split(" pid=").next(), self.ready.split(" pid=").next());
        self.successor = Some(field(&line, "pid").unwrap().parse().unwrap());
    }

    pub(crate) fn connect(&self) -> TcpStream {
        super::connect_to(self.addr).unwrap()
    }

    pub(crate) fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        procfs::kill(self.pid(), signal);
    }

    /// To it and all its children, as a terminal does.
    pub(crate) fn signal_group(&self, signal: Signal) {
        rustix::process::kill_process_group(procfs::pid(self.pid()), signal).unwrap();
    }

    /// Stops it and all its children: when this returns, none of their threads takes anybody in until
    /// CONT.
    pub(crate) fn suspend(&self) {
        self.signal_group(Signal::STOP);
        let all = procfs::family(self.pid());
        let stands = |one: &u32| procfs::is_stopped(*one) || procfs::is_dead(*one);
        self.until("stopped", || self.moment(), || all.iter().all(stands));
    }

    /// The children that are alive, in order.
    pub(crate) fn workers(&self) -> Vec<u32> {
        procfs::children(self.pid())
            .into_iter()
            .filter(|child| procfs::state_and_group(*child).is_some_and(|(state, _)| state != 'Z'))
            .collect()
    }

    /// Asks how it goes: a line for each process, and one for all of them.
    pub(crate) fn status(&self) -> (Vec<String>, String) {
        const PROCESS: &str = "status of a process";
        const ALL: &str = "status processes=";
        let (processes, all) = (self.log().count(PROCESS), self.log().count(ALL));
        self.signal(Signal::USR1);
        self.log().wait_for(ALL, all + 1);
        let processes = self.log().lines_with(PROCESS).split_off(processes);
        (processes, self.log().lines_with(ALL).swap_remove(all))
    }

    /// How many of its processes say that they are ready: one that is there need not be yet.
    pub(crate) fn ready_processes(&self) -> usize {
        let (processes, _) = self.status();
        let ready = processes.iter().filter(|line| line.contains("state=ready"));
        ready.count()
    }

    /// Repeats `step`, which must be a blocking call, until `done`.
    pub(crate) fn until(&self, what: &str, mut step: impl FnMut(), mut done: impl FnMut() -> bool) {
        let end = Instant::now() + LIMIT;
        while !done() {
            assert!(Instant::now() < end, "never: {what}");
            step();
        }
    }

    /// Connects until somebody is served again, and tells how often that was in vain.
    pub(crate) fn connect_until_served(&self) -> u64 {
        let mut refused = 0;
        let served = || super::round_trip(&mut self.connect(), b"inside").is_ok();
        self.until("served again", || refused += 1, served);
        refused
    }

    /// A wait that ends early if the server does, for loops without a better step.
    pub(crate) fn moment(&self) {
        let pidfd = procfs::open(self.pid());
        let ended = procfs::wait_for_end(&pidfd, LIMIT / 1000);
        assert!(!ended, "the server ended");
    }

    /// Waits for its end.
    pub(crate) fn wait(self) -> Farewell {
        let pidfd = procfs::open(self.pid());
        self.end_of(&pidfd)
    }

    fn end_of(mut self, pidfd: &OwnedFd) -> Farewell {
        if !procfs::wait_for_end(pidfd, LIMIT) {
            panic!("the server does not end");
        }
        let status = self.child.wait().unwrap();
        let log = self.log.take().unwrap().rest();
        Farewell { status, log }
    }

    /// Sends TERM and waits for its end.
    pub(crate) fn stop(self) -> Farewell {
        // A successor is nobody's child here, and gone for good when it has ended.
        let pidfd = procfs::open(self.pid());
        self.signal(Signal::TERM);
        self.end_of(&pidfd)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        if self.successor.is_some() {
            // Whoever is left has the number of the group, which then cannot be another's.
            for member in procfs::group(self.group()) {
                let _ = rustix::process::kill_process(procfs::pid(member), Signal::KILL);
            }
        }
        let _ = self.child.wait();
    }
}

impl Farewell {
    /// A number of the last line, such as `accepted`.
    pub(crate) fn counted(&self, name: &str) -> u64 {
        let counted = self.counted_by_each(name);
        let value = counted.first().copied();
        value.unwrap_or_else(|| panic!("no {name} in {:#?}", self.log))
    }

    /// The same of each server, in the order in which they ended.
    pub(crate) fn counted_by_each(&self, name: &str) -> Vec<u64> {
        let lines = self.log.iter();
        let last = lines.filter(|line| line.contains("stopped accepted="));
        last.filter_map(|line| field(line, name)?.parse().ok())
            .collect()
    }
}
