//! USR2 where something is wrong with the new program, or somebody changes his mind: the old server
//! serves as if nothing had been.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::fs::{self, Permissions, rename, write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use server::for_each_mode;
use support::{LIMIT, ServerProcess, connect_to_path, procfs, public_copy, round_trip, visit};
use tempfile::TempDir;

const GIVEN_UP: &str = "the upgrade is given up";
const POOL: [&str; 4] = ["--mode", "process-pool", "--workers", "3"];

/// A server whose program can be replaced.
struct Site {
    directory: TempDir,
    copy: String,
    server: ServerProcess,
}

/// Puts a program there. Another process writes it: a server that this one starts at the same moment
/// would hold the file open for writing, and such a file cannot be run.
fn write_program(path: &Path, text: &str, mode: u32) {
    let script = ["-c", "printf %s \"$1\" >\"$2\"", "sh", text];
    let written = Command::new("sh").args(script).arg(path).status().unwrap();
    assert!(written.success());
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

impl Site {
    fn start(args: &[&str]) -> Self {
        let (directory, copy) = public_copy();
        let server = ServerProcess::wrapped(&[&copy], args);
        Self {
            directory,
            copy,
            server,
        }
    }

    /// Puts a script in the place of the program, which stays beside it as `real`.
    fn replace_by(&self, script: &str) {
        let (real, new) = (self.file("real"), self.file("new"));
        if !real.exists() {
            rename(&self.copy, real).unwrap();
        }
        write_program(&new, script, 0o755);
        rename(&new, &self.copy).unwrap();
    }

    /// Puts the program back.
    fn repair(&self) {
        rename(self.file("real"), &self.copy).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces the program by one that waits until somebody opens the pipe for writing, and is the
    /// server then.
    fn hold(&self) -> PathBuf {
        let gate = self.file("gate");
        let made = std::process::Command::new("mkfifo").arg(&gate).status();
        assert!(made.unwrap().success());
        let (gate_name, real) = (gate.display(), self.file("real"));
        let script = format!(
            "#!/bin/sh\necho held >&2\nread go <{gate_name}\nexec {} \"$@\"\n",
            real.display()
        );
        self.replace_by(&script);
        self.server.signal(Signal::USR2);
        self.server.log().wait_for("held", 1);
        gate
    }
}

for_each_mode! {
    fn a_program_that_ends_leaves_the_old_server_as_it_was(mode) {
        let mut site = Site::start(&mode.args());
        let mut inside = site.server.connect();
        round_trip(&mut inside, b"hello")?;
        let family = procfs::family(site.server.pid());
        site.replace_by("#!/bin/sh\nexit 3\n");
        site.server.signal(Signal::USR2);
        site.server.log().wait_for(GIVEN_UP, 1);
        round_trip(&mut inside, b"still here")?;
        assert_eq!(procfs::family(site.server.pid()), family);
        let told = site.server.log().lines_with(GIVEN_UP);
        assert!(told[0].contains(" ERROR ") && told[0].contains("exited with code 3"), "{told:?}");
        site.repair();
        drop(inside);
        let old = site.server.upgrade();
        assert!(procfs::wait_for_end(&old, LIMIT));
        visit(site.server.connect()).unwrap();
        site.server.stop();
    }
}

#[test]
fn whatever_is_wrong_with_the_program_it_is_said_and_the_socket_file_stays() {
    let (directory, copy) = public_copy();
    let path = directory.path().join("echo.sock");
    let addr = format!("unix:{}", path.display());
    let mut command = ServerProcess::command(&[&copy], &POOL);
    // The address is the first argument.
    command = readdressed(&command, &addr);
    let server = ServerProcess::spawn(command).until_ready();
    let workers = server.workers();
    let real = directory.path().join("real");
    rename(&copy, &real).unwrap();
    let make = |content: &str, mode: u32| {
        let new = directory.path().join("new");
        write_program(&new, content, mode);
        rename(&new, &copy).unwrap();
    };
    let flawed = format!("#!/bin/sh\nexec {} --no-such-flag\n", real.display());
    let refused = [
        ("No such file", None),
        ("Permission denied", Some(("#!/bin/sh\n", 0o644))),
        ("Exec format error", Some(("no program\n", 0o755))),
        ("exited with code 2", Some((&*flawed, 0o755))),
    ];
    for (round, (part, program)) in refused.into_iter().enumerate() {
        if let Some((content, mode)) = program {
            make(content, mode);
        }
        server.signal(Signal::USR2);
        server.log().wait_for(GIVEN_UP, round + 1);
        let told = server.log().lines_with(GIVEN_UP).swap_remove(round);
        assert!(told.contains(part), "{part}: {told}");
        visit(connect_to_path(&path).unwrap()).unwrap();
        assert_eq!(server.workers(), workers, "{part}");
    }
    assert_eq!(server.stop().status.code(), Some(0));
    assert!(!path.exists());
}

/// The same command at another address.
fn readdressed(command: &std::process::Command, addr: &str) -> std::process::Command {
    let mut other = std::process::Command::new(command.get_program());
    other.arg(addr).args(command.get_args().skip(1));
    other.stdin(std::process::Stdio::null());
    other.stdout(std::process::Stdio::piped());
    other.stderr(std::process::Stdio::piped());
    other
}

#[test]
fn one_that_is_not_ready_in_time_is_ended() {
    let site = Site::start(&[&POOL[..], &["--upgrade-timeout", "1s"]].concat());
    let workers = site.server.workers();
    site.replace_by("#!/bin/sh\nexec sleep 3600\n");
    site.server.signal(Signal::USR2);
    site.server.log().wait_for("was not ready within 1s", 1);
    visit(site.server.connect()).unwrap();
    assert_eq!(site.server.workers(), workers);
    assert_eq!(site.server.stop().status.code(), Some(0));
}

#[test]
fn a_second_signal_meanwhile_is_said_and_ignored() {
    let mut site = Site::start(&POOL);
    let gate = site.hold();
    site.server.signal(Signal::USR2);
    site.server
        .log()
        .wait_for("ignored: an upgrade is under way", 1);
    visit(site.server.connect()).unwrap();
    let old = procfs::open(site.server.pid());
    write(gate, "go\n").unwrap();
    assert!(procfs::wait_for_end(&old, LIMIT));
    site.server.follow();
    visit(site.server.connect()).unwrap();
    let log = site.server.stop().log;
    let starts = log.iter().filter(|line| line.contains("upgrading: "));
    assert_eq!(starts.count(), 1);
}

#[test]
fn a_server_that_ends_takes_a_successor_along_that_is_not_ready() {
    let site = Site::start(&POOL);
    site.hold();
    let group = site.server.group();
    let farewell = site.server.stop();
    assert_eq!(farewell.status.code(), Some(0));
    assert_no_errors(&farewell.log);
    procfs::wait_for_empty_group(group, LIMIT);
}

#[test]
fn a_successor_whose_predecessor_is_killed_before_it_is_ready_ends() {
    let site = Site::start(&POOL);
    let gate = site.hold();
    let group = site.server.group();
    site.server.signal(Signal::KILL);
    let old = procfs::open(site.server.pid());
    assert!(procfs::wait_for_end(&old, LIMIT));
    write(gate, "go\n").unwrap();
    site.server
        .log()
        .wait_for("cannot take over from the server before this one", 1);
    procfs::wait_for_empty_group(group, LIMIT);
}

#[test]
fn upgrades_upon_upgrades_leave_nothing_behind() {
    let (directory, copy) = public_copy();
    let pid_file = directory.path().join("server.pid");
    let more = ["--pid-file", pid_file.to_str().unwrap()];
    let mut server = ServerProcess::wrapped(&[&copy], &[&POOL[..], &more].concat());
    let group = server.group();
    let descriptors = |server: &ServerProcess| {
        visit(server.connect()).unwrap();
        procfs::descriptors(server.pid())
    };
    let mut first = None;
    for _ in 0..10 {
        assert_eq!(pid_in(&pid_file), server.pid());
        let old = server.upgrade();
        assert!(procfs::wait_for_end(&old, LIMIT));
        server.until(
            "its workers alone",
            || server.moment(),
            || procfs::group(group).len() == 1 + server.workers().len(),
        );
        let now = descriptors(&server);
        assert_eq!(*first.get_or_insert(now), now);
    }
    assert_eq!(pid_in(&pid_file), server.pid());
    let farewell = server.stop();
    assert_no_errors(&farewell.log);
    assert_eq!(farewell.counted_by_each("left"), [0; 11]);
    assert!(!pid_file.exists());
    procfs::wait_for_empty_group(group, LIMIT);
}

fn pid_in(file: &Path) -> u32 {
    fs::read_to_string(file).unwrap().trim().parse().unwrap()
}

fn assert_no_errors(log: &[String]) {
    assert!(!log.iter().any(|line| line.contains(" ERROR ")), "{log:#?}");
}
