//! Waiting for a server's start: asking every T, or being told.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use cli::units::micros;
use serde::Serialize;
use tempfile::TempDir;

use crate::bench::{Bench, Failure};
use crate::exhibit::{Chart, Exhibit, Table};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::part::{self, Part};
use crate::player::{LIMIT, Player};
use crate::stats::Spread;
use crate::verdict::Ruling;
use loadgen::svg::{Measure, Series};

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "event",
    chapter: Chapter::Passing,
    question: "How late does a client notice that its server has started?",
    claim: "A client that asks every T notices it T/2 late on average and up to T; one that waits for \
            the event notices it at once.",
    prediction: "The server is ready at a moment that does not depend on the client's clock, so what is \
                 left until the client's next attempt is spread evenly over 0 to T: on average T/2 = \
                 100 ms. R starts of which each falls into another R-th of T bring the mean to within \
                 T/2R of that, wherever the first one lies, and nobody is late by 2 T (but for what \
                 those who are told oversleep): he would have asked before. Who sleeps until he is told is late by one \
                 wake-up: less than T/20 = 10 ms in the median.",
    method: "Servers that need different times until they listen, all started at once, and two clients \
             for each: one tries to connect every 200 ms (the tutorial's second, five times as fast), \
             the other sleeps until the server says that it is ready. Server and clients read the same \
             clock, which the kernel keeps for all processes.",
    lesson: "Whoever starts a server can be told: our server prints its ready line, and tells systemd, \
             only once it listens and its workers are up. Strangers cannot be told and must ask: \
             `client --wait-ready` and `/readyz` are for them, and the pause between two questions is \
             the price.",
    fault: Fault {
        what: "The client that is said to wait for the event asks every T as well.",
        symptom: "who is told",
    },
    run,
};

/// A server that needs some time.
pub(super) const PARTS: &[Part] = &[Part {
    name: SERVER,
    play: server,
}];

const SERVER: &str = "event.server";
/// The pause between two attempts.
const EVERY: Duration = Duration::from_millis(200);
/// How long every server needs at least.
const START: Duration = Duration::from_millis(50);
/// How many are started, usually.
const STARTS: usize = 24;
/// How far the mean of those who ask may be from T/2 besides T/2R, as a share of T: wake-ups come late.
const TOLERANCE: f64 = 0.1;
/// Twice as far is no longer a busy machine.
const ANOTHER_MEAN: f64 = 0.25;
/// How late who is told may be in the median, as a share of T.
const AT_ONCE: f64 = 0.05;
/// From here on, as a share of T, he must have asked.
const LATE: f64 = 0.25;

/// One start.
#[derive(Clone, Copy, Debug, Serialize)]
struct Start {
    /// How late who asks noticed it.
    asked_late_us: f64,
    /// How late who is told did.
    told_late_us: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    every_us: f64,
    starts: Vec<Start>,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let starts = bench.repeats(STARTS);
    bench.narrator.now(&format!("{starts} servers start"));
    let starts = observe(bench, starts).map_err(Failure::system("watch servers start"))?;
    bench.go_on()?;
    let figures = Figures {
        every_us: us(EVERY),
        starts,
    };
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: vec![
            Exhibit::Chart(chart(&figures)),
            Exhibit::Table(table(&figures)),
        ],
        figures: figures_of(&figures),
    })
}

/// Starts `count` servers at once, each ready in another part of T.
fn observe(bench: &Bench, count: usize) -> io::Result<Vec<Start>> {
    let folder = TempDir::with_prefix("lab-event-")?;
    let parts = u32::try_from(count).unwrap_or(u32::MAX);
    thread::scope(|scope| {
        let mut watched = Vec::new();
        for index in 0..parts {
            let path = folder.path().join(format!("{index}.sock"));
            let needs = (START + EVERY * index / parts).as_micros().to_string();
            let mut part = bench.launcher.part(SERVER);
            let server = Player::start(part.arg(needs).arg(&path))?;
            watched.push(scope.spawn(move || watch(server, &path, bench.faulted())));
        }
        let starts = watched.into_iter().map(|watch| watch.join());
        starts.map(|start| start.unwrap_or_else(panicked)).collect()
    })
}

