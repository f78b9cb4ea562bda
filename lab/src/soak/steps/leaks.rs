//! Connections come and go, and nothing of them stays.

use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use loadgen::{Pause, Reuse, StopRule};

use super::nonzero;
use crate::soak::case::{Case, Site};
use crate::soak::figure::{Figure, Unit};
use crate::soak::load::failures;
use crate::soak::matrix;
use crate::soak::slope;
use crate::soak::step::{Need, Pace, Step, Trouble};

/// See the module.
pub(super) const LEAKS: Step = Step {
    name: "leaks",
    claim: "After 100,000 connections there are as many descriptors, threads and processes as \
            before, and the second half of them costs no memory.",
    method: "Eight clients connect, are answered once, leave and come back, in two equal halves.",
    modes: matrix::any,
    pace: Pace::Alone,
    needs: &[],
    run,
};

/// Memory under a steady load.
pub(super) const GROWTH: Step = Step {
    name: "growth",
    claim: "Under a steady load of clients that come and go, memory does not grow.",
    method: "Twenty clients ask every 10 ms and come back on a new connection after some answers, \
             for ten minutes; the slope of a line through the resident memory after the first.",
    modes: matrix::any,
    pace: Pace::Together,
    needs: &[Need::Minutes],
    run: growth,
};

/// Clients at once.
const CLIENTS: NonZeroU32 = NonZeroU32::new(8).expect("8 is not 0");
/// Connections in each of the halves.
const QUICK_HALF: u64 = 200;
const FULL_HALF: u64 = 50_000;
/// What the second half may add to the resident memory.
const GROWTH_BYTES: f64 = (1 << 20) as f64;
/// Addresses of this machine that the clients come from: one has too few ports for so many.
const SOURCES: u8 = 16;

fn run(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    case.serve(&[], |site| {
        let half = case.size(QUICK_HALF, FULL_HALF);
        let first = connections(case, site, half)?;
        let before = resident(site);
        let second = connections(case, site, half)?;
        let after = resident(site);
        let growth = before
            .zip(after)
            .map(|(before, after)| after as f64 - before as f64);
        Ok(vec![
            Figure::never("connections that failed", first + second, 2 * half),
            Figure::at_most(
                "memory added by the second half",
                growth,
                GROWTH_BYTES,
                Unit::Bytes,
            ),
        ])
    })
}

fn growth(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    let (warm_up, window) = (Duration::from_secs(60), Duration::from_secs(540));
    case.serve(&[], |site| {
        let mut config = case.load(&site.server, nonzero(20));
        config.behaviour.think = Pause::Constant(Duration::from_millis(10));
        config.behaviour.requests_per_conn = Some(Reuse {
            least: NonZeroU32::MIN,
            most: nonzero(100),
        });
        let (report, slope) = case.while_loaded(&config, |watch| {
            watch.pass(warm_up);
            Ok(slope::of_memory(site, watch, window))
        })?;
        Ok(vec![
            slope::figure(slope),
            Figure::never(
                "requests without an answer",
                failures(&report),
                report.requests.sent,
            ),
        ])
    })
}

/// What is resident once the last connection is over.
fn resident(site: &Site) -> Option<u64> {
    let _ = site.settle();
    site.resident_bytes()
}

/// Makes `count` connections of one request each; returns how many failed.
fn connections(case: &Case<'_>, site: &Site, count: u64) -> Result<u64, Trouble> {
    let mut config = case.load(&site.server, CLIENTS);
    config.bind = (1..=SOURCES)
        .map(|host| IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)))
        .collect();
    config.behaviour.requests_per_conn = Some(Reuse::of(NonZeroU32::MIN));
    config.stop = StopRule::Requests(NonZeroU64::new(count).unwrap_or(NonZeroU64::MIN));
    Ok(failures(&case.run(&config)?))
}
