//! The system is short of something: those inside are served on, the log stays readable, and it
//! passes by itself.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use server::Choice;

use crate::soak::case::{ANSWER_LIMIT, Case, Site};
use crate::soak::client::{Client, readable};
use crate::soak::figure::{Figure, Unit};
use crate::soak::matrix;
use crate::soak::step::{Need, Pace, Step, Trouble};
use crate::soak::strace::{Injection, PROGRAM};
use crate::usage::{self, Usage};

/// Descriptors run out.
pub(super) const DESCRIPTORS: Step = Step {
    name: "descriptors",
    claim: "A server without descriptors costs nothing, says so once a second, and goes on by itself \
            when there are some.",
    method: "Each process of the server may open three more; 200 clients ask; those inside leave.",
    modes: takes_several,
    pace: Pace::Together,
    needs: &[],
    run: descriptors,
};

/// Errors of accept.
pub(super) const ACCEPT_ERRORS: Step = Step {
    name: "accept-errors",
    claim: "No error of accept ends the server: of a shortage it recovers, and the rest it ignores.",
    method: "strace makes accept fail with ENFILE, ENOBUFS and ENOMEM for a while, and every second \
             time with ECONNABORTED, EPROTO, EPERM and EINTR.",
    modes: matrix::any,
    pace: Pace::Together,
    needs: &[Need::Program(PROGRAM)],
    run: accept_errors,
};

/// Interrupted waits.
pub(super) const INTERRUPTED_WAITS: Step = Step {
    name: "interrupted-waits",
    claim: "A wait that a signal interrupts is repeated.",
    method: "strace makes every fifth wait for readiness fail with EINTR while clients talk.",
    modes: matrix::any,
    pace: Pace::Together,
    needs: &[Need::Program(PROGRAM)],
    run: interrupted_waits,
};

/// Threads and processes run out.
pub(super) const NO_THREADS: Step = Step {
    name: "no-threads",
    claim: "Where there is no thread or process for a client, that client is refused and the server \
            lives.",
    method: "strace makes every start of a thread or process fail with EAGAIN for a while.",
    modes: one_each,
    pace: Pace::Together,
    needs: &[Need::Program(PROGRAM)],
    run: no_threads,
};

/// Clients that ask at once.
const CLIENTS: u64 = 200;
/// Descriptors that each process may still open.
const HEADROOM: usize = 3;
/// What a server that is short of something may cost of one processor.
const SHORT_SHARE: f64 = 0.10;
/// How often each of its processes may say so.
const LINES_PER_S: f64 = 1.0;
/// How long a server may take to notice that the shortage is over.
const RECOVERY: Duration = Duration::from_secs(1);
/// What accept may not do for lack of something.
const SHORTAGES: [&str; 3] = ["ENFILE", "ENOBUFS", "ENOMEM"];
/// What happens to accept and means nothing.
const NOTHINGS: [&str; 4] = ["ECONNABORTED", "EPROTO", "EPERM", "EINTR"];
/// The system calls that take a connection.
const ACCEPT: &str = "accept,accept4";

/// A process takes more than one connection.
fn takes_several(choice: Choice) -> bool {
    !matrix::process_each(choice) && matrix::plan(choice).inside.mode() != server::Mode::Sequential
}

/// There is a thread or a process for each connection.
fn one_each(choice: Choice) -> bool {
    matrix::thread_each(choice) || matrix::process_each(choice)
}

