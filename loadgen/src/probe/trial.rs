//! A trial: so many occupants, and one further client beside them.

use std::time::Duration;

use super::bench::{Bench, Halt, LEAVING, RECOVERY_TRY};
use super::findings::{Hindrance, Kind, Room};
use super::judge::{Observation, Verdict, judge};
use super::peer::{Part, Peer};
use super::search::{Care, Search, Step};
use crate::failure::Failure;

/// The occupants of one kind.
#[derive(Debug)]
pub(super) struct Crowd {
    part: Part,
    peers: Vec<Peer>,
}

/// Finds how many clients of `kind`, at most `most`, the server has room for.
///
/// # Errors
///
/// [`Halt`] when the probe cannot go on.
pub(super) fn room(bench: &mut Bench<'_>, kind: Kind, most: u32) -> Result<Room, Halt> {
    let mut search = Search::new(most);
    let mut crowd = Crowd::new(kind);
    loop {
        match search.step() {
            Step::Done(room) => return Ok(room),
            Step::Try(occupants, care) => {
                let verdict = crowd.try_with(bench, occupants, care)?;
                search.observe(occupants, verdict);
                if verdict != Verdict::Served {
                    crowd.peers.clear();
                    bench.recover()?;
                }
            }
        }
    }
}

impl Crowd {
    /// Nobody yet.
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            part: match kind {
                Kind::Silent => Part::Silent,
                Kind::Kept => Part::Whole,
                Kind::Slow => Part::Slow,
            },
            peers: Vec::new(),
        }
    }

    /// The occupants, for those who add others to them.
    pub(super) fn into_peers(self) -> Vec<Peer> {
        self.peers
    }

    /// Fills the crowd up to `occupants`, all at once; whether each got into its place.
    ///
    /// # Errors
    ///
    /// [`Halt`] when the probe cannot go on.
    pub(super) fn place(&mut self, bench: &mut Bench<'_>, occupants: u32) -> Result<bool, Halt> {
        self.peers.retain(|peer| peer.ended().is_none());
        while self.peers.len() < occupants as usize {
            self.peers.push(bench.open(self.part)?);
        }
        // Whom the server has closed is not hindered; who counts them finds out.
        let settled = |peer: &Peer| peer.is_in_place() || peer.ended().is_some();
        let wait = bench.patience.both();
        bench.attend(&mut self.peers, wait, |peers| peers.iter().all(settled))
    }

    /// What a further client sees beside `occupants` of the crowd, and what that proves.
    fn try_with(
        &mut self,
        bench: &mut Bench<'_>,
        occupants: u32,
        care: Care,
    ) -> Result<Verdict, Halt> {
        let mut seen = Observation {
            placed: self.place(bench, occupants)?,
            ..Observation::default()
        };
        if !seen.placed {
            return Ok(judge(&seen));
        }
        let (first, client) = self.call(bench, None, bench.patience.first())?;
        seen.first = first;
        match (first, care) {
            (None, _) => bench.note(&client),
            (Some(_), Care::Leap) => {}
            (Some(hindrance), Care::Single) => {
                let longer = long_enough(hindrance, bench.patience.second());
                self.confirm(bench, (client, longer), occupants, &mut seen)?;
            }
        }
        if seen.first.is_none() || seen.second == Some(None) {
            seen.lost = self.lost(bench)?;
        }
        Ok(judge(&seen))
    }

    /// Gives a client that was not served a second wait, and then proves by the leaving of an
    /// occupant that it was the occupants that hindered it.
    fn confirm(
        &mut self,
        bench: &mut Bench<'_>,
        (client, longer): (Peer, Duration),
        occupants: u32,
        seen: &mut Observation,
    ) -> Result<(), Halt> {
        let waiting = (!client.is_settled()).then_some(client);
        let (second, client) = self.call(bench, waiting, longer)?;
        seen.second = Some(second);
        if let Some(hindrance) = second {
            seen.second = Some(Some(self.tell_apart(bench, hindrance)?));
            let one = self.release_one(bench, client)?;
            seen.released = Some(one || self.release_all(bench)?);
            if one {
                let wait = long_enough(hindrance, bench.patience.first());
                seen.again = self.hinders_again(bench, occupants, wait)?;
            }
        }
        Ok(())
    }

    /// A rejected client may see a close or, if its request came too early, a reset. Who says
    /// nothing sees what the server did.
    fn tell_apart(&mut self, bench: &mut Bench<'_>, seen: Hindrance) -> Result<Hindrance, Halt> {
        if !matches!(seen, Hindrance::Closed | Hindrance::Reset) {
            return Ok(seen);
        }
        let mut silent = [bench.open(Part::Silent)?];
        bench.attend(&mut silent, bench.patience.first(), |peers| {
            peers[0].ended().is_some()
        })?;
        Ok(match silent[0].ended() {
            Some((Failure::Closed, _)) => Hindrance::Closed,
            Some((Failure::Reset, _)) => Hindrance::Reset,
            _ => seen,
        })
    }

    /// Whether a further client, which may be the one that waits, is served when one has left.
    fn release_one(&mut self, bench: &mut Bench<'_>, client: Peer) -> Result<bool, Halt> {
        self.peers.retain(|peer| peer.ended().is_none());
        if !self.peers.is_empty() {
            self.peers.remove(0);
        }
        // A connection whose first packet was dropped is repeated too late.
        let waits = !client.is_settled() && client.connected().is_some();
        let waiting = waits.then_some(client);
        let (seen, _) = self.call(bench, waiting, bench.patience.both())?;
        Ok(seen.is_none())
    }

    /// Whether a further client is served when all have left.
    fn release_all(&mut self, bench: &mut Bench<'_>) -> Result<bool, Halt> {
        self.peers.clear();
        let (seen, _) = self.call(bench, None, bench.patience.both())?;
        Ok(seen.is_none())
    }

    /// Whether one is hindered again when all places are taken again; none when they cannot be.
    fn hinders_again(
        &mut self,
        bench: &mut Bench<'_>,
        occupants: u32,
        wait: Duration,
    ) -> Result<Option<bool>, Halt> {
        bench.pass(&mut self.peers, LEAVING)?;
        if !self.place(bench, occupants)? {
            return Ok(None);
        }
        let (seen, _) = self.call(bench, None, wait)?;
        let lost = self.lost(bench)? > 0;
        Ok((seen.is_some() || !lost).then_some(seen.is_some()))
    }

    fn call(
        &mut self,
        bench: &mut Bench<'_>,
        waiting: Option<Peer>,
        wait: Duration,
    ) -> Result<(Option<Hindrance>, Peer), Halt> {
        bench.call(&mut self.peers, waiting, wait)
    }

    /// How many occupants the server has closed by now.
    fn lost(&mut self, bench: &mut Bench<'_>) -> Result<u32, Halt> {
        bench.pass(&mut self.peers, Duration::ZERO)?;
        let lost = self
            .peers
            .iter()
            .filter(|peer| peer.ended().is_some())
            .count();
        Ok(u32::try_from(lost).unwrap_or(u32::MAX))
    }
}

/// At least `wait`, and for who could not connect more than it takes the kernel to repeat a first packet
/// that was lost: a short queue that is full for a moment is no limit.
fn long_enough(hindrance: Hindrance, wait: Duration) -> Duration {
    if hindrance == Hindrance::TimesOut {
        wait.max(RECOVERY_TRY)
    } else {
        wait
    }
}
