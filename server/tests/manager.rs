//! Whoever starts the server: sockets that it passes, and what it is told.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::Signal;
use server::{Mode, for_each_mode};
use support::{
    LIMIT, Log, SERVER, ServerProcess, connect_to, connect_to_path, end_of, procfs, round_trip,
    visit,
};
use tempfile::TempDir;

const POOL: [&str; 4] = ["--mode", "process-pool", "--workers", "2"];

/// A server that gets `sockets` as a service manager passes them, with those names.
///
/// A shell becomes the server, so that LISTEN_PID is its own number.
fn passed(sockets: &[&dyn AsFd], names: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = "export LISTEN_PID=$$; exec \"$@\"";
    command.args(["-c", script, "sh", SERVER]).args(args);
    command.env("LISTEN_FDS", sockets.len().to_string());
    if !names.is_empty() {
        command.env("LISTEN_FDNAMES", names);
    }
    let mappings = sockets.iter().zip(3..).map(|(socket, child_fd)| FdMapping {
        parent_fd: socket.as_fd().try_clone_to_owned().unwrap(),
        child_fd,
    });
    command.fd_mappings(mappings.collect()).unwrap();
    piped(command)
}

fn piped(mut command: Command) -> Command {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn start(sockets: &[&dyn AsFd], args: &[&str]) -> ServerProcess {
    ServerProcess::spawn(passed(sockets, "", args)).until_ready()
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// What a server without a future says, and its exit code.
fn refusal(command: Command) -> (Option<i32>, Vec<String>) {
    let farewell = ServerProcess::spawn(command).wait();
    (farewell.status.code(), farewell.log)
}

for_each_mode! {
    fn a_socket_that_was_passed_is_served_and_left_as_it_was(mode) {
        let (socket, addr) = listener();
        let server = start(&[&socket], &mode.args());
        assert_eq!(server.addr, addr);
        let mut inside = server.connect();
        round_trip(&mut inside, b"hello")?;
        server.signal(Signal::TERM);
        // Whoever passed it listens on: who comes now is served by this server, if somebody was woken
        // for him just then, or by the next.
        let mut waiting = server.connect();
        waiting.write_all(b"next")?;
        assert_eq!(end_of(&mut inside).as_deref(), Some(&b""[..]));
        let farewell = server.wait();
        let accepted = farewell.counted("accepted");
        assert_eq!((farewell.status.code(), farewell.counted("dismissed")), (Some(0), 0));
        let next = start(&[&socket], &mode.args());
        waiting.read_exact(&mut [0; 4])?;
        drop(waiting);
        assert_eq!(accepted + next.stop().counted("accepted"), 2);
    }

    fn a_path_that_was_passed_is_not_removed(mode) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("echo.sock");
        let socket = UnixListener::bind(&path).unwrap();
        let mut server = start(&[&socket], &mode.args());
        visit(connect_to_path(&path)?).unwrap();
        let old = server.upgrade();
        assert!(procfs::wait_for_end(&old, LIMIT));
        visit(connect_to_path(&path)?).unwrap();
        server.stop();
        assert!(path.exists());
        drop(socket);
    }
}

#[test]
fn a_successor_of_a_server_with_passed_sockets_leaves_them_too() {
    let (socket, addr) = listener();
    let mut server = start(&[&socket], &POOL);
    let old = server.upgrade();
    assert!(procfs::wait_for_end(&old, LIMIT));
    visit(server.connect()).unwrap();
    server.stop();
    let client = connect_to(addr).unwrap();
    start(&[&socket], &POOL).stop();
    drop(client);
}

#[test]
fn several_sockets_are_those_of_workers_with_one_each() {
    let first = reusable(0);
    let second = reusable(first.local_addr().unwrap().port());
    let args = [&POOL[..], &["--accept", "reuseport"]].concat();
    let server = start(&[&first, &second], &args);
    (0..20).for_each(|_| visit(server.connect()).unwrap());
    server.stop();
    let (code, log) = refusal(passed(&[&first, &second], "", &POOL));
    assert_eq!((code, log.len()), (Some(1), 1), "{log:#?}");
    assert!(log[0].contains("2 listening sockets were passed to the server, and it needs 1"));
    let (elsewhere, _) = listener();
    let (code, log) = refusal(passed(&[&first, &elsewhere], "", &args));
    assert_eq!(code, Some(1));
    assert!(
        log.last().unwrap().contains("different addresses"),
        "{log:#?}"
    );
}

fn reusable(port: u16) -> TcpListener {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())
        .unwrap();
    socket.listen(16).unwrap();
    socket.into()
}

