//! Workers and masters are killed: only what they owned ends, and nobody stays behind.

use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::dice::Dice;
use crate::soak::case::{ANSWER_LIMIT, Case, Site};
use crate::soak::census::{Census, until};
use crate::soak::client::Client;
use crate::soak::crew::Crew;
use crate::soak::figure::{Figure, Unit};
use crate::soak::matrix::{self, WORKERS};
use crate::soak::orphans::{ORPHAN_LIMIT, orphans};
use crate::soak::sockets;
use crate::soak::step::{Pace, Step, Trouble};
use crate::stats::quantile;
use crate::usage;

/// Workers die.
pub(super) const WORKER_KILLS: Step = Step {
    name: "worker-kills",
    claim: "A worker that is killed takes its own connections with it and nothing else.",
    method: "Clients talk without a pause while one worker after the other is ended by SIGKILL, \
             SIGSEGV or SIGABRT; who owned which connection is read from the kernel before each.",
    modes: matrix::supervised,
    pace: Pace::Alone,
    needs: &[],
    run: worker_kills,
};

/// The master dies.
pub(super) const MASTER_KILLS: Step = Step {
    name: "master-kills",
    claim: "A master that is killed leaves nobody behind, and its port is free.",
    method: "The master is ended by SIGKILL with clients inside, every second time while it \
             replaces a worker.",
    modes: matrix::of_processes,
    pace: Pace::Together,
    needs: &[],
    run: master_kills,
};

/// How a worker is ended, in turn.
const SIGNALS: [Signal; 3] = [Signal::KILL, Signal::SEGV, Signal::ABORT];
/// More clients than workers, where a worker serves more than one.
const CLIENTS: u32 = 16;
/// How long a new worker may take, at the 99th percentile.
const RESPAWN_GOAL: Duration = Duration::from_millis(250);
/// How long it is waited for.
const RESPAWN_LIMIT: Duration = Duration::from_secs(10);

/// What kills came to.
#[derive(Debug, Default)]
struct Toll {
    kills: u64,
    /// Connections of others that ended.
    bystanders: u64,
    /// Connections of others, over all kills.
    others: u64,
    /// Connections of a dead worker that did not end.
    undead: u64,
    zombies: u64,
    /// Until there was a new worker, in seconds.
    respawns: Vec<f64>,
    /// Until everybody was served again, in seconds.
    recoveries: Vec<f64>,
}

fn worker_kills(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    let kills = case.size(6, 200);
    case.serve(&[], |site| {
        let clients = matrix::plan(case.choice).capacity(CLIENTS);
        let crew = Crew::start(site.server.ready.addr, clients, ANSWER_LIMIT);
        let mut dice = Dice::of(case.common.seed);
        let mut toll = Toll::default();
        for signal in SIGNALS.into_iter().cycle().take(kills) {
            case.go_on()?;
            if !kill_one(site, &crew, signal, &mut dice, &mut toll)? {
                case.note("not everybody was served again after a kill");
                break;
            }
        }
        let tally = crew.finish();
        if let Some(first) = &tally.first_failure {
            case.note(first.clone());
        }
        let p99 = quantile(&toll.respawns, 0.99).map(Duration::from_secs_f64);
        let recovery = quantile(&toll.recoveries, 0.99);
        Ok(vec![
            Figure::always("workers killed", toll.kills, kills as u64),
            Figure::never(
                "connections of other workers lost",
                toll.bystanders,
                toll.others,
            ),
            Figure::none("connections of dead workers that went on", toll.undead),
            Figure::never("answers with wrong bytes", tally.wrong, tally.answers),
            Figure::never("new connections refused", tally.refused, tally.connections),
            Figure::none("zombies", toll.zombies),
            Figure::within("until there is a new worker, p99", p99, RESPAWN_GOAL),
            Figure::known(
                "until everybody is served again, p99",
                recovery,
                Unit::Seconds,
            ),
        ])
    })
}