/// Both clients of one server, of which the second asks as well if it shall.
fn watch(mut server: Player, path: &Path, asks: bool) -> io::Result<Start> {
    let (ready_at_s, told_at_s, asked_at_s) = thread::scope(|scope| {
        let asked = scope.spawn(|| ask(path));
        let also_asked = asks.then(|| ask(path)).transpose()?;
        let ready_at_s: f64 = server.says()?;
        let told_at_s = also_asked.unwrap_or_else(part::now_s);
        let asked_at_s = asked.join().unwrap_or_else(panicked)?;
        io::Result::Ok((ready_at_s, told_at_s, asked_at_s))
    })?;
    Ok(Start {
        asked_late_us: (asked_at_s - ready_at_s) * 1e6,
        told_late_us: (told_at_s - ready_at_s) * 1e6,
    })
}

fn panicked<T>(_: Box<dyn std::any::Any + Send>) -> io::Result<T> {
    Err(io::Error::other("a client panicked"))
}

/// Asks every T until somebody listens. Returns when that was.
fn ask(path: &Path) -> io::Result<f64> {
    let give_up_at = Instant::now() + LIMIT;
    loop {
        match UnixStream::connect(path) {
            Ok(_) => return Ok(part::now_s()),
            Err(error) if Instant::now() > give_up_at => return Err(error),
            Err(_) => thread::sleep(EVERY),
        }
    }
}

