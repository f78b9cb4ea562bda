//! The program is replaced while it serves: clients must not notice.

use rustix::process::Signal;

use super::restarts::{RESTART_LIMIT, RESTARTED, comers_and_goers, nothing_lost};
use crate::soak::case::{ANSWER_LIMIT, Case, Site};
use crate::soak::figure::Figure;
use crate::soak::matrix;
use crate::soak::step::{Need, Pace, Step, Trouble};

/// Upgrades without a gap.
pub(super) const UPGRADES: Step = Step {
    name: "upgrades",
    claim: "An upgrade refuses nobody, resets nobody and loses no answer.",
    method: "Clients that leave after some answers and come back, while the server gets USR2, and as a \
             pool HUP, again as soon as the one before is over.",
    modes: matrix::any,
    pace: Pace::Together,
    needs: &[Need::Flag("--upgrade-timeout")],
    run: upgrades,
};

/// What a server says last.
const STOPPED: &str = "stopped accepted=";

fn upgrades(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    let wanted: usize = case.size(2, 50);
    case.serve(&[], |site| {
        let config = comers_and_goers(case, site);
        let (report, done) = case.while_loaded(&config, |watch| {
            let served = |more: u64| {
                let goal = watch.progress().answered + more;
                watch.until(ANSWER_LIMIT, |progress| progress.answered >= goal)
            };
            for number in 1..=wanted {
                case.go_on()?;
                // So that there is somebody to be lost.
                if !served(20) || !change(case, site, number)? {
                    case.note(format!("upgrade {number} is not over after its limit"));
                    return Ok(number - 1);
                }
            }
            Ok(if served(20) { wanted } else { 0 })
        })?;
        let mut figures = nothing_lost(case, &report);
        figures.push(Figure::always("upgrades", done as u64, wanted as u64));
        Ok(figures)
    })
}

/// An upgrade to its end, which is that of the server before, and a restart of the new one's workers.
fn change(case: &Case<'_>, site: &Site, number: usize) -> Result<bool, Trouble> {
    let (server, log) = (&site.server, site.server.log());
    if !server.upgrade(RESTART_LIMIT)? || !log.wait_for(STOPPED, number, RESTART_LIMIT) {
        return Ok(false);
    }
    if !matrix::supervised(case.choice) {
        return Ok(true);
    }
    server.signal(Signal::HUP)?;
    Ok(log.wait_for(RESTARTED, number, RESTART_LIMIT))
}
