//! What a rehearsal says of a run is what the run then does: the same bytes in the same order.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use loadgen::schedule::{Arrivals, Rate};
use loadgen::{Config, Pace, Rehearsal};
use support::{PATIENCE, Server, run};

const CLIENTS: u32 = 3;

#[test]
fn each_client_sends_the_requests_of_the_rehearsal_as_many_as_are_due() {
    let (kept, streams) = mpsc::channel();
    let server = Server::new(move |_, mut socket| {
        let (mut buffer, mut stream) = ([0; 4096], Vec::new());
        loop {
            let count = socket.read(&mut buffer).unwrap_or(0);
            if count == 0 {
                // The test may have given up.
                return kept.send(stream).or(Ok(()));
            }
            stream.extend_from_slice(&buffer[..count]);
            socket.write_all(&buffer[..count])?;
        }
    });
    let window = Duration::from_millis(300);
    let config = Config {
        pace: Pace::Open(Rate::Constant(300.0), Arrivals::Poisson),
        seed: 11,
        ..server.config_for(CLIENTS, window)
    };
    run(&config);

    let mut rehearsal = Rehearsal::of(&config).unwrap();
    let ended = (0..CLIENTS).map(|_| streams.recv_timeout(PATIENCE).unwrap());
    let streams: Vec<Vec<u8>> = ended.collect();
    for client in 0..CLIENTS {
        let first = rehearsal.request(client, 0);
        let stream = streams.iter().find(|stream| stream.starts_with(&first));
        let stream = stream.expect("one connection begins with its first request");
        let sent = stream.len() / first.len();
        let due = rehearsal.due_times(client).take_while(|due| *due < window);
        assert!(sent > 1 && sent <= due.count(), "{sent} requests");
        let expected: Vec<u8> = (0..sent as u64)
            .flat_map(|index| rehearsal.request(client, index))
            .collect();
        assert!(*stream == expected, "client {client} said something else");
    }
}
