//! In a pipe the client is a verifying filter: stdout is exactly the echo, whatever stdin is, and
//! the exit code says whether all of it came back.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use client::MAX_UNANSWERED_BYTES;
use rustix::process::Signal;
use support::{LIMIT, Running, Server, client, echo, echo_changed, mute, noise};

/// Runs a client on a stdin that is no pipe, and returns its exit code and stdout.
fn run_on(server: &Server, stdin: Stdio) -> (Option<i32>, Vec<u8>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command.arg(server.target()).stdin(stdin);
    command.stdout(Stdio::piped());
    let mut running = Running::spawn(command);
    let mut stdout = Vec::new();
    let mut pipe = running.child.stdout.take().unwrap();
    pipe.read_to_end(&mut stdout).unwrap();
    (running.end().code(), stdout)
}

#[test]
fn a_pipe_comes_back_byte_by_byte() {
    let server = Server::start(echo);
    let sent: Vec<u8> = (0..=255).collect();
    let assert = client(&server.target()).write_stdin(sent.clone()).assert();
    assert.success().stdout(sent.clone()).stderr("");
    assert_eq!(server.received(), sent);
}

#[test]
fn a_file_comes_back_byte_by_byte() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let sent = noise(300_000);
    file.write_all(&sent).unwrap();
    let server = Server::start(echo);
    let (code, stdout) = run_on(&server, File::open(file.path()).unwrap().into());
    assert_eq!(code, Some(0));
    assert!(stdout == sent, "{} bytes", stdout.len());
}

#[test]
fn a_file_gets_the_echo() {
    let target = tempfile::NamedTempFile::new().unwrap();
    let server = Server::start(echo);
    let sent = noise(300_000);
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command.arg(server.target()).stdin(Stdio::piped());
    command.stdout(target.reopen().unwrap());
    let mut running = Running::spawn(command);
    running.type_in(&sent);
    running.close_stdin();
    assert_eq!(running.end().code(), Some(0));
    assert!(std::fs::read(target.path()).unwrap() == sent);
}

#[test]
fn an_empty_stdin_is_an_empty_echo() {
    let server = Server::start(echo);
    let (code, stdout) = run_on(&server, Stdio::null());
    assert_eq!((code, stdout), (Some(0), Vec::new()));
    assert_eq!(server.received(), b"");
}

#[test]
fn sixteen_mebibytes_go_both_ways_at_once() {
    let server = Server::start(echo);
    let sent = noise(16 << 20);
    let mut client = client(&server.target());
    let output = client.write_stdin(sent.clone()).unwrap();
    assert!(output.stdout == sent, "{} bytes", output.stdout.len());
}

#[test]
fn a_unix_socket_is_a_server_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("echo.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        stream.write_all(&received).unwrap();
    });
    let target = format!("unix:{}", path.display());
    client(&target)
        .write_stdin("through a path\n")
        .assert()
        .success()
        .stdout("through a path\n");
    server.join().unwrap();
}

#[test]
fn a_flipped_byte_is_named_and_does_not_get_through() {
    const AT: usize = 150_000;
    let server = Server::start(|stream| {
        echo_changed(stream, |offset, bytes| {
            if let Some(byte) = AT.checked_sub(offset).and_then(|at| bytes.get_mut(at)) {
                *byte ^= 0x40;
            }
        })
    });
    let sent = noise(300_000);
    let output = client(&server.target())
        .write_stdin(sent.clone())
        .unwrap_err();
    let output = output.as_output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(output.stdout == sent[..AT], "{} bytes", output.stdout.len());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(&format!("byte {AT} differs")), "{stderr}");
}

#[test]
fn a_byte_too_many_is_a_difference() {
    let server = Server::start(|mut stream| {
        let received = echo(stream.try_clone().unwrap());
        stream.write_all(b"!").unwrap();
        received
    });
    let assert = client(&server.target()).write_stdin("abc").assert();
    let assert = assert.code(4).stdout("abc");
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(
        stderr.contains("byte 3 differs: nothing was sent"),
        "{stderr}"
    );
}

#[test]
fn a_server_that_closes_early_is_a_failure_with_a_number() {
    let server = Server::start(|mut stream| {
        let mut received = vec![0; 10];
        stream.read_exact(&mut received).unwrap();
        stream.write_all(&received[..6]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        mute(stream)
    });
    let assert = client(&server.target()).write_stdin("0123456789").assert();
    let assert = assert.code(1).stdout("012345");
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.contains("closed the connection; 4 bytes"),
        "{stderr}"
    );
}

#[test]
fn a_server_that_closes_before_stdin_ends_is_a_failure() {
    let server = Server::start(|_| Vec::new());
    let mut running = Running::start(&server.target(), &[]);
    let (code, stdout, stderr) = running.finish();
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("closed the connection"), "{stderr}");
}

