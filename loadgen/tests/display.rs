//! What is seen while a run lasts: a display with keys at a terminal, lines on demand, and nothing
//! anywhere else; and however it ends, the terminal is as it was.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use cli::Interrupt;
use loadgen::Steer;
use rustix::process::Signal;
use rustix::termios::{LocalModes, SpecialCodeIndex};
use support::pty::Terminal;
use support::{Server, echo, program};

/// A server that serves one client and leaves the others waiting.
fn pool_of_one() -> Server {
    Server::new(|number, mut socket| match number {
        0 => echo(socket),
        _ => {
            while socket.read(&mut [0; 4096])? > 0 {}
            Ok(())
        }
    })
}

/// A run of a minute at a terminal, seen to be under way.
fn at_the_terminal(server: &Server) -> Terminal {
    let addr = server.addr().to_string();
    // A little thought between requests leaves the processors to the display.
    let args = [&addr, "-c", "3", "-d", "60s", "-w", "0s", "--think", "20ms"];
    let mut terminal = Terminal::start(&args);
    terminal.wait_for("q stops");
    terminal
}

fn report(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_display_shows_who_waits_and_q_leaves_a_partial_report() {
    let server = pool_of_one();
    let mut terminal = at_the_terminal(&server);
    let shown = terminal.wait_for("2 waiting");
    assert!(
        shown.contains("█") && shown.contains("░░") && shown.contains("\x1b[33m"),
        "{shown:?}"
    );
    terminal.type_in("q");
    let output = terminal.finish();
    assert_eq!(output.status.code(), Some(130));
    let report = report(&output);
    assert!(
        report.starts_with("clients     3 asked  3 connected  1 served"),
        "{report}"
    );
    assert!(
        report.contains("Interrupted: these are the figures so far."),
        "{report}"
    );
    assert!(!report.contains('\x1b'), "{report}");
}

#[test]
fn space_pauses_and_goes_on() {
    let server = Server::echo();
    let mut terminal = at_the_terminal(&server);
    terminal.type_in(" ");
    terminal.wait_for("paused");
    terminal.type_in("p");
    terminal.wait_for("measuring");
    terminal.type_in("xyzq");
    assert_eq!(terminal.finish().status.code(), Some(130));
}

#[test]
fn a_signal_gives_the_terminal_back() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let server = Server::echo();
        let mut terminal = at_the_terminal(&server);
        terminal.signal(signal);
        assert_eq!(terminal.finish().status.code(), Some(code));
    }
}

#[test]
fn keys_come_one_by_one_and_none_of_them_ends_it_without_giving_them_back() {
    let server = Server::echo();
    let mut terminal = at_the_terminal(&server);
    let modes = terminal.modes();
    let unseen = LocalModes::ICANON | LocalModes::ECHO;
    assert!(
        !modes.local_modes.intersects(unseen),
        "{:?}",
        modes.local_modes
    );
    assert!(
        modes.local_modes.contains(LocalModes::ISIG),
        "Ctrl-C stays a signal"
    );
    assert_eq!(modes.special_codes[SpecialCodeIndex::VQUIT], 0);
    terminal.type_in("q");
    assert_eq!(terminal.finish().status.code(), Some(130));
}

#[test]
fn a_terminal_that_takes_nothing_more_holds_nothing_up() {
    const CTRL_S: &str = "\x13";
    let server = Server::echo();
    let mut terminal = at_the_terminal(&server);
    terminal.type_in(CTRL_S);
    terminal.type_in("q");
    let output = terminal.finish();
    assert_eq!(output.status.code(), Some(130));
    assert!(report(&output).contains("Interrupted"));
}

#[test]
fn a_terminal_that_cannot_redraw_gets_lines() {
    let server = Server::echo();
    let addr = server.addr().to_string();
    let mut terminal = Terminal::of_kind("dumb", &[&addr, "-c", "2", "-n", "10"]);
    let shown = terminal.wait_for("errors\r\n");
    assert!(!shown.contains('\x1b'), "{shown:?}");
    assert_eq!(terminal.finish().status.code(), Some(0));
}

/// The engine shows its progress to whoever started the run, on that thread and no worker's, and
/// by the clock: two looks are closer together than a tick only where a worker ended in between.
#[test]
fn progress_is_shown_by_the_clock_and_on_no_workers_thread() {
    const TICK: Duration = Duration::from_millis(20);
    let server = Server::echo();
    for requests in [200, 2_000] {
        let config = server.config(2, requests);
        let own = thread::current().id();
        let mut looks = Vec::new();
        let outcome = loadgen::run(&config, &Interrupt::default(), &mut |progress| {
            assert_eq!(thread::current().id(), own);
            looks.push(progress.elapsed);
            Steer::Go
        });
        assert_eq!(outcome.unwrap().report.requests.answered, requests);
        let close = looks.windows(2).filter(|pair| pair[1] - pair[0] < TICK);
        assert!(close.count() <= config.threads.get(), "{looks:?}");
    }
}

fn loadgen(server: &Server, args: &[&str]) -> Command {
    let mut command = program::loadgen(&[&server.addr().to_string()]);
    command.args(["-c", "2", "-n", "10"]).args(args);
    command.env_remove("NO_COLOR");
    command
}

fn people(server: &Server, args: &[&str]) -> String {
    let output = loadgen(server, args).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn elsewhere_there_is_nothing_unless_it_is_asked_for() {
    let server = Server::echo();
    assert_eq!(people(&server, &[]), "");
    let plain = people(&server, &["--plain"]);
    assert!(
        plain.contains("served, ") && plain.ends_with(" errors\n"),
        "{plain:?}"
    );
    assert!(!plain.contains('\x1b'), "{plain:?}");
    let forced = people(&server, &["--tui"]);
    assert!(
        forced.contains("served") && forced.contains("\x1b["),
        "{forced:?}"
    );
    assert!(
        !forced.contains("q stops"),
        "there is nobody to press a key: {forced:?}"
    );
}

#[test]
fn no_color_means_no_colour() {
    let server = Server::echo();
    let mut command = loadgen(&server, &["--tui"]);
    let output = command.env("NO_COLOR", "1").output().unwrap();
    let shown = String::from_utf8(output.stderr).unwrap();
    let ends_a_colour = "\x1b[0m";
    assert!(
        shown.contains("served") && !shown.contains(ends_a_colour),
        "{shown:?}"
    );
    assert!(people(&server, &["--tui"]).contains(ends_a_colour));
}

#[test]
fn a_stderr_that_cannot_be_written_to_is_no_failure() {
    let server = Server::echo();
    for look in ["--tui", "--plain"] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (reader, gone) = std::io::pipe().unwrap();
        drop(reader);
        for stderr in [Stdio::from(full), Stdio::from(gone)] {
            let output = loadgen(&server, &[look]).stderr(stderr).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{look}");
            assert!(!output.stdout.is_empty());
        }
    }
}

#[test]
fn the_two_looks_exclude_each_other() {
    let server = Server::echo();
    let output = loadgen(&server, &["--tui", "--plain"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.contains("--tui") && line.contains("--plain"), "{line}");
}
