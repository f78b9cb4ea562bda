//! A client that costs nothing beside one that computes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::soak::client::Client;

/// How many pings at most.
const PINGS: usize = 16;
/// How long pings go on at most.
const LIMIT: Duration = Duration::from_millis(900);
/// How long before each ping the line is sent, short beside what it computes: the server has begun
/// with it, and most of it is still to come.
const AHEAD: Duration = Duration::from_millis(5);
/// How long any answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long each ping waits, in seconds, that comes while a line of another client is computed.
///
/// # Errors
///
/// When the server does not answer one of them.
pub(super) fn pings(server: SocketAddr) -> io::Result<Vec<f64>> {
    let mut light = TcpStream::connect(server)?;
    light.set_nodelay(true)?;
    light.set_read_timeout(Some(ANSWER_LIMIT))?;
    // Both are known to be inside before anything is timed.
    ping(&mut light)?;
    let mut heavy = Client::connect(server, 0, ANSWER_LIMIT)?;
    heavy.round_trip()?;
    let start = Instant::now();
    let rounds = (0..PINGS).take_while(|_| start.elapsed() < LIMIT);
    let waits = rounds.map(|_| {
        heavy.ask()?;
        std::thread::sleep(AHEAD);
        let wait = ping(&mut light)?;
        heavy.hear()?;
        Ok(wait)
    });
    waits.collect()
}

/// The seconds until a byte comes back that ends no line, so that nothing is charged for it.
fn ping(client: &mut TcpStream) -> io::Result<f64> {
    let sent = Instant::now();
    client.write_all(b".")?;
    client.read_exact(&mut [0])?;
    Ok(sent.elapsed().as_secs_f64())
}