#[test]
fn what_is_of_no_use_is_refused_in_one_line_with_the_remedy() {
    let (socket, addr) = listener();
    let connected = TcpStream::connect(addr).unwrap();
    let datagrams = UnixDatagram::unbound().unwrap();
    let file = tempfile::tempfile().unwrap();
    let flawed: [(&dyn AsFd, &str); 3] = [
        (
            &connected,
            "socket 1 of 1 that were passed to the server: it does not listen",
        ),
        (
            &datagrams,
            "it is no stream socket; a .socket unit needs ListenStream=",
        ),
        (&file, "it is no socket; check who sets LISTEN_FDS"),
    ];
    for (flawed, part) in flawed {
        let (code, log) = refusal(passed(&[flawed], "", &[]));
        assert_eq!(code, Some(1));
        assert!(log.last().unwrap().contains(part), "{part}: {log:#?}");
    }
    let (code, log) = refusal(passed(&[&socket], "", &["127.0.0.1:0"]));
    assert_eq!((code, log.len()), (Some(2), 1), "{log:#?}");
    assert!(log[0].starts_with("server: 127.0.0.1:0 was typed, and listening sockets were passed"));
    let (code, log) = refusal(passed(&[&socket], "a:b", &[]));
    assert_eq!((code, log.len()), (Some(1), 1), "{log:#?}");
    assert!(log[0].contains("LISTEN_FDNAMES"), "{log:#?}");
    drop(socket);
}

#[test]
fn what_was_meant_for_another_process_is_left_alone() {
    let (socket, addr) = listener();
    let mut command = passed(&[&socket], "", &["127.0.0.1:0"]);
    let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut other = Command::new("sh");
    other
        .args(["-c", "export LISTEN_PID=1; exec \"$@\""])
        .args(&args[2..]);
    other.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "echo");
    command = piped(other);
    let server = ServerProcess::spawn(command).until_ready();
    assert_ne!(server.addr, addr);
    server.stop();
}

#[test]
fn what_the_owner_of_the_sockets_decided_is_said() {
    let (socket, _) = listener();
    let server = start(&[&socket], &["--backlog", "7", "--ipv6-only"]);
    const PASSED: &str = "sockets that a service manager passed";
    server.log().wait_for(PASSED, 2);
    let told = server.log().lines_with(PASSED);
    assert_eq!(told.len(), 2, "{told:#?}");
    server.stop();
}

/// The socket of a service manager.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    _directory: TempDir,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self {
            socket,
            path,
            _directory: directory,
        }
    }

    fn start(&self, args: &[&str], watchdog: Option<Duration>) -> ServerProcess {
        let mut command = ServerProcess::command(&[SERVER], args);
        command
            .env("NOTIFY_SOCKET", &self.path)
            .stdout(Stdio::piped());
        if let Some(limit) = watchdog {
            command.env("WATCHDOG_USEC", limit.as_micros().to_string());
        }
        ServerProcess::spawn(command).until_ready()
    }

    /// The next message, line by line.
    fn hear(&self) -> Vec<String> {
        let mut bytes = [0; 1024];
        let count = self.socket.recv(&mut bytes).unwrap();
        let text = std::str::from_utf8(&bytes[..count]).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Takes all that is left; whether that is nothing, but for the watchdog.
    fn has_heard_all(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let mut bytes = [0; 1024];
        let mut news = 0;
        while let Ok(count) = self.socket.recv(&mut bytes) {
            news += usize::from(&bytes[..count] != b"WATCHDOG=1\n");
        }
        self.socket.set_nonblocking(false).unwrap();
        news == 0
    }
}

