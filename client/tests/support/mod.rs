//! Small servers with one habit each, and a client whose every output can be waited for.
//!
//! Nothing here sleeps: a wait is a read with a limit, a join or a channel.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part, and a failure here is a failed test"
)]

pub(crate) mod pty;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};

/// How long anything may take before the test has failed. Nothing that works comes near it.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A server for one connection.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    thread: JoinHandle<Vec<u8>>,
}

impl Server {
    /// Serves one connection with `habit`, which returns what it has read.
    pub(crate) fn start(habit: impl FnOnce(TcpStream) -> Vec<u8> + Send + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), habit)
    }

    pub(crate) fn on(
        listener: TcpListener,
        habit: impl FnOnce(TcpStream) -> Vec<u8> + Send + 'static,
    ) -> Self {
        let addr = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream.set_write_timeout(Some(LIMIT)).unwrap();
            habit(stream)
        });
        Self { addr, thread }
    }

    pub(crate) fn target(&self) -> String {
        self.addr.to_string()
    }

    /// Waits for the connection's end and returns what was read.
    pub(crate) fn received(self) -> Vec<u8> {
        self.thread.join().unwrap()
    }
}

/// Echoes all, and closes after the client.
pub(crate) fn echo(stream: TcpStream) -> Vec<u8> {
    echo_changed(stream, |_, _| {})
}

/// Echoes all, after `change` has seen the offset and the bytes.
pub(crate) fn echo_changed(
    mut stream: TcpStream,
    mut change: impl FnMut(usize, &mut [u8]),
) -> Vec<u8> {
    let mut received = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return received,
            Err(error) => return gone(error.kind(), received),
            Ok(count) => {
                let offset = received.len();
                received.extend(&buffer[..count]);
                change(offset, &mut buffer[..count]);
                if let Err(error) = stream.write_all(&buffer[..count]) {
                    return gone(error.kind(), received);
                }
            }
        }
    }
}

/// A client that has left is no error, one that hangs is.
fn gone(kind: ErrorKind, received: Vec<u8>) -> Vec<u8> {
    assert!(
        matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        "{kind}"
    );
    received
}

/// Reads to the end and never answers.
pub(crate) fn mute(mut stream: TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received);
    received
}

/// Bytes without a pattern that a shifted or repeated piece would keep.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// A client to run to its end, with a limit.
pub(crate) fn client(target: &str) -> assert_cmd::Command {
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("client");
    command.arg(target).timeout(LIMIT);
    command
}

/// A client that runs beside the test, and not beyond it.
pub(crate) struct Running {
    pub(crate) child: Child,
}

impl Running {
    pub(crate) fn start(target: &str, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        command.arg(target).args(args);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::spawn(command)
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let child = command.spawn().unwrap();
        Self { child }
    }

    /// Writes to its stdin, as far as it is taken within the limit.
    pub(crate) fn type_in(&mut self, bytes: &[u8]) {
        let stdin = self.child.stdin.as_mut().unwrap();
        // No more at once than a pipe takes for certain when it is reported as writable.
        for page in bytes.chunks(4096) {
            assert!(is_ready(stdin, PollFlags::OUT), "stdin is not read");
            stdin.write_all(page).unwrap();
        }
    }

    pub(crate) fn close_stdin(&mut self) {
        self.child.stdin = None;
    }

    pub(crate) fn wait_for_stderr(&mut self, text: &str) -> String {
        wait_for(self.child.stderr.as_mut().unwrap(), text)
    }

    pub(crate) fn wait_for_stdout(&mut self, text: &str) -> String {
        wait_for(self.child.stdout.as_mut().unwrap(), text)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stops it, as Ctrl-Z would, and waits until it has stopped.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        let pid = Some(Pid::from_child(&self.child));
        let (_, status) = waitpid(pid, WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "{status:?}");
    }

    /// Waits for the end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let pidfd = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()).unwrap();
        assert!(is_readable(&pidfd), "the client does not end");
        self.child.wait().unwrap()
    }

    /// Waits for the end and returns its code with the rest of stdout and stderr.
    pub(crate) fn finish(&mut self) -> (Option<i32>, String, String) {
        let stdout = read_rest(self.child.stdout.as_mut().unwrap());
        let stderr = read_rest(self.child.stderr.as_mut().unwrap());
        (self.end().code(), stdout, stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads until `text` has come, and returns all that was read.
pub(crate) fn wait_for(source: &mut (impl Read + AsFd), text: &str) -> String {
    let mut seen = Vec::new();
    loop {
        let shown = String::from_utf8_lossy(&seen).into_owned();
        if shown.contains(text) {
            return shown;
        }
        assert!(is_readable(source), "no {text:?} in {shown:?}");
        // Byte by byte, so that what follows is left for the next wait.
        let mut byte = [0];
        let count = source.read(&mut byte).unwrap_or(0);
        assert!(count > 0, "the end instead of {text:?} after {shown:?}");
        seen.push(byte[0]);
    }
}

fn read_rest(source: &mut (impl Read + AsFd)) -> String {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let so_far = String::from_utf8_lossy(&seen);
        assert!(is_readable(source), "no end after {so_far:?}");
        match source.read(&mut buffer) {
            // A terminal whose last user has left reports an error.
            Ok(0) | Err(_) => return so_far.into_owned(),
            Ok(count) => seen.extend(&buffer[..count]),
        }
    }
}

fn is_readable(source: &impl AsFd) -> bool {
    is_ready(source, PollFlags::IN)
}

fn is_ready(fd: &impl AsFd, flags: PollFlags) -> bool {
    let limit = Timespec::try_from(LIMIT).unwrap();
    poll(&mut [PollFd::new(fd, flags)], Some(&limit)).unwrap() > 0
}
