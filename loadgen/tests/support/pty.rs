//! A load generator at a terminal that the test types at and reads.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Child, Output, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, SpecialCodeIndex, Termios, Winsize, tcgetattr, tcsetwinsize};

use super::PATIENCE;
use super::program::loadgen;

/// Its stdin and stderr are the terminal; its stdout is a pipe.
pub(crate) struct Terminal {
    screen: File,
    before: Termios,
    child: Option<Child>,
}

impl Terminal {
    /// Starts it at a new terminal of 80 columns.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::of_kind("xterm", args)
    }

    /// Starts it at a terminal of the kind that `TERM` names.
    pub(crate) fn of_kind(kind: &str, args: &[&str]) -> Self {
        let screen = File::from(
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap(),
        );
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&screen, size).unwrap();
        let name = ptsname(&screen, Vec::new()).unwrap();
        let mut tty = OpenOptions::new();
        let tty = tty.read(true).write(true).open(name.to_str().unwrap());
        let tty = tty.unwrap();
        let before = tcgetattr(&tty).unwrap();
        let mut command = loadgen(args);
        command.env_remove("NO_COLOR").env("TERM", kind);
        command.stdin(tty.try_clone().unwrap());
        command.stdout(Stdio::piped()).stderr(Stdio::from(tty));
        let child = Some(command.spawn().unwrap());
        Self {
            screen,
            before,
            child,
        }
    }

    pub(crate) fn type_in(&mut self, keys: &str) {
        self.screen.write_all(keys.as_bytes()).unwrap();
    }

    /// The terminal's settings just now.
    pub(crate) fn modes(&self) -> Termios {
        tcgetattr(&self.screen).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// Reads until `text` is shown, and returns all that was.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let shown = String::from_utf8_lossy(&seen).into_owned();
            if shown.contains(text) {
                return shown;
            }
            let limit = Timespec::try_from(PATIENCE).unwrap();
            let ready = poll(
                &mut [PollFd::new(&self.screen, PollFlags::IN)],
                Some(&limit),
            );
            assert!(ready.unwrap() > 0, "no {text:?} in {shown:?}");
            let mut byte = [0];
            assert_eq!(
                self.screen.read(&mut byte).unwrap_or(0),
                1,
                "the end after {shown:?}"
            );
            seen.push(byte[0]);
        }
    }

    /// Waits for the end. The terminal must be as it was.
    pub(crate) fn finish(&mut self) -> Output {
        // What is still drawn must not fill the terminal and hold the end up.
        let mut screen = self.screen.try_clone().unwrap();
        let reader =
            std::thread::spawn(move || while screen.read(&mut [0; 4096]).unwrap_or(0) > 0 {});
        let pidfd = pidfd_open(
            Pid::from_child(self.child.as_ref().unwrap()),
            PidfdFlags::empty(),
        );
        let limit = Timespec::try_from(PATIENCE).unwrap();
        let ended = poll(
            &mut [PollFd::new(&pidfd.unwrap(), PollFlags::IN)],
            Some(&limit),
        );
        assert!(ended.unwrap() > 0, "it does not end");
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        reader.join().unwrap();
        let after = self.modes();
        assert_eq!(after.local_modes, self.before.local_modes);
        assert!(
            after
                .local_modes
                .contains(LocalModes::ICANON | LocalModes::ECHO)
        );
        for code in [
            SpecialCodeIndex::VQUIT,
            SpecialCodeIndex::VMIN,
            SpecialCodeIndex::VTIME,
        ] {
            assert_eq!(
                after.special_codes[code], self.before.special_codes[code],
                "{code:?}"
            );
        }
        output
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
