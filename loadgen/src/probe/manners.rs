//! What the server does with one client: with one that ends its sending side, and with one on
//! whose connection nothing happens.

use std::time::Duration;

use super::bench::{Bench, Halt};
use super::findings::{HalfClose, Idle};
use super::peer::{Part, Peer, Reply};
use crate::failure::Failure;

/// What a busy machine did to one client is no finding: what is not good is tried so often.
const TRIALS: u32 = 3;

/// What becomes of a client that ends its sending side after its request.
///
/// # Errors
///
/// [`Halt`] when the probe cannot go on.
pub(super) fn half_close(bench: &mut Bench<'_>) -> Result<HalfClose, Halt> {
    let mut found = try_half_close(bench)?;
    for _ in 1..TRIALS {
        if found == HalfClose::AnswersThenCloses {
            break;
        }
        found = try_half_close(bench)?;
    }
    Ok(found)
}

fn try_half_close(bench: &mut Bench<'_>) -> Result<HalfClose, Halt> {
    let mut peers = [bench.open(Part::WholeThenEnd)?];
    bench.attend(&mut peers, bench.patience.both(), |peers| {
        peers[0].ended().is_some()
    })?;
    Ok(match (peers[0].reply(), peers[0].ended()) {
        (Some(_), Some((Failure::Closed, _))) => HalfClose::AnswersThenCloses,
        (Some(_), Some(_)) => HalfClose::AnswersThenResets,
        (Some(_), None) => HalfClose::AnswersAndStaysOpen,
        (None, Some(_)) => HalfClose::DropsTheAnswer,
        (None, None) => HalfClose::NeverAnswers,
    })
}

/// Whether the server closes a client of this part soon and by itself. It does so each time: once
/// may be for the place that the client before has not left yet.
///
/// # Errors
///
/// [`Halt`] when the probe cannot go on.
pub(super) fn is_closed(bench: &mut Bench<'_>, part: Part) -> Result<bool, Halt> {
    for _ in 0..TRIALS {
        if stays(bench, part, bench.patience.first())?.is_none() {
            return Ok(false);
        }
        bench.recover()?;
    }
    Ok(true)
}

/// How many idle clients are watched at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    /// Both.
    Together,
    /// One after the other, because the server has room for one.
    InTurn,
}

/// Watches a silent and a kept client for `limit`.
///
/// # Errors
///
/// [`Halt`] when the probe cannot go on.
pub(super) fn idle(bench: &mut Bench<'_>, limit: Duration, how: Watch) -> Result<Idle, Halt> {
    let (silent, kept) = match how {
        Watch::Together => {
            let mut both = [bench.open(Part::Silent)?, bench.open(Part::Whole)?];
            watch(bench, &mut both, limit)?;
            (closed_after(&both[0]), closed_after(&both[1]))
        }
        Watch::InTurn => (
            stays(bench, Part::Silent, limit)?,
            stays(bench, Part::Whole, limit)?,
        ),
    };
    Ok(Idle {
        watched_s: limit.as_secs_f64(),
        silent_s: silent.map(|after| after.as_secs_f64()),
        kept_s: kept.map(|after| after.as_secs_f64()),
    })
}

/// When the server closes a client of this part by itself; none when it does not within `limit`.
fn stays(bench: &mut Bench<'_>, part: Part, limit: Duration) -> Result<Option<Duration>, Halt> {
    let mut peer = [bench.open(part)?];
    watch(bench, &mut peer, limit)?;
    Ok(closed_after(&peer[0]))
}

/// Lets `limit` pass from the moment that all are in place, or less if all end before.
fn watch(bench: &mut Bench<'_>, peers: &mut [Peer], limit: Duration) -> Result<(), Halt> {
    let ended = |peer: &Peer| peer.ended().is_some();
    bench.attend(peers, bench.patience.both(), |peers| {
        peers.iter().all(|peer| peer.is_in_place() || ended(peer))
    })?;
    bench.attend(peers, limit, |peers| peers.iter().all(ended))?;
    Ok(())
}

/// When the server closed `peer`, from its answer or else from its connection.
fn closed_after(peer: &Peer) -> Option<Duration> {
    let answered = peer.reply().map(|(_, at): (Reply, _)| at);
    let from = answered.or(peer.connected())?;
    peer.ended().map(|(_, at)| at.saturating_sub(from))
}
