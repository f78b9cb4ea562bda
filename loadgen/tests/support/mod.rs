//! Servers that do what a test says, on ports that the system picks.

#![allow(dead_code, reason = "each file of tests uses a part")]

pub(crate) mod probing;
pub(crate) mod program;
pub(crate) mod pty;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cli::{Addr, Interrupt};
use loadgen::{ClientRecord, Config, Outcome, Protocol, RunError, Sizes, Steer, StopRule};

/// No read in a test waits longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server with a thread for each connection, which runs `serve` with the connection's number.
pub(crate) struct Server {
    addr: SocketAddr,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn new(
        serve: impl Fn(usize, TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let serve = Arc::new(serve);
        Self::accepting(move |number, socket| {
            let serve = Arc::clone(&serve);
            // What goes wrong with one connection is the test's intention.
            thread::spawn(move || serve(number, socket));
            true
        })
    }

    /// Calls `accept` with each connection until it says that this was the last one; then the
    /// listener closes.
    pub(crate) fn accepting(accept: impl FnMut(usize, TcpStream) -> bool + Send + 'static) -> Self {
        Self::accepting_on(TcpListener::bind("127.0.0.1:0").unwrap(), accept)
    }

    /// The same on a listener of the test's own.
    pub(crate) fn accepting_on(
        listener: TcpListener,
        mut accept: impl FnMut(usize, TcpStream) -> bool + Send + 'static,
    ) -> Self {
        let addr = listener.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let acceptor = thread::spawn(move || {
            for number in 0.. {
                let Ok((socket, _)) = listener.accept() else {
                    return;
                };
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                socket.set_nodelay(true).unwrap();
                if stop.load(Ordering::SeqCst) || !accept(number, socket) {
                    return;
                }
            }
        });
        Self {
            addr,
            stopping,
            acceptor: Some(acceptor),
        }
    }

    /// Echoes every byte.
    pub(crate) fn echo() -> Self {
        Self::new(|_, socket| echo(socket))
    }

    /// Answers each message of `bytes` bytes with what `answer` makes of it.
    pub(crate) fn answering(
        bytes: usize,
        answer: impl Fn(usize, u64, &[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::new(move |number, mut socket| {
            let mut message = vec![0; bytes];
            for sequence in 0.. {
                socket.read_exact(&mut message)?;
                socket.write_all(&answer(number, sequence, &message))?;
            }
            Ok(())
        })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A run against it: `clients` clients, `requests` requests, no warm-up, two threads.
    pub(crate) fn config(&self, clients: u32, requests: u64) -> Config {
        let clients = NonZeroU32::new(clients).unwrap();
        Config {
            connections: clients,
            // Against a faulty client only: a good one is through long before.
            stop: StopRule::Either(PATIENCE, NonZeroU64::new(requests).unwrap()),
            warmup: Duration::ZERO,
            threads: NonZeroUsize::new(2.min(clients.get() as usize)).unwrap(),
            seed: 7,
            ..Config::new(Addr::from(self.addr))
        }
    }

    /// The same for a time instead of a number of requests.
    pub(crate) fn config_for(&self, clients: u32, length: Duration) -> Config {
        Config {
            stop: StopRule::After(length),
            ..self.config(clients, 1)
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor; a listener that has closed needs no waking.
        let woken = TcpStream::connect(self.addr).map_err(|error| error.kind());
        let asleep = matches!(woken, Err(io::ErrorKind::AddrNotAvailable));
        // Where a test has used up the local ports nobody can wake it, and it ends with the test.
        if let Some(acceptor) = self.acceptor.take().filter(|_| !asleep) {
            let _ = acceptor.join();
        }
    }
}

/// Echoes in pieces smaller than large messages, so that both sides must read while they write.
pub(crate) fn echo(mut socket: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer)? {
            0 => return Ok(()),
            bytes => socket.write_all(&buffer[..bytes])?,
        }
    }
}

/// Resets the connection.
pub(crate) fn reset(socket: TcpStream) -> io::Result<()> {
    socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO))
}

/// An address that nobody listens on and nobody else can take while the socket lives.
pub(crate) fn closed_port() -> (socket2::Socket, SocketAddr) {
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&any.into()).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, addr)
}

pub(crate) fn try_run(config: &Config) -> Result<Outcome, RunError> {
    loadgen::run(config, &Interrupt::default(), &mut |_| Steer::Go)
}

/// Runs `config` and checks what must hold for every run.
pub(crate) fn run(config: &Config) -> Outcome {
    let outcome = try_run(config).unwrap();
    let Outcome { report, clients } = &outcome;
    assert!(report.requests.balance(), "{:?}", report.requests);
    assert_eq!(clients.len(), config.connections.get() as usize);
    let count = |test: fn(&ClientRecord) -> bool| clients.iter().filter(|c| test(c)).count();
    assert_eq!(
        count(|c| c.connected_at.is_some()),
        report.clients.connected as usize
    );
    assert_eq!(
        count(|c| c.first_byte_at.is_some()),
        report.clients.served as usize
    );
    let answered: u64 = clients.iter().map(|client| client.answered).sum();
    assert_eq!(answered, report.requests.answered);
    outcome
}

/// An echo of messages of `bytes` bytes.
pub(crate) fn echo_of(bytes: u32) -> Protocol {
    Protocol::Echo(Sizes::Fixed(NonZeroU32::new(bytes).unwrap()))
}

/// The verdict of one check.
pub(crate) fn check(outcome: &Outcome, name: &str) -> loadgen::report::Verdict {
    let checks = &outcome.report.audit.checks;
    checks.iter().find(|c| c.name == name).unwrap().verdict
}

/// How often one kind of failure happened.
pub(crate) fn errors(outcome: &Outcome, kind: &str) -> u64 {
    outcome.report.errors.get(kind).copied().unwrap_or(0)
}
