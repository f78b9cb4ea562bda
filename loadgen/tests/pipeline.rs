//! Several requests in flight on one connection: each has its own answer, however the stream is cut.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::io::{Read, Write};
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use loadgen::report::Verdict;
use loadgen::{Behaviour, Config, Protocol, Reuse, Sizes};
use support::{PATIENCE, Server, check, errors, run};

/// Eight requests in flight, `answers` on a connection, and the client leaves after them.
fn pipelined(server: &Server, clients: u32, answers: u32) -> Config {
    Config {
        behaviour: Behaviour {
            pipeline: NonZeroU16::new(8).unwrap(),
            requests_per_conn: NonZeroU32::new(answers).map(Reuse::of),
            once: true,
            ..Behaviour::default()
        },
        ..server.config_for(clients, PATIENCE)
    }
}

/// Expects each of `requests` requests to be answered.
fn all_answered(config: &Config, requests: u64) {
    let outcome = run(config);
    let report = &outcome.report;
    assert_eq!(
        (report.requests.sent, report.requests.answered),
        (requests, requests)
    );
    assert_eq!((report.mismatches, report.errors.len()), (0, 0));
    assert_eq!(report.bytes.sent, report.bytes.received);
    assert_eq!(report.latency.rtt.as_ref().unwrap().count, requests);
    assert_ne!(report.audit.verdict, Verdict::Fail, "{:?}", report.audit);
}

#[test]
fn eight_answers_in_one_piece_are_eight_answers() {
    // The server says nothing before all eight are there: fewer in flight would never get on.
    let server = Server::answering(8 * 64, |_, _, messages| messages.to_vec());
    all_answered(&pipelined(&server, 4, 80), 320);
}

#[test]
fn answers_of_a_pipeline_may_come_byte_by_byte() {
    let server = Server::answering(1, |_, _, byte| byte.to_vec());
    all_answered(&pipelined(&server, 2, 40), 80);
}

#[test]
fn answers_may_be_cut_across_their_borders() {
    // 100 bytes at a time are one and a half messages of 64.
    let server = Server::answering(100, |_, _, bytes| bytes.to_vec());
    all_answered(&pipelined(&server, 4, 400), 1_600);
}

#[test]
fn messages_of_many_sizes_keep_their_borders() {
    let size = |bytes| NonZeroU32::new(bytes).unwrap();
    let list = vec![size(1), size(1_460), size(64 << 10)];
    for sizes in [Sizes::Range(size(1), size(4_096)), Sizes::List(list)] {
        let server = Server::echo();
        let config = Config {
            protocol: Protocol::Echo(sizes),
            ..pipelined(&server, 4, 100)
        };
        all_answered(&config, 400);
    }
}

#[test]
fn two_answers_swapped_inside_one_connection_are_found() {
    let server = Server::answering(2 * 64, |_, _, two| [&two[64..], &two[..64]].concat());
    let outcome = run(&Config {
        behaviour: Behaviour {
            pipeline: NonZeroU16::new(2).unwrap(),
            ..pipelined(&server, 4, 2).behaviour
        },
        ..pipelined(&server, 4, 2)
    });
    let report = &outcome.report;
    // The first answer is wrong; what comes behind it on that connection is worth nothing.
    assert_eq!((report.requests.answered, report.requests.errors), (0, 8));
    assert_eq!(
        (errors(&outcome, "mismatch"), errors(&outcome, "abandoned")),
        (4, 4)
    );
    assert!(report.latency.rtt.is_none());
    assert_eq!(check(&outcome, "bytes-differ"), Verdict::Fail);
}

#[test]
fn one_byte_too_many_in_a_pipeline_spoils_the_next_answer() {
    let server = Server::answering(64, |_, sequence, message| {
        let mut answer = message.to_vec();
        if sequence == 3 {
            answer.push(b'x');
        }
        answer
    });
    let outcome = run(&pipelined(&server, 4, 8));
    assert_eq!(outcome.report.requests.answered, 4 * 4);
    assert_eq!(outcome.report.mismatches, 4);
    assert_eq!(outcome.report.audit.verdict, Verdict::Fail);
}

#[test]
fn a_time_limit_ends_the_oldest_and_abandons_what_is_behind_it() {
    // It answers two of eight, and then nothing more.
    let server = Server::new(|_, mut socket| {
        let mut two = [0; 2 * 64];
        socket.read_exact(&mut two)?;
        socket.write_all(&two)?;
        while socket.read(&mut two)? > 0 {}
        Ok(())
    });
    let outcome = run(&Config {
        timeout: Some(Duration::from_millis(500)),
        ..pipelined(&server, 3, 10)
    });
    let requests = outcome.report.requests;
    assert_eq!((requests.sent, requests.answered), (30, 6));
    assert_eq!((requests.timeouts, requests.errors), (3, 21));
    assert_eq!(errors(&outcome, "timeout"), 3);
    assert_eq!(errors(&outcome, "abandoned"), 21);
    let rtt = outcome.report.latency.rtt.unwrap();
    assert_eq!((rtt.count, rtt.censored, rtt.max_us), (6, 3, None));
}

#[test]
fn a_reset_ends_all_that_was_in_flight_once() {
    let server = Server::new(|_, mut socket| {
        socket.read_exact(&mut [0; 8 * 64])?;
        support::reset(socket)
    });
    let outcome = run(&pipelined(&server, 3, 8));
    let requests = outcome.report.requests;
    assert_eq!((requests.sent, requests.errors), (24, 24));
    assert_eq!((requests.answered, requests.pending), (0, 0));
    assert_eq!(outcome.report.clients.lost, 3);
}
