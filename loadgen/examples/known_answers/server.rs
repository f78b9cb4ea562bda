//! An echo server with a known fault, in a process of its own, so that it can be stopped, and with
//! a log of what it really did.
//!
//! The process is this program again, told by the environment to be the server. It writes its log
//! to standard output when its standard input ends.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Names the delay to a process that shall be the server.
const ROLE: &str = "KNOWN_ANSWERS_SERVER";
/// Bytes of a message.
const MESSAGE_BYTES: usize = 64;

/// How long an answer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delay {
    /// Not at all.
    None,
    /// 5 ms.
    Constant,
    /// By chance, 2 ms in the mean.
    Exponential,
    /// 1 ms for 95 of 100, 50 ms for the others.
    TwoKinds,
}

impl Delay {
    const ALL: [Self; 4] = [
        Self::None,
        Self::Constant,
        Self::Exponential,
        Self::TwoKinds,
    ];

    /// The one that follows from a number between 0 and 1.
    fn length(self, chance: f64) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Constant => Duration::from_millis(5),
            Self::Exponential => Duration::from_millis(2).mul_f64(-(1.0 - chance).ln()),
            Self::TwoKinds if chance < 0.95 => Duration::from_millis(1),
            Self::TwoKinds => Duration::from_millis(50),
        }
    }
}

/// What the server did.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// From a request read to its answer written, in nanoseconds and in ascending order.
    pub(crate) delays_ns: Vec<u64>,
    /// When requests arrived, in nanoseconds and in ascending order.
    arrivals_ns: Vec<u64>,
}

impl Log {
    /// The delay below which `percent` of all lie, in microseconds.
    pub(crate) fn quantile_us(&self, percent: usize) -> f64 {
        let rank = (self.delays_ns.len() * percent).div_ceil(100);
        self.delays_ns[rank.saturating_sub(1)] as f64 / 1e3
    }

    /// Standard deviation of the gaps between arrivals over their mean.
    pub(crate) fn variation_of_gaps(&self) -> f64 {
        let pairs = self.arrivals_ns.windows(2);
        let gaps: Vec<_> = pairs.map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let squares = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>();
        (squares / gaps.len() as f64).sqrt() / mean
    }
}

/// The server's process.
pub(crate) struct Server {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    addr: SocketAddr,
}

impl Server {
    /// Starts this program again as a server.
    pub(crate) fn child(delay: Delay) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .env(ROLE, format!("{delay:?}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut addr = String::new();
        output.read_line(&mut addr).unwrap();
        let addr = addr.trim().parse().unwrap();
        Self {
            child,
            output,
            addr,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Lets it stand still.
    pub(crate) fn stop(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    /// Ends it and reads its log.
    pub(crate) fn finish(mut self) -> Log {
        drop(self.child.stdin.take());
        let mut log = Log::default();
        for line in self.output.by_ref().lines() {
            let line = line.unwrap();
            let (arrival, delay) = line.split_once(' ').unwrap();
            log.arrivals_ns.push(arrival.parse().unwrap());
            log.delays_ns.push(delay.parse().unwrap());
        }
        log.arrivals_ns.sort_unstable();
        log.delays_ns.sort_unstable();
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is the server and never comes back, if that is what this process was started for.
pub(crate) fn serve_if_told_to() -> bool {
    let Ok(role) = env::var(ROLE) else {
        return false;
    };
    let delay = Delay::ALL
        .into_iter()
        .find(|one| format!("{one:?}") == role);
    serve(delay.unwrap()).unwrap();
    true
}

fn serve(delay: Delay) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let log = Arc::new(Mutex::new(Vec::<(u64, u64)>::new()));
    let shared = Arc::clone(&log);
    let start = Instant::now();
    thread::spawn(move || {
        for (number, socket) in listener.incoming().enumerate() {
            let log = Arc::clone(&shared);
            thread::spawn(move || converse(socket?, (delay, number as u64), start, &log));
        }
    });
    // The end of standard input says that the run is over.
    io::stdin().read_to_end(&mut Vec::new())?;
    let log = log.lock().unwrap();
    let mut text = String::with_capacity(log.len() * 24);
    for (arrival, delay) in log.iter() {
        text.push_str(&format!("{arrival} {delay}\n"));
    }
    io::stdout().write_all(text.as_bytes())
}

/// Echoes each message after its delay and logs what that was.
fn converse(
    mut socket: TcpStream,
    (delay, seed): (Delay, u64),
    start: Instant,
    log: &Mutex<Vec<(u64, u64)>>,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut message = [0; MESSAGE_BYTES];
    let mut state = seed;
    loop {
        socket.read_exact(&mut message)?;
        let read = Instant::now();
        thread::sleep(delay.length(chance(&mut state)));
        // Taken before the write: afterwards this thread may be put aside for the generator's.
        let waited = read.elapsed();
        socket.write_all(&message)?;
        let entry = (nanos(read.duration_since(start)), nanos(waited));
        log.lock().unwrap().push(entry);
    }
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// A number between 0 and 1 (splitmix64).
fn chance(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}
