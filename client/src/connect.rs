//! From an address as typed to an established connection, with the patience that was asked for.

use std::error::Error;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use cli::{Addr, Interrupt, units};
use rustix::event::{PollFd, PollFlags};

use crate::config::Patience;
use crate::failure::Failure;
use crate::link::{Endpoint, Link};
use crate::people;
use crate::wait::{pause, wait};

/// From one attempt of `--wait-ready` to the next.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// From one look at a Unix socket whose backlog is full to the next: no event tells of a free place.
const BACKLOG_PAUSE: Duration = Duration::from_millis(10);

/// Connects to `target`; with [`Patience::ready`], again and again until somebody accepts.
///
/// # Errors
///
/// [`Failure::Resolve`] or [`Failure::Connect`] of the last attempt, or the signal that ended it.
pub(crate) fn connect(
    target: &Addr,
    patience: &Patience,
    interrupt: &Interrupt,
) -> Result<Link, Failure> {
    let started = Instant::now();
    let give_up = patience.ready.map(|ready| started + ready);
    let mut told = false;
    loop {
        let limit = Instant::now() + patience.connecting();
        let until = give_up.map_or(limit, |give_up| limit.min(give_up));
        let failure = match attempt(target, until, interrupt) {
            Err(failure @ (Failure::Resolve { .. } | Failure::Connect { .. })) => failure,
            ended => return ended,
        };
        let Some(left) = give_up.and_then(|end| end.checked_duration_since(Instant::now())) else {
            return Err(failure);
        };
        if !told {
            let ready = units::span(patience.ready.unwrap_or_default());
            let cause = failure.source().map(ToString::to_string);
            let cause = cause.unwrap_or_default();
            people::say(&format!("waiting up to {ready} for {target}: {cause}"));
            told = true;
        }
        pause(RETRY_PAUSE.min(left), interrupt)?;
    }
}

/// Tries each address that the target stands for; what is said of the last is what failed.
fn attempt(target: &Addr, until: Instant, interrupt: &Interrupt) -> Result<Link, Failure> {
    let endpoints = resolve(target).map_err(|source| Failure::Resolve {
        target: target.clone(),
        source,
    })?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for endpoint in &endpoints {
        match reach(target, endpoint, until, interrupt)? {
            Ok(link) => return Ok(link),
            Err(error) => last = error,
        }
    }
    let target = target.clone();
    Err(Failure::Connect {
        target,
        source: last,
    })
}

fn resolve(target: &Addr) -> io::Result<Vec<Endpoint>> {
    match target {
        Addr::Unix(path) => Ok(vec![Endpoint::try_from(path.as_path())?]),
        Addr::Tcp { .. } => Ok(target.resolve()?.into_iter().map(Into::into).collect()),
    }
}

/// One attempt at one address. The outer result is for what ends all attempts.
fn reach(
    target: &Addr,
    endpoint: &Endpoint,
    until: Instant,
    interrupt: &Interrupt,
) -> Result<io::Result<Link>, Failure> {
    let link = loop {
        match Link::begin(target, endpoint) {
            Ok(link) => break link,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Ok(Err(error)),
            Err(_) if Instant::now() >= until => return Ok(Err(io::ErrorKind::TimedOut.into())),
            Err(_) => pause(BACKLOG_PAUSE, interrupt)?,
        }
    };
    loop {
        let mut fds = [PollFd::from_borrowed_fd(link.as_fd(), PollFlags::OUT)];
        wait(&mut fds, Some(until), interrupt)?;
        if !fds[0].revents().is_empty() {
            return Ok(link.established().map(|()| link));
        }
        if Instant::now() >= until {
            return Ok(Err(io::ErrorKind::TimedOut.into()));
        }
    }
}
