//! What the tests of the probe ask with, and the pools that they ask.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use cli::{Addr, Interrupt};
use loadgen::probe::{self, Config, Findings, Hindrance, Room, Serves};
use loadgen::{Protocol, Sizes};

/// Ends a probe's patience with a busy machine late enough, and a test soon enough.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);
/// How many clients of a kind are tried, where that is no matter of the test.
pub(crate) const MOST: u32 = 20;

pub(crate) fn config(target: SocketAddr) -> Config {
    Config {
        target: Addr::from(target),
        protocol: Protocol::Echo(Sizes::Fixed(NonZeroU32::new(64).unwrap())),
        most_clients: MOST,
        most_waiting: 8,
        patience: PATIENCE,
        idle: Duration::from_millis(10),
        seed: 7,
    }
}

/// The same with more patience, where a verdict hangs on how soon a server closes.
pub(crate) fn patient(target: SocketAddr) -> Config {
    Config {
        patience: 3 * PATIENCE,
        ..config(target)
    }
}

pub(crate) fn probe(config: &Config) -> Findings {
    probe::run(config, &Interrupt::default(), &mut |_| {}).unwrap()
}

/// A pool of `workers` threads that own connections and run `serve`; the acceptor is the queue.
pub(crate) fn pool(workers: usize, serve: fn(TcpStream) -> io::Result<()>) -> SocketAddr {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let addr = listener.local_addr().unwrap();
    start_workers(workers, listener, serve);
    addr
}

/// Threads that accept from `listener` and run `serve`, until the process ends.
pub(crate) fn start_workers(
    workers: usize,
    listener: Arc<TcpListener>,
    serve: fn(TcpStream) -> io::Result<()>,
) {
    for _ in 0..workers {
        let listener = Arc::clone(&listener);
        thread::spawn(move || {
            for socket in listener.incoming() {
                // What goes wrong with one connection is no matter of the next.
                let _ = serve(socket.unwrap());
            }
        });
    }
}

pub(crate) const fn limit(clients: u32, further: Hindrance) -> Option<Room> {
    Some(Room::Limit { clients, further })
}

pub(crate) const fn all(room: Option<Room>) -> Serves {
    Serves {
        silent: room,
        kept: room,
        slow: room,
    }
}

pub(crate) const NO_LIMIT: Option<Room> = Some(Room::NoLimit { tried: MOST });
