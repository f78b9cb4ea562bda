//! HTTP over real sockets: whose answers are good, whose are errors, and where one ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::num::NonZeroU16;

use loadgen::report::Verdict;
use loadgen::{Behaviour, Config, Http, Outcome, Protocol};
use support::{Server, errors, run};

fn http(body: Option<&str>) -> Http {
    Http {
        host: "test".to_owned(),
        path: "/".to_owned(),
        headers: Vec::new(),
        body: body.map(str::to_owned),
    }
}

/// Reads one request, whose body has `body_bytes` bytes.
fn request(socket: &mut TcpStream, body_bytes: usize) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let mut body = vec![0; body_bytes];
    socket.read_exact(&mut body)?;
    head.extend_from_slice(&body);
    String::from_utf8(head).map_err(io::Error::other)
}

/// Answers every request with what `answer` says for its number on the connection.
fn answering(answer: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static) -> Server {
    Server::new(move |_, mut socket| {
        for number in 0.. {
            request(&mut socket, 0)?;
            socket.write_all(&answer(number))?;
        }
        Ok(())
    })
}

fn config(server: &Server, clients: u32, requests: u64) -> Config {
    Config {
        protocol: Protocol::Http(http(None)),
        ..server.config(clients, requests)
    }
}

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// How many connections were made.
fn connects(outcome: &Outcome) -> u64 {
    outcome.report.latency.connect.as_ref().unwrap().count
}

#[test]
fn connections_are_kept_alive() {
    let outcome = run(&config(&answering(|_| GOOD.to_vec()), 4, 400));
    assert_eq!(outcome.report.requests.answered, 400);
    assert_eq!((connects(&outcome), outcome.report.errors.len()), (4, 0));
    assert_ne!(outcome.report.audit.verdict, Verdict::Fail);
}

#[test]
fn a_server_that_closes_after_each_answer_loses_nobody() {
    let server = Server::new(|_, mut socket| {
        request(&mut socket, 0)?;
        socket.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")?;
        socket.shutdown(Shutdown::Write)?;
        socket.read(&mut [0]).map(drop)
    });
    let outcome = run(&config(&server, 4, 100));
    let report = &outcome.report;
    assert_eq!((report.requests.answered, report.requests.errors), (100, 0));
    assert_eq!((report.errors.len(), report.clients.lost), (0, 0));
    assert!(connects(&outcome) >= 100);
}

#[test]
fn an_answer_may_end_with_its_connection() {
    let server = Server::new(|_, mut socket| {
        request(&mut socket, 0)?;
        socket.write_all(b"HTTP/1.0 200 OK\r\n\r\nall of it")?;
        socket.shutdown(Shutdown::Write)?;
        socket.read(&mut [0]).map(drop)
    });
    let report = run(&config(&server, 4, 40)).report;
    assert_eq!((report.requests.answered, report.requests.errors), (40, 0));
    assert_eq!(report.clients.lost, 0);
}

#[test]
fn chunks_may_come_byte_by_byte() {
    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n";
    let server = Server::new(|_, mut socket| {
        loop {
            request(&mut socket, 0)?;
            for byte in CHUNKED {
                socket.write_all(&[*byte])?;
            }
        }
    });
    let outcome = run(&config(&server, 3, 60));
    assert_eq!(outcome.report.requests.answered, 60);
    assert_eq!((connects(&outcome), outcome.report.errors.len()), (3, 0));
    assert_eq!(outcome.report.bytes.received, 60 * CHUNKED.len() as u64);
}

#[test]
fn answers_behind_each_other_are_told_apart() {
    // Four requests are read before the four answers go out in one piece.
    let server = Server::new(|_, mut socket| {
        loop {
            for _ in 0..4 {
                request(&mut socket, 0)?;
            }
            socket.write_all(&GOOD.repeat(4))?;
        }
    });
    let outcome = run(&Config {
        behaviour: Behaviour {
            pipeline: NonZeroU16::new(4).unwrap(),
            ..Behaviour::default()
        },
        ..config(&server, 1, 40)
    });
    assert_eq!(outcome.report.requests.answered, 40);
    assert_eq!((connects(&outcome), outcome.report.errors.len()), (1, 0));
}

