//! A client that costs nothing beside one that computes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::soak::client::Client;

/// How many pings at most.
const PINGS: usize = 24;
/// How long pings go on at most.
const LIMIT: Duration = Duration::from_millis(1_500);
/// The pause before each, short beside what is computed: then most of a ping's wait is still to come.
const PAUSE: Duration = Duration::from_millis(5);
/// How long any answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long each ping waits, in seconds, while another client sends one line after the other.
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
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let computing = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                heavy.round_trip()?;
            }
            Ok::<(), io::Error>(())
        });
        let start = Instant::now();
        let pings = (0..PINGS).take_while(|_| start.elapsed() < LIMIT);
        let waits = pings.map(|_| {
            std::thread::sleep(PAUSE);
            ping(&mut light)
        });
        let waits = waits.collect();
        done.store(true, Ordering::Relaxed);
        let panicked = || io::Error::other("the client that computes panicked");
        computing.join().map_err(|_| panicked())??;
        waits
    })
}

/// The seconds until a byte comes back that ends no line, so that nothing is charged for it.
fn ping(client: &mut TcpStream) -> io::Result<f64> {
    let sent = Instant::now();
    client.write_all(b".")?;
    client.read_exact(&mut [0])?;
    Ok(sent.elapsed().as_secs_f64())
}
