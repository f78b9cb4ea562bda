//! Clients that take nothing, or say that they are done and stay.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::soak::case::{ANSWER_LIMIT, Case, Site};
use crate::soak::client::Client;
use crate::soak::figure::{Figure, Unit};
use crate::soak::matrix;
use crate::soak::step::{Need, Pace, Step, Trouble};
use crate::usage::{self, Usage};

/// A client that never reads.
pub(super) const NEVER_READS: Step = Step {
    name: "never-reads",
    claim: "A client that takes no bytes is ended by the write timeout, and gives its place back.",
    method: "It sends until the server takes no more, and never reads.",
    modes: matrix::any,
    pace: Pace::Together,
    needs: &[Need::Flag("--write-timeout")],
    run: never_reads,
};

/// A client that is half closed for long.
pub(super) const HALF_CLOSED: Step = Step {
    name: "half-closed",
    claim: "A client that is done sending and does not read costs no processor time, and gets every \
            byte when it reads after five minutes.",
    method: "It sends until the server takes no more, closes its sending side, waits, and reads.",
    modes: matrix::any,
    pace: Pace::Together,
    needs: &[Need::Minutes],
    run: half_closed,
};

/// After so long without progress the server takes no more.
const STALLED: Duration = Duration::from_millis(500);
/// What waiting may cost of one processor.
const IDLE_SHARE: f64 = 0.01;

fn never_reads(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    const TIMEOUT: Duration = Duration::from_secs(1);
    /// Limits are looked at now and then.
    const SLACK: Duration = Duration::from_secs(2);
    let flag = cli::units::span(TIMEOUT);
    case.serve(&["--write-timeout", &flag], |site| {
        let mut client = site.client(0)?;
        let Stalled { sent, since, ended } = send_until_stalled(&mut client)?;
        let ended = ended || ends(&mut client, TIMEOUT + SLACK + ANSWER_LIMIT)?;
        let took = ended.then(|| since.elapsed());
        Ok(vec![
            Figure::within("until it is ended", took, TIMEOUT + SLACK),
            Figure::known("bytes taken from it", Some(sent as f64), Unit::Bytes),
        ])
    })
}

fn half_closed(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    const WAIT: Duration = Duration::from_secs(300);
    case.serve(&["--idle-timeout", "10m"], |site| {
        let mut client = site.client(0)?;
        let sent = send_until_stalled(&mut client)?.sent;
        client.stream().shutdown(Shutdown::Write)?;
        let share = share_of_a_processor(case, site, WAIT)?;
        let mut back = 0;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match client.stream().read(&mut buffer)? {
                0 => break,
                more => back += more as u64,
            }
        }
        Ok(vec![
            Figure::at_most(
                "processor time while it waits",
                share,
                IDLE_SHARE,
                Unit::Share,
            ),
            Figure::always("bytes that came back", back, sent),
        ])
    })
}

fn share_of_a_processor(
    case: &Case<'_>,
    site: &Site,
    window: Duration,
) -> Result<Option<f64>, Trouble> {
    let first = usage::sample(site.server.pid());
    case.pass(&site.server, window)?;
    let last = usage::sample(site.server.pid());
    let usage = first
        .zip(last)
        .and_then(|(first, last)| Usage::between(&first, &last));
    Ok(usage.map(|usage| usage.cpu_cores))
}

/// A connection on which the server takes no more.
struct Stalled {
    /// How many bytes it took.
    sent: u64,
    /// When it took the last of them.
    since: Instant,
    /// Whether it lost its patience already.
    ended: bool,
}

/// Sends until nothing is taken for a while.
fn send_until_stalled(client: &mut Client) -> io::Result<Stalled> {
    static CHUNK: [u8; 64 << 10] = [b'.'; 64 << 10];
    let stream = client.stream();
    stream.set_write_timeout(Some(STALLED))?;
    let (mut sent, mut since) = (0, Instant::now());
    loop {
        let ended = match stream.write(&CHUNK) {
            Ok(taken) => {
                sent += taken as u64;
                since = Instant::now();
                continue;
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => false,
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => true,
                _ => return Err(error),
            },
        };
        return Ok(Stalled { sent, since, ended });
    }
}

/// Whether the other side ends the connection within `limit`, without that anything is read.
fn ends(client: &mut Client, limit: Duration) -> io::Result<bool> {
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    let stream = client.stream();
    let mut fds = [PollFd::new(stream, PollFlags::RDHUP)];
    Ok(poll(&mut fds, Some(&limit))? > 0)
}