/// Kills one worker that serves somebody, and waits until everybody is served again; false when
/// that does not happen.
fn kill_one(
    site: &Site,
    crew: &Crew,
    signal: Signal,
    dice: &mut Dice,
    toll: &mut Toll,
) -> Result<bool, Trouble> {
    let (server, addr) = (&site.server, site.server.ready.addr);
    let mut before = HashSet::new();
    let mut owners = HashMap::new();
    // The kernel's table may be read while it changes; then somebody seems to be served by nobody.
    let known = until(server, ANSWER_LIMIT, || {
        before = crew.ports();
        owners = sockets::owners(server.pid(), addr);
        let owned: HashSet<u16> = owners.values().flatten().copied().collect();
        crew.is_complete(&before) && before.is_subset(&owned)
    });
    let busy: Vec<u32> = owners
        .iter()
        .filter(|(_, ports)| !ports.is_disjoint(&before))
        .map(|(worker, _)| *worker)
        .collect();
    let Some(victim) = dice.pick(&busy).filter(|_| known) else {
        return Ok(false);
    };
    let own = &owners[&victim];
    let begun = kill(victim, signal)?;
    let replaced = until(server, RESPAWN_LIMIT, || {
        sockets::listeners(server.pid(), addr) >= WORKERS.get()
    });
    toll.kills += 1;
    toll.respawns.push(begun.elapsed().as_secs_f64());
    if !replaced {
        return Ok(false);
    }
    // The kernel may take its time to end the connections of a dead process: those of a ring are
    // ended behind its back.
    let mut after = HashSet::new();
    let recovered = until(server, ANSWER_LIMIT, || {
        after = crew.ports();
        crew.is_complete(&after) && after.is_disjoint(own)
    });
    toll.recoveries.push(begun.elapsed().as_secs_f64());
    let others: Vec<&u16> = before.difference(own).collect();
    toll.others += others.len() as u64;
    toll.bystanders += others.iter().filter(|port| !after.contains(port)).count() as u64;
    toll.undead += own.intersection(&after).count() as u64;
    toll.zombies += Census::of(server.pid()).zombies as u64;
    Ok(recovered)
}

/// Ends a process by `signal`, waits until it is dead, and tells when the deadly signal was sent.
fn kill(process: u32, signal: Signal) -> Result<Instant, Trouble> {
    /// How long a signal may take to be felt.
    const SIGNAL_LIMIT: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 20_000_000,
    };
    /// How many signals a process survives at most.
    const SIGNALS: usize = 100;
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    let Some(Ok(process)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
        // It is gone already.
        return Ok(Instant::now());
    };
    // The standard library lets the first SEGV from outside pass, since it looks for overflows.
    for _ in 0..SIGNALS {
        let sent = Instant::now();
        let _ = pidfd_send_signal(&process, signal);
        let mut fds = [PollFd::new(&process, PollFlags::IN)];
        if poll(&mut fds, Some(&SIGNAL_LIMIT)).map_err(std::io::Error::from)? > 0 {
            return Ok(sent);
        }
    }
    Err(std::io::Error::other(format!("a worker does not die of {signal:?}")).into())
}

fn master_kills(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    let rounds: u64 = case.size(2, 25);
    let (mut survivors, mut rebound) = (0, 0);
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        let server = case.start(&[])?;
        let addr = server.ready.addr;
        let mut clients = Vec::new();
        for name in 0..WORKERS.get() as u64 {
            let mut client = Client::connect(addr, name, ANSWER_LIMIT)?;
            client.round_trip()?;
            clients.push(client);
        }
        if round % 2 == 1
            && let Some(worker) = usage::households_of(server.pid())
                .into_iter()
                .flatten()
                .next()
        {
            kill(worker, Signal::KILL)?;
        }
        let leader = server.pid();
        server.signal(Signal::KILL)?;
        let begun = Instant::now();
        let left = orphans(leader);
        longest = longest.max(begun.elapsed());
        survivors += left.len() as u64;
        drop(server);
        rebound += u64::from(is_free(addr, begun + ORPHAN_LIMIT));
    }
    Ok(vec![
        Figure::never(
            "processes that outlived their master by 2 s",
            survivors,
            rounds,
        ),
        Figure::always("ports bound again", rebound, rounds),
        Figure::within("until everybody is gone", Some(longest), ORPHAN_LIMIT),
    ])
}

/// Whether the port can be listened on again, by `end` at the latest: the last thread of a dead
/// process may be a moment behind it.
fn is_free(addr: SocketAddr, end: Instant) -> bool {
    loop {
        let free = TcpListener::bind(addr).is_ok();
        if free || Instant::now() >= end {
            return free;
        }
        std::thread::yield_now();
    }
}
