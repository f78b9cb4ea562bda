//! Waiting for descriptors without missing a signal.

use std::io;
use std::time::{Duration, Instant};

use cli::Interrupt;
use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;

use crate::failure::Failure;

/// The longest wait in one piece: a signal may arrive just before the wait, or on another thread,
/// and would then not end it.
const SLICE: Duration = Duration::from_millis(100);

/// Waits until one of `fds` is ready, until the moment `until`, or a little while: the caller
/// looks again at what it waits for.
///
/// # Errors
///
/// [`Failure::Interrupted`] once a signal has come; [`Failure::Wait`] if the system cannot wait.
pub(crate) fn wait(
    fds: &mut [PollFd<'_>],
    until: Option<Instant>,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    check(interrupt)?;
    let left = until.map_or(SLICE, |until| {
        until.saturating_duration_since(Instant::now())
    });
    let slice = Timespec::try_from(left.min(SLICE)).ok();
    match poll(fds, slice.as_ref()) {
        Ok(_) | Err(Errno::INTR) => check(interrupt),
        Err(error) => Err(Failure::Wait(error.into())),
    }
}

/// Waits for `pause`.
///
/// # Errors
///
/// As for [`wait`].
pub(crate) fn pause(pause: Duration, interrupt: &Interrupt) -> Result<(), Failure> {
    let until = Instant::now() + pause;
    while Instant::now() < until {
        wait(&mut [], Some(until), interrupt)?;
    }
    Ok(())
}

/// What an operation that must not block found: `None` when it is to be tried again later.
///
/// # Errors
///
/// Every other error.
pub(crate) fn ready<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
            _ => Err(error),
        },
    }
}

fn check(interrupt: &Interrupt) -> Result<(), Failure> {
    interrupt
        .signal()
        .map_or(Ok(()), |signal| Err(Failure::Interrupted { signal }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_ends_every_wait() {
        let interrupt = Interrupt::default();
        interrupt.raise(15);
        let ended = pause(Duration::from_millis(1), &interrupt);
        assert!(matches!(ended, Err(Failure::Interrupted { signal: 15 })));
    }

    #[test]
    fn only_what_passes_is_tried_again() {
        for kind in [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted] {
            assert!(matches!(ready::<()>(Err(kind.into())), Ok(None)));
        }
        assert!(ready::<()>(Err(io::ErrorKind::ConnectionReset.into())).is_err());
    }
}
