//! Exchanges over real sockets: answers that end with known bytes or after a known length, and
//! servers that speak first.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::io::{Read, Write};
use std::num::{NonZeroU16, NonZeroU32};

use loadgen::report::Verdict;
use loadgen::{Behaviour, Config, Ending, Exchange, Protocol, Reuse};
use support::{Server, errors, run};

fn exchange(send: &[u8], ending: Ending) -> Protocol {
    Protocol::Exchange(Exchange {
        send: send.to_vec(),
        ending,
    })
}

fn until(end: &[u8]) -> Ending {
    Ending::Until(end.to_vec())
}

fn length(bytes: u32) -> Ending {
    Ending::Length(NonZeroU32::new(bytes).unwrap())
}

const PING: &[u8] = b"PING\r\n";

#[test]
fn an_answer_ends_with_its_closing_bytes_wherever_it_is_cut() {
    // The beginning of the end comes before the end does, and right before it once more.
    let answer = b"+PO\rNG\r\r\n";
    for piece in [1, 3, answer.len()] {
        let server = Server::new(move |_, mut socket| {
            let mut request = [0; PING.len()];
            loop {
                socket.read_exact(&mut request)?;
                for part in answer.chunks(piece) {
                    socket.write_all(part)?;
                }
            }
        });
        let report = run(&Config {
            protocol: exchange(PING, until(b"\r\n")),
            ..server.config(4, 200)
        })
        .report;
        assert_eq!((report.requests.answered, report.requests.errors), (200, 0));
        assert_eq!(report.bytes.received, 200 * answer.len() as u64);
        assert_ne!(report.audit.verdict, Verdict::Fail);
    }
}

#[test]
fn an_answer_ends_after_its_length() {
    let server = Server::answering(PING.len(), |_, _, _| vec![b'\n'; 1_000]);
    let report = run(&Config {
        protocol: exchange(PING, length(1_000)),
        behaviour: Behaviour {
            pipeline: NonZeroU16::new(4).unwrap(),
            ..Behaviour::default()
        },
        ..server.config(4, 400)
    })
    .report;
    assert_eq!((report.requests.answered, report.errors.len()), (400, 0));
}

#[test]
fn an_answer_that_is_too_long_is_found() {
    let server = Server::answering(PING.len(), |_, _, _| b"+PONG\r\n+".to_vec());
    let outcome = run(&Config {
        protocol: exchange(PING, until(b"\n")),
        ..server.config(2, 6)
    });
    assert!(errors(&outcome, "too-many-bytes") > 0);
    assert_eq!(outcome.report.audit.verdict, Verdict::Fail);
}

#[test]
fn an_answer_that_is_too_short_is_awaited() {
    let server = Server::answering(PING.len(), |_, _, _| b"+PON".to_vec());
    let outcome = run(&Config {
        protocol: exchange(PING, length(7)),
        timeout: Some(std::time::Duration::from_millis(300)),
        ..server.config(2, 4)
    });
    let requests = outcome.report.requests;
    assert_eq!((requests.answered, requests.timeouts), (0, 4));
    // They got bytes: served, and not starved.
    assert_eq!(outcome.report.clients.served, 2);
}

#[test]
fn a_server_that_speaks_first_is_greeted_once_a_connection() {
    let server = Server::new(|_, mut socket| {
        socket.write_all(b"220 ready\r\n")?;
        // Nothing may be sent to it.
        match socket.read(&mut [0])? {
            0 => Ok(()),
            _ => support::reset(socket),
        }
    });
    let outcome = run(&Config {
        protocol: exchange(b"", until(b"\r\n")),
        behaviour: Behaviour {
            requests_per_conn: Some(Reuse::of(NonZeroU32::MIN)),
            ..Behaviour::default()
        },
        ..server.config(4, 80)
    });
    let report = &outcome.report;
    assert_eq!((report.requests.answered, report.errors.len()), (80, 0));
    assert_eq!(report.bytes.sent, 0);
    assert!(report.latency.connect.as_ref().unwrap().count >= 80);
}

#[test]
fn an_answer_before_the_whole_request_is_a_bad_one() {
    let request = vec![b'a'; 16 << 20];
    let server = Server::new(|_, mut socket| {
        socket.read_exact(&mut [0; 10])?;
        socket.write_all(b"done\n")?;
        // It reads no more and does not close either.
        std::mem::forget(socket);
        Ok(())
    });
    let outcome = run(&Config {
        protocol: exchange(&request, until(b"\n")),
        behaviour: Behaviour {
            once: true,
            ..Behaviour::default()
        },
        ..server.config(2, 2)
    });
    assert_eq!(outcome.report.requests.answered, 0);
    assert_eq!(errors(&outcome, "bad-answer"), 2);
}
