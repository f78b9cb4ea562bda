//! Clients that are greedy, slow, or come all at once: the others must not notice more than they
//! have to.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::{Duration, Instant};

use loadgen::report::Report;
use loadgen::{Config, Pause, Profile, Protocol, Reuse, Share, Sizes, Starts, StopRule};
use rustix::process::Signal;
use server::Choice;

use super::nonzero;
use crate::soak::case::{ANSWER_LIMIT, Case, Site};
use crate::soak::figure::{Figure, Unit};
use crate::soak::load::{failures, rtt_p99};
use crate::soak::matrix;
use crate::soak::step::{Need, Pace, Step, Trouble};

/// One client that takes all it can get.
pub(super) const GREEDY: Step = Step {
    name: "greedy",
    claim: "One connection at full speed leaves 100 others their answers.",
    method: "One client keeps 64 messages of 64 KiB in flight; 100 others ask every 10 ms.",
    modes: matrix::request_grain,
    pace: Pace::Alone,
    needs: &[],
    run: greedy,
};

/// Clients that send almost nothing.
pub(super) const SLOWLORIS: Step = Step {
    name: "slowloris",
    claim: "1,000 clients that send a byte now and then hold nobody else up.",
    method: "Round trips of 40 others, alone and then beside 1,000 clients that send one byte a \
             second.",
    modes: matrix::unbounded,
    pace: Pace::Alone,
    needs: &[],
    run: slowloris,
};

/// Clients that send almost nothing, to a server that does not put up with it.
pub(super) const MIN_RATE: Step = Step {
    name: "min-rate",
    claim: "Clients that do not finish a line at the least rate are ended, and give their places back.",
    method: "As many clients as are served at once, 200 at most, send one byte a second.",
    modes: matrix::any,
    pace: Pace::Together,
    needs: &[Need::Flag("--min-rate")],
    run: min_rate,
};

/// Clients that read almost nothing.
pub(super) const READERS: Step = Step {
    name: "slow-readers",
    claim: "100 clients that hardly read their answers hold 100 others up no more than twofold.",
    method: "Round trips of 100 others, alone and then beside 100 clients that read ten bytes a \
             second.",
    modes: matrix::request_grain,
    pace: Pace::Alone,
    needs: &[],
    run: readers,
};

/// Clients that come all at once.
pub(super) const STORM: Step = Step {
    name: "storm",
    claim: "Clients that come at 5,000 a second are all let in and answered.",
    method: "Each connects when its turn comes, whatever became of the others, is answered once and \
             leaves.",
    modes: matrix::any,
    pace: Pace::Alone,
    needs: &[],
    run: storm,
};

/// Clients that come while nobody accepts.
pub(super) const OVERFLOW: Step = Step {
    name: "overflow",
    claim: "Clients that come while the server stands still, more than its queue holds, are served \
            once it goes on.",
    method: "The server is stopped by SIGSTOP, clients connect, and it is continued a second later.",
    modes: matrix::any,
    pace: Pace::Together,
    needs: &[],
    run: overflow,
};

/// A server that stands still with clients inside.
pub(super) const STANDSTILL: Step = Step {
    name: "standstill",
    claim: "A server that stood still goes on with every client that it had.",
    method: "All its processes are stopped by SIGSTOP with clients inside and continued later.",
    modes: matrix::any,
    pace: Pace::Together,
    needs: &[],
    run: standstill,
};

/// How much slower others may become.
const TWOFOLD: f64 = 2.0;
/// What nobody notices, however fast the others were alone.
const UNNOTICED: Duration = Duration::from_millis(20);
/// How long all of them may take to be served who come at a bad time: the kernel asks again after
/// 1, 3, 7, 15 and 31 seconds.
const LATE_LIMIT: Duration = Duration::from_secs(70);

fn greedy(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    case.serve(&[], |site| {
        let mut greed = case.load(&site.server, NonZeroU32::MIN);
        greed.protocol = Protocol::Echo(Sizes::Fixed(nonzero(64 << 10)));
        greed.behaviour.pipeline = NonZeroU16::new(64).unwrap_or(NonZeroU16::MIN);
        // Comparing a gigabyte a second would make this client the slower one.
        greed.verify = false;
        let others = others(case, site, 100);
        let (taken, others) = case.while_loaded(&greed, |watch| {
            let _ = watch.until(ANSWER_LIMIT, |progress| progress.answered > 0);
            case.run(&others)
        })?;
        let rate = taken.bytes.received as f64 / taken.duration_s.max(f64::EPSILON);
        let mut figures = answered(&others);
        figures.push(Figure::known(
            "round trip of the others, p99",
            rtt_p99(&others),
            Unit::Seconds,
        ));
        figures.push(Figure::known(
            "bytes a second of the greedy one",
            Some(rate),
            Unit::Bytes,
        ));
        Ok(figures)
    })
}

