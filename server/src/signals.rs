//! Which signal means what, for the master and for its workers; the process of one connection is as
//! a worker.
//!
//! | signal | server | worker process |
//! |---|---|---|
//! | TERM | drain; again: end it at once | drain |
//! | INT | as TERM | ignored: at a terminal the whole group gets it, and the master leads |
//! | QUIT | end at once | end at once |
//! | HUP, USR1, USR2 | logged and ignored | ignored |

use std::io;
use std::thread;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use tracing::info;

use crate::stop::Stop;

/// All that are caught.
const CAUGHT: [i32; 6] = [SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2];

/// Keeps the signals of [`CAUGHT`] from this thread, and from processes that it starts, until this
/// is dropped: one that is too young to catch them would die of them.
#[derive(Debug)]
pub(crate) struct HeldBack {
    before: SigSet,
}

impl HeldBack {
    /// From now on.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub(crate) fn begin() -> io::Result<Self> {
        let before = caught()?.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Self { before })
    }
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        // Fails only on a mask that no thread can have had.
        let _ = self.before.thread_set_mask();
    }
}

/// In a process that was started while they were held back: takes those that came and will come.
///
/// # Errors
///
/// When the system refuses.
pub(crate) fn let_in() -> io::Result<()> {
    Ok(caught()?.thread_unblock()?)
}

fn caught() -> io::Result<SigSet> {
    let signals = CAUGHT.into_iter().map(Signal::try_from);
    Ok(signals.collect::<Result<SigSet, _>>()?)
}

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
    let mut signals = Signals::new(CAUGHT)?;
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
