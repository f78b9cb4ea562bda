//! The place where the clients of a probe are: it opens them, and lets time pass until something
//! has happened to them. The only module here that waits.

use std::io;
use std::time::{Duration, Instant};

use cli::Interrupt;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockAddr;

use super::findings::Hindrance;
use super::patience::Patience;
use super::peer::{Part, Peer, Reply};
use crate::failure::Failure;
use crate::protocol::Wire;

/// The longest wait without a look at the interruption.
const SLICE: Duration = Duration::from_millis(50);
/// How often a slow client sends a byte.
const NUDGE: Duration = Duration::from_millis(200);
/// What a server is given to notice that a client has left.
pub(super) const LEAVING: Duration = Duration::from_millis(20);
/// A server that was filled must serve again within this, or within some of its own answers.
const RECOVERY: Duration = Duration::from_secs(20);
/// A new client is sent after one that was not served for this long while a server recovers: the
/// kernel repeats a lost first packet after a second.
pub(super) const RECOVERY_TRY: Duration = Duration::from_millis(1_500);
/// The first pause after a rejection; it doubles up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
/// Longer pieces of an answer are read in several turns.
const BUFFER_BYTES: usize = 64 << 10;

/// Why the probe cannot go on.
#[derive(Debug)]
pub(super) enum Halt {
    /// Somebody asked for the end.
    Interrupted,
    /// The server does not serve any more.
    Gone,
    /// This machine refuses.
    System(io::Error),
}

/// The clients' common ground.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    address: SockAddr,
    wire: Wire,
    interrupt: &'a Interrupt,
    /// How long a client waits.
    pub(super) patience: Patience,
    /// What the answer of an idle server is.
    usual: Reply,
    opened: u32,
    nudged: Instant,
    buffer: Vec<u8>,
}

impl<'a> Bench<'a> {
    /// For clients that speak `wire` to `address` and wait at least as long as `patience` says.
    pub(super) fn new(
        address: SockAddr,
        wire: Wire,
        patience: Patience,
        interrupt: &'a Interrupt,
    ) -> Self {
        Self {
            address,
            wire,
            interrupt,
            patience,
            usual: Reply::Good,
            opened: 0,
            nudged: Instant::now(),
            buffer: vec![0; BUFFER_BYTES],
        }
    }

    /// Takes `reply` for the answer that a client gets whom nobody hinders.
    pub(super) fn expect(&mut self, reply: Reply) {
        self.usual = reply;
    }

    /// Remembers how long the answer to `client` took, whom nobody hindered.
    pub(super) fn note(&mut self, client: &Peer) {
        if let Some((_, answer)) = client.reply() {
            self.patience.note(answer);
        }
    }

    /// Length of a request in bytes.
    pub(super) fn request_bytes(&self) -> usize {
        self.wire.request_bytes((self.opened, 0))
    }

    /// A new client, which begins to connect.
    ///
    /// # Errors
    ///
    /// [`Halt::System`] when this machine has no socket or no port for it.
    pub(super) fn open(&mut self, part: Part) -> Result<Peer, Halt> {
        self.opened += 1;
        Peer::open(&self.address, self.opened, part, &self.wire).map_err(Halt::System)
    }

    /// Lets the clients do what they can until `done`, at most for `wait`; whether it was reached.
    ///
    /// # Errors
    ///
    /// [`Halt::Interrupted`], or [`Halt::System`] when the system does not let us wait.
    pub(super) fn attend(
        &mut self,
        peers: &mut [Peer],
        wait: Duration,
        done: impl Fn(&[Peer]) -> bool,
    ) -> Result<bool, Halt> {
        let until = Instant::now() + wait;
        loop {
            if self.interrupt.signal().is_some() {
                return Err(Halt::Interrupted);
            }
            if done(peers) {
                return Ok(true);
            }
            // The rest is read before the turn: what came while this process did not run counts.
            let rest = until.saturating_duration_since(Instant::now());
            self.turn(peers, rest.min(SLICE))?;
            if rest.is_zero() {
                return Ok(done(peers));
            }
        }
    }

    /// Lets `wait` pass.
    ///
    /// # Errors
    ///
    /// As [`Bench::attend`].
    pub(super) fn pass(&mut self, peers: &mut [Peer], wait: Duration) -> Result<(), Halt> {
        self.attend(peers, wait, |_| false).map(drop)
    }

