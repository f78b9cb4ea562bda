//! The first signal asks for an orderly end and the second one ends the program at once, however
//! closely it follows and whatever holds the end up.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Barrier;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use support::program::loadgen;
use support::{PATIENCE, Server};

/// How often two signals are sent at the same moment.
const ROUNDS: usize = 50;

/// What the server saw of one client.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Request,
    End,
}

/// A run whose requests hang and whose report finds no room: it cannot end in an orderly way.
struct Stuck {
    child: Child,
    seen: Receiver<Seen>,
    _server: Server,
    _reader: PipeReader,
}

impl Stuck {
    /// Starts it and returns when its first request has reached the server.
    fn start() -> Self {
        let (tell, seen) = mpsc::channel();
        let server = Server::new(move |_, mut socket| {
            socket.read_exact(&mut [0; 64])?;
            let _ = tell.send(Seen::Request);
            // No answer ever comes; the client's end is an end or a reset.
            let _ = socket.read(&mut [0]);
            let _ = tell.send(Seen::End);
            Ok(())
        });
        let (reader, writer) = full_pipe();
        let addr = server.addr().to_string();
        let child = loadgen(&[&addr, "-c", "1", "-d", "1day", "-w", "0s"])
            .stdout(writer)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stuck = Self {
            child,
            seen,
            _server: server,
            _reader: reader,
        };
        assert_eq!(stuck.seen.recv_timeout(PATIENCE), Ok(Seen::Request));
        stuck
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// How it ended, if it did.
    fn ended(&mut self) -> Option<ExitStatus> {
        let process = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()).unwrap();
        let limit = Timespec::try_from(PATIENCE).unwrap();
        let mut wanted = [PollFd::new(&process, PollFlags::IN)];
        let ended = poll(&mut wanted, Some(&limit)).unwrap() > 0;
        ended.then(|| self.child.wait().unwrap())
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipe that takes nothing more.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    for piece in [&[0; 4096][..], &[0]] {
        while writer.write(piece).is_ok() {}
    }
    // Who inherits it shall wait for room and not fail.
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second, code) in [
        (Signal::INT, Signal::INT, 130),
        (Signal::INT, Signal::TERM, 143),
        (Signal::TERM, Signal::INT, 130),
    ] {
        let mut run = Stuck::start();
        run.signal(first);
        // Its sockets close when the run is over; what is left is the report.
        assert_eq!(run.seen.recv_timeout(PATIENCE), Ok(Seen::End));
        run.signal(second);
        let ended = run.ended().map(|status| status.code());
        assert_eq!(ended, Some(Some(code)), "{first:?} and {second:?}");
    }
}

/// Two signals of two kinds that come at the same moment, on as many threads as there are, are a
/// first and a second one too. Chance decides who is faster, so that it is done again and again.
#[test]
fn of_two_signals_at_the_same_moment_one_is_the_second() {
    for _ in 0..ROUNDS {
        let mut run = Stuck::start();
        let process = Pid::from_child(&run.child);
        let together = Barrier::new(2);
        thread::scope(|scope| {
            for signal in [Signal::INT, Signal::TERM] {
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    kill_process(process, signal).unwrap();
                });
            }
        });
        let code = run.ended().and_then(|status| status.code());
        assert!(matches!(code, Some(130 | 143)), "{code:?}");
    }
}