for_each_mode! {
    fn the_manager_is_told_of_ready_reload_and_end(mode) {
        let manager = Manager::new();
        let server = manager.start(&mode.args(), None);
        let ready = manager.hear();
        assert_eq!(ready, ["READY=1".to_owned(), format!("STATUS={}", server.ready_line())]);
        server.signal(Signal::HUP);
        let reloading = manager.hear();
        assert_eq!(reloading[0], "RELOADING=1");
        let clock = reloading[1].strip_prefix("MONOTONIC_USEC=").unwrap();
        assert!(clock.parse::<u64>().unwrap() > 0);
        assert_eq!(manager.hear()[0], "READY=1");
        server.signal(Signal::TERM);
        let stopping = manager.hear();
        assert_eq!(stopping[0], "STOPPING=1");
        assert!(stopping[1].starts_with("EXTEND_TIMEOUT_USEC=1"), "{stopping:?}");
        server.wait();
        assert!(manager.has_heard_all());
    }

    fn after_an_upgrade_only_the_new_server_speaks(mode) {
        let manager = Manager::new();
        let mut server = manager.start(&mode.args(), None);
        manager.hear();
        let old = server.upgrade();
        assert_eq!(manager.hear(), [format!("MAINPID={}", server.pid())]);
        assert_eq!(manager.hear()[0], "READY=1");
        assert!(procfs::wait_for_end(&old, LIMIT));
        server.stop();
        assert_eq!(manager.hear()[0], "STOPPING=1");
        assert!(manager.has_heard_all());
    }

    fn the_watchdog_is_told_as_long_as_those_who_serve_move(mode) {
        const PERIOD: Duration = Duration::from_millis(400);
        let manager = Manager::new();
        let hangs = ["--fault", "hang-on=HANG"];
        let server = manager.start(&[&mode.args()[..], &hangs].concat(), Some(PERIOD));
        for _ in 0..3 {
            while manager.hear() != ["WATCHDOG=1"] {}
        }
        if mode.mode == Mode::ProcessPool || mode.mode == Mode::ProcessPerConnection {
            println!("not in {mode}: who hangs there is in a process of his own");
            return Ok(());
        }
        let mut client = server.connect();
        client.write_all(b"HANG")?;
        server.log().wait_for("the service manager's watchdog", 1);
        // What was said before it stood still; then one that was on its way, and no more.
        manager.has_heard_all();
        manager.socket.set_read_timeout(Some(2 * PERIOD))?;
        let mut bytes = [0; 64];
        let late = (0..2).take_while(|_| manager.socket.recv(&mut bytes).is_ok()).count();
        assert!(late < 2, "it is told on and on");
        server.signal(Signal::KILL);
    }
}

#[test]
fn a_manager_that_does_not_listen_holds_nobody_up() {
    let manager = Manager::new();
    let other = UnixDatagram::unbound().unwrap();
    other.set_nonblocking(true).unwrap();
    while other.send_to(b"X=1", &manager.path).is_ok() {}
    for args in [&POOL[..], &["--mode", "async"]] {
        let mut server = manager.start(args, Some(Duration::from_millis(20)));
        server.signal(Signal::HUP);
        (0..20).for_each(|_| visit(server.connect()).unwrap());
        let old = server.upgrade();
        assert!(procfs::wait_for_end(&old, LIMIT));
        server.stop();
    }
}

#[test]
fn a_restart_that_is_given_up_is_the_end_of_the_reload() {
    let manager = Manager::new();
    let directory = TempDir::new().unwrap();
    let broken = directory.path().join("broken");
    let fault = format!("exit-at-start={}", broken.display());
    let args = [&POOL[..], &["--fault", &fault]].concat();
    let mut command = ServerProcess::command(&[SERVER], &args);
    command
        .env("NOTIFY_SOCKET", &manager.path)
        .stdout(Stdio::piped());
    let server = ServerProcess::spawn(command).until_ready();
    manager.hear();
    std::fs::write(&broken, "").unwrap();
    server.signal(Signal::HUP);
    assert_eq!(manager.hear()[0], "RELOADING=1");
    assert_eq!(
        manager.hear()[..2],
        ["READY=1", "STATUS=the restart is given up"]
    );
    server.stop();
}

