//! With --count, --interval or --size the client is like `ping`, and the summary counts every
//! message once, whatever ends it.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use std::io::Read;
use std::sync::mpsc::channel;

use rustix::process::Signal;
use serde_json::Value;
use support::{LIMIT, Running, Server, client, echo, echo_changed, mute};

fn document(stdout: &[u8]) -> Value {
    serde_json::from_slice(stdout).unwrap()
}

#[test]
fn every_message_is_answered_and_summed_up() {
    let server = Server::start(echo);
    let assert = client(&server.target())
        .args(["--count", "5", "--interval", "1ms", "--size", "100"])
        .assert()
        .success()
        .stderr("");
    let stdout = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert_eq!(
        stdout.matches("100 bytes back: seq=").count(),
        5,
        "{stdout}"
    );
    assert!(stdout.contains("5 sent, 5 answered, 0 lost"), "{stdout}");
    assert!(stdout.contains("rtt min/avg/max/p50 = "), "{stdout}");
    let received = server.received();
    let lines: Vec<_> = received.split_inclusive(|&byte| byte == b'\n').collect();
    assert_eq!(lines.len(), 5);
    assert!(lines.iter().all(|line| line.len() == 100));
}

#[test]
fn programs_get_one_document() {
    let server = Server::start(echo);
    let assert = client(&server.target())
        .args(["-n", "3", "-i", "0", "--format", "json"])
        .assert()
        .success();
    let document = document(&assert.get_output().stdout);
    assert_eq!(document["sent"], 3);
    assert_eq!(document["answered"], 3);
    assert_eq!(document["interrupted"], false);
    assert!(document["rtt"]["p50_us"].as_f64().is_some());
}

#[test]
fn the_largest_message_with_no_interval_comes_back() {
    let server = Server::start(echo);
    client(&server.target())
        .args(["-n", "5", "-i", "0", "-s", "1MiB"])
        .assert()
        .success();
}

#[test]
fn messages_without_an_answer_are_lost() {
    let server = Server::start(mute);
    let assert = client(&server.target())
        .args([
            "-n",
            "2",
            "-i",
            "0",
            "--timeout",
            "20ms",
            "--format",
            "json",
        ])
        .assert()
        .code(1);
    let document = document(&assert.get_output().stdout);
    assert_eq!(
        (&document["sent"], &document["lost"]),
        (&2.into(), &2.into())
    );
    assert_eq!(document["rtt"], Value::Null);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("2 of 2 messages had no answer within 20ms"));
}

#[test]
fn a_late_answer_is_still_compared_and_stays_lost() {
    let (release, wait) = channel::<()>();
    let server = Server::start(move |stream| {
        wait.recv_timeout(LIMIT).unwrap();
        echo(stream)
    });
    let args = ["-n", "2", "-i", "2s", "--timeout", "500ms"];
    let mut running = Running::start(&server.target(), &args);
    running.wait_for_stdout("no answer within 500ms: seq=0");
    release.send(()).unwrap();
    running.wait_for_stdout("(late: counted as lost)");
    let (code, stdout, _) = running.finish();
    assert!(
        stdout.contains("2 sent, 1 answered, 1 lost (50.0 %), 1 late"),
        "{stdout}"
    );
    assert_eq!(code, Some(1));
}

#[test]
fn a_changed_byte_ends_it_with_a_summary() {
    let server = Server::start(|stream| {
        echo_changed(stream, |offset, bytes| {
            if offset > 0 {
                bytes[0] ^= 1;
            }
        })
    });
    let assert = client(&server.target())
        .args(["-n", "9", "-i", "0"])
        .assert();
    let assert = assert.code(4);
    let stdout = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert!(
        stdout.contains("2 sent, 1 answered, 0 lost (0.0 %), 1 pending"),
        "{stdout}"
    );
}

#[test]
fn a_server_that_closes_ends_it_with_a_summary() {
    let server = Server::start(|mut stream| {
        stream.read_exact(&mut [0; 64]).unwrap();
        Vec::new()
    });
    let assert = client(&server.target()).args(["-i", "0"]).assert().code(1);
    let stdout = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert!(
        stdout.contains("1 sent, 0 answered, 0 lost (0.0 %), 1 pending"),
        "{stdout}"
    );
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(
        stderr.contains("64 bytes that were sent have not come back"),
        "{stderr}"
    );
}

#[test]
fn a_signal_ends_it_with_a_summary() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let server = Server::start(echo);
        let mut running = Running::start(&server.target(), &["-i", "1ms"]);
        running.wait_for_stdout("seq=2");
        running.signal(signal);
        let (ended, stdout, _) = running.finish();
        assert_eq!(ended, Some(code));
        assert!(stdout.contains(" lost (0.0 %)"), "{stdout}");
        assert!(stdout.contains("rtt min/avg/max/p50"), "{stdout}");
    }
}

#[test]
fn an_interrupted_document_says_so() {
    let (seen, wait) = channel();
    let server = Server::start(move |stream| {
        let mut count = 0;
        echo_changed(stream, |_, _| {
            count += 1;
            if count == 3 {
                seen.send(()).unwrap();
            }
        })
    });
    let args = ["-i", "1ms", "--format", "json"];
    let mut running = Running::start(&server.target(), &args);
    wait.recv_timeout(LIMIT).unwrap();
    running.signal(Signal::INT);
    let (code, stdout, _) = running.finish();
    let document = document(stdout.as_bytes());
    assert_eq!(code, Some(130));
    assert_eq!(document["interrupted"], true);
    let count = |key: &str| document[key].as_u64().unwrap();
    assert_eq!(
        count("sent"),
        count("answered") + count("lost") + count("pending")
    );
}

#[test]
fn a_reader_that_leaves_ends_it_politely() {
    let server = Server::start(echo);
    let mut running = Running::start(&server.target(), &["-i", "1ms"]);
    running.wait_for_stdout("seq=1");
    drop(running.child.stdout.take());
    let status = running.end();
    let stderr = std::io::read_to_string(running.child.stderr.take().unwrap()).unwrap();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}
