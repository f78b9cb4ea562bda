//! `lab plan` and `lab calibrate`: what is typed, measured and shown.

use std::num::NonZeroUsize;

use cli::{Format, exit, stdout, usage};

use super::args::{Calibrate, Wanted};
use super::calibrate;
use super::calibration::{Calibration, DOCUMENT};
use super::{show, sizing};
use crate::args::Common;
use crate::bench::{Bench, Failure};
use crate::launcher::Launcher;
use crate::report;
use crate::session::{self, SessionError};

/// Measures what the modes cost, saves and shows it. Returns the exit code.
///
/// # Errors
///
/// [`SessionError`] when it cannot be measured, saved or shown.
pub(crate) fn calibrate(
    wanted: &Calibrate,
    common: &Common,
    launcher: Launcher,
) -> Result<u8, SessionError> {
    let mut bench = session::bench(common, launcher)?;
    let Some(calibration) = measure(&mut bench, wanted.repeats(), common)? else {
        return Ok(interrupted(&bench));
    };
    match common.format {
        Format::Text => stdout::emit(&show::calibration_text(&calibration))?,
        Format::Json => stdout::emit(&report::pretty(&calibration))?,
    }
    Ok(exit::SUCCESS)
}

/// Plans by what was measured before, or measures in short if nothing was. Returns the exit code.
///
/// # Errors
///
/// [`SessionError`] when nothing can be measured, read or shown.
pub(crate) fn plan(
    wanted: &Wanted,
    common: &Common,
    launcher: Launcher,
) -> Result<u8, SessionError> {
    // Before anything is measured for it.
    if let Some(why) = wanted.is_impossible() {
        return Ok(usage::refuse("lab", &why));
    }
    let calibration = match Calibration::read(&common.out)? {
        Some(calibration) => calibration,
        None => {
            let mut bench = session::bench(common, launcher)?;
            bench.narrator.say(&format!(
                "no {DOCUMENT} in {}: measuring in short what the modes cost here; `lab calibrate` \
                 is more exact",
                common.out.display()
            ));
            match measure(&mut bench, NonZeroUsize::MIN, common)? {
                Some(calibration) => calibration,
                None => return Ok(interrupted(&bench)),
            }
        }
    };
    let demand = match wanted.demand(&calibration) {
        Ok(demand) => demand,
        Err(why) => return Ok(usage::refuse("lab", &why)),
    };
    let rows = sizing::plan(&demand, &calibration, &wanted.modes(&calibration));
    let rows = sizing::tried(rows, &demand, &calibration, common.seed);
    match common.format {
        Format::Text => stdout::emit(&show::plan_text(&demand, &calibration, &rows))?,
        Format::Json => stdout::emit(&report::pretty(&show::plan_json(
            &demand,
            &calibration,
            &rows,
        )))?,
    }
    Ok(exit::SUCCESS)
}

/// A calibration that is saved; none if the user ended it.
fn measure(
    bench: &mut Bench,
    repeats: NonZeroUsize,
    common: &Common,
) -> Result<Option<Calibration>, SessionError> {
    let result = calibrate::calibrate(bench, repeats);
    bench.narrator.clear();
    match result {
        Ok(calibration) => {
            calibration.save(&common.out)?;
            Ok(Some(calibration))
        }
        Err(Failure::Interrupted) => Ok(None),
        Err(failure) => Err(SessionError::Measure(failure)),
    }
}

/// The exit code after a signal.
fn interrupted(bench: &Bench) -> u8 {
    bench
        .interrupt
        .signal()
        .map_or(exit::FAILED, exit::interrupted)
}
