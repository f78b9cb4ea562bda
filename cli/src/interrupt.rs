//! Ctrl-C and TERM: the first asks for an orderly end, the second ends at once.
//!
//! ```text
//! INT  ──handler──▶ pipe ──▶ thread ─┐
//! TERM ──handler──▶ pipe ──▶ thread ─┴▶ one exchange decides who was first
//! ```
//!
//! Handlers of two signals run side by side, on two threads or inside each other. If each looked at
//! a flag and set it afterwards, both could be the first, and a run that hangs would go on. So they
//! only pass the signal on, and nothing that is not atomic decides.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level;

use crate::exit;

/// Nobody has asked for the end; no signal has this number.
const NONE: u8 = 0;

/// Which signal asked the program to end, if any.
///
/// A program that never calls [`Interrupt::install`] may use [`Interrupt::default`], which only
/// [`Interrupt::raise`] can set: that is how tests and libraries stop a run.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    signal: Arc<AtomicU8>,
}

impl Interrupt {
    /// Catches INT and TERM. The first one is remembered; a second one ends the process at once
    /// with the exit code of that signal. After [`Interrupt::raise`] the first one is the second.
    ///
    /// # Errors
    ///
    /// When the system refuses the handlers or the threads that they wake.
    pub fn install() -> io::Result<Self> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM] {
            let number = u8::try_from(signal).map_err(io::Error::other)?;
            let (arrivals, handler) = UnixStream::pair()?;
            interrupt.clone().follow(number, arrivals)?;
            low_level::pipe::register(signal, handler)?;
        }
        Ok(interrupt)
    }

    /// The number of the signal that asked for the end, or none so far.
    #[must_use]
    pub fn signal(&self) -> Option<u8> {
        let signal = self.signal.load(Ordering::SeqCst);
        (signal != NONE).then_some(signal)
    }

    /// Asks for the end as `signal` would, unless somebody has asked already.
    pub fn raise(&self, signal: u8) {
        let _ = self.ask(signal);
    }

    /// Asks for the end.
    ///
    /// # Errors
    ///
    /// The signal that did so before.
    fn ask(&self, signal: u8) -> Result<(), u8> {
        let (success, failure) = (Ordering::SeqCst, Ordering::SeqCst);
        let asked = self.signal.compare_exchange(NONE, signal, success, failure);
        asked.map(drop)
    }

    /// Has a thread act on each byte of `arrivals`, which stands for one arrival of `signal`.
    fn follow(self, signal: u8, mut arrivals: UnixStream) -> io::Result<()> {
        let act = move || {
            let mut one = [0];
            while arrivals.read_exact(&mut one).is_ok() {
                if self.ask(signal).is_err() {
                    // Without the hooks of an orderly end: they may be what hangs.
                    low_level::exit(exit::interrupted(signal).into());
                }
            }
        };
        let thread = thread::Builder::new().name(format!("signal-{signal}"));
        thread.spawn(act).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_who_asks_is_remembered() {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.signal(), None);
        interrupt.raise(15);
        interrupt.clone().raise(2);
        assert_eq!((interrupt.signal(), interrupt.ask(2)), (Some(15), Err(15)));
    }
}