/// The part: `MICROSECONDS PATH`. Says when it was ready.
fn server(args: &[String]) -> io::Result<u8> {
    let [needs, path] = args else {
        return Err(io::Error::other("it needs a time and a path"));
    };
    let needs = Duration::from_micros(needs.parse().map_err(io::Error::other)?);
    thread::sleep(needs);
    // From the next call on it is ready, and nobody can notice it before.
    let ready_at_s = part::now_s();
    let listener = UnixListener::bind(path)?;
    part::say(&ready_at_s)?;
    // Who connects is in the accept queue, and that is all he wants to know.
    part::stay()?;
    drop(listener);
    Ok(cli::exit::SUCCESS)
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// How late one of the two clients was.
fn lateness(figures: &Figures, of: impl Fn(&Start) -> f64) -> Option<(f64, Spread)> {
    let late_us: Vec<f64> = figures.starts.iter().map(of).collect();
    let mean = late_us.iter().sum::<f64>() / late_us.len() as f64;
    Some((mean, Spread::of(late_us)?))
}

fn judge(figures: &Figures) -> Ruling {
    let asked = lateness(figures, |start| start.asked_late_us);
    let told = lateness(figures, |start| start.told_late_us);
    let (Some((mean_us, asked)), Some((_, told))) = (asked, told) else {
        return Ruling::inconclusive("no server was started");
    };
    let every_us = figures.every_us;
    let sampling = 0.5 / figures.starts.len() as f64;
    let off = (mean_us / every_us - 0.5).abs() - sampling;
    let objection = |off: f64, noise: f64, wrong: f64, text: String| {
        if off >= wrong {
            Some(Ruling::does_not_hold(text))
        } else {
            let doubt = || Ruling::inconclusive(format!("{text}; is the machine busy?"));
            (off > noise).then(doubt)
        }
    };
    let every = micros(every_us);
    let objections = [
        objection(
            off,
            TOLERANCE,
            ANOTHER_MEAN,
            format!(
                "who asks every {every} was {} late on average",
                micros(mean_us)
            ),
        ),
        objection(
            asked.max / every_us - 1.0,
            ANOTHER_MEAN,
            // A whole attempt more than there is, and what the machine lets others oversleep.
            1.0 + told.max / every_us,
            format!("who asks every {every} was {} late once", micros(asked.max)),
        ),
        objection(
            told.median / every_us,
            AT_ONCE,
            LATE,
            format!("who is told was {} late in the median", micros(told.median)),
        ),
    ];
    Ruling::unless(
        objections.into_iter().flatten().collect(),
        format!(
            "asked every {every}: {} late on average (T/2 = {}) and {} at most; told: {} in the median \
             of {} starts",
            micros(mean_us),
            micros(every_us / 2.0),
            micros(asked.max),
            micros(told.median),
            figures.starts.len(),
        ),
    )
}

fn headline(figures: &Figures) -> String {
    let asked = lateness(figures, |start| start.asked_late_us);
    let told = lateness(figures, |start| start.told_late_us);
    let (Some((mean_us, _)), Some((_, told))) = (asked, told) else {
        return String::new();
    };
    format!(
        "Asking every {} costs {} at each start, being told {}.",
        micros(figures.every_us),
        micros(mean_us),
        micros(told.median)
    )
}

fn chart(figures: &Figures) -> Chart {
    let series = |name: &str, of: fn(&Start) -> f64| {
        let late = figures.starts.iter().map(|start| Some(of(start).max(1.0)));
        Series {
            name: name.into(),
            points: late
                .enumerate()
                .map(|(index, us)| (index as f64, us))
                .collect(),
            ..Series::default()
        }
    };
    Chart {
        title: "How late the start is noticed".into(),
        caption:
            "Each start falls into another part of the time between two attempts: who asks is late \
                  by what is left of it, who is told by one wake-up."
                .into(),
        x: ("starts".into(), Measure::Amount),
        y: ("noticed after".into(), Measure::Wait),
        series: vec![
            series("asks", |start| start.asked_late_us),
            series("is told", |start| start.told_late_us),
        ],
    }
}

fn table(figures: &Figures) -> Table {
    let header = ["a client that", "mean", "median", "least", "most"];
    let row = |name: String, of: fn(&Start) -> f64| {
        let late = lateness(figures, of);
        let cells = late.map_or_else(Vec::new, |(mean_us, spread)| {
            let figures = [mean_us, spread.median, spread.min, spread.max];
            figures.map(|us| micros(us).into()).to_vec()
        });
        std::iter::once(name.into()).chain(cells).collect()
    };
    let every = micros(figures.every_us);
    Table {
        title: "How late the start is noticed".into(),
        caption: format!(
            "{} starts, in equal parts of the time between two attempts.",
            figures.starts.len()
        ),
        header: header.map(str::to_owned).to_vec(),
        rows: vec![
            row(format!("asks every {every}"), |start| start.asked_late_us),
            row("waits until it is told".into(), |start| start.told_late_us),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    /// Starts in ten equal parts of T, with `shift` of it more, and told `told_us` late.
    fn figures(shift: f64, told_us: f64) -> Figures {
        let start = |index: u32| Start {
            asked_late_us: (f64::from(index) / 10.0 + shift) * 200_000.0,
            told_late_us: told_us,
        };
        Figures {
            every_us: 200_000.0,
            starts: (0..10).map(start).collect(),
        }
    }

    #[test]
    fn half_the_pause_and_at_once_holds_wherever_the_first_start_lies() {
        for shift in [0.0, 0.05, 0.1] {
            assert_eq!(
                judge(&figures(shift, 200.0)).verdict,
                Verdict::Holds,
                "{shift}"
            );
        }
    }

    #[test]
    fn another_mean_does_not_hold_and_late_wake_ups_prove_nothing() {
        assert_eq!(judge(&figures(0.45, 200.0)).verdict, Verdict::DoesNotHold);
        assert_eq!(judge(&figures(-0.4, 200.0)).verdict, Verdict::DoesNotHold);
        assert_eq!(judge(&figures(0.25, 200.0)).verdict, Verdict::Inconclusive);
        let mut once = figures(0.0, 200.0);
        once.starts[9].asked_late_us = 300_000.0;
        assert_eq!(judge(&once).verdict, Verdict::Inconclusive);
        once.starts[9].asked_late_us = 450_000.0;
        assert_eq!(
            judge(&once).verdict,
            Verdict::DoesNotHold,
            "an attempt too late"
        );
        once.starts[3].told_late_us = 100_000.0;
        assert_eq!(
            judge(&once).verdict,
            Verdict::Inconclusive,
            "others overslept as well"
        );
    }

    #[test]
    fn who_is_told_late_has_asked_or_is_on_a_busy_machine() {
        assert_eq!(
            judge(&figures(0.05, 100_000.0)).verdict,
            Verdict::DoesNotHold
        );
        assert_eq!(
            judge(&figures(0.05, 20_000.0)).verdict,
            Verdict::Inconclusive
        );
    }

    #[test]
    fn nothing_started_proves_nothing() {
        let none = Figures {
            starts: vec![],
            ..figures(0.0, 200.0)
        };
        assert_eq!(judge(&none).verdict, Verdict::Inconclusive);
    }
}
