//! A message goes out in one piece over every protocol, so that no server waits for the second
//! half of one, and a server that takes it in two pieces is measured all the same.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};

use loadgen::{Config, Ending, Exchange, Http, Protocol};
use nix::sys::socket::{getsockopt, sockopt::GetStruct};
use nix::{getsockopt_impl, libc, sockopt_impl};
use support::{PATIENCE, Server, echo_of, run};

/// Requests of a run here, all by one client.
const REQUESTS: u64 = 20;
/// What an HTTP server says here.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

sockopt_impl!(
    /// What the kernel knows of a connection.
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    libc::tcp_info,
    GetStruct<libc::tcp_info>
);

/// What one connection was, seen from the server.
#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    messages: u64,
    /// Segments with data that came in, as the kernel counts them.
    segments: u64,
}

/// A server that reads messages of `bytes` bytes in pieces of `piece` bytes, answers each with what
/// `answer` makes of it, and tells at the end what came in.
fn counting(
    (bytes, piece): (usize, usize),
    answer: fn(&[u8]) -> &[u8],
    tell: Sender<Traffic>,
) -> Server {
    let tell = Mutex::new(tell);
    Server::new(move |_, mut socket| {
        let mut traffic = Traffic::default();
        let mut message = vec![0; bytes];
        while read_in_pieces(&mut socket, &mut message, piece).is_ok() {
            traffic.messages += 1;
            socket.write_all(answer(&message))?;
        }
        if traffic.messages > 0 {
            let info = getsockopt(&socket, TcpInfo)?;
            traffic.segments = info.tcpi_data_segs_in.into();
            let _ = tell.lock().unwrap().send(traffic);
        }
        Ok(())
    })
}

fn read_in_pieces(socket: &mut TcpStream, message: &mut [u8], piece: usize) -> io::Result<()> {
    message
        .chunks_mut(piece)
        .try_for_each(|part| socket.read_exact(part))
}

/// What a run over `protocol` with messages of `bytes` bytes looks like to a server that reads them
/// `piece` by `piece`, and the median of its round trips in microseconds.
fn traffic(
    protocol: Protocol,
    sizes: (usize, usize),
    answer: fn(&[u8]) -> &[u8],
) -> (Traffic, f64) {
    let (tell, told) = mpsc::channel();
    let server = counting(sizes, answer, tell);
    let config = Config {
        protocol,
        ..server.config(1, REQUESTS)
    };
    let report = run(&config).report;
    assert_eq!(
        (report.requests.answered, report.requests.errors),
        (REQUESTS, 0)
    );
    let seen = told.recv_timeout(PATIENCE).unwrap();
    (seen, report.latency.rtt.unwrap().p50_us.unwrap())
}

/// Whether each message came in one segment. A machine that stands still may make the kernel repeat
/// some; in two segments each they would be twice as many.
fn is_all_in_one(seen: Traffic) -> bool {
    seen.messages == REQUESTS && (REQUESTS..2 * REQUESTS).contains(&seen.segments)
}

#[test]
fn a_message_reaches_the_server_in_one_segment() {
    let (echoed, _) = traffic(echo_of(1_000), (1_000, 1_000), |message| message);
    assert!(is_all_in_one(echoed), "{echoed:?}");

    let http = Http {
        host: "a".to_owned(),
        path: "/".to_owned(),
        headers: vec![("X-One".to_owned(), "1".to_owned())],
        body: Some("body".repeat(100)),
    };
    let bytes = http.request().len();
    let (posted, _) = traffic(Protocol::Http(http), (bytes, bytes), |_| OK);
    assert!(is_all_in_one(posted), "header and body: {posted:?}");

    let exchange = Exchange {
        send: b"PING\r\nPONG\r\n".to_vec(),
        ending: Ending::Length(NonZeroU32::MIN),
    };
    let (exchanged, _) = traffic(Protocol::Exchange(exchange), (12, 12), |_| b"+");
    assert!(is_all_in_one(exchanged), "{exchanged:?}");
}

/// The server asks for the message twice and gets both halves from one segment: where the second
/// half came later it would wait for its own delayed acknowledgement, 40 ms a request.
#[test]
fn a_server_that_reads_in_two_parts_waits_for_no_second_segment() {
    let (seen, p50_us) = traffic(echo_of(64), (64, 32), |message| message);
    let figure = format!("p50 at one client, a message of two parts: {p50_us:.0} us\n");
    io::stderr().write_all(figure.as_bytes()).unwrap();
    assert!(is_all_in_one(seen), "{seen:?}");
    assert!(p50_us > 0.0);
}
