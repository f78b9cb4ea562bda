//! The server is told to end: at its deadline, again and again, and before it is ready.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::dice::Dice;
use crate::process::ServerProcess;
use crate::soak::case::{ANSWER_LIMIT, Case, ENDS};
use crate::soak::client::Client;
use crate::soak::figure::Figure;
use crate::soak::matrix;
use crate::soak::orphans::orphans;
use crate::soak::step::{Need, Pace, Step, Trouble};

/// A drain with busy clients.
pub(super) const DRAIN: Step = Step {
    name: "drain",
    claim: "A drain serves busy clients to its deadline, then ends each in order, and the server \
            soon after.",
    method: "Clients talk without a pause, the server gets TERM, and nobody of them leaves.",
    modes: matrix::any,
    pace: Pace::Together,
    needs: &[],
    run: drain,
};

/// Many signals.
pub(super) const TERM_STORM: Step = Step {
    name: "term-storm",
    claim: "A thousand TERM signals are one shutdown.",
    method: "They are sent as fast as the system takes them, to a server with clients inside.",
    modes: matrix::any,
    pace: Pace::Together,
    needs: &[],
    run: term_storm,
};

/// Signals before the server is ready.
pub(super) const EARLY_TERM: Step = Step {
    name: "early-term",
    claim: "A server that is told to end before it is ready ends, and leaves nobody behind.",
    method: "TERM at a random moment of its first 50 ms.",
    modes: matrix::any,
    pace: Pace::Together,
    needs: &[Need::Minutes],
    run: early_term,
};

/// How long a server may take past its deadline.
const OVERSHOOT: Duration = Duration::from_secs(1);
/// Clients, where so many are served at once.
const CLIENTS: u32 = 8;

/// How the connection of a client ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct End {
    /// By FIN, and not by a reset or a wait in vain.
    orderly: bool,
    /// Questions answered after the server was told to end.
    answered: u64,
}

fn drain(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    let deadline = case.size(Duration::from_secs(1), Duration::from_secs(5));
    let flag = cli::units::span(deadline);
    let mut server = case.start(&["--drain-timeout", &flag])?;
    let clients = matrix::plan(case.choice).capacity(CLIENTS);
    let clients: Vec<Client> = (0..clients)
        .map(|name| converse(&server, name as u64))
        .collect::<Result<_, _>>()?;
    let told = AtomicBool::new(false);
    let (ends, took) = std::thread::scope(|scope| {
        let talks: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(|| talk_to_the_end(client, &told)))
            .collect();
        let begun = Instant::now();
        told.store(true, Ordering::Relaxed);
        let asked = server.signal(Signal::TERM);
        let status = asked.and_then(|()| server.wait(deadline + ANSWER_LIMIT));
        let took = begun.elapsed();
        let joined = talks
            .into_iter()
            .map(|talk| talk.join().unwrap_or_default());
        let ends: Vec<End> = joined.collect();
        (ends, status.map(|status| (status, took)))
    });
    let (status, took) = took?;
    let orderly = ends.iter().filter(|end| end.orderly).count() as u64;
    let served_on = ends.iter().filter(|end| end.answered > 0).count() as u64;
    let all = ends.len() as u64;
    let code = status.is_some_and(|status| status.success());
    Ok(vec![
        Figure::always("busy clients served on", served_on, all),
        Figure::always("connections ended by FIN", orderly, all),
        Figure::within(
            "past the deadline",
            Some(took.saturating_sub(deadline)),
            OVERSHOOT,
        ),
        Figure::always(ENDS, u64::from(code), 1),
        case.clean_log(server, status.is_some()),
    ])
}

/// A client that is served.
fn converse(server: &ServerProcess, name: u64) -> io::Result<Client> {
    let mut client = Client::connect(server.ready.addr, name, ANSWER_LIMIT)?;
    client.round_trip()?;
    Ok(client)
}

/// Asks until the connection ends, and tells how it did.
fn talk_to_the_end(mut client: Client, told: &AtomicBool) -> End {
    let mut answered = 0;
    loop {
        let after = told.load(Ordering::Relaxed);
        match client.round_trip() {
            Ok(()) => answered += u64::from(after),
            Err(error) => {
                let orderly = error.kind() == io::ErrorKind::UnexpectedEof;
                return End { orderly, answered };
            }
        }
    }
}

fn term_storm(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    const SIGNALS: u64 = 1_000;
    /// What the server says when it has ended.
    const STOPPED: &str = " stopped ";
    let mut server = case.start(&[])?;
    let client = converse(&server, 1)?;
    let sent = (0..SIGNALS)
        .filter(|_| server.signal(Signal::TERM).is_ok())
        .count() as u64;
    let status = server.wait(ANSWER_LIMIT)?;
    drop(client);
    let code = status.is_some_and(|status| status.success());
    let (lines, _) = server.log().rest();
    let shutdowns = lines.iter().filter(|line| line.contains(STOPPED)).count();
    Ok(vec![
        Figure::always("signals sent", sent, SIGNALS),
        Figure::always("shutdowns", shutdowns as u64, 1),
        Figure::always(ENDS, u64::from(code), 1),
        Figure::none("processes left behind", orphans(server.pid()).len() as u64),
        case.clean_log(server, status.is_some()),
    ])
}

fn early_term(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    const ROUNDS: u64 = 40;
    /// A server is usually ready before that.
    const LATEST: Duration = Duration::from_millis(50);
    let mut dice = Dice::of(case.common.seed);
    let (mut ended, mut left, mut alarms) = (0, 0, Vec::new());
    for _ in 0..ROUNDS {
        let mut server = case.begin(&[])?;
        let _ = server.ends_within(dice.time(LATEST));
        let _ = server.signal(Signal::TERM);
        let status = server.wait(ANSWER_LIMIT)?;
        // Before it catches signals it dies of this one, which is as good.
        let of_term = |status: std::process::ExitStatus| {
            use std::os::unix::process::ExitStatusExt;
            status.success() || status.signal() == Some(Signal::TERM.as_raw())
        };
        match status {
            Some(status) if of_term(status) => ended += 1,
            Some(status) => case.note(status.to_string()),
            None => case.note("it did not end"),
        }
        left += orphans(server.pid()).len() as u64;
        alarms.push(case.clean_log(server, status.is_some()));
    }
    let log = alarms.into_iter().reduce(|sum, next| sum.with(&next));
    let figures = [
        Figure::always("ended by the first signal", ended, ROUNDS),
        Figure::never("processes left behind", left, ROUNDS),
    ];
    Ok(figures.into_iter().chain(log).collect())
}
