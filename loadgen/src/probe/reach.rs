//! The first contact: the limits of this machine, the server's address, and what its answers are
//! like while nobody is in the way.

use std::time::Duration;

use cli::{Addr, Interrupt};
use socket2::SockAddr;

use super::bench::{Bench, Halt};
use super::findings::Hindrance;
use super::patience::Patience;
use super::peer::{Part, Peer};
use super::{Config, ProbeError};
use crate::failure::Failure;
use crate::kernel;
use crate::protocol::Protocol;

/// Descriptors beyond one a client.
const SPARE_DESCRIPTORS: u64 = 64;
/// How long the first client waits for its answer.
const REACH: Duration = Duration::from_secs(5);
/// Clients one after the other that tell the usual time of an answer.
const SAMPLES: u32 = 5;

/// Finds an address that answers and gets used to its answers; none when interrupted.
///
/// # Errors
///
/// [`ProbeError`] when none does.
pub(super) fn reach<'a>(
    config: &Config,
    interrupt: &'a Interrupt,
) -> Result<Option<Bench<'a>>, ProbeError> {
    let mut last = None;
    for address in addresses(&config.target)? {
        let wire = config.protocol.wire(config.seed);
        let mut bench = Bench::new(address, wire, Patience::new(config.patience), interrupt);
        match meet(&mut bench, &config.protocol) {
            Ok(None) => return Ok(Some(bench)),
            Ok(why) => last = why,
            Err(Halt::Interrupted | Halt::Gone) => return Ok(None),
            Err(Halt::System(error)) => return Err(error.into()),
        }
    }
    Err(ProbeError::NoAnswer {
        target: config.target.to_string(),
        why: last.unwrap_or("it has no address").to_owned(),
    })
}

/// Some clients one after the other; why the first is not served, or nothing.
fn meet(bench: &mut Bench<'_>, protocol: &Protocol) -> Result<Option<&'static str>, Halt> {
    let mut first = [bench.open(Part::Whole)?];
    bench.attend(&mut first, REACH, |peers| peers[0].is_settled())?;
    match first[0].reply() {
        Some((reply, _)) => bench.expect(reply),
        None => return Ok(why_not(bench, &first[0], protocol)),
    }
    bench.note(&first[0]);
    drop(first);
    for _ in 1..SAMPLES {
        let (seen, client) = bench.call(&mut Vec::new(), None, REACH)?;
        if seen.is_some() {
            return Ok(Some(
                "one client was answered and the next was not; does the server end with a client?",
            ));
        }
        bench.note(&client);
    }
    Ok(None)
}

fn why_not(bench: &Bench<'_>, peer: &Peer, protocol: &Protocol) -> Option<&'static str> {
    if let Some((Failure::Unreachable, _)) = peer.ended() {
        return Some("there is no way to it; is the address right, and the network up?");
    }
    Some(match (bench.hindrance(peer)?, protocol) {
        (Hindrance::Refused, _) => "connections are refused; is the server running there?",
        (Hindrance::TimesOut, _) => "connections time out; is the server running, and reachable?",
        (Hindrance::Waits, _) => {
            "a client is connected and gets no answer within 5s; is a place free, and is \
             --protocol right?"
        }
        (Hindrance::Reset | Hindrance::Closed, _) => {
            "a client is connected and closed without an answer; is a place free, and is \
             --protocol right?"
        }
        (Hindrance::OtherAnswer, Protocol::Echo(_)) => {
            "what comes back is not what was sent; choose --protocol http or exchange"
        }
        (Hindrance::OtherAnswer, _) => "what comes back is no such answer; is --protocol right?",
    })
}

fn addresses(target: &Addr) -> Result<Vec<SockAddr>, ProbeError> {
    let failed = |source| ProbeError::Resolve {
        target: target.to_string(),
        source,
    };
    match target {
        Addr::Unix(path) => Ok(vec![SockAddr::unix(path).map_err(failed)?]),
        Addr::Tcp { .. } => {
            let all = target.resolve().map_err(failed)?;
            Ok(all.into_iter().map(SockAddr::from).collect())
        }
    }
}

/// Raises the limit on descriptors as far as it goes and checks that the clients fit.
///
/// # Errors
///
/// [`ProbeError::Limit`] when they do not.
pub(super) fn check_descriptors(config: &Config) -> Result<(), ProbeError> {
    let holds = kernel::raise_descriptor_limit();
    let needed =
        u64::from(config.most_clients) + u64::from(config.most_waiting) + SPARE_DESCRIPTORS;
    if holds >= needed {
        return Ok(());
    }
    Err(ProbeError::Limit(format!(
        "{needed} file descriptors are needed and this process may open {holds}; raise the hard \
         limit (ulimit -Hn) or lower --most or --queue"
    )))
}
