//! What becomes of clients that come while one of the workers is busy with somebody who stays, and
//! what becomes of them when that worker is killed.

use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use super::{WORKERS, Way};
use crate::admin;
use crate::bench::{Bench, Failure};
use crate::process::ServerProcess;
use crate::soak::client::{Client, readable};
use crate::subject::Subject;

/// How many come.
pub(super) const CLIENTS: u32 = 64;
/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a look at the clients waits for an answer.
const LOOK: Duration = Duration::from_millis(20);
/// After so many looks in a row that found the same, nothing more happens.
const AGREEING: u32 = 12;
/// After so many looks nobody waits any longer for calm.
const LOOKS: u32 = 1_000;

/// What became of them.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Stranded {
    pub(super) accept: Way,
    /// Clients that were answered while one worker was busy.
    pub(super) answered: u32,
    /// Those that were in an accept queue when all who could be answered were.
    pub(super) waiting: u32,
    /// Of those, who were answered after the busy worker had been killed.
    pub(super) answered_after: u32,
    /// Of those, whose connection was broken by that.
    pub(super) lost: u32,
}

/// Lets clients come beside one that stays, in each way.
pub(super) fn all(bench: &mut Bench) -> Result<Vec<Stranded>, Failure> {
    let ways = Way::ALL.into_iter();
    ways.map(|accept| beside_one(bench, accept)).collect()
}

fn beside_one(bench: &mut Bench, accept: Way) -> Result<Stranded, Failure> {
    let server = bench.start(
        &Subject::own("process-pool", WORKERS)
            .with(&["--accept", accept.flag(bench)])
            .with(&admin::FLAGS),
    )?;
    bench.narrator.now(&format!(
        "{CLIENTS} clients beside a busy worker, --accept {accept}"
    ));
    let stranded = watch(&server, accept).map_err(Failure::system("watch who waits"))?;
    drop(server.stop());
    Ok(stranded)
}

fn watch(server: &ServerProcess, accept: Way) -> io::Result<Stranded> {
    let admin = admin::of(server)?;
    let connect = |number: u32| Client::connect(server.ready.addr, number.into(), LIMIT);
    let mut holder = connect(CLIENTS)?;
    holder.round_trip()?;
    let mut waiting = Vec::new();
    for number in 0..CLIENTS {
        let mut client = connect(number)?;
        client.ask()?;
        waiting.push(client);
    }
    let queue = || -> io::Result<Option<u32>> { Ok(admin::status(admin)?.listen.queue) };
    answer_all_who_can_be(&mut waiting, queue)?;
    let left = size(&waiting);
    kill_who_serves(&holder, admin)?;
    // Each leaves when it was answered: the next one waits for its worker.
    let heard = |mut client: Client| client.hear().and_then(|()| client.finish()).is_ok();
    let mut answered_after = 0;
    for client in waiting {
        answered_after += u32::from(heard(client));
    }
    Ok(Stranded {
        accept,
        answered: CLIENTS - left,
        waiting: left,
        answered_after,
        lost: left - answered_after,
    })
}

/// Lets those go who are answered, until nothing has changed for some looks and all the others are
/// in an accept queue.
fn answer_all_who_can_be(
    waiting: &mut Vec<Client>,
    queue: impl Fn() -> io::Result<Option<u32>>,
) -> io::Result<()> {
    let mut agreeing = 0;
    for _ in 0..LOOKS {
        // The last ones first, so that the places of the others stay what they are.
        let answered = readable(waiting, LOOK)?;
        for place in answered.iter().rev() {
            let mut client = waiting.remove(*place);
            client.hear()?;
            client.finish()?;
        }
        let calm = answered.is_empty() && queue()? == Some(size(waiting));
        agreeing = if calm { agreeing + 1 } else { 0 };
        if agreeing == AGREEING {
            return Ok(());
        }
    }
    Err(io::Error::other("clients are neither answered nor queued"))
}

fn size(clients: &[Client]) -> u32 {
    u32::try_from(clients.len()).unwrap_or(u32::MAX)
}

/// Kills the worker that serves `client`.
fn kill_who_serves(client: &Client, admin: std::net::SocketAddr) -> io::Result<()> {
    let own = format!("127.0.0.1:{}", client.port()?);
    let workers = admin::status(admin)?.workers;
    let mut serving = workers
        .iter()
        .filter(|one| one.peer.as_deref() == Some(&own));
    let pid = serving.next().and_then(|worker| Pid::from_raw(worker.pid));
    let pid = pid.ok_or_else(|| io::Error::other("no worker serves the client that stays"))?;
    Ok(kill_process(pid, Signal::KILL)?)
}
