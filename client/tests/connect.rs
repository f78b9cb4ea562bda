//! A connection that does not come about is one line with cause and remedy and exit code 1, unless
//! it was asked to wait until somebody listens.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use support::{LIMIT, Running, Server, client, echo};

/// Addresses of this machine that nobody else binds, so that a port which was free stays free.
const QUIET: &str = "127.77.1.3:0";

fn free_port() -> String {
    let listener = TcpListener::bind(QUIET).unwrap();
    listener.local_addr().unwrap().to_string()
}

/// What the client says when it cannot connect: exactly one line, exit code 1, nothing on stdout.
fn refusal(target: &str, args: &[&str]) -> String {
    let assert = client(target).args(args).write_stdin("x").assert();
    let assert = assert.code(1).stdout("");
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr
}

#[test]
fn a_refused_connection_names_the_remedy() {
    let stderr = refusal(&free_port(), &[]);
    assert!(stderr.contains("Connection refused"), "{stderr}");
    assert!(stderr.contains("--wait-ready"), "{stderr}");
}

#[test]
fn an_unknown_host_names_the_remedy() {
    // Longer than a name may be: refused without asking anybody.
    let target = format!("{}:7", "x".repeat(64));
    let stderr = refusal(&target, &[]);
    assert!(
        stderr.contains(&format!("cannot resolve {target}")),
        "{stderr}"
    );
    assert!(stderr.contains("check the host name"), "{stderr}");
}

#[test]
fn a_missing_socket_and_a_stale_one_name_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let target = |name: &str| format!("unix:{}", dir.path().join(name).display());
    let stderr = refusal(&target("missing"), &[]);
    assert!(stderr.contains("there is no such socket"), "{stderr}");
    drop(UnixListener::bind(dir.path().join("stale")).unwrap());
    let stderr = refusal(&target("stale"), &[]);
    assert!(stderr.contains("Connection refused"), "{stderr}");
}

#[test]
fn waiting_for_a_server_that_never_comes_ends() {
    let target = free_port();
    let assert = client(&target)
        .args(["--wait-ready", "1s"])
        .write_stdin("x")
        .assert();
    let assert = assert.code(1).stdout("");
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(
        stderr.contains(&format!("waiting up to 1s for {target}")),
        "{stderr}"
    );
    assert!(stderr.contains("cannot connect"), "{stderr}");
}

#[test]
fn a_server_that_comes_later_is_found() {
    let target = free_port();
    let mut running = Running::start(&target, &["--wait-ready", "60s"]);
    running.wait_for_stderr("waiting up to 1m for"); // It has been refused at least once.
    let server = Server::on(TcpListener::bind(&target).unwrap(), echo);
    running.type_in(b"at last\n");
    running.close_stdin();
    let (code, stdout, _) = running.finish();
    assert_eq!((code, stdout.as_str()), (Some(0), "at last\n"));
    assert_eq!(server.received(), b"at last\n");
}

#[test]
fn a_socket_that_comes_later_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("later.sock");
    let target = format!("unix:{}", path.display());
    let mut running = Running::start(&target, &["--wait-ready", "60s"]);
    running.wait_for_stderr("waiting up to 1m for");
    let listener = UnixListener::bind(&path).unwrap();
    running.type_in(b"at last\n");
    running.close_stdin();
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    stream.write_all(&received).unwrap();
    drop(stream);
    let (code, stdout, _) = running.finish();
    assert_eq!((code, stdout.as_str()), (Some(0), "at last\n"));
}
