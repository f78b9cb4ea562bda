//! Which signal means what, for the server and for its workers; the process of one connection is as
//! a worker.
//!
//! | signal | process-pool | all other modes | worker process |
//! |---|---|---|---|
//! | TERM | drain; again: end it at once | the same | drain |
//! | INT | as TERM | as TERM | ignored: at a terminal the whole group gets it, and the master leads |
//! | QUIT | end at once | end at once | end at once |
//! | HUP | restart the workers, one after the other | logged and ignored | ignored |
//! | TTIN, TTOU | one worker more, one fewer | logged and ignored | ignored |
//! | USR1 | log the status | log the status | ignored |
//! | USR2 | upgrade: start the program anew, and let it take over | the same | ignored |
//! | CHLD | bury children that are none of ours | the same | not caught |
//! | ABRT | as by default: it ends | as by default | as by default; the master sends it to one that hangs |

use std::io;
use std::thread;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use signal_hook::consts::{
    SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
};
use signal_hook::iterator::{Signals, SignalsInfo};
use tracing::info;

use crate::orders::Control;
use crate::process;
use crate::stop::Stop;
use crate::upgrade::Upgrades;

/// All that people and programs send.
const CAUGHT: [i32; 8] = [
    SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
];

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
fn let_in() -> io::Result<()> {
    Ok(caught()?.thread_unblock()?)
}

fn caught() -> io::Result<SigSet> {
    let signals = CAUGHT.into_iter().map(Signal::try_from);
    Ok(signals.collect::<Result<SigSet, _>>()?)
}

/// Lets signals lead the server.
///
/// # Errors
///
/// When the system refuses the handlers.
pub(crate) fn catch(control: &Control, upgrades: &Upgrades) -> io::Result<()> {
    let mut signals = Signals::new(CAUGHT.iter().chain(&[SIGCHLD]))?;
    // Those that died before they could be heard of.
    process::adopt_strangers();
    process::bury_strangers();
    let Control { stop, orders, .. } = control.clone();
    let upgrades = upgrades.clone();
    // A predecessor holds them back until here.
    let_in()?;
    start(move || {
        for signal in &mut signals {
            match signal {
                SIGCHLD => {
                    process::bury_strangers();
                    continue;
                }
                SIGTERM | SIGINT => stop.escalate(),
                SIGQUIT => stop.cut(),
                _ => {}
            }
            // Said before it is done, so that the log has them in their order.
            say(signal, &stop);
            match signal {
                SIGHUP => orders.restart(),
                SIGTTIN => orders.more(),
                SIGTTOU => orders.fewer(),
                SIGUSR1 => orders.status(),
                SIGUSR2 => upgrades.ask(),
                _ => {}
            }
        }
    })
}

/// The signals of a worker, whom the master leads, whatever the terminal sends to the whole group.
/// They are held back until somebody listens.
#[derive(Debug)]
pub(crate) struct WorkerSignals(SignalsInfo);

impl WorkerSignals {
    /// Opens all that it takes.
    ///
    /// # Errors
    ///
    /// When the system refuses the handlers.
    pub(crate) fn prepare() -> io::Result<Self> {
        Ok(Self(Signals::new(CAUGHT)?))
    }

    /// Listens to them, on a thread of its own.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub(crate) fn listen(self, stop: &Stop) -> io::Result<()> {
        let Self(mut signals) = self;
        let stop = stop.clone();
        start(move || {
            for signal in &mut signals {
                match signal {
                    SIGTERM => stop.drain(),
                    SIGQUIT => stop.cut(),
                    _ => {}
                }
                say(signal, &stop);
            }
        })?;
        let_in()
    }
}

fn start(listen: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name("signals".into());
    thread.spawn(listen).map(drop)
}

fn say(signal: i32, stop: &Stop) {
    info!(signal = name(signal), phase = ?stop.phase(), "signal");
}

/// What a signal is called.
pub(crate) fn name(signal: i32) -> &'static str {
    signal_hook::low_level::signal_name(signal).unwrap_or("an unnamed signal")
}
