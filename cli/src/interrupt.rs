//! Ctrl-C and TERM: the first asks for an orderly end, the second ends at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::exit;

/// Which signal asked the program to end, if any.
///
/// A program that never calls [`Interrupt::install`] may use [`Interrupt::default`], which only
/// [`Interrupt::raise`] can set: that is how tests and libraries stop a run.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    /// Catches INT and TERM. The first one is remembered; a second one ends the process at once
    /// with the exit code of that signal.
    ///
    /// # Errors
    ///
    /// When the system refuses the handlers.
    pub fn install() -> io::Result<Self> {
        let interrupt = Self::default();
        let ending = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            let number = u8::try_from(signal).map_err(io::Error::other)?;
            let status = i32::from(exit::interrupted(number));
            // Handlers run in the order of registration: "is this the second one?" comes first.
            flag::register_conditional_shutdown(signal, status, Arc::clone(&ending))?;
            flag::register(signal, Arc::clone(&ending))?;
            flag::register_usize(signal, Arc::clone(&interrupt.signal), usize::from(number))?;
        }
        Ok(interrupt)
    }

    /// The number of the signal that asked for the end, or none so far.
    #[must_use]
    pub fn signal(&self) -> Option<u8> {
        u8::try_from(self.signal.load(Ordering::Relaxed))
            .ok()
            .filter(|signal| *signal != 0)
    }

    /// Asks for the end as `signal` would.
    pub fn raise(&self, signal: u8) {
        self.signal.store(usize::from(signal), Ordering::Relaxed);
    }
}
