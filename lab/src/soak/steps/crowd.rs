//! Many clients that say nothing, and what they cost; then others that talk beside them.

use std::num::NonZeroU32;
use std::time::Duration;

use loadgen::{Behaviour, Config, Profile, Share};
use server::{Choice, Mode};

use super::nonzero;
use crate::soak::case::{ANSWER_LIMIT, Case, Site};
use crate::soak::census::{Census, until};
use crate::soak::figure::{Figure, Unit};
use crate::soak::load::{self, Watch, failures};
use crate::soak::matrix;
use crate::soak::slope;
use crate::soak::step::{Need, Pace, Step, Trouble};
use crate::usage::{self, Usage};

/// Quiet clients alone.
pub(super) const IDLE: Step = Step {
    name: "idle",
    claim: "10,000 quiet clients cost a few hundred bytes each and no processor time.",
    method: "Clients connect and say nothing; resident memory before and after, and processor time \
             while nothing happens.",
    modes: costs_little,
    pace: Pace::Alone,
    needs: &[],
    run: idle,
};

/// Quiet and busy clients together.
pub(super) const CROWD: Step = Step {
    name: "crowd",
    claim: "1,000 busy clients are served beside 10,000 quiet ones, and nobody loses a connection.",
    method: "The quiet ones connect first and stay; the busy ones then talk without a pause.",
    modes: matrix::request_grain,
    pace: Pace::Alone,
    needs: &[],
    run: crowd,
};

/// Quiet clients for long.
pub(super) const STILL: Step = Step {
    name: "still",
    claim: "10,000 quiet clients cost the same after ten minutes as after one.",
    method: "Resident memory every second while nothing happens, and the slope of a line through it.",
    modes: matrix::request_grain_in_one_process,
    pace: Pace::Alone,
    needs: &[Need::Minutes],
    run: still,
};

/// Quiet clients; their descriptors, and those of the busy ones, fit under a hard limit of 20,000.
const QUICK_QUIET: u32 = 2_000;
const FULL_QUIET: u32 = 10_000;
/// Busy clients.
const QUICK_BUSY: u32 = 200;
const FULL_BUSY: u32 = 1_000;
/// How long everybody may take to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);
/// What quiet clients may cost of one processor.
const IDLE_SHARE: f64 = 0.01;

/// No worker is held by a client, and a client is not a whole process.
fn costs_little(choice: Choice) -> bool {
    let alone = matrix::plan(choice).processes.is_none();
    alone && matrix::unbounded(choice) && !matrix::process_each(choice)
}

/// User memory that a quiet connection may cost; none where nobody set a goal, and in a build whose
/// stacks are deeper than those that are meant.
fn memory_goal_bytes(choice: Choice) -> Option<f64> {
    match choice.mode {
        _ if cfg!(debug_assertions) => None,
        Mode::ReadyPool => Some(1024.0),
        Mode::Async => Some(1536.0),
        Mode::ThreadPerConnection => Some(13.0 * 1024.0),
        // Bare reactors, by whatever means they wait.
        _ if matrix::request_grain(choice) => Some(512.0),
        _ => None,
    }
}

fn idle(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    let window = case.size(Duration::from_secs(2), Duration::from_secs(30));
    case.serve(&[], |site| {
        let pid = site.server.pid();
        let before = site.resident_bytes();
        let quiet = quiet(case, site);
        let clients = quiet.connections.get();
        let (_, figures) = case.while_loaded(&quiet, |watch| {
            connected(case, site, watch, clients);
            let first = usage::sample(pid);
            watch.pass(window);
            let (last, after) = (usage::sample(pid), site.resident_bytes());
            let share = first
                .zip(last)
                .and_then(|(first, last)| Usage::between(&first, &last))
                .map(|usage| usage.cpu_cores);
            let each = before
                .zip(after)
                .map(|(before, after)| (after as f64 - before as f64) / f64::from(clients));
            let mode = case.choice;
            let memory = format!("memory of a quiet connection, {mode}");
            Ok(vec![
                all_connected(watch, clients),
                Figure::at_most(
                    "processor time while all are quiet",
                    share,
                    IDLE_SHARE,
                    Unit::Share,
                ),
                match memory_goal_bytes(mode) {
                    Some(goal) => Figure::at_most(memory, each, goal, Unit::Bytes),
                    None => Figure::known(memory, each, Unit::Bytes),
                },
            ])
        })?;
        Ok(figures)
    })
}

