//! How many clients wait while the server is full, and what the next one sees.

use std::time::{Duration, Instant};

use super::bench::{Bench, Halt};
use super::findings::{Hindrance, Kind, Queue};
use super::peer::{Part, Peer};
use super::trial::Crowd;

/// Who is not connected within this finds no place in the queue. The kernel repeats a first packet
/// after a second: one that was dropped by chance has come through by then.
const CONNECT: Duration = Duration::from_millis(1_400);
/// The longest time for filling the queue.
const FILLING: Duration = Duration::from_secs(30);

/// Counts the clients that connect and wait, at most `most`, beside `occupants` clients of kind
/// `behind` that fill the server; none when they do not fill it after all.
///
/// # Errors
///
/// [`Halt`] when the probe cannot go on.
pub(super) fn measure(
    bench: &mut Bench<'_>,
    behind: Kind,
    occupants: u32,
    most: u32,
) -> Result<Option<Queue>, Halt> {
    let mut crowd = Crowd::new(behind);
    if !crowd.place(bench, occupants)? {
        return Ok(None);
    }
    let mut peers = crowd.into_peers();
    // Connected is not accepted: an occupant that is still in the queue would count as a waiter.
    bench.pass(&mut peers, bench.patience.first())?;
    let filled = fill(bench, &mut peers, most)?;
    // Who is rejected late is rejected all the same.
    bench.pass(&mut peers, bench.patience.first())?;
    let (occupying, waiters) = peers.split_at(occupants as usize);
    let undisturbed = occupying.iter().all(Peer::is_in_place);
    Ok(undisturbed
        .then(|| count(bench, behind, waiters, filled))
        .flatten())
}

/// Adds waiting clients to `peers`, one after the other, until one is not connected or has ended;
/// whether all `most` could wait.
fn fill(bench: &mut Bench<'_>, peers: &mut Vec<Peer>, most: u32) -> Result<bool, Halt> {
    let until = Instant::now() + FILLING;
    let wait = connect_patience(bench.patience.both());
    let before = peers.len();
    let arrived = |peer: &Peer| peer.connected().is_some() || peer.ended().is_some();
    for _ in 0..most {
        peers.push(bench.open(Part::Whole)?);
        let stands = bench.attend(peers, wait, |peers| peers.last().is_some_and(arrived))?;
        let rejected = peers[before..].iter().any(|peer| peer.ended().is_some());
        if !stands || rejected {
            return Ok(false);
        }
        if Instant::now() >= until {
            break;
        }
    }
    Ok(true)
}

/// How long one client more may take to be connected where a verdict takes `usual`.
fn connect_patience(usual: Duration) -> Duration {
    usual.max(CONNECT)
}

/// What became of those who were added; none when one of them was served.
fn count(bench: &Bench<'_>, behind: Kind, waiters: &[Peer], filled: bool) -> Option<Queue> {
    let seen: Option<Vec<Hindrance>> = waiters.iter().map(|peer| bench.hindrance(peer)).collect();
    let seen = seen?;
    let waiting = seen
        .iter()
        .filter(|seen| **seen == Hindrance::Waits)
        .count();
    let next = seen.into_iter().find(|seen| *seen != Hindrance::Waits);
    Some(Queue {
        behind,
        waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
        next: next.filter(|_| !filled),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_whose_first_packet_was_repeated_is_waited_for() {
        let repeated = Duration::from_secs(1);
        for usual_ms in [0, 1, 200, 1_399] {
            assert!(connect_patience(Duration::from_millis(usual_ms)) > repeated);
        }
        let slow = Duration::from_secs(30);
        assert_eq!(
            connect_patience(slow),
            slow,
            "a slow server is waited for, too"
        );
    }
}
