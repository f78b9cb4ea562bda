//! The command line of the probe: exit codes, one line for each mistake, one document.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::process::{Command, Output, Stdio};
use std::sync::mpsc;

use loadgen::probe::{Findings, Room};
use rustix::process::{Pid, Signal, kill_process};
use support::program::{complaint, loadgen};
use support::{Server, closed_port, echo};

/// What keeps a probe in a test short.
const SHORT: [&str; 4] = ["--most=3", "--patience=100ms", "--idle=10ms", "--queue=2"];

fn probe(args: &[&str]) -> Command {
    loadgen(&[&["probe"], args].concat())
}

fn output(args: &[&str]) -> Output {
    probe(args).output().unwrap()
}

/// Command lines that are refused, and what must be said about each.
const MISTAKES: &[(&[&str], [&str; 3])] = &[
    (&["--most", "0"], ["'0'", "--most", "from 1 to 100000"]),
    (&["--most", "-1"], ["'-1'", "--most", "from 1 to"]),
    (&["--queue", "x"], ["'x'", "--queue", "from 0 to 100000"]),
    (
        &["--patience", "0s"],
        ["'0s'", "--patience", "from 1ms to 1m"],
    ),
    (&["--idle", "5"], ["'5'", "--idle", "from 1ms to 1h"]),
    (&["--format", "xml"], ["'xml'", "--format", "text, json"]),
    (&["--path", "/x"], ["--path", "--protocol http", ""]),
    (&["127.0.0.1:0"], ["127.0.0.1:0", "between 1 and 65535", ""]),
];

#[test]
fn every_mistake_is_one_line_with_flag_value_and_range() {
    for (args, said) in MISTAKES {
        let line = complaint(&output(args), 2);
        assert!(said.iter().all(|part| line.contains(part)), "{line}");
    }
}

#[test]
fn the_findings_are_one_document() {
    let server = Server::echo();
    let addr = server.addr().to_string();
    let run = output(&[&[&addr, "--format=json"], &SHORT[..]].concat());
    assert_eq!((run.status.code(), run.stderr.len()), (Some(0), 0));
    let found: Findings = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(found.serves.kept, Some(Room::NoLimit { tried: 3 }));
    assert_eq!((found.tried.clients, found.tried.waiting), (3, 2));
}

#[test]
fn the_sentence_comes_last_and_nothing_is_coloured() {
    let server = Server::echo();
    let addr = server.addr().to_string();
    let run = output(&[&[addr.as_str()], &SHORT[..]].concat());
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(
        text.ends_with("\n\nno limit up to 3 clients at once\n"),
        "{text}"
    );
    assert!(!text.contains('\x1b'));
}

#[test]
fn nobody_there_is_1_with_the_cause() {
    let (_socket, addr) = closed_port();
    let addr = addr.to_string();
    let line = complaint(&output(&[&addr]), 1);
    assert!(line.contains(&addr) && line.contains("refused"), "{line}");
}

/// A server that tells the first connection, and a probe of it that would go on for an hour.
fn interrupted(by: Signal) -> Output {
    let (tell, told) = mpsc::sync_channel(1);
    let server = Server::new(move |_, socket| {
        // Nobody is told twice.
        let _ = tell.try_send(());
        echo(socket)
    });
    let addr = server.addr().to_string();
    let child = probe(&[&addr, "--idle=1h", "--format=json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    told.recv_timeout(support::PATIENCE).unwrap();
    kill_process(Pid::from_child(&child), by).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn an_interruption_ends_with_what_was_found_out() {
    for (by, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let run = interrupted(by);
        assert_eq!(run.status.code(), Some(code));
        let found: Findings = serde_json::from_slice(&run.stdout).unwrap();
        assert!(found.interrupted && found.idle.is_none());
    }
}