fn crowd(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    let window = case.size(Duration::from_secs(1), Duration::from_secs(300));
    let busy = nonzero(case.size(QUICK_BUSY, FULL_BUSY));
    case.serve(&[], |site| {
        let quiet = quiet(case, site);
        let clients = quiet.connections.get();
        let (silence, (talk, control)) = case.while_loaded(&quiet, |watch| {
            connected(case, site, watch, clients);
            let control = site.control(ANSWER_LIMIT)?;
            let mut config = case.load(&site.server, busy);
            config.stop = loadgen::StopRule::After(window);
            Ok((case.run(&config)?, control.finish()))
        })?;
        let mut figures = vec![
            Figure::always(
                "quiet clients connected",
                silence.clients.connected.into(),
                clients.into(),
            ),
            Figure::none(
                "quiet clients that lost their connection",
                silence.clients.lost.into(),
            ),
            Figure::always(
                "busy clients served",
                talk.clients.served.into(),
                busy.get().into(),
            ),
            Figure::never(
                "requests without an answer",
                failures(&talk),
                talk.requests.sent,
            ),
            Figure::known(
                "round trip of the busy ones, p99",
                load::rtt_p99(&talk),
                Unit::Seconds,
            ),
        ];
        figures.extend(control);
        Ok(figures)
    })
}

fn still(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    let (warm_up, window) = (Duration::from_secs(60), Duration::from_secs(540));
    // A client that is quiet for ten minutes is not to be ended for it.
    case.serve(&["--idle-timeout", "0"], |site| {
        let quiet = quiet(case, site);
        let clients = quiet.connections.get();
        let (report, figures) = case.while_loaded(&quiet, |watch| {
            connected(case, site, watch, clients);
            watch.pass(warm_up);
            let slope = slope::of_memory(site, watch, window);
            Ok(vec![all_connected(watch, clients), slope::figure(slope)])
        })?;
        let lost = Figure::none(
            "quiet clients that lost their connection",
            report.clients.lost.into(),
        );
        Ok([figures, vec![lost]].concat())
    })
}

/// Clients that connect and say nothing.
fn quiet(case: &Case<'_>, site: &Site) -> Config {
    let mut config = case.load(&site.server, nonzero(case.size(QUICK_QUIET, FULL_QUIET)));
    config.profiles = vec![Share {
        profile: Profile::Idle,
        weight: NonZeroU32::MIN,
    }];
    config.behaviour = Behaviour {
        once: true,
        ..config.behaviour
    };
    config
}

/// Waits until all are connected, and until the server knows it: to the client a connection is
/// there as soon as the kernel has it.
fn connected(case: &Case<'_>, site: &Site, watch: &Watch, clients: u32) {
    let all = watch.until(CONNECT_LIMIT, |progress| progress.connected >= clients);
    let descriptors = site.baseline.descriptors + clients as usize;
    let accepted = || Census::of(site.server.pid()).descriptors >= descriptors;
    if !(all && until(&site.server, CONNECT_LIMIT, accepted)) {
        case.note("not everybody was connected in time");
    }
    let _ = Census::settled(&site.server, CONNECT_LIMIT, |_| true);
}

fn all_connected(watch: &Watch, clients: u32) -> Figure {
    let connected = watch.progress().connected;
    Figure::always("quiet clients connected", connected.into(), clients.into())
}
