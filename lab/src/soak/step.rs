//! The form of a step: a fault or a strain, the modes it applies to, and how it is run in one of
//! them.

use std::io;

use loadgen::RunError;
use server::Choice;

use super::case::Case;
use super::figure::{Figure, Outcome};
use crate::process::StartError;

/// One row of the matrix whose columns are the modes.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// As typed, in kebab-case.
    pub name: &'static str,
    /// What must be true.
    pub claim: &'static str,
    /// What is done.
    pub method: &'static str,
    /// The modes it applies to.
    pub modes: fn(Choice) -> bool,
    /// Whether modes disturb each other.
    pub pace: Pace,
    /// What must be there.
    pub needs: &'static [Need],
    /// Does it in one mode.
    pub run: fn(&Case<'_>) -> Result<Vec<Figure>, Trouble>,
}

/// How the modes of a step follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One after the other: what is measured needs the machine.
    Alone,
    /// Some at once: they mostly wait.
    Together,
}

/// Without what a step is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A flag of the server.
    Flag(&'static str),
    /// A program beside us.
    Program(&'static str),
    /// The time of the full profile: the case takes minutes by its nature.
    Minutes,
}

/// Why a case has no figures.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The user asked for the end.
    #[error("interrupted")]
    Interrupted,
    /// It cannot be done here.
    #[error("{0}")]
    Skip(String),
    /// The server did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A load could not be run.
    #[error(transparent)]
    Load(#[from] RunError),
    /// A client of our own, or the system, failed where nothing was to fail.
    #[error("{0}")]
    System(#[from] io::Error),
}

impl Trouble {
    /// What it says of the server. A client that was to be served and was not is the server's
    /// failure; what only we or the system can fail of says nothing.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Skip(_) => Outcome::Skipped,
            Self::Interrupted => Outcome::Inconclusive,
            Self::Load(RunError::NoConnection { .. }) => Outcome::Fail,
            Self::System(error) if is_the_servers(error.kind()) => Outcome::Fail,
            Self::Start(_) | Self::Load(_) | Self::System(_) => Outcome::Broken,
        }
    }
}

/// Whether a client meets this when its server does not do as it should.
fn is_the_servers(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::InvalidData
            | io::ErrorKind::TimedOut
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::WouldBlock
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_was_not_given_is_the_servers_failure_and_all_else_is_not() {
        let of = |kind| Trouble::System(io::Error::from(kind)).outcome();
        assert_eq!(of(io::ErrorKind::ConnectionRefused), Outcome::Fail);
        // What a read that waited in vain returns.
        assert_eq!(of(io::ErrorKind::WouldBlock), Outcome::Fail);
        assert_eq!(of(io::ErrorKind::PermissionDenied), Outcome::Broken);
        assert_eq!(Trouble::Skip("x".into()).outcome(), Outcome::Skipped);
        assert_eq!(Trouble::Interrupted.outcome(), Outcome::Inconclusive);
    }
}