fn descriptors(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    let window = case.size(Duration::from_secs(2), Duration::from_secs(10));
    case.serve(&["--max-connections", "1000"], |site| {
        let limits = Limits::lower(site)?;
        let mut waiting = ask(site, 0..CLIENTS)?;
        let mut inside = Vec::new();
        // Those who get in do so at once.
        while take_answered(&mut waiting, &mut inside, Duration::from_millis(200))? > 0 {}
        let strained = strain(case, site, window)?;
        for client in &mut inside {
            client.round_trip()?;
        }
        let served_on = inside.len() as u64;
        drop(inside);
        let begun = Instant::now();
        let mut recovery = None;
        // Each leaves its place to the next.
        while !waiting.is_empty() {
            if take_answered(&mut waiting, &mut Vec::new(), ANSWER_LIMIT)? == 0 {
                break;
            }
            recovery.get_or_insert(begun.elapsed());
        }
        drop(limits);
        let left = waiting.len() as u64;
        let mut figures = strained.figures();
        figures.extend([
            Figure::known(
                "clients served on meanwhile",
                Some(served_on as f64),
                Unit::Count,
            ),
            Figure::within("until the next is served", recovery, RECOVERY),
            Figure::always("clients served in the end", CLIENTS - left, CLIENTS),
        ]);
        Ok(figures)
    })
}

fn accept_errors(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    let window = case.size(Duration::from_millis(300), Duration::from_secs(5));
    let errors = case.size(&SHORTAGES[..1], &SHORTAGES[..]);
    case.serve(&[], |site| {
        let (mut failed, mut served, mut asked) = (0, 0, 0);
        let mut slowest = Duration::ZERO;
        let mut strained = None;
        for error in errors {
            let injection = Injection::into(&site.server, ACCEPT, error, "1+")?;
            let mut waiting = ask(site, 0..1)?;
            let now = strain(case, site, window)?;
            strained = Some(now.worse(strained));
            failed += injection.failed_calls();
            drop(injection);
            let begun = Instant::now();
            asked += 1;
            served += take_answered(&mut waiting, &mut Vec::new(), ANSWER_LIMIT)?;
            slowest = slowest.max(begun.elapsed());
        }
        if failed == 0 {
            return Err(Trouble::Skip(
                "the mode calls no accept that could fail".into(),
            ));
        }
        for error in NOTHINGS {
            let _injection = Injection::into(&site.server, ACCEPT, error, "1+2")?;
            for name in 0..case.size(5, 50) {
                asked += 1;
                let mut waiting = ask(site, name..=name)?;
                served += take_answered(&mut waiting, &mut Vec::new(), ANSWER_LIMIT)?;
            }
        }
        let mut figures = strained.map_or_else(Vec::new, |strained| strained.figures());
        figures.extend([
            Figure::always("clients served in the end", served as u64, asked),
            Figure::within(
                "until the first is served after a shortage",
                Some(slowest),
                RECOVERY,
            ),
        ]);
        Ok(figures)
    })
}

fn interrupted_waits(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    const WAITS: &str = "epoll_wait,epoll_pwait,epoll_pwait2,poll,ppoll,io_uring_enter";
    let questions: u64 = case.size(20, 2_000);
    case.serve(&[], |site| {
        let injection = Injection::into(&site.server, WAITS, "EINTR", "2+5")?;
        let mut answered = 0;
        for name in 0..4 {
            let mut client = site.client(name)?;
            answered += (0..questions)
                .filter(|_| client.round_trip().is_ok())
                .count();
            client.finish()?;
        }
        if injection.failed_calls() == 0 {
            return Err(Trouble::Skip(
                "the mode waits in no call that could fail".into(),
            ));
        }
        Ok(vec![Figure::always(
            "questions answered",
            answered as u64,
            4 * questions,
        )])
    })
}

fn no_threads(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    const STARTS: &str = "clone,clone3,fork,vfork";
    let window = case.size(Duration::from_millis(500), Duration::from_secs(5));
    case.serve(&[], |site| {
        let mut known = site.client(u64::MAX)?;
        known.round_trip()?;
        let injection = Injection::into(&site.server, STARTS, "EAGAIN", "1+")?;
        let waiting = ask(site, 0..20)?;
        let strained = strain(case, site, window)?;
        let failed = injection.failed_calls();
        let served_on = known.round_trip().is_ok();
        drop(injection);
        drop(waiting);
        let begun = Instant::now();
        // One that comes too early may be refused like the others.
        let again = loop {
            let back = site.client(1)?.round_trip().is_ok();
            if back || begun.elapsed() > RECOVERY {
                break back.then(|| begun.elapsed());
            }
        };
        let mut figures = strained.figures();
        figures.extend([
            Figure::always("starts failed", u64::from(failed > 0), 1),
            Figure::always("who was inside is served on", u64::from(served_on), 1),
            Figure::within("until somebody is served again", again, RECOVERY),
        ]);
        Ok(figures)
    })
}

