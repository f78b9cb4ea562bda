//! What the endpoint counts of itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hyper::StatusCode;

use super::guard::Refusal;

/// Why a connection ended without an answer of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unheard {
    /// What it sent is no request, or too large.
    Malformed,
    /// It did not send its request, or did not take its answer, in time.
    Slow,
    /// It left, or was broken.
    Gone,
}

impl Unheard {
    /// What an error of a connection was about.
    pub(super) fn of(error: &hyper::Error) -> Self {
        use std::error::Error;
        use std::io::{Error as IoError, ErrorKind};
        let kind = error
            .source()
            .and_then(<dyn Error>::downcast_ref::<IoError>);
        match kind.map(IoError::kind) {
            // Counted where it was seen.
            Some(ErrorKind::InvalidData) => Self::Gone,
            Some(ErrorKind::TimedOut) => Self::Slow,
            _ if error.is_timeout() => Self::Slow,
            _ if error.is_parse() => Self::Malformed,
            _ => Self::Gone,
        }
    }
}

/// The codes of answers; every other is counted with the last.
pub(super) const CODES: [u16; 10] = [200, 400, 401, 403, 404, 405, 413, 421, 503, 500];

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Tally {
    connections: AtomicU64,
    full: AtomicU64,
    malformed: AtomicU64,
    slow: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    answered: [AtomicU64; CODES.len()],
}

impl Tally {
    /// A connection has a place.
    pub(super) fn take_in(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// A connection has found all places taken.
    pub(super) fn turn_away(&self) {
        self.full.fetch_add(1, Relaxed);
    }

    /// A connection ended without an answer of a route.
    pub(super) fn lose(&self, why: Unheard) {
        match why {
            Unheard::Malformed => drop(self.malformed.fetch_add(1, Relaxed)),
            Unheard::Slow => drop(self.slow.fetch_add(1, Relaxed)),
            Unheard::Gone => {}
        }
    }

    /// A request was refused.
    pub(super) fn refuse(&self, refusal: Refusal) {
        let place = Refusal::ALL.iter().position(|one| *one == refusal);
        place.map(|place| self.refused[place].fetch_add(1, Relaxed));
    }

    /// A request was answered.
    pub(super) fn answer(&self, code: StatusCode) {
        let place = CODES.iter().position(|one| *one == code.as_u16());
        let place = place.unwrap_or(CODES.len() - 1);
        self.answered[place].fetch_add(1, Relaxed);
    }

    /// Connections that had a place.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// What was refused, by reason.
    pub(super) fn rejections(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let refused = Refusal::ALL.iter().zip(&self.refused);
        let refused = refused.map(|(refusal, count)| (refusal.name(), count.load(Relaxed)));
        // What is no request at all, and what the guard finds to be none.
        let malformed = self.malformed.load(Relaxed);
        let refused = refused.map(move |(name, count)| match name {
            "malformed" => (name, count + malformed),
            _ => (name, count),
        });
        let others = [("full", &self.full), ("slow", &self.slow)];
        let others = others
            .into_iter()
            .map(|(name, count)| (name, count.load(Relaxed)));
        refused.chain(others)
    }

    /// What was answered, by code.
    pub(super) fn answers(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = self.answered.iter().map(|count| count.load(Relaxed));
        CODES.into_iter().zip(counts)
    }
}