fn slowloris(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    // A process for each of a thousand clients is a strain of another kind.
    let clients = match matrix::process_each(case.choice) {
        true => case.size(20, 200),
        false => case.size(200, 1_000),
    };
    beside(case, Profile::SlowWrite, clients, 40)
}

fn min_rate(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    const GRACE: Duration = Duration::from_secs(1);
    /// Limits are looked at now and then.
    const SLACK: Duration = Duration::from_secs(2);
    let flags = ["--min-rate", "100", "--min-rate-grace", "1s"];
    case.serve(&flags, |site| {
        let clients = capacity(case.choice, case.size(20, 200));
        let mut config = slow_ones(case, site, Profile::SlowWrite, clients);
        config.behaviour.once = true;
        let (report, took) = case.while_loaded(&config, |watch| {
            let _ = watch.until(ANSWER_LIMIT, |progress| progress.connected >= clients);
            let begun = Instant::now();
            let all = watch.until(LATE_LIMIT, |progress| progress.failed >= clients.into());
            Ok(all.then(|| begun.elapsed()))
        })?;
        Ok(vec![
            Figure::always(
                "slow clients ended",
                report.clients.lost.into(),
                clients.into(),
            ),
            Figure::within("until all of them are", took, GRACE + SLACK),
        ])
    })
}

fn readers(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    beside(case, Profile::SlowRead, 100, 100)
}

/// Round trips of `prompt` clients, alone and beside `slow` ones.
fn beside(
    case: &Case<'_>,
    profile: Profile,
    slow: u32,
    prompt: u32,
) -> Result<Vec<Figure>, Trouble> {
    case.serve(&[], |site| {
        let others = others(case, site, prompt);
        let alone = case.run(&others)?;
        let crowd = slow_ones(case, site, profile, slow);
        let (_, (together, inside)) = case.while_loaded(&crowd, |watch| {
            let inside = watch.until(ANSWER_LIMIT, |progress| progress.connected >= slow);
            Ok((case.run(&others)?, inside))
        })?;
        let mut figures = answered(&together);
        figures.push(Figure::always(
            "slow clients were inside",
            u64::from(inside),
            1,
        ));
        let (before, after) = (rtt_p99(&alone), rtt_p99(&together));
        // Without the one the other has nothing to be held against.
        let after = before.and(after);
        let limit = (before.unwrap_or(0.0) * TWOFOLD).max(UNNOTICED.as_secs_f64());
        let name = "round trip beside the slow ones, p99";
        figures.push(Figure::at_most(name, after, limit, Unit::Seconds));
        Ok(figures)
    })
}

fn storm(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    // A process takes a few milliseconds of a processor to be made.
    let clients = match matrix::process_each(case.choice) {
        true => case.size(200, 1_000),
        false => case.size(400, 5_000),
    };
    case.serve(&[], |site| {
        let mut config = each_once(case, site, clients);
        config.starts = Starts::Rate(case.size(2_000.0, 5_000.0));
        let report = case.run(&config)?;
        let connect = report.latency.connect.as_ref();
        let longest = connect.and_then(|latency| latency.max_us);
        let mut figures = let_in(&report, clients);
        figures.push(Figure::known(
            "longest time to connect",
            longest.map(|us| us / 1e6),
            Unit::Seconds,
        ));
        Ok(figures)
    })
}