    /// Waits for one event at most for `wait`, and lets all whom it concerns do what they can.
    fn turn(&mut self, peers: &mut [Peer], wait: Duration) -> Result<(), Halt> {
        if self.nudged.elapsed() >= NUDGE {
            self.nudged = Instant::now();
            peers.iter_mut().for_each(Peer::nudge);
        }
        for index in ready(peers, wait).map_err(Halt::System)? {
            peers[index].step(&mut self.wire, &mut self.buffer);
        }
        Ok(())
    }

    /// What keeps `peer` from being served; none when it was.
    pub(super) fn hindrance(&self, peer: &Peer) -> Option<Hindrance> {
        match (peer.reply(), peer.ended()) {
            (Some((reply, _)), _) if reply == self.usual => None,
            (Some(_), _) => Some(Hindrance::OtherAnswer),
            (None, None) if peer.connected().is_some() => Some(Hindrance::Waits),
            (None, None | Some((Failure::ConnectTimeout, _))) => Some(Hindrance::TimesOut),
            (None, Some((Failure::Closed, _))) => Some(Hindrance::Closed),
            (None, Some((Failure::Reset, _))) => Some(Hindrance::Reset),
            (None, Some(_)) if peer.connected().is_none() => Some(Hindrance::Refused),
            (None, Some(_)) => Some(Hindrance::OtherAnswer),
        }
    }

    /// What one further client beside `peers` sees within `wait`, and the client. Who is rejected
    /// tries again until then: the place of the one before may not be free yet.
    ///
    /// # Errors
    ///
    /// As [`Bench::open`] and [`Bench::attend`].
    pub(super) fn call(
        &mut self,
        peers: &mut Vec<Peer>,
        waiting: Option<Peer>,
        wait: Duration,
    ) -> Result<(Option<Hindrance>, Peer), Halt> {
        let until = Instant::now() + wait;
        let (mut pause, longest) = PAUSES;
        let mut client = waiting.map_or_else(|| self.open(Part::Whole), Ok)?;
        loop {
            peers.push(client);
            let rest = until.saturating_duration_since(Instant::now());
            let attended = self.attend(peers, rest, |peers| {
                peers.last().is_some_and(Peer::is_settled)
            });
            client = peers.pop().expect("the client was pushed just now");
            attended?;
            let seen = self.hindrance(&client);
            // The last one to try again has half the time, or its end would be taken for a wait.
            let late = until.saturating_duration_since(Instant::now()) < wait / 2;
            if seen.is_none() || !client.is_settled() || late {
                return Ok((seen, client));
            }
            self.pass(peers, pause)?;
            pause = (pause * 2).min(longest);
            client = self.open(Part::Whole)?;
        }
    }

    /// Waits until a server whose occupants have all left serves again, and has had the time to
    /// notice that they did.
    ///
    /// # Errors
    ///
    /// [`Halt::Gone`] when it does not, and as [`Bench::call`].
    pub(super) fn recover(&mut self) -> Result<(), Halt> {
        let patience = self.patience.both();
        let until = Instant::now() + RECOVERY.max(patience * 2);
        while Instant::now() < until {
            let wait = RECOVERY_TRY.max(patience);
            if let (None, _) = self.call(&mut Vec::new(), None, wait)? {
                return self.pass(&mut [], LEAVING);
            }
        }
        Err(Halt::Gone)
    }
}

/// The indices of `peers` to whom something has happened, after at most `wait`.
fn ready(peers: &[Peer], wait: Duration) -> io::Result<Vec<usize>> {
    let (indices, mut wanted): (Vec<_>, Vec<_>) = (0..)
        .zip(peers)
        .filter_map(|(index, peer): (usize, _)| {
            let (socket, flags) = peer.interest()?;
            Some((index, PollFd::from_borrowed_fd(socket, flags)))
        })
        .unzip();
    let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
    match poll(&mut wanted, Some(&wait)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let happened = indices.into_iter().zip(&wanted);
    Ok(happened
        .filter(|(_, fd)| fd.revents() != PollFlags::empty())
        .map(|(index, _)| index)
        .collect())
}
