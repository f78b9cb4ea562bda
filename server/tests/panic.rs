//! A panic ends the connection that met it, and nothing else.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::Write;
use std::net::TcpStream;

use server::{Choice, for_each_mode};
use support::{ServerProcess, end_of, round_trip, served};

/// Far more than any mode has workers.
const PANICS: usize = 100;
/// Clients that come afterwards.
const OFFERED: usize = 8;

/// A server with three workers that panics at a word, and how many it serves at once.
fn start(mode: Choice) -> (ServerProcess, usize) {
    let fault = ["--workers=3", "--fault", "panic-on=boom"];
    let server = ServerProcess::start(&[&mode.args()[..], &fault].concat());
    let capacity = server.ready_field("capacity").min(OFFERED);
    (server, capacity)
}

/// The end is no reset, since all that was sent has been read.
fn provoke(victim: &mut TcpStream) -> std::io::Result<()> {
    victim.write_all(b"and now: boom!")?;
    assert_eq!(end_of(victim).as_deref(), Some(&b""[..]));
    Ok(())
}

for_each_mode! {
    fn it_takes_no_worker_and_no_other_client_along(mode) {
        let (server, capacity) = start(mode);
        let before = server.workers();
        // In `sequential` nobody else can be inside.
        let mut witness = (capacity > 1).then(|| server.connect());
        for _ in 0..PANICS {
            let mut victim = server.connect();
            round_trip(&mut victim, b"fine so far")?;
            provoke(&mut victim)?;
            if let Some(witness) = &mut witness {
                round_trip(witness, b"still here")?;
            }
        }
        drop(witness);
        // The process of a connection ends a moment after it.
        let same = || server.workers() == before;
        server.until("the same processes still serve", || server.moment(), same);
        let (inside, outside) = served(server.addr, OFFERED, capacity)?;
        assert_eq!((inside.len(), outside.len()), (capacity, OFFERED - capacity));
        drop((inside, outside));

        let farewell = server.stop();
        assert_eq!(farewell.status.code(), Some(0));
        assert_eq!(farewell.counted("panics"), PANICS as u64);
        let is_panic = |line: &&String| line.contains("ERROR") && line.contains("panicked");
        assert_eq!(farewell.log.iter().filter(is_panic).count(), PANICS, "each is told once");
    }

    fn it_ends_only_itself_among_busy_ones(mode) {
        let (server, capacity) = start(mode);
        let mut clients: Vec<_> = (0..capacity).map(|_| server.connect()).collect();
        clients.iter_mut().try_for_each(|client| round_trip(client, b"hello"))?;
        while let Some(mut victim) = clients.pop() {
            provoke(&mut victim)?;
            clients.iter_mut().try_for_each(|client| round_trip(client, b"hello"))?;
        }
        assert_eq!(server.stop().counted("panics"), capacity as u64);
    }
}
