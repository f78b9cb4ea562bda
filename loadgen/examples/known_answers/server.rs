//! A server with a known fault, in a process of its own, so that it can be stopped, and the log of
//! what it really did. What the process does is in [`crate::serve`].

use std::env;
use std::io::{BufRead, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Names the delay to a process that shall be the server.
const ROLE: &str = "KNOWN_ANSWERS_SERVER";

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

    /// What this process was started to be, if it was started to be a server.
    pub(crate) fn of_this_process() -> Option<Self> {
        let role = env::var(ROLE).ok()?;
        Self::ALL.into_iter().find(|one| format!("{one:?}") == role)
    }

    /// The one that follows from a number between 0 and 1.
    pub(crate) fn length(self, chance: f64) -> Duration {
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
    /// From a `recv` that returned to just before the `send` of its answer, in nanoseconds and in ascending order.
    pub(crate) delays_ns: Vec<u64>,
    /// The same from the arrival of the request at the server's socket, which the kernel stamps.
    pub(crate) since_arrival_ns: Vec<u64>,
    /// When requests arrived, in nanoseconds and in ascending order.
    arrivals_ns: Vec<u64>,
}

impl Log {
    /// Standard deviation of the gaps between arrivals over their mean.
    pub(crate) fn variation_of_gaps(&self) -> f64 {
        let pairs = self.arrivals_ns.windows(2);
        let gaps: Vec<_> = pairs.map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let squares = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>();
        (squares / gaps.len() as f64).sqrt() / mean
    }
}

/// The value of ascending `nanos` below which `percent` of all lie, in microseconds.
pub(crate) fn quantile_us(nanos: &[u64], percent: usize) -> f64 {
    let rank = (nanos.len() * percent).div_ceil(100);
    nanos[rank.saturating_sub(1)] as f64 / 1e3
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
            let figures = line.split(' ').map(|figure| figure.parse().unwrap());
            let [arrival, wake, delay] = figures.collect::<Vec<u64>>()[..] else {
                panic!("the log has another form: {line}");
            };
            log.arrivals_ns.push(arrival);
            log.delays_ns.push(delay);
            log.since_arrival_ns.push(wake + delay);
        }
        log.arrivals_ns.sort_unstable();
        log.delays_ns.sort_unstable();
        log.since_arrival_ns.sort_unstable();
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
