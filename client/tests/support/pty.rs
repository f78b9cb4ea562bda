//! A client at a terminal that the test types at and reads.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use super::{Running, read_rest, wait_for};

pub(crate) struct Terminal {
    screen: File,
    client: Running,
}

impl Terminal {
    /// Starts a client at a new terminal, without colours.
    pub(crate) fn start(target: &str, args: &[&str]) -> Self {
        Self::of_kind("xterm", target, args)
    }

    /// Starts a client at a terminal of the kind that `TERM` names.
    pub(crate) fn of_kind(term: &str, target: &str, args: &[&str]) -> Self {
        let screen = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap());
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let name = ptsname(&screen, Vec::new()).unwrap();
        let mut options = OpenOptions::new();
        let tty = options.read(true).write(true);
        let tty = tty.open(name.to_str().unwrap()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        command.arg(target).args(args);
        command.env("TERM", term).env("NO_COLOR", "1");
        command.stdin(tty.try_clone().unwrap());
        command
            .stdout(tty.try_clone().unwrap())
            .stderr(Stdio::from(tty));
        let client = Running::spawn(command);
        Self { screen, client }
    }

    pub(crate) fn type_in(&mut self, keys: &str) {
        self.screen.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        wait_for(&mut self.screen, text)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.client.signal(signal);
    }

    /// Waits for the end and returns it with what was on the screen since the last wait.
    ///
    /// The terminal must be as it was: keys are shown again, and gathered into lines.
    pub(crate) fn finish(&mut self) -> (ExitStatus, String) {
        let screen = read_rest(&mut self.screen);
        let status = self.client.end();
        let modes = tcgetattr(&self.screen).unwrap().local_modes;
        let usual = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        assert!(modes.contains(usual), "the terminal is left in {modes:?}");
        (status, screen)
    }
}