fn overflow(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    /// More than one client for each place in the queue.
    const BACKLOG: [&str; 2] = ["--backlog", "64"];
    /// The kernel answers a flood with SYN cookies, and may make a connection of a late packet whose
    /// client is gone. It is silent for ever, and only this ends it.
    const IDLE: [&str; 2] = ["--idle-timeout", "2s"];
    const STANDSTILL: Duration = Duration::from_secs(1);
    let clients = case.size(200, 2_000);
    case.serve(&[BACKLOG, IDLE].concat(), |site| {
        let config = each_once(case, site, clients);
        site.server.signal_group(Signal::STOP)?;
        let (report, ()) = case.while_loaded(&config, |watch| {
            watch.pass(STANDSTILL);
            site.server.signal_group(Signal::CONT)?;
            let all = u64::from(clients);
            let _ = watch.until(LATE_LIMIT, |progress| {
                progress.answered + progress.failed >= all
            });
            Ok(())
        })?;
        let overflows = report
            .server
            .as_ref()
            .map(|server| server.listen_overflows as f64);
        let mut figures = let_in(&report, clients);
        figures.push(Figure::known(
            "connections that the queue had no place for",
            overflows,
            Unit::Count,
        ));
        Ok(figures)
    })
}

fn standstill(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    let stands = case.size(Duration::from_secs(1), Duration::from_secs(30));
    case.serve(&[], |site| {
        let clients = capacity(case.choice, 50);
        let mut config = case.load(&site.server, nonzero(clients));
        config.behaviour.think = Pause::Constant(Duration::from_millis(10));
        config.behaviour.once = true;
        let (report, goes_on) = case.while_loaded(&config, |watch| {
            let _ = watch.until(ANSWER_LIMIT, |progress| progress.served >= clients);
            site.server.signal_group(Signal::STOP)?;
            watch.pass(stands);
            let before = watch.progress().answered;
            site.server.signal_group(Signal::CONT)?;
            let more = before + 3 * u64::from(clients);
            Ok(watch.until(ANSWER_LIMIT, |progress| progress.answered >= more))
        })?;
        let asked = u64::from(clients);
        Ok(vec![
            Figure::always("clients served", report.clients.served.into(), asked),
            Figure::never(
                "clients that lost their connection",
                report.clients.lost.into(),
                asked,
            ),
            Figure::never(
                "requests without an answer",
                failures(&report),
                report.requests.sent,
            ),
            Figure::always("goes on", u64::from(goes_on), 1),
        ])
    })
}

/// Clients that ask now and then for a while.
fn others(case: &Case<'_>, site: &Site, clients: u32) -> Config {
    let mut config = case.load(&site.server, nonzero(clients));
    config.behaviour.think = Pause::Constant(Duration::from_millis(10));
    // A process for each of them is not always made in half a second.
    let quick = match matrix::process_each(case.choice) {
        true => Duration::from_secs(1),
        false => Duration::from_millis(500),
    };
    config.stop = StopRule::After(case.size(quick, Duration::from_secs(30)));
    config
}

/// Clients that are slow in one way.
fn slow_ones(case: &Case<'_>, site: &Site, profile: Profile, clients: u32) -> Config {
    let mut config = case.load(&site.server, nonzero(clients));
    config.profiles = vec![Share {
        profile,
        weight: NonZeroU32::MIN,
    }];
    config.slow_bytes_per_s = match profile {
        Profile::SlowWrite => NonZeroU32::MIN,
        _ => loadgen::SLOW_BYTES_PER_S,
    };
    config
}

/// Clients that are answered once and do not come back.
fn each_once(case: &Case<'_>, site: &Site, clients: u32) -> Config {
    let mut config = case.load(&site.server, nonzero(clients));
    config.behaviour.requests_per_conn = Some(Reuse::of(NonZeroU32::MIN));
    config.behaviour.once = true;
    config.stop = StopRule::Either(
        LATE_LIMIT,
        u64::from(clients)
            .try_into()
            .unwrap_or(std::num::NonZeroU64::MIN),
    );
    config
}

/// How many long-lived clients the mode serves at once, `wish` at most.
fn capacity(choice: Choice, wish: u32) -> u32 {
    let capacity = matrix::plan(choice).capacity(wish);
    u32::try_from(capacity).unwrap_or(wish)
}

/// Everybody is served and answered each time.
fn answered(report: &Report) -> Vec<Figure> {
    let clients = report.clients;
    vec![
        Figure::always(
            "the others served",
            clients.served.into(),
            clients.asked.into(),
        ),
        Figure::never(
            "requests of the others without an answer",
            failures(report),
            report.requests.sent,
        ),
    ]
}

/// Everybody who comes is let in and answered.
fn let_in(report: &Report, clients: u32) -> Vec<Figure> {
    vec![
        Figure::always("clients answered", report.requests.answered, clients.into()),
        Figure::never(
            "connections refused, reset or lost",
            failures(report),
            clients.into(),
        ),
    ]
}