#[test]
fn a_server_that_closes_together_with_stdin_is_none() {
    let (close, wait) = channel::<()>();
    let server = Server::start(move |mut stream| {
        let mut received = vec![0; 3];
        stream.read_exact(&mut received).unwrap();
        stream.write_all(&received).unwrap();
        wait.recv_timeout(LIMIT).unwrap();
        received
    });
    // A socket, because it can be shut down at once: a pipe stays open for as long as another
    // test's child, just forked, still has it.
    let (mut stdin, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command.arg(server.target()).stdin(OwnedFd::from(theirs));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::spawn(command);
    stdin.write_all(b"abc").unwrap();
    running.wait_for_stdout("abc");
    running.stop(); // So that it sees both ends at once.
    stdin.shutdown(Shutdown::Both).unwrap();
    close.send(()).unwrap();
    server.received();
    running.signal(Signal::CONT);
    let (code, _, stderr) = running.finish();
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_server_that_stays_open_holds_nobody_up() {
    let (done, wait) = channel::<()>();
    let server = Server::start(move |stream| {
        let received = echo(stream.try_clone().unwrap());
        // Until the client has ended, and not until it has been waited for in vain.
        let ended = wait.recv_timeout(LIMIT);
        assert_eq!(ended, Err(RecvTimeoutError::Disconnected));
        received
    });
    client(&server.target())
        .write_stdin("abc")
        .assert()
        .success()
        .stdout("abc");
    drop(done);
    assert_eq!(server.received(), b"abc");
}

#[test]
fn a_silent_server_is_talked_about_and_then_heard() {
    let (release, wait) = channel::<()>();
    let server = Server::start(move |stream| {
        wait.recv_timeout(LIMIT).unwrap();
        echo(stream)
    });
    let mut running = Running::start(&server.target(), &[]);
    running.type_in(b"patience\n");
    running.close_stdin();
    let remark = running.wait_for_stderr("\n");
    assert!(remark.contains("connected; no answer for "), "{remark}");
    assert!(remark.contains("probably no worker is free"), "{remark}");
    release.send(()).unwrap();
    let (code, stdout, _) = running.finish();
    assert_eq!((code, stdout.as_str()), (Some(0), "patience\n"));
}

#[test]
fn a_time_limit_ends_the_wait_for_a_silent_server() {
    let (done, wait) = channel::<()>();
    let server = Server::start(move |stream| {
        let _ = wait.recv_timeout(LIMIT);
        mute(stream)
    });
    let assert = client(&server.target())
        .args(["--timeout", "50ms"])
        .write_stdin("hello\n")
        .assert();
    let assert = assert.code(1).stdout("");
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(
        stderr.contains("no answer within 50ms; 6 bytes"),
        "{stderr}"
    );
    drop(done);
}

#[test]
fn no_more_than_the_limit_is_sent_without_an_answer() {
    let server = Server::start(|mut stream| {
        let mut received = vec![0; MAX_UNANSWERED_BYTES];
        stream.read_exact(&mut received).unwrap();
        let pause = Some(Duration::from_millis(200));
        stream.set_read_timeout(pause).unwrap();
        let more = stream.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(more, Err(ErrorKind::WouldBlock));
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(&received).unwrap();
        received.extend(echo(stream));
        received
    });
    let sent = noise(2 * MAX_UNANSWERED_BYTES);
    let mut client = client(&server.target());
    let output = client.write_stdin(sent.clone()).unwrap();
    assert!(output.stdout == sent && server.received() == sent);
}

#[test]
fn a_reader_that_leaves_ends_the_filter_politely() {
    let server = Server::start(echo);
    let mut running = Running::start(&server.target(), &[]);
    drop(running.child.stdout.take());
    // Again and again: the pipe is open for as long as another test's child, just forked, has it.
    let mut stdin = running.child.stdin.take().unwrap();
    while stdin.write_all(b"anybody?\n").is_ok() {}
    let status = running.end();
    let stderr = std::io::read_to_string(running.child.stderr.take().unwrap()).unwrap();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_is_a_failure() {
    let server = Server::start(echo);
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command.arg(server.target()).stdin(Stdio::piped());
    command.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
    command.stderr(Stdio::piped());
    let mut running = Running::spawn(command);
    running.type_in(b"abc");
    running.close_stdin();
    assert!(
        running
            .wait_for_stderr("\n")
            .contains("cannot write stdout")
    );
    assert_eq!(running.end().code(), Some(1));
}

#[test]
fn a_signal_ends_it_with_its_own_code() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let server = Server::start(echo);
        let mut running = Running::start(&server.target(), &[]);
        running.type_in(b"abc");
        running.wait_for_stdout("abc"); // It is known to be running.
        running.signal(signal);
        assert_eq!(running.end().code(), Some(code));
    }
}

#[test]
fn a_signal_ends_it_although_nobody_reads() {
    let server = Server::start(echo);
    let mut running = Running::start(&server.target(), &[]);
    running.type_in(&noise(500_000));
    // More than a pipe holds is on its way; now and then there is room for a little of it.
    let mut page = [0; 4096];
    for _ in 0..4 {
        let stdout = running.child.stdout.as_mut().unwrap();
        stdout.read_exact(&mut page).unwrap();
    }
    running.signal(Signal::INT);
    assert_eq!(running.end().code(), Some(130));
}

#[test]
fn a_full_stdout_does_not_hold_up_stdin() {
    const FIRST_BYTES: usize = 10_000;
    let (told, heard) = channel();
    let server = Server::start(move |stream| {
        echo_changed(stream, |offset, bytes| {
            if offset + bytes.len() >= FIRST_BYTES {
                let _ = told.send(());
            }
        })
    });
    let mut running = Running::start(&server.target(), &[]);
    let sent = noise(FIRST_BYTES + MAX_UNANSWERED_BYTES);
    let mut received = vec![0; sent.len()];
    let (first, rest) = sent.split_at(FIRST_BYTES);
    running.type_in(first);
    heard.recv_timeout(LIMIT).unwrap(); // Its stdin is empty, and takes what follows while it stands still.
    let mut stdout = running.child.stdout.take().unwrap();
    stdout.read_exact(&mut received[..1]).unwrap(); // The pipe is not empty any more.
    running.stop(); // So that it finds more at once than the pipe has room for.
    let (second, rest) = rest.split_at(60_000);
    running.type_in(second);
    running.signal(Signal::CONT);
    running.type_in(rest); // It is taken, although nobody reads its echo.
    stdout.read_exact(&mut received[1..]).unwrap();
    assert!(received == sent);
}
