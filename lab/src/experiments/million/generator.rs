//! A generator as a process of its own: it plays its part of the clients, who all connect, and say
//! nothing before everybody is connected.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cli::Interrupt;
use loadgen::report::Report;
use loadgen::schedule::{Arrivals, Rate};
use loadgen::{Config, Pace, Progress, Shard, Steer, StopRule};
use serde::{Deserialize, Serialize};

use crate::part::{self, Part};

/// A generator.
pub(super) const GENERATOR: Part = Part {
    name: "million.generator",
    play,
};

/// Longer than any run.
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// Pings a second of all clients together. Not all at once: what is under way counts as a page of
/// memory at either end, and a million pages are more than TCP may have (net.ipv4.tcp_mem).
pub(super) const PINGS_PER_S: f64 = 25_000.0;
/// How often it says how far it has come, if it has come further.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// And if it has not, so that it is known to be there.
const BREATHE_EVERY: Duration = Duration::from_secs(1);

/// What one of them does.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Task {
    /// Where the server is.
    pub(super) server: SocketAddr,
    /// Clients of all generators together.
    pub(super) clients: NonZeroU32,
    /// Which of them this one is, and how many there are.
    pub(super) index: u32,
    pub(super) generators: NonZeroU32,
    pub(super) seed: u64,
}

/// What it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Order {
    /// Connect.
    Begin,
    /// Let them talk, one after the other.
    Ask,
    /// Say what came of it.
    End,
}

/// What it says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// It can begin.
    Ready,
    /// How far it has come.
    Far(Far),
    /// What came of it.
    Report(Box<Report>),
}

/// How far a generator has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Far {
    /// When, on the clock of all processes.
    pub(super) at_s: f64,
    pub(super) connected: u32,
    pub(super) served: u32,
}

impl Task {
    fn config(self) -> Config {
        let Self { index, .. } = self;
        Config {
            connections: self.clients,
            shard: Shard {
                index,
                count: self.generators,
            },
            warmup: Duration::ZERO,
            stop: StopRule::After(LONGEST),
            pace: Pace::Open(Rate::Constant(PINGS_PER_S), Arrivals::Constant),
            seed: self.seed,
            // The lab looks at the server itself.
            witness: false,
            ..Config::new(self.server.into())
        }
    }
}

/// What it was told so far.
#[derive(Debug, Default)]
struct Told {
    to_ask: AtomicBool,
    to_end: AtomicBool,
}

impl Told {
    /// Follows orders until the last, or until nobody is there to give any.
    fn listen(&self) {
        loop {
            match part::hear() {
                Ok(Some(Order::Begin)) => {}
                Ok(Some(Order::Ask)) => self.to_ask.store(true, Ordering::Relaxed),
                Ok(Some(Order::End) | None) | Err(_) => {
                    return self.to_end.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    fn steer(&self) -> Steer {
        if self.to_end.load(Ordering::Relaxed) {
            Steer::Stop
        } else if self.to_ask.load(Ordering::Relaxed) {
            Steer::Go
        } else {
            Steer::Pause
        }
    }
}

/// `ARGS` is a [`Task`].
fn play(args: &[String]) -> io::Result<u8> {
    let task = args.first().map_or("", String::as_str);
    let task: Task = serde_json::from_str(task).map_err(io::Error::other)?;
    let config = task.config();
    part::say(&Word::Ready)?;
    if part::hear()? != Some(Order::Begin) {
        return Ok(cli::exit::SUCCESS);
    }
    let told = Told::default();
    thread::scope(|scope| {
        scope.spawn(|| told.listen());
        let mut teller = Teller::new(config.own_connections());
        let outcome = loadgen::run(&config, &Interrupt::default(), &mut |progress| {
            // Nobody hears a part whose lab is gone: then it ends as told.
            let _ = teller.tell(progress);
            told.steer()
        });
        let report = outcome.map_err(io::Error::other)?.report;
        part::say(&Word::Report(Box::new(report)))
    })?;
    Ok(cli::exit::SUCCESS)
}

/// Says how far it has come, when that is worth a word.
struct Teller {
    own: u32,
    last: Far,
    at: Instant,
}

impl Teller {
    fn new(own: u32) -> Self {
        Self {
            own,
            last: Far::default(),
            at: Instant::now(),
        }
    }

    fn tell(&mut self, progress: Progress) -> io::Result<()> {
        let far = Far {
            at_s: part::now_s(),
            connected: progress.connected,
            served: progress.served,
        };
        let before = (self.last.connected, self.last.served);
        let has_changed = before != (far.connected, far.served);
        let is_whole = [far.connected, far.served].contains(&self.own);
        let since = self.at.elapsed();
        let is_due = since >= TELL_EVERY || is_whole;
        if (has_changed && is_due) || since >= BREATHE_EVERY {
            (self.last, self.at) = (far, Instant::now());
            part::say(&Word::Far(far))?;
        }
        Ok(())
    }
}
