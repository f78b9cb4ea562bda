//! Which signal means what, for the master and for its workers.
//!
//! | signal | server | worker process |
//! |---|---|---|
//! | TERM | drain; again: end it at once | drain |
//! | INT | as TERM | ignored: at a terminal the whole group gets it, and the master leads |
//! | QUIT | end at once | end at once |
//! | HUP, USR1, USR2 | logged and ignored | ignored |

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use tracing::info;

use crate::stop::Stop;

/// Lets signals end the server in order.
///
/// # Errors
///
/// When the system refuses the handlers.
pub(crate) fn catch(stop: &Stop) -> io::Result<()> {
    listen(stop, |signal, stop| match signal {
        SIGTERM | SIGINT => stop.escalate(),
        SIGQUIT => stop.cut(),
        _ => {}
    })
}

/// Lets the master lead, whatever the terminal sends to the whole group.
///
/// # Errors
///
/// When the system refuses the handlers.
pub(crate) fn catch_in_worker(stop: &Stop) -> io::Result<()> {
    listen(stop, |signal, stop| match signal {
        SIGTERM => stop.drain(),
        SIGQUIT => stop.cut(),
        _ => {}
    })
}

fn listen(stop: &Stop, act: fn(i32, &Stop)) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2])?;
    let stop = stop.clone();
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in &mut signals {
                act(signal, &stop);
                let name = signal_hook::low_level::signal_name(signal).unwrap_or("unknown");
                info!(signal = name, phase = ?stop.phase(), "signal");
            }
        })?;
    Ok(())
}