#[test]
fn no_process_of_the_servers_own_knows_the_manager() {
    let manager = Manager::new();
    let (socket, _) = listener();
    for args in [&POOL[..], &["--mode", "process-per-connection"]] {
        let mut command = passed(&[&socket], "echo", args);
        command
            .env("NOTIFY_SOCKET", &manager.path)
            .env("WATCHDOG_USEC", "60000000");
        let mut server = ServerProcess::spawn(command).until_ready();
        for _ in 0..2 {
            let mut inside = server.connect();
            round_trip(&mut inside, b"hello").unwrap();
            let workers = server.workers();
            assert!(!workers.is_empty());
            for worker in workers {
                let environ = std::fs::read(format!("/proc/{worker}/environ")).unwrap();
                let environ = String::from_utf8_lossy(&environ).into_owned();
                let names = ["NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "ECHOLAB_"];
                let known = environ
                    .split('\0')
                    .find(|it| names.iter().any(|name| it.starts_with(name)));
                assert_eq!(known, None);
            }
            drop(inside);
            let old = server.upgrade();
            assert!(procfs::wait_for_end(&old, LIMIT));
            // Or it would be full soon, and each message take its time.
            assert!(!manager.has_heard_all());
        }
        server.stop();
    }
}

#[test]
fn the_ready_line_goes_to_a_descriptor_too_and_then_its_end() {
    for args in [&POOL[..], &["--mode", "async"]] {
        let (ours, theirs) = std::io::pipe().unwrap();
        let mut command = ServerProcess::command(&[SERVER], &[args, &["--ready-fd", "7"]].concat());
        let mappings = vec![FdMapping {
            parent_fd: theirs.into(),
            child_fd: 7,
        }];
        command.fd_mappings(mappings).unwrap();
        let mut server = ServerProcess::spawn(piped(command)).until_ready();
        // Its end comes although the server, and its workers, live.
        assert_eq!(Log::of(ours).rest(), [server.ready_line()]);
        let old = server.upgrade();
        assert!(procfs::wait_for_end(&old, LIMIT));
        server.stop();
    }
}

#[test]
fn a_descriptor_on_which_nothing_can_be_said_is_a_mistake() {
    let (ours, _theirs) = std::io::pipe().unwrap();
    let at = |number: &str, mapped: bool| {
        let mut command = ServerProcess::command(&[SERVER], &["--ready-fd", number]);
        if mapped {
            let mappings = vec![FdMapping {
                parent_fd: ours.try_clone().unwrap().into(),
                child_fd: 9,
            }];
            command.fd_mappings(mappings).unwrap();
        }
        refusal(piped(command))
    };
    for (number, mapped, part) in [
        ("9", true, "it is open for reading only"),
        ("9", false, "it is not open"),
        ("2", false, "must be a whole number from 3 to 1048575"),
    ] {
        let (code, log) = at(number, mapped);
        assert_eq!((code, log.len()), (Some(2), 1), "{log:#?}");
        let start = format!("server: invalid value '{number}' for '--ready-fd <FD>': ");
        assert!(
            log[0].starts_with(&start) && log[0].contains(part),
            "{log:#?}"
        );
    }
    let (socket, _) = listener();
    let (code, log) = refusal(passed(&[&socket], "", &["--ready-fd", "3"]));
    assert_eq!((code, log.len()), (Some(2), 1), "{log:#?}");
    assert!(
        log[0].contains("it is one of the sockets that were passed"),
        "{log:#?}"
    );
}

#[test]
fn a_pid_file_that_cannot_be_is_said_before_anything_is_served() {
    let command = ServerProcess::command(&[SERVER], &["--pid-file", "/no/such/directory/pid"]);
    let (code, log) = refusal(piped(command));
    assert_eq!(code, Some(1));
    let last = log.last().unwrap();
    assert!(
        last.contains("cannot write --pid-file /no/such/directory/pid"),
        "{log:#?}"
    );
}
