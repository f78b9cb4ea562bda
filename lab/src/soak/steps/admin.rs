//! Clients that do their worst to the admin endpoint: the echo must not notice.

use std::time::Duration;

use loadgen::{Config, Pause, StopRule};
use server::{Choice, Inner};

use super::nonzero;
use crate::admin;
use crate::soak::case::{Case, Site};
use crate::soak::figure::{Figure, Unit};
use crate::soak::load::{failures, rtt_p99};
use crate::soak::matrix;
use crate::soak::nuisance::{self, Nuisances};
use crate::soak::step::{Need, Pace, Step, Trouble};
use crate::usage;

/// A crowd at the admin endpoint.
pub(super) const ADMIN: Step = Step {
    name: "admin",
    claim: "1,000 clients that do their worst to the admin endpoint slow the echo down no more than \
            twofold, and cost it no memory.",
    method: "Round trips of 40 others alone, beside 1,000 connections to the endpoint that are \
             silent, half, too large, deaf or forged and come again when they are closed, and \
             alone again.",
    modes: shares_its_process,
    pace: Pace::Alone,
    needs: &[Need::Flag("--admin")],
    run: admin,
};

/// Connections to the endpoint.
const NUISANCES: usize = 1_000;
/// Clients of the echo.
const OTHERS: u32 = 40;
/// How much slower they may become.
const TWOFOLD: f64 = 2.0;
/// What nobody notices, however fast they were alone.
const UNNOTICED: Duration = Duration::from_millis(20);
/// What the endpoint may need for all of its connections.
const MEMORY_BYTES: f64 = (16 << 20) as f64;
/// How long nuisances are remembered: as long as they may stay without a word.
const FORGOTTEN: Duration = Duration::from_secs(6);

/// Where the endpoint has the echo's process for its own, and one pool where it does not.
fn shares_its_process(choice: Choice) -> bool {
    matrix::request_grain_in_one_process(choice)
        || matrix::supervised(choice) && choice.inside == Inner::Epoll
}

fn admin(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    case.serve(&admin::FLAGS, |site| {
        let admin = admin::of(&site.server)?;
        let others = others(case, site);
        let alone = case.run(&others)?;
        let leader = [site.server.pid()];
        let before = usage::resident_bytes(&leader);
        let nuisances = Nuisances::start(admin, NUISANCES)?;
        let beside = case.run(&others);
        let after = usage::resident_bytes(&leader);
        let visits = nuisances.finish();
        let beside = beside?;
        case.pass(&site.server, case.size(Duration::ZERO, FORGOTTEN))?;
        let again = case.run(&others)?;
        let lives = nuisance::lives(admin)?;
        let grown = before.zip(after);
        let grown = grown.map(|(before, after)| after as f64 - before as f64);
        // Without a quiet machine before and after there is nothing to be held against.
        let quiet = rtt_p99(&alone).zip(rtt_p99(&again));
        let quiet = quiet.map(|(alone, again)| alone.max(again));
        let slowed = quiet.and(rtt_p99(&beside));
        let limit = (quiet.unwrap_or(0.0) * TWOFOLD).max(UNNOTICED.as_secs_f64());
        Ok(vec![
            Figure::always(
                "clients of the echo served",
                beside.clients.served.into(),
                OTHERS.into(),
            ),
            Figure::never(
                "requests without an answer",
                failures(&beside),
                beside.requests.sent,
            ),
            Figure::known("round trip alone, p99", rtt_p99(&alone), Unit::Seconds),
            Figure::known(
                "round trip alone again, p99",
                rtt_p99(&again),
                Unit::Seconds,
            ),
            Figure::at_most(
                "round trip beside the nuisances, p99",
                slowed,
                limit,
                Unit::Seconds,
            ),
            Figure::at_most("memory for the nuisances", grown, MEMORY_BYTES, Unit::Bytes),
            Figure::known("visits of the nuisances", Some(visits as f64), Unit::Count),
            Figure::always("the endpoint answers after all", u64::from(lives), 1),
        ])
    })
}

/// Clients that ask now and then for a while.
fn others(case: &Case<'_>, site: &Site) -> Config {
    let mut config = case.load(&site.server, nonzero(OTHERS));
    config.behaviour.think = Pause::Constant(Duration::from_millis(10));
    let short = Duration::from_millis(500);
    config.stop = StopRule::After(case.size(short, Duration::from_secs(30)));
    config
}