/// Clients that connect and ask; nobody waits for their answers here.
fn ask(site: &Site, names: impl IntoIterator<Item = u64>) -> Result<Vec<Client>, Trouble> {
    let clients = names.into_iter().map(|name| {
        let mut client = site.client(name)?;
        client.ask()?;
        Ok(client)
    });
    clients.collect()
}

/// Moves those who are answered within `limit` from `waiting` to `inside`; tells how many.
fn take_answered(
    waiting: &mut Vec<Client>,
    inside: &mut Vec<Client>,
    limit: Duration,
) -> Result<usize, Trouble> {
    let answered = readable(waiting, limit)?;
    for index in answered.iter().rev() {
        let mut client = waiting.swap_remove(*index);
        client.hear()?;
        inside.push(client);
    }
    Ok(answered.len())
}

/// What a shortage costs.
#[derive(Clone, Copy, Debug)]
struct Strained {
    share: Option<f64>,
    lines_per_s: f64,
}

/// Watches the server for a while.
fn strain(case: &Case<'_>, site: &Site, window: Duration) -> Result<Strained, Trouble> {
    let (begun, said) = (Instant::now(), site.server.log().len());
    let first = usage::sample(site.server.pid());
    case.pass(&site.server, window)?;
    let last = usage::sample(site.server.pid());
    let usage = first
        .zip(last)
        .and_then(|(first, last)| Usage::between(&first, &last));
    // The first line may come at any moment, so one in a short window is no rate yet.
    let lines = (site.server.log().len() - said).saturating_sub(site.baseline.processes);
    Ok(Strained {
        share: usage.map(|usage| usage.cpu_cores),
        lines_per_s: lines as f64 / begun.elapsed().as_secs_f64() / site.baseline.processes as f64,
    })
}

impl Strained {
    fn worse(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        Self {
            share: self.share.zip(other.share).map(|(a, b)| a.max(b)),
            lines_per_s: self.lines_per_s.max(other.lines_per_s),
        }
    }

    fn figures(self) -> Vec<Figure> {
        vec![
            Figure::at_most(
                "processor time meanwhile",
                self.share,
                SHORT_SHARE,
                Unit::Share,
            ),
            Figure::at_most(
                "lines of the log from each process",
                Some(self.lines_per_s),
                LINES_PER_S,
                Unit::PerSecond,
            ),
        ]
    }
}

/// Limits on descriptors that are as before again once this is dropped.
#[derive(Debug)]
struct Limits {
    before: Vec<(Pid, Rlimit)>,
}

impl Limits {
    /// Lets each process of the server open a few more descriptors than it has.
    fn lower(site: &Site) -> Result<Self, Trouble> {
        let mut limits = Self { before: Vec::new() };
        for pid in usage::family_of(site.server.pid()) {
            let open = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count();
            let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
                continue;
            };
            let fewer = Rlimit {
                current: Some((open + HEADROOM) as u64),
                // It is the same for all, and only the other may go up again.
                maximum: getrlimit(Resource::Nofile).maximum,
            };
            let before = prlimit(Some(pid), Resource::Nofile, fewer).map_err(io::Error::from)?;
            limits.before.push((pid, before));
        }
        Ok(limits)
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        for (pid, before) in self.before.drain(..) {
            // One that is gone needs no limit.
            let _ = prlimit(Some(pid), Resource::Nofile, before);
        }
    }
}
