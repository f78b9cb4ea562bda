//! A server within the test's own process.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use cli::Addr;
use server::{
    Choice, Config, Control, Drained, ListenOptions, Listener, Observer, Orders, RunError, Server,
    Status, Stop, WorkerCommand,
};

use super::{LIMIT, SERVER, WORKER_THREADS, WORKERS, sandbox};

/// Three workers (of two threads each, where a pool has threads in its workers), and a drain that nothing but its own rules ends within a test.
pub(crate) fn config(choice: Choice) -> Config {
    let mut config = Config::new(choice, NonZeroUsize::new(WORKERS).unwrap());
    config.worker_threads = NonZeroUsize::new(WORKER_THREADS).unwrap();
    config.limits.drain_timeout = Duration::from_secs(3600);
    config.sandbox = sandbox::usual(choice);
    config
}

/// How workers are started, as which program.
pub(crate) fn worker_command(program: impl Into<PathBuf>) -> WorkerCommand {
    WorkerCommand {
        program: program.into(),
        args: vec!["@worker".into()],
    }
}

/// A running server; dropped, it is cut.
pub(crate) struct TestServer {
    /// Port 0 where it listens on a path.
    pub(crate) addr: SocketAddr,
    pub(crate) config: Config,
    pub(crate) stop: Stop,
    pub(crate) orders: Orders,
    pub(crate) observer: Observer,
    end: Receiver<Result<Drained, RunError>>,
    ended: bool,
}

impl TestServer {
    pub(crate) fn start(choice: Choice) -> Self {
        Self::with(config(choice))
    }

    /// Returns once the server is ready.
    pub(crate) fn with(config: Config) -> Self {
        Self::on(&"127.0.0.1:0".parse().unwrap(), config)
    }

    /// The same where `addr` says.
    pub(crate) fn on(addr: &Addr, config: Config) -> Self {
        Self::listening(addr, ListenOptions::default(), config)
    }

    /// The same as `options` say.
    pub(crate) fn listening(addr: &Addr, options: ListenOptions, config: Config) -> Self {
        Self::begin(addr, options, config, worker_command(SERVER))
    }

    /// The same with workers that are started by `worker`.
    pub(crate) fn started_by(worker: WorkerCommand, config: Config) -> Self {
        let options = ListenOptions::default();
        Self::begin(&"127.0.0.1:0".parse().unwrap(), options, config, worker)
    }

    fn begin(addr: &Addr, options: ListenOptions, config: Config, worker: WorkerCommand) -> Self {
        let options = ListenOptions {
            sockets: config.sockets(),
            backlog: 1024,
            idle_timeout: config.limits.idle_timeout,
            write_timeout: config.limits.write_timeout,
            ..options
        };
        let listener = Listener::bind(addr, options).unwrap();
        let addr = match listener.addr() {
            Addr::Unix(_) => SocketAddr::from(([127, 0, 0, 1], 0)),
            addr => addr.resolve().unwrap()[0],
        };
        let control = Control::new().unwrap();
        let (stop, orders) = (control.stop.clone(), control.orders.clone());
        let (at_end, end) = channel();
        let (on_ready, ready) = channel();
        let server = Server::new(listener, config.clone()).unwrap();
        let observer = server.observer().clone();
        // Worker processes die with the thread that started them, so it lives until the end.
        thread::spawn(move || {
            let result = server.run(&worker, &control, |_| {
                on_ready.send(()).unwrap();
            });
            let _ = at_end.send(result);
        });
        if ready.recv_timeout(LIMIT).is_err() {
            panic!("the server is not ready: {:?}", end.try_recv());
        }
        Self {
            addr,
            config,
            stop,
            orders,
            observer,
            end,
            ended: false,
        }
    }

    /// How many clients it serves at once, by the mode's own word.
    pub(crate) fn capacity(&self) -> usize {
        self.observer.status().capacity
    }

    /// Looks at the status until it is as `done` wants it, and returns it.
    pub(crate) fn status_when(&self, what: &str, done: impl Fn(&Status) -> bool) -> Status {
        let end = Instant::now() + LIMIT;
        loop {
            let status = self.observer.status();
            if done(&status) {
                return status;
            }
            assert!(Instant::now() < end, "never: {what}: {status:#?}");
            // A wait that ends early if the server does.
            let ended = self.end.recv_timeout(LIMIT / 1000);
            assert!(ended.is_err(), "the server ended: {ended:?}");
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        super::connect_to(self.addr).unwrap()
    }

    /// Connects until `places` clients are inside at once: a place is free a moment after its client
    /// has left.
    pub(crate) fn fill(&self, places: usize) -> io::Result<Vec<TcpStream>> {
        let mut inside = Vec::new();
        while inside.len() < places {
            let mut client = self.connect();
            // Nobody answers a client that was rejected.
            let admitted = client
                .write_all(b"?")
                .and_then(|()| client.read_exact(&mut [0]));
            match admitted {
                Ok(()) => inside.push(client),
                Err(error) => assert_ne!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        Ok(inside)
    }

    pub(crate) fn begin_stop(&self) {
        self.stop.drain();
    }

    /// Begins the drain and waits for its end.
    pub(crate) fn stop(self) -> Drained {
        self.begin_stop();
        self.wait()
    }

    /// Waits until the server ended.
    pub(crate) fn wait(mut self) -> Drained {
        self.ended = true;
        match self.end.recv_timeout(LIMIT) {
            Ok(result) => result.unwrap(),
            Err(RecvTimeoutError::Timeout) => panic!("the server does not end"),
            Err(RecvTimeoutError::Disconnected) => panic!("the server panicked"),
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.cut();
        if !self.ended {
            // The test has failed already, or does not care how it ends.
            let _ = self.end.recv_timeout(LIMIT);
        }
    }
}

/// Every connection that was counted in was counted out, and none was left behind.
pub(crate) fn assert_balanced(drained: &Drained) {
    let counters = drained.counters;
    assert_eq!(counters.accepted, counters.closed, "{drained:?}");
    assert_eq!(drained.left, 0, "{drained:?}");
}