#[test]
fn a_5xx_is_an_error_and_its_wait_is_in_no_percentile() {
    let server = answering(|number| {
        if number % 2 == 0 {
            GOOD.to_vec()
        } else {
            b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec()
        }
    });
    let outcome = run(&config(&server, 1, 200));
    let report = &outcome.report;
    assert_eq!(
        (report.requests.answered, report.requests.errors),
        (100, 100)
    );
    assert_eq!(errors(&outcome, "status-5xx"), 100);
    assert_eq!(report.latency.rtt.as_ref().unwrap().count, 100);
    // The connection goes on, and the run is valid: it is the server's doing.
    assert_eq!((connects(&outcome), report.clients.lost), (1, 0));
    assert_ne!(report.audit.verdict, Verdict::Fail);
    assert_eq!(report.mismatches, 0);
}

#[test]
fn nothing_but_5xx_is_nobody_answered() {
    let server = answering(|_| b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nfail".to_vec());
    let report = run(&config(&server, 4, 100)).report;
    assert_eq!((report.requests.answered, report.requests.errors), (0, 100));
    assert!(report.latency.rtt.is_none());
    assert_eq!(report.rate_per_s, Some(0.0));
}

#[test]
fn garbage_is_a_bad_answer() {
    let server = answering(|_| b"220 mail.example ESMTP\r\n\r\n".to_vec());
    let outcome = run(&config(&server, 2, 6));
    assert_eq!(outcome.report.requests.answered, 0);
    assert_eq!(errors(&outcome, "bad-answer"), 6);
    assert!(outcome.report.latency.rtt.is_none());
}

#[test]
fn a_body_that_is_cut_off_is_no_answer() {
    let server = Server::new(|_, mut socket| {
        request(&mut socket, 0)?;
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")?;
        socket.shutdown(Shutdown::Write)?;
        socket.read(&mut [0]).map(drop)
    });
    let outcome = run(&config(&server, 2, 6));
    assert_eq!(errors(&outcome, "closed"), 6);
    assert_eq!(outcome.report.requests.answered, 0);
}

#[test]
fn more_than_the_length_says_is_too_much() {
    let server = answering(|_| [GOOD, b"!"].concat());
    let outcome = run(&config(&server, 2, 6));
    // Where the byte too many comes in a piece of its own, its answer is complete before.
    assert!(errors(&outcome, "too-many-bytes") + errors(&outcome, "bad-answer") > 0);
    assert_eq!(outcome.report.audit.verdict, Verdict::Fail);
}

#[test]
fn an_answer_before_the_request_is_complete_is_a_bad_one() {
    // More than the sockets hold: most of the body is still to be written when the answer comes.
    let body = "b".repeat(16 << 20);
    let server = Server::new(|_, mut socket| {
        socket.read_exact(&mut [0; 100])?;
        socket.write_all(GOOD)?;
        // It reads no more and does not close either.
        std::mem::forget(socket);
        Ok(())
    });
    let outcome = run(&Config {
        protocol: Protocol::Http(http(Some(&body))),
        behaviour: Behaviour {
            once: true,
            ..Behaviour::default()
        },
        ..server.config(2, 2)
    });
    assert_eq!(outcome.report.requests.answered, 0);
    assert_eq!(errors(&outcome, "bad-answer"), 2);
}

#[test]
fn a_body_goes_out_with_its_length() {
    let server = Server::new(|_, mut socket| {
        loop {
            let text = request(&mut socket, 9)?;
            let good = text.starts_with("POST / HTTP/1.1\r\n")
                && text.contains("Content-Length: 9\r\n")
                && text.ends_with("\r\n\r\nname=self");
            if !good {
                return support::reset(socket);
            }
            socket.write_all(GOOD)?;
        }
    });
    let report = run(&Config {
        protocol: Protocol::Http(http(Some("name=self"))),
        ..server.config(2, 50)
    })
    .report;
    assert_eq!((report.requests.answered, report.requests.errors), (50, 0));
}
