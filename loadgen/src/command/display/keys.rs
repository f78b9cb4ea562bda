//! Single keys from the terminal, and the terminal as it was afterwards.

use std::io::{Stdin, stdin};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};

/// Keys that are read at once.
const AT_ONCE: usize = 64;
/// The first byte of what arrow keys and the like send.
const ESCAPE: u8 = 0x1b;
/// A special character that no key sends.
const DISABLED: u8 = 0;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Pause, or go on.
    Pause,
    /// End the run.
    Stop,
}

/// The keys of the terminal at stdin; dropping it restores the terminal.
#[derive(Debug)]
pub(super) struct Keys {
    stdin: Stdin,
    before: Termios,
}

impl Keys {
    /// Takes the keys one by one and unseen from now on; none if stdin is no terminal, or that of
    /// somebody else: a process in the background that touches its terminal is stopped.
    pub(super) fn take() -> Option<Self> {
        let stdin = stdin();
        let before = tcgetattr(&stdin).ok()?;
        let keys = Self { stdin, before };
        keys.take_again();
        keys.ours().then_some(keys)
    }

    /// Takes the keys once more, after somebody else may have changed the terminal.
    pub(super) fn take_again(&self) {
        let mut modes = self.before.clone();
        // Ctrl-C stays a signal, and so does Ctrl-Z, after which the shell takes the keys.
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        // A quit would end the process without giving the keys back.
        modes.special_codes[SpecialCodeIndex::VQUIT] = DISABLED;
        // A read returns at once with what is there.
        modes.special_codes[SpecialCodeIndex::VMIN] = 0;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        self.set(&modes);
    }

    /// What was pressed since the last time, without waiting.
    pub(super) fn pressed(&self) -> Vec<Key> {
        let mut typed = [0; AT_ONCE];
        // After Ctrl-Z the settings may be the shell's for a moment, and a read would wait for a line.
        let mut ready = [PollFd::new(&self.stdin, PollFlags::IN)];
        let waiting = poll(&mut ready, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
        if !waiting || !self.ours() {
            return Vec::new();
        }
        // A terminal that went away sends nothing.
        let length = rustix::io::read(&self.stdin, &mut typed).unwrap_or(0);
        meaning(&typed[..length])
    }

    /// Whether this process is in the foreground. A terminal that controls no jobs of ours has no
    /// background.
    fn ours(&self) -> bool {
        tcgetpgrp(&self.stdin).map_or(true, |group| group == getpgrp())
    }

    fn set(&self, modes: &Termios) {
        if self.ours() {
            // A terminal that went away needs no settings.
            let _ = tcsetattr(&self.stdin, OptionalActions::Now, modes);
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.set(&self.before);
    }
}

fn meaning(typed: &[u8]) -> Vec<Key> {
    if typed.first() == Some(&ESCAPE) {
        return Vec::new();
    }
    let keys = typed.iter().filter_map(|byte| match byte {
        b' ' | b'p' | b'P' => Some(Key::Pause),
        b'q' | b'Q' => Some(Key::Stop),
        _ => None,
    });
    keys.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_keys_mean_something() {
        assert_eq!(meaning(b" xp"), [Key::Pause, Key::Pause]);
        assert_eq!(meaning(b"Q\n"), [Key::Stop]);
        assert_eq!(meaning(b"\x1bOp"), []);
    }
}
